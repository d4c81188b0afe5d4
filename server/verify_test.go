package server_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// mailedToken is the token of the newest mail to an address about a subject, from its built-in link.
func mailedToken(s *system, email, subject string) string {
	s.t.Helper()
	paths := map[string]string{"invited": "/invitations/", "will be deleted": "/deletion/cancel/"}
	return linkToken(s.t, s.mailTo(email, subject), cmp.Or(paths[subject], "/verify-email/"))
}

// unverified opens an account as a frontend does and reads its token from the mail.
func unverified(s *system) (api.OwnProfile, string) {
	s.t.Helper()
	profile := registered(s, nil)
	return profile, mailedToken(s, profile.Email, "confirm")
}

// verifyByToken and verifyByLink are the two ways to prove an address.
func verifyByToken(s *system, token string) response {
	return s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token})
}

func verifyByLink(s *system, id uuid.UUID, token string) response {
	return s.call(http.MethodPost, "/verify-email/"+id.String()+"/"+token, "", nil)
}

func TestVerifyEmailGivesTheRole(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for name, verify := range map[string]func(uuid.UUID, string) response{
		"by token": func(_ uuid.UUID, token string) response { return verifyByToken(s, token) },
		"by link":  func(id uuid.UUID, token string) response { return verifyByLink(s, id, token) },
	} {
		profile, token := unverified(s)
		refused := s.call(http.MethodPost, "/login", "", "username="+urlQuery(profile.Email)+"&password="+urlQuery(goodPassword),
			"Content-Type", "application/x-www-form-urlencoded")
		refused.problem(t, api.ProblemCodeEmailNotVerified)
		got := verify(profile.ID, token)
		var account api.VerifiedAccount
		if err := json.Unmarshal(got.body, &account); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: got %d: %s", name, got.status, got.body)
		}
		want := api.VerifiedAccount{
			UserID: profile.ID, Email: profile.Email, Nickname: profile.Nickname, Role: api.RoleAUTHENTICATED, EmailVerified: true,
		}
		if account != want {
			t.Errorf("%s: got %+v, want %+v", name, account, want)
		}
		if got := s.call(http.MethodGet, "/users/me", s.login(profile.Email, goodPassword), nil); got.header.Get("ETag") != `"2"` {
			t.Errorf("%s: got version %s, want it moved once", name, got.header.Get("ETag"))
		}
		if got := s.count("SELECT count(*) FROM audit WHERE action = 'email_verified' AND subject_id = $1 AND new->>'role' = 'AUTHENTICATED'", profile.ID); got != 1 {
			t.Errorf("%s: got %d audit rows, want 1", name, got)
		}
	}
}

// A corrected address makes anyone ANONYMOUS until it is proven; the proof gives the rank back.
func TestVerifyEmailNeverDemotes(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN} {
		user, email := s.signedIn(role), uniqueEmail()
		got := s.call(http.MethodPatch, "/users/"+user.id.String(), admin.token, map[string]any{"email": email}, "If-Match", `"2"`)
		if !strings.Contains(string(got.body), `"role":"ANONYMOUS"`) {
			t.Fatalf("got %d: %s, want it unverified", got.status, got.body)
		}
		if got := verifyByToken(s, mailedToken(s, email, "confirm")); !strings.Contains(string(got.body), `"role":"`+string(role)+`"`) {
			t.Errorf("got %s, want %s back", got.body, role)
		}
	}
	promoted, token := unverified(s)
	s.call(http.MethodPut, "/users/"+promoted.ID.String()+"/role", admin.token, map[string]any{"role": "MANAGER"})
	if got := verifyByToken(s, token); !strings.Contains(string(got.body), `"role":"MANAGER"`) {
		t.Errorf("got %s, want the role that staff gave in the meantime", got.body)
	}
}

