package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// wantEmail asks for another address.
func wantEmail(s *system, token, password, email string) response {
	return s.call(http.MethodPut, "/users/me/email", token, map[string]string{"current_password": password, "email": email})
}

func (s *system) mustWantEmail(token, email string) {
	s.t.Helper()
	if got := wantEmail(s, token, goodPassword, email); got.status != http.StatusAccepted {
		s.t.Fatalf("got %d: %s, want 202", got.status, got.body)
	}
}

// confirmationOf and revocationOf are the tokens of the newest mails to the new and to the older address.
func confirmationOf(s *system, email string) string {
	s.t.Helper()
	return linkToken(s.t, s.mailTo(email, "Confirm your new e-mail address"), "/email-change/confirm/")
}

func revocationOf(s *system, email string) string {
	s.t.Helper()
	return linkToken(s.t, s.mailTo(email, "about to get another e-mail address"), "/email-change/revoke/")
}

func confirmEmail(s *system, token string) response {
	return s.call(http.MethodPost, "/email-change/confirm", "", map[string]string{"token": token})
}

func revokeEmail(s *system, token string) response {
	return s.call(http.MethodPost, "/email-change/revoke", "", map[string]string{"token": token})
}

func (s *system) mustConfirm(email string) {
	s.t.Helper()
	got := confirmEmail(s, confirmationOf(s, email))
	var account api.VerifiedAccount
	if err := json.Unmarshal(got.body, &account); err != nil || got.status != http.StatusOK || account.Email != email {
		s.t.Fatalf("got %d: %s, want the account with %s", got.status, got.body, email)
	}
}

func (s *system) mustRevoke(token string) {
	s.t.Helper()
	if got := revokeEmail(s, token); got.status != http.StatusNoContent {
		s.t.Fatalf("got %d: %s, want 204", got.status, got.body)
	}
}

func (s *system) emailOf(id uuid.UUID) (email string) {
	s.t.Helper()
	s.scan("SELECT email FROM users WHERE id = $1 AND email_verified", []any{id}, &email)
	return email
}

