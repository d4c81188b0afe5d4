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
