package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func deleteOwn(s *system, token, password string) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/users/me/deletion", token, map[string]string{"current_password": password})
}

// deletedOwn is a deletion that works, and the token of its mail.
func deletedOwn(s *system, email string) (at time.Time, token string) {
	s.t.Helper()
	got := deleteOwn(s, s.login(email, goodPassword), goodPassword)
	var deletion api.AccountDeletion
	if err := json.Unmarshal(got.body, &deletion); err != nil || got.status != http.StatusOK {
		s.t.Fatalf("delete: got %d %s", got.status, got.body)
	}
	s.idle() // an older mail of the kind may be there
	return deletion.DeletionAt, mailedToken(s, email, "will be deleted")
}

func keepByToken(s *system, token string) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/deletion/cancel", "", map[string]string{"token": token})
}

func profileOf(s *system, token string) (profile api.OwnProfile) {
	s.t.Helper()
	if got := s.call(http.MethodGet, "/users/me", token, nil); json.Unmarshal(got.body, &profile) != nil {
		s.t.Fatalf("got %s", got.body)
	}
	return profile
}

func TestAnOwnerDeletesTheAccountAndTakesItBack(t *testing.T) { // Z-07
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	before := s.login(user.email, goodPassword)
	at, mailed := deletedOwn(s, user.email)
	if left := time.Until(at); left < 30*24*time.Hour-time.Minute || left > 30*24*time.Hour {
		t.Errorf("erased in %s, want 30 days", left)
	}
	s.call(http.MethodGet, "/users/me", before, nil).problem(t, api.ProblemCodeInvalidAccessToken) // every session has ended

	// By signing in again. The date is shown, asking again does not move it, and keeping it kills the mailed link.
	token := s.login(user.email, goodPassword)
	if shown := profileOf(s, token).DeletionAt; shown.IsNull() || !shown.MustGet().Equal(at) {
		t.Errorf("the profile says %v, want %s", shown, at)
	}
	again := deleteOwn(s, token, goodPassword)
	if again.status != http.StatusOK || !strings.Contains(string(again.body), at.Format("2006-01-02T15:04:05")) || !isAlive(s, token) {
		t.Errorf("again: got %d %s", again.status, again.body)
	}
	for range 2 {
		if got := s.call(http.MethodDelete, "/users/me/deletion", token, nil); got.status != http.StatusNoContent {
			t.Errorf("keep: got %d %s", got.status, got.body)
		}
	}
	if !profileOf(s, token).DeletionAt.IsNull() {
		t.Error("the account is still about to be erased")
	}
	keepByToken(s, mailed).problem(t, api.ProblemCodeTokenUsed)
	s.mailTo(user.email, "stays")

	// A link that is too old.
	_, mailed = deletedOwn(s, user.email)
	s.exec("UPDATE one_time_tokens SET expires_at = now() - interval '1 second' WHERE purpose = 'cancel_deletion'")
	if got := keepByToken(s, mailed); got.status != http.StatusGone {
		t.Errorf("expired: got %d, want 410", got.status)
	} else {
		got.problem(t, api.ProblemCodeTokenExpired)
	}
	s.exec("UPDATE users SET deletion_at = NULL WHERE id = $1", user.id)

	// By the mailed link: looking at it changes nothing, and it works once.
	_, mailed = deletedOwn(s, user.email)
	if page := s.call(http.MethodGet, "/deletion/cancel/"+mailed, "", nil); page.status != http.StatusOK || !strings.Contains(string(page.body), "<button") {
		t.Errorf("page: got %d %s", page.status, page.body)
	}
	if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND deletion_at IS NULL", user.id); n != 0 {
		t.Error("looking at the page kept the account")
	}
	answers := answersAtOnce(20, func(int) response { return keepByToken(s, mailed) })
	kept := 0
	for _, got := range answers {
		if got.status == http.StatusNoContent {
			kept++
		} else if got.status != http.StatusServiceUnavailable {
			got.problem(t, api.ProblemCodeTokenUsed)
		}
	}
	if kept != 1 || s.count("SELECT count(*) FROM users WHERE id = $1 AND deletion_at IS NULL", user.id) != 1 {
		t.Errorf("got %d answers that it stays, want one", kept)
	}
	for action, want := range map[string]int{"deletion_scheduled": 3, "deletion_cancelled": 2} {
		if n := s.count("SELECT count(*) FROM audit WHERE action::text = $1 AND subject_id = $2", action, user.id); n != want {
			t.Errorf("got %d audit rows of %s, want %d", n, action, want)
		}
	}
}