func TestChangeOwnEmailWaitsForTheProofOfTheNewAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner, next := s.account(server.NewAccount{Role: query.UserRoleMANAGER, EmailVerified: true}), uniqueEmail()
	here, there := s.login(owner.email, goodPassword), s.login(owner.email, goodPassword)
	reset := forgotten(s, owner.email)
	s.mustWantEmail(here, " "+strings.Replace(next, "@example", "@EXAMPLE", 1))

	token, notice := confirmationOf(s, next), s.mailTo(owner.email, "about to get another e-mail address")
	if strings.Contains(notice.Text, next) || strings.Contains(notice.Text, token) {
		t.Errorf("the notice says more than it should: %s", notice.Text)
	}
	if got := s.emailOf(owner.id); got != owner.email {
		t.Errorf("got %s, want the older address until the new one is proven", got)
	}
	s.login(owner.email, goodPassword)
	signInAttempt(s, next, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	s.lookAt("/email-change/confirm/"+token, "/email-change/revoke/"+revocationOf(s, owner.email))

	s.mustConfirm(next)
	if !s.isSignedIn(here) || s.isSignedIn(there) {
		t.Error("want that the session that asked goes on, and the others end")
	}
	s.login(next, goodPassword)
	signInAttempt(s, owner.email, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	resetPassword(s, reset, "Compiler*1952").problem(t, api.ProblemCodeTokenUsed) // it was mailed to the older address
	confirmEmail(s, token).problem(t, api.ProblemCodeTokenUsed)
	if got := s.count("SELECT count(*) FROM users WHERE id = $1 AND role = 'MANAGER' AND email_verified AND version = 3", owner.id); got != 1 {
		t.Error("want the same role, and the version moved once")
	}
	told := s.mailTo(owner.email, "was changed") // A-53, with the way back once more
	if linkToken(t, told, "/email-change/revoke/") != linkToken(t, notice, "/email-change/revoke/") {
		t.Errorf("got %s, want the link of the notice", told.Text)
	}
	for _, action := range []query.AuditAction{query.AuditActionEmailChangeRequested, query.AuditActionEmailChanged} {
		if got := s.audited(action, owner.id); got != 1 {
			t.Errorf("got %d audit rows %s, want 1", got, action)
		}
	}
	if got := s.count("SELECT count(*) FROM audit WHERE old::text || new::text LIKE '%' || $1 || '%'", next); got != 0 { // H-10
		t.Error("the audit holds an address")
	}
}

func TestRevokedEmailChangeDoesNotHappen(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	confirmation := confirmationOf(s, next)
	s.mustRevoke(revocationOf(s, owner.email))
	confirmEmail(s, confirmation).problem(t, api.ProblemCodeTokenUsed)
	if s.isSignedIn(owner.token) || s.emailOf(owner.id) != owner.email {
		t.Error("want the address that it was, and no session of whoever asked")
	}
	s.login(owner.email, goodPassword)
}

func TestRevokeEmailChangeBringsTheAddressBackAfterItsConfirmation(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	s.mustConfirm(next)
	token := revocationOf(s, owner.email)
	reset := forgotten(s, next) // by whoever has the account now
	thief := s.login(next, goodPassword)
	s.mustRevoke(token)
	if s.emailOf(owner.id) != owner.email || s.isSignedIn(thief) || s.isSignedIn(owner.token) {
		t.Error("want the older address, and every session ended")
	}
	resetPassword(s, reset, "Compiler*1952").problem(t, api.ProblemCodeTokenUsed)
	revokeEmail(s, token).problem(t, api.ProblemCodeTokenUsed)
	signInAttempt(s, next, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	s.login(owner.email, goodPassword)
	s.mailTo(next, "was changed")
	if got := s.audited(query.AuditActionEmailChangeRevoked, owner.id); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
}

// A thief who changes the address twice, resets the password and registers with the freed address leaves the owner the
// way back, and has none.
func TestRevokeEmailChangeOutlivesWhatAThiefDoesNext(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner, second, third := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail(), uniqueEmail()
	s.mustWantEmail(owner.token, second)
	s.mustConfirm(second)
	s.mustWantEmail(owner.token, third)
	s.mustConfirm(third)
	s.mustReset(forgotten(s, third))
	squatter := registered(s, map[string]any{"email": owner.email})
	s.mustRevoke(linkToken(t, s.mailTo(owner.email, "about to get another"), "/email-change/revoke/"))
	if got := s.emailOf(owner.id); got != owner.email {
		t.Errorf("got %s, want the owner's address", got)
	}
	if got := s.count("SELECT count(*) FROM users WHERE id = $1 AND deleted_at IS NULL", squatter.ID); got != 0 {
		t.Error("an account that proved nothing kept the address")
	}
	if got := s.audited(query.AuditActionUserDeleted, squatter.ID); got != 1 {
		t.Errorf("got %d audit rows of the deletion, want 1", got)
	}
	revokeEmail(s, revocationOf(s, second)).problem(t, api.ProblemCodeTokenUsed) // the thief's own way back is gone
	s.mustReset(forgotten(s, owner.email))
}

func TestResetPasswordEndsAPendingEmailChange(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	confirmation := confirmationOf(s, next)
	s.mustReset(forgotten(s, owner.email))
	confirmEmail(s, confirmation).problem(t, api.ProblemCodeTokenUsed)
	if got := s.emailOf(owner.id); got != owner.email {
		t.Errorf("got %s, want the address that the reset proved", got)
	}
}

func TestRevokeEmailChangeTakesNothingFromWhoProvedTheAddress(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	s.mustConfirm(next)
	other := s.account(server.NewAccount{Email: owner.email, EmailVerified: true})
	token := revocationOf(s, owner.email)
	revokeEmail(s, token).problem(t, api.ProblemCodeEmailTaken)
	if s.emailOf(other.id) != owner.email || s.emailOf(owner.id) != next || !s.isSignedIn(owner.token) {
		t.Error("a refused revocation changed something")
	}
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", other.id)
	s.mustRevoke(token) // the refusal did not use it up
}

func TestConfirmEmailChangeAtOnceHappensOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	confirmation, revocation := confirmationOf(s, next), revocationOf(s, owner.email)
	for _, c := range []struct {
		use  func(s *system, token string) response
		what string
		then string
	}{{confirmEmail, confirmation, next}, {revokeEmail, revocation, owner.email}} {
		done := 0
		for _, got := range answersAtOnce(50, func(int) response { return c.use(s, c.what) }) {
			if got.status < http.StatusBadRequest {
				done++
				continue
			}
			got.problem(t, api.ProblemCodeTokenUsed)
		}
		if done != 1 || s.emailOf(owner.id) != c.then {
			t.Errorf("used %d times, and the address is %s, want once and %s", done, s.emailOf(owner.id), c.then)
		}
	}
}

// Whichever comes first, who says "this was not me" wins.
func TestRevokeEmailChangeWinsAgainstItsConfirmation(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for range 20 {
		owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
		s.mustWantEmail(owner.token, next)
		confirmation, revocation := confirmationOf(s, next), revocationOf(s, owner.email)
		var both sync.WaitGroup
		both.Go(func() { confirmEmail(s, confirmation) })
		both.Go(func() { s.mustRevoke(revocation) })
		both.Wait()
		if s.emailOf(owner.id) != owner.email || s.isSignedIn(owner.token) {
			t.Fatal("the confirmation won")
		}
	}
}

// The older address of a correction by staff is told, if somebody had proven it.
func TestCorrectedAddressIsTold(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, proven, unproven := s.signedIn(query.UserRoleADMIN), s.account(verifiedUser), s.account(server.NewAccount{})
	for _, a := range []account{proven, unproven} {
		got := s.call(http.MethodPatch, "/users/"+a.id.String(), admin.token, map[string]string{"email": uniqueEmail()}, "If-Match", "*")
		if got.status != http.StatusOK || staffUserOf(t, got, http.StatusOK).LastMail.Kind != api.LastMailKindVerifyEmail {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	if m := s.mailTo(proven.email, "was changed"); strings.Contains(m.Text, "/email-change/") {
		t.Errorf("staff's decision can be undone by a link: %s", m.Text)
	}
	s.idle()
	if got := len(s.inbox.Mails(unproven.email)); got != 0 {
		t.Errorf("got %d mails to an address that nobody proved, want none", got)
	}
}

// The news goes out also when the way back is gone by the time that the mail server takes it.
func TestMailOfAChangedAddressGoesOutWithoutItsLink(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner, next := s.signedIn(query.UserRoleAUTHENTICATED), uniqueEmail()
	s.mustWantEmail(owner.token, next)
	s.mustConfirm(next)
	s.mailTo(owner.email, "was changed")
	s.idle()
	if err := s.inbox.DeleteAll(); err != nil {
		t.Fatal(err)
	}
	s.exec("UPDATE one_time_tokens SET superseded_at = now()")
	s.exec("UPDATE mails SET state = 'queued' WHERE kind = 'email_changed'")
	s.exec(`UPDATE river_job SET state = 'available', finalized_at = NULL, scheduled_at = now()
		WHERE kind = 'mail' AND args->>'mail_id' = (SELECT id::text FROM mails WHERE kind = 'email_changed')`)
	if m := s.mailTo(owner.email, "was changed"); strings.Contains(m.Text, "/email-change/") || !strings.Contains(m.Text, "another e-mail address now") {
		t.Errorf("got %s, want the news without a dead link", m.Text)
	}
}
