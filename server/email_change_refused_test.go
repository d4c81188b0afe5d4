package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func TestChangeOwnEmailDoesNotTellWhoseAnAddressIs(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	asker, verified, waiting := s.signedIn(query.UserRoleAUTHENTICATED), s.account(verifiedUser), s.account(server.NewAccount{})
	shape := func(email string) (answer string, jobs int) {
		before := s.count("SELECT count(*) FROM river_job WHERE kind = 'mail'")
		got := wantEmail(s, asker.token, goodPassword, email)
		if got.status != http.StatusAccepted {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
		return outerShape(got), s.count("SELECT count(*) FROM river_job WHERE kind = 'mail'") - before
	}
	want, wantJobs := shape(uniqueEmail())
	subjects := map[string]string{verified.email: "You already have an account", waiting.email: "Confirm your new e-mail address"}
	for _, taken := range []account{verified, waiting} { // one that nobody has proven is not taken
		if got, jobs := shape(strings.ToUpper(taken.email)); got != want || jobs != wantJobs {
			t.Errorf("got %s and %d mails, want %s and %d", got, jobs, want, wantJobs)
		}
		m := s.mailTo(taken.email, subjects[taken.email])
		if taken.email == verified.email && strings.Contains(m.Text, "/email-change/") {
			t.Errorf("the owner of a taken address is mailed a link that gives it away: %s", m.Text)
		}
	}
	s.idle()
	if got := len(s.inbox.Mails(asker.email)); got != 3 {
		t.Errorf("got %d notices to the asker, want one for each request", got)
	}
	if got := len(s.inbox.Mails(verified.email)); got != 1 {
		t.Errorf("got %d mails to the owner, want 1", got)
	}
}

func TestChangeOwnEmailIsUniqueWhenItIsConfirmed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	asker, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(asker.token, next)
	token := confirmationOf(s, next)
	other := s.account(server.NewAccount{Email: next, EmailVerified: true})
	got := confirmEmail(s, token)
	if got.problem(t, api.ProblemCodeEmailTaken); got.status != http.StatusConflict || s.emailOf(asker.id) != asker.email {
		t.Errorf("got %d and address %s, want 409 and the older one", got.status, s.emailOf(asker.id))
	}
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", other.id)
	s.mustConfirm(next) // the refusal did not use it up
}

func TestChangeOwnEmailNeedsThePasswordAndCountsWrongOnes(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner := s.account(verifiedUser)
	token := s.login(owner.email, goodPassword)
	for range 5 {
		got := wantEmail(s, token, "Wrong*1843xyz", uniqueEmail())
		if got.problem(t, api.ProblemCodeInvalidCurrentPassword); got.status != http.StatusForbidden {
			t.Errorf("got %d, want 403", got.status)
		}
	}
	for _, got := range []response{
		wantEmail(s, token, goodPassword, uniqueEmail()), changePassword(s, token, goodPassword, "Compiler*1952"), signInAttempt(s, owner.email, goodPassword),
	} {
		got.problem(t, api.ProblemCodeTooManyAttempts) // one counter for all
	}
	passLoginTime(s, 2*time.Minute)
	for _, same := range []string{owner.email, strings.ToUpper(owner.email)} {
		codes := fieldCodes(wantEmail(s, token, goodPassword, same).problem(t, api.ProblemCodeValidationFailed))
		if !slices.Equal(codes["/email"], []api.FieldCode{api.FieldCodeUnchanged}) {
			t.Errorf("got %v, want that it is the present one", codes)
		}
	}
	s.idle()
	if got := s.count("SELECT count(*) FROM one_time_tokens"); got != 0 {
		t.Errorf("got %d links, want none", got)
	}
}

func TestChangeOwnEmailMailsAnAddressThreeTimesAnHour(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	victim := uniqueEmail()
	var first string
	for i := range 4 {
		asker := s.signedIn(query.UserRoleAUTHENTICATED)
		s.mustWantEmail(asker.token, victim) // the fourth is answered alike, and mails nothing to it
		if i > 0 {
			continue
		}
		first = confirmationOf(s, victim)
		s.mustWantEmail(asker.token, uniqueEmail())
		confirmEmail(s, first).problem(t, api.ProblemCodeTokenUsed) // the newer request replaced it
		s.mustWantEmail(asker.token, uniqueEmail())
		got := wantEmail(s, asker.token, goodPassword, uniqueEmail())
		got.problem(t, api.ProblemCodeTooManyRequests)
	}
	s.idle()
	if got := len(s.inbox.Mails(victim)); got != 3 {
		t.Errorf("got %d mails to one address, want 3", got)
	}
}

func TestConfirmEmailChangeWaitsForTheEndOfALock(t *testing.T) { // Z-08
	t.Parallel()
	s := newSystem(t)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	token := confirmationOf(s, next)
	s.exec("UPDATE users SET is_locked = true WHERE id = $1", owner.id)
	confirmEmail(s, token).problem(t, api.ProblemCodeTokenInvalid)
	if got := s.emailOf(owner.id); got != owner.email {
		t.Errorf("a locked account got the address %s", got)
	}
	s.exec("UPDATE users SET is_locked = false WHERE id = $1", owner.id)
	s.mustConfirm(next)
}

func TestEmailChangeDiesWithItsAccountAndByStaff(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for name, end := range map[string]func(account){
		"deleted": func(a account) {
			s.call(http.MethodDelete, "/users/"+a.id.String(), admin.token, nil, "If-Match", "*")
		},
		"corrected": func(a account) {
			s.call(http.MethodPatch, "/users/"+a.id.String(), admin.token, map[string]string{"email": uniqueEmail()}, "If-Match", "*")
		},
	} {
		owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
		s.mustWantEmail(owner.token, next)
		confirmation, revocation := confirmationOf(s, next), revocationOf(s, owner.email)
		end(owner)
		for _, got := range []response{confirmEmail(s, confirmation), revokeEmail(s, revocation)} {
			if p := got.problem(t, api.ProblemCodeTokenUsed); got.status != http.StatusGone {
				t.Errorf("%s: got %d %s", name, got.status, p.Code)
			}
		}
	}
}