func TestVerifyEmailIsNotDoneByLooking(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	profile, token := unverified(s)
	link := "/verify-email/" + profile.ID.String() + "/" + token
	for _, agent := range []string{
		"", "Mozilla/5.0", "Outlook-iOS/2.0", "Slackbot-LinkExpanding 1.0", "Barracuda Sentinel (EE)", "curl/8.5.0",
		"Mozilla/5.0 (compatible; bingbot/2.0)", "GoogleImageProxy", "Proofpoint URL Defense", "python-requests/2.31",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, purpose := range []string{"", "prefetch", "prefetch;prerender"} {
				if got := s.call(method, link, "", nil, "User-Agent", agent, "Sec-Purpose", purpose); got.status != http.StatusOK {
					t.Errorf("%s as %q: got %d", method, agent, got.status)
				}
			}
		}
	}
	if got := s.count("SELECT count(*) FROM users WHERE email_verified") + s.count("SELECT count(*) FROM one_time_tokens WHERE used_at IS NOT NULL"); got != 0 {
		t.Error("looking at the link consumed it")
	}
	if got := verifyByLink(s, profile.ID, token); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestVerifyEmailAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	profile, token := unverified(s)
	for i, got := range answersAtOnce(50, func(i int) response {
		if i%2 == 0 {
			return verifyByToken(s, token)
		}
		return verifyByLink(s, profile.ID, token)
	}) {
		if got.status != http.StatusOK {
			t.Errorf("request %d got %d: %s, want 200", i, got.status, got.body)
		}
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'email_verified'"); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
	if got := s.count("SELECT version FROM users WHERE id = $1", profile.ID); got != 2 {
		t.Errorf("got version %d, want 2", got)
	}
}

// What is mailed again while the first link is being used: whoever comes second finds a clear state, and
// nobody waits for the database to break a deadlock.
func TestVerifyEmailAndResendTakeTurns(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	admin := s.signedIn(query.UserRoleADMIN)
	for range 10 {
		profile, token := unverified(s)
		for i, got := range answersAtOnce(12, func(i int) response {
			switch i % 3 {
			case 0:
				return s.call(http.MethodPost, "/users/"+profile.ID.String()+"/invitation", admin.token, nil)
			case 1:
				return s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"email": profile.Email}, "X-Forwarded-For", uniqueAddress())
			}
			return verifyByToken(s, token)
		}) {
			if got.status >= http.StatusInternalServerError {
				t.Errorf("request %d got %d: %s", i, got.status, got.body)
			}
		}
		if got := s.count("SELECT count(*) FROM one_time_tokens WHERE user_id = $1 AND used_at IS NULL AND superseded_at IS NULL", profile.ID); got > 1 {
			t.Errorf("got %d open links, want one at most", got)
		}
	}
	s.exec("SELECT pg_stat_force_next_flush()")
	if got := s.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); got != 0 {
		t.Errorf("got %d deadlocks, want none", got)
	}
}

func TestVerifyEmailRepeatsItsSuccessForTenMinutes(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	profile, token := unverified(s)
	first := verifyByToken(s, token)
	for _, got := range []response{verifyByToken(s, token), verifyByLink(s, profile.ID, token)} {
		if got.status != http.StatusOK || !bytes.Equal(got.body, first.body) {
			t.Errorf("got %d: %s, want the same success: %s", got.status, got.body, first.body)
		}
	}
	s.exec("UPDATE one_time_tokens SET used_at = now() - interval '9 minutes 55 seconds'")
	if got := verifyByToken(s, token); got.status != http.StatusOK {
		t.Errorf("got %d just before ten minutes: %s", got.status, got.body)
	}
	s.exec("UPDATE one_time_tokens SET used_at = now() - interval '10 minutes'")
	for _, got := range []response{verifyByToken(s, token), verifyByLink(s, profile.ID, token)} {
		if got.problem(t, api.ProblemCodeTokenUsed); got.status != http.StatusGone {
			t.Errorf("got %d, want 410", got.status)
		}
	}
	if got := s.count("SELECT version FROM users WHERE id = $1", profile.ID); got != 2 {
		t.Errorf("got version %d, want 2", got)
	}
}

// A repeated success must still be true: not of another address, nor of an account that is gone.
func TestVerifyEmailDoesNotRepeatWhatIsNotSoAnyMore(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for name, end := range map[string]func(path string) response{
		"deleted": func(path string) response {
			return s.call(http.MethodDelete, path, admin.token, nil, "If-Match", `"2"`)
		},
		"another address": func(path string) response {
			return s.call(http.MethodPatch, path, admin.token, map[string]any{"email": uniqueEmail()}, "If-Match", `"2"`)
		},
	} {
		profile, token := unverified(s)
		if got := verifyByToken(s, token); got.status != http.StatusOK {
			t.Fatalf("%s: got %d: %s", name, got.status, got.body)
		}
		if got := end("/users/" + profile.ID.String()); got.status >= http.StatusBadRequest {
			t.Fatalf("%s: got %d: %s", name, got.status, got.body)
		}
		verifyByToken(s, token).problem(t, api.ProblemCodeTokenUsed)
		s.account(server.NewAccount{Email: profile.Email, EmailVerified: true}) // somebody else has the address now
		verifyByToken(s, token).problem(t, api.ProblemCodeTokenUsed)
	}
}