func TestADeletionNeedsThePassword(t *testing.T) { // Z-07, A-46
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 2 })
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	for range 2 {
		deleteOwn(s, user.token, "wrong").problem(t, api.ProblemCodeInvalidCurrentPassword)
	}
	deleteOwn(s, user.token, goodPassword).problem(t, api.ProblemCodeTooManyAttempts)
	signInAttempt(s, user.email, goodPassword).problem(t, api.ProblemCodeTooManyAttempts) // the same wait
	if n := s.count("SELECT count(*) FROM users WHERE deletion_at IS NOT NULL"); n != 0 || !isAlive(s, user.token) {
		t.Error("it was deleted without the password")
	}
}

func TestTheLastAdministratorCannotLeave(t *testing.T) { // Z-06
	t.Parallel()
	s := newSystem(t)
	one := s.signedIn(query.UserRoleADMIN)
	deleteOwn(s, one.token, goodPassword).problem(t, api.ProblemCodeLastAdmin)
	two := s.signedIn(query.UserRoleADMIN)
	for range 10 { // both at once: one stays
		one.token, two.token = s.login(one.email, goodPassword), s.login(two.email, goodPassword)
		answers := answersAtOnce(2, func(i int) response { return deleteOwn(s, []account{one, two}[i].token, goodPassword) })
		left := 0
		for _, got := range answers {
			if got.status == http.StatusOK {
				left++
			}
		}
		if n := s.count("SELECT count(*) FROM users WHERE role = 'ADMIN' AND deletion_at IS NULL"); left != 1 || n != 1 {
			t.Fatalf("%d left and %d stay, want one each", left, n)
		}
		s.exec("UPDATE users SET deletion_at = NULL")
	}
	if got := deleteOwn(s, s.login(one.email, goodPassword), goodPassword); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	// Who is about to go is none to rely on: the other one cannot be demoted any more.
	s.call(http.MethodPut, "/users/"+two.id.String()+"/role", s.login(one.email, goodPassword), map[string]string{"role": "MANAGER"}).problem(t, api.ProblemCodeLastAdmin)
}

func TestAnErasedAccountLeavesNothingAndItsAddressIsFree(t *testing.T) { // Z-07, H-10
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	_, mailed := deletedOwn(s, user.email)
	token := s.login(user.email, goodPassword)
	s.exec("UPDATE users SET deletion_at = now() - interval '1 second' WHERE id = $1", user.id)
	cleanUp(s)
	for _, table := range []string{"sessions", "passwords", "one_time_tokens", "mails", "login_facts"} {
		if n := s.count("SELECT count(*) FROM "+table+" WHERE user_id = $1", user.id); n != 0 {
			t.Errorf("%s: got %d rows", table, n)
		}
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'user_erased' AND subject_id = $1", user.id); n != 1 {
		t.Errorf("got %d audit rows, want one", n)
	}
	s.call(http.MethodGet, "/users/me", token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
	keepByToken(s, mailed).problem(t, api.ProblemCodeTokenInvalid)
	again := registered(s, map[string]any{"email": user.email})
	if again.ID == user.id || again.Role != api.RoleANONYMOUS || !again.DeletionAt.IsNull() {
		t.Errorf("got %+v, want a new account", again)
	}
}

func TestAnExportHoldsWhatIsStoredAndNoSecret(t *testing.T) { // H-10
	t.Parallel()
	s := newSystem(t)
	profile, mailed := unverified(s)
	verifyByToken(s, mailed)
	manager := s.signedIn(query.UserRoleMANAGER)
	s.call(http.MethodPost, "/users/"+profile.ID.String()+"/upgrade", manager.token, nil)
	s.idle()
	tokens := tokensOf(t, signInAttempt(s, profile.Email, goodPassword))
	got := s.call(http.MethodGet, "/users/me/export", tokens.AccessToken, nil)
	var export api.AccountExport
	if err := json.Unmarshal(got.body, &export); err != nil || got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	if export.Profile.Email != profile.Email || export.LoginCount != 1 || export.LastLoginAt.IsNull() || export.PasswordChangedAt.IsNull() ||
		len(export.Sessions) != 1 || len(export.Mails) != 2 {
		t.Errorf("got %s", got.body)
	}
	by := map[string]api.EventActor{}
	for _, event := range export.Events {
		by[event.Action] = event.By
		if event.By == api.EventActorStaff && !event.Address.IsNull() {
			t.Error("the export tells where staff sit")
		}
	}
	if by["user_registered"] != api.EventActorNobody || by["user_upgraded"] != api.EventActorStaff {
		t.Errorf("got events %v", by)
	}
	var hash string
	s.scan("SELECT hash FROM passwords WHERE user_id = $1", []any{profile.ID}, &hash)
	for what, secret := range map[string]string{"the hash": hash, "a mailed token": mailed, "an access token": tokens.AccessToken,
		"a refresh token": tokens.RefreshToken.MustGet(), "the manager": manager.id.String()} {
		if strings.Contains(string(got.body), secret) {
			t.Errorf("the export holds %s", what)
		}
	}
	again := s.call(http.MethodGet, "/users/me/export", tokens.AccessToken, nil)
	if !strings.Contains(string(again.body), `"data_exported"`) {
		t.Error("an export is not recorded")
	}
}

// A thief with the password cannot use a deletion to keep the owner out, and the owner's other links do not take this
// one away.
func TestADeletionLeavesTheWayBack(t *testing.T) { // A-70, Z-07
	t.Parallel()
	s := newSystem(t)
	owner, theirs := s.account(verifiedUser), uniqueEmail()
	token := s.login(owner.email, goodPassword)
	s.mustWantEmail(token, theirs)
	s.idle()
	revoke := revocationOf(s, owner.email)
	if got := confirmEmail(s, confirmationOf(s, theirs)); got.status != http.StatusOK {
		t.Fatalf("confirm: got %d %s", got.status, got.body)
	}
	deletedOwn(s, theirs)
	if got := revokeEmail(s, revoke); got.status != http.StatusNoContent {
		t.Errorf("revoke: got %d %s", got.status, got.body)
	}
	if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND email = $2 AND deletion_at IS NULL", owner.id, owner.email); n != 1 {
		t.Error("the account is not the owner's again, or still about to be erased")
	}

	// As the mail advises: a new password, and then the link.
	_, keep := deletedOwn(s, owner.email)
	if got := resetPassword(s, forgotten(s, owner.email), "Compiler*1952"); got.status != http.StatusNoContent {
		t.Fatalf("reset: got %d %s", got.status, got.body)
	}
	if got := keepByToken(s, keep); got.status != http.StatusNoContent {
		t.Errorf("keep after a reset: got %d %s", got.status, got.body)
	}
}

