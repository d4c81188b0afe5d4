package server_test

import (
	"testing"
	"time"

	"usermanager/gen/query"
	"usermanager/server"
)

//
func TestOwnersAreToldOfFailedSignInsOnceAnHour(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy, func(o *server.Options) { o.LoginAttempts = 2 })
	owner := s.account(verifiedUser)
	unverified := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED})
	startWaits := func(email string, sources ...string) {
		for _, source := range sources {
			for range 3 { // two failures, the second of which starts a wait, and one 429
				signInFrom(s, source, email, "wrong")
			}
		}
		s.idle()
	}
	mails := func(a account) int {
		return s.count("SELECT count(*) FROM mails WHERE user_id = $1 AND kind = 'sign_in_failures'", a.id)
	}

	signInFrom(s, "10.0.0.9", owner.email, "wrong")
	s.idle()
	if got := mails(owner); got != 0 {
		t.Errorf("got %d mails after one failure, want none", got)
	}
	startWaits(owner.email, "10.0.0.1", "10.0.0.2", "10.0.0.3")
	s.mailTo(owner.email, "sign")
	if got := mails(owner); got != 1 {
		t.Errorf("got %d mails of three waits, want 1", got)
	}
	for range 4 { // each further failure starts the next wait
		passLoginTime(s, 15*time.Minute)
		signInFrom(s, "10.0.0.1", owner.email, "wrong")
	}
	s.idle()
	if got := mails(owner); got != 1 {
		t.Errorf("got %d mails within the hour, want 1", got)
	}
	s.exec("UPDATE rate_counters SET window_ends_at = window_ends_at - interval '1 hour'")
	startWaits(owner.email, "10.0.0.4")
	if got := mails(owner); got != 2 {
		t.Errorf("got %d mails in the second hour, want 2", got)
	}

	// An address that nobody has queues a job that finds nobody, so that the answer takes the same time.
	jobs := s.count("SELECT count(*) FROM river_job WHERE kind = 'sign_in_failures'")
	startWaits("nobody@example.com", "10.0.0.5")
	if got := s.count("SELECT count(*) FROM river_job WHERE kind = 'sign_in_failures'") - jobs; got != 1 {
		t.Errorf("got %d jobs for an unknown address, want 1 as for a known one", got)
	}
	if got := s.inbox.Mails("nobody@example.com"); len(got) != 0 {
		t.Errorf("got %d mails to an address without an account", len(got))
	}
	startWaits(unverified.email, "10.0.0.6")
	if got := mails(unverified); got != 1 {
		t.Errorf("got %d mails to an unverified account, want 1", got)
	}
	if got := s.count("SELECT count(*) FROM mails"); got != 3 {
		t.Errorf("got %d mails in all, want 3", got)
	}
}

// H-12: the beginning of a wait has its own action, so that an alert can look for it.
func TestTheBeginningOfAWaitIsAudited(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 2 })
	user := s.account(verifiedUser)
	for range 4 {
		signInAttempt(s, user.email, "wrong")
		signInAttempt(s, "nobody@example.com", "wrong")
	}
	for action, want := range map[string]int{"login_refused": 1, "login_throttled": 1} {
		if got := s.count("SELECT count(*) FROM audit WHERE action::text = $1 AND subject_id = $2", action, user.id); got != want {
			t.Errorf("%s of the account: got %d, want %d", action, got, want)
		}
		if got := s.count("SELECT count(*) FROM audit WHERE action::text = $1 AND subject_id IS NULL", action); got != want {
			t.Errorf("%s of nobody: got %d, want %d", action, got, want)
		}
	}
}
