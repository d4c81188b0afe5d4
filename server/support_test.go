package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func TestStaffMailAResetLinkToWhoRanksBelow(t *testing.T) { // Z-05, A-51
	t.Parallel()
	s := newSystem(t, trustedPeer)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.account(verifiedUser)
	path := "/users/" + user.id.String() + "/password-reset-mail"
	for range 3 {
		if got := s.call(http.MethodPost, path, manager.token, nil); got.status != http.StatusAccepted {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	s.call(http.MethodPost, path, manager.token, nil).problem(t, api.ProblemCodeTooManyRequests)
	s.idle()
	if forget(s, user.email); resetMails(s, user.email) > 3 {
		t.Error("the limit of an address is not one for all who ask")
	}
	s.login(user.email, goodPassword) // nothing has changed yet
	s.mustReset(linkToken(t, s.mailTo(user.email, "Password Reset Instructions"), "/password/reset/"))
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'password_reset_requested' AND actor_id = $1 AND subject_id = $2", manager.id, user.id); got != 3 {
		t.Errorf("got %d audit rows, want 3", got)
	}
	boss := s.account(server.NewAccount{Role: query.UserRoleADMIN, EmailVerified: true})
	s.call(http.MethodPost, "/users/"+boss.id.String()+"/password-reset-mail", manager.token, nil).problem(t, api.ProblemCodeRankTooLow)
}

func TestStaffMailAVerificationLinkAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t, trustedPeer)
	manager := s.signedIn(query.UserRoleMANAGER)
	profile, first := unverified(s)
	path := "/users/" + profile.ID.String() + "/verification-mail"
	for range 3 {
		if got := s.call(http.MethodPost, path, manager.token, nil); got.status != http.StatusAccepted {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	s.call(http.MethodPost, path, manager.token, nil).problem(t, api.ProblemCodeTooManyRequests)
	s.idle()
	verifyByToken(s, first).problem(t, api.ProblemCodeTokenUsed)
	if got := verifyByToken(s, mailedToken(s, profile.Email, "confirm")); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'verification_sent' AND actor_id = $1", manager.id); got != 3 {
		t.Errorf("got %d audit rows, want 3", got)
	}
}

func TestStaffEndTheWaitsOfWhoRanksBelow(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.account(linkTargets["locked"])
	for range 5 {
		signInAttempt(s, user.email, "Wrong*1843xyz")
	}
	signInAttempt(s, user.email, goodPassword).problem(t, api.ProblemCodeTooManyAttempts)
	view, tag := staffGet(s, manager.token, user.id)
	at := slices.IndexFunc(view.Links, func(l api.Link) bool { return l.OperationID == "clearLoginWaits" })
	if at < 0 || view.LoginWaitUntil.IsNull() {
		t.Fatalf("got links %s while the user waits, want clearLoginWaits", linkedOperations(view.Links))
	}
	for range 2 { // the second time there is nothing to do
		got := staffUserOf(t, linkFollow(s, manager.token, view.Links[at], tag), http.StatusOK)
		if !got.LoginWaitUntil.IsNull() || !got.IsLocked || strings.Contains(linkedOperations(got.Links), "clearLoginWaits") {
			t.Errorf("got wait %v, locked %t and links %s", got.LoginWaitUntil, got.IsLocked, linkedOperations(got.Links))
		}
	}
	signInAttempt(s, user.email, goodPassword).problem(t, api.ProblemCodeAccountLocked) // no wait, but the lock
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'login_waits_cleared' AND actor_id = $1", manager.id); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
}