func TestANewPasswordVoidsAnAddressThatWaits(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	owner, theirs := s.account(verifiedUser), uniqueEmail()
	thief, own := s.login(owner.email, goodPassword), s.login(owner.email, goodPassword)
	s.mustWantEmail(thief, theirs)
	s.idle()
	confirmation := confirmationOf(s, theirs)
	if got := changePassword(s, own, goodPassword, "Compiler*1952"); got.status != http.StatusNoContent {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	confirmEmail(s, confirmation).problem(t, api.ProblemCodeTokenUsed)
}

func TestAProofIsMoreThanARegistrationWithoutOne(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	for _, isFirst := range []bool{true, false} { // the stranger registers before the change is asked for, or after
		owner, next := s.account(verifiedUser), uniqueEmail()
		register := func() {
			registered(s, map[string]any{"email": next})
		}
		if isFirst {
			register()
		}
		s.mustWantEmail(s.login(owner.email, goodPassword), next)
		s.idle()
		if !isFirst {
			register()
		}
		if got := confirmEmail(s, confirmationOf(s, next)); got.status != http.StatusOK {
			t.Errorf("the stranger first: %t: got %d %s", isFirst, got.status, got.body)
		}
		if n := s.count("SELECT count(*) FROM users WHERE email = $1 AND deleted_at IS NULL", next); n != 1 {
			t.Errorf("got %d accounts with the address", n)
		}
	}
}

// Whether a mail went to the wanted address would tell whether it belongs to somebody.
func TestAnExportDoesNotTellWhoseAnAddressIs(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	taken := s.account(verifiedUser).email
	kinds := map[string]string{}
	for _, wanted := range []string{taken, uniqueEmail()} {
		user := s.signedIn(query.UserRoleAUTHENTICATED)
		s.mustWantEmail(user.token, wanted)
		s.idle()
		var export api.AccountExport
		if err := json.Unmarshal(s.call(http.MethodGet, "/users/me/export", user.token, nil).body, &export); err != nil {
			t.Fatal(err)
		}
		for _, m := range export.Mails {
			kinds[wanted] += string(m.Kind) + " "
		}
		if export.PendingEmail.IsNull() || export.PendingEmail.MustGet() != wanted {
			t.Errorf("got pending address %v, want %s", export.PendingEmail, wanted)
		}
	}
	for wanted, got := range kinds {
		if got != kinds[taken] || got == "" {
			t.Errorf("%s: got mails %q, of a taken address %q", wanted, got, kinds[taken])
		}
	}
}
