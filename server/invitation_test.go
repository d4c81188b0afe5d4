package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// acceptInvitation sets the first password.
func acceptInvitation(s *system, token, password string) response {
	return s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": password})
}

func inviteAgain(s *system, staffToken string, id uuid.UUID) response {
	return s.call(http.MethodPost, "/users/"+id.String()+"/invitation", staffToken, nil)
}

// userIDOf is the account of an address.
func userIDOf(s *system, email string) (id uuid.UUID) {
	s.t.Helper()
	s.scan("SELECT id FROM users WHERE email = $1 AND deleted_at IS NULL", []any{email}, &id)
	return id
}

func TestInvitationSetsTheFirstPassword(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for _, role := range []string{"AUTHENTICATED", "MANAGER", "ADMIN"} {
		email, token := invited(s, admin.token, map[string]any{"role": role, "first_name": "Grace"})
		if got := s.count("SELECT count(*) FROM passwords WHERE user_id = $1", userIDOf(s, email)); got != 0 {
			t.Error("an invited account has a password before anybody chose one")
		}
		got := acceptInvitation(s, token, "Compiler*1952")
		var account api.VerifiedAccount
		if err := json.Unmarshal(got.body, &account); err != nil || got.status != http.StatusOK {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
		if string(account.Role) != role || account.Email != email || !account.EmailVerified {
			t.Errorf("got %+v, want a verified %s", account, role)
		}
		s.login(email, "Compiler*1952")
		if got := acceptInvitation(s, token, goodPassword); got.status != http.StatusGone { // once, and without a grace
			t.Errorf("got %d, want 410", got.status)
		} else {
			got.problem(t, api.ProblemCodeTokenUsed)
		}
		s.login(email, "Compiler*1952")
		if got := s.count("SELECT count(*) FROM audit WHERE action = 'invitation_accepted' AND subject_id = $1", account.UserID); got != 1 {
			t.Errorf("got %d audit rows, want 1", got)
		}
	}
}

func TestInvitationAtOnceIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email, token := invited(s, admin.token, nil)
	var winner string
	for i, got := range answersAtOnce(50, func(i int) response { return acceptInvitation(s, token, numberedPassword(i)) }) {
		if got.status == http.StatusOK && winner == "" {
			winner = numberedPassword(i)
			continue
		}
		if got.problem(t, api.ProblemCodeTokenUsed); got.status != http.StatusGone {
			t.Errorf("request %d got %d, want 410", i, got.status)
		}
	}
	s.login(email, winner)
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'invitation_accepted'"); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
	if got := s.count("SELECT version FROM users WHERE email = $1", email); got != 2 {
		t.Errorf("got version %d, want it moved once", got)
	}
}

func numberedPassword(i int) string { return "Analytic*" + strings.Repeat("x", i) + "1843" }

func TestInvitationHoldsThePasswordToThePolicyAndTheAccountsWords(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email, token := invited(s, admin.token, map[string]any{"first_name": "Wilhelmina", "last_name": "Featherstone", "nickname": "lighthouse"})
	for password, want := range map[string][]api.FieldCode{
		"qzvxk":               {api.FieldCodeTooShort, api.FieldCodeMissingUppercase, api.FieldCodeMissingDigit, api.FieldCodeMissingSpecial},
		"Password1!":          {api.FieldCodeTooCommon},
		"Wilhelmina*1":        {api.FieldCodeTooPersonal},
		"1Featherstone!":      {api.FieldCodeTooPersonal},
		"Lighthouse#22":       {api.FieldCodeTooPersonal},
		"U" + email[1:] + "1": {api.FieldCodeTooPersonal},
	} {
		got := acceptInvitation(s, token, password)
		codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))["/password"]
		for _, code := range want {
			if !slices.Contains(codes, code) {
				t.Errorf("%q: got %v, want %v", password, codes, want)
			}
		}
		if strings.Contains(string(got.body), password) {
			t.Errorf("%q: the answer repeats the password", password)
		}
	}
	if got := acceptInvitation(s, token, goodPassword); got.status != http.StatusOK { // none of the tries used it up
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestInvitationDiesWithItsAccount(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email, token := invited(s, admin.token, nil)
	id := userIDOf(s, email)
	if got := s.call(http.MethodDelete, "/users/"+id.String(), admin.token, nil, "If-Match", `"1"`); got.status != http.StatusNoContent {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	acceptInvitation(s, token, goodPassword).problem(t, api.ProblemCodeTokenUsed)
	s.exec("UPDATE one_time_tokens SET superseded_at = NULL WHERE user_id = $1", id) // even if the row were open
	acceptInvitation(s, token, goodPassword).problem(t, api.ProblemCodeTokenInvalid)
	if err := s.inbox.DeleteAll(); err != nil {
		t.Fatal(err)
	}
	_, second := invited(s, admin.token, map[string]any{"email": email}) // the address is free again
	acceptInvitation(s, token, goodPassword).problem(t, api.ProblemCodeTokenInvalid)
	if got := acceptInvitation(s, second, goodPassword); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	if got := s.count("SELECT count(*) FROM passwords WHERE user_id = $1", id); got != 0 {
		t.Error("a deleted account got a password")
	}
}

func TestResendInvitationByStaffReplacesTheLink(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	email, first := invited(s, manager.token, nil)
	id := userIDOf(s, email)
	if got := inviteAgain(s, manager.token, id); got.status != http.StatusAccepted {
		t.Fatalf("got %d: %s", got.status, got.body)
	}
	s.eventually("the second invitation", func() bool { return len(s.inbox.Mails(email)) == 2 })
	acceptInvitation(s, first, goodPassword).problem(t, api.ProblemCodeTokenUsed)
	if got := acceptInvitation(s, mailedToken(s, email, "invited"), goodPassword); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
	got := inviteAgain(s, manager.token, id)
	if got.problem(t, api.ProblemCodeAlreadyVerified); got.status != http.StatusConflict {
		t.Errorf("got %d, want 409", got.status)
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'invitation_sent' AND actor_id = $1 AND subject_id = $2", manager.id, id); got != 1 {
		t.Errorf("got %d audit rows, want 1", got)
	}
	// An account that registered by itself has a password: it gets its verification link.
	profile, _ := unverified(s)
	inviteAgain(s, manager.token, profile.ID)
	s.eventually("the second link", func() bool { return len(s.inbox.Mails(profile.Email)) == 2 })
	if got := verifyByToken(s, mailedToken(s, profile.Email, "confirm")); got.status != http.StatusOK {
		t.Errorf("got %d: %s", got.status, got.body)
	}
}

func TestResendInvitationIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	email, _ := invited(s, admin.token, map[string]any{"role": "MANAGER"})
	id := userIDOf(s, email)
	inviteAgain(s, "", id).problem(t, api.ProblemCodeAuthenticationRequired)
	inviteAgain(s, user.token, id).problem(t, api.ProblemCodeMissingPermission)
	inviteAgain(s, manager.token, id).problem(t, api.ProblemCodeRankTooLow) // an invited manager is one to other managers already
	inviteAgain(s, admin.token, uuid.New()).problem(t, api.ProblemCodeNotFound)
	for range 3 {
		if got := inviteAgain(s, admin.token, id); got.status != http.StatusAccepted {
			t.Fatalf("got %d: %s", got.status, got.body)
		}
	}
	got := inviteAgain(s, admin.token, id)
	if got.problem(t, api.ProblemCodeTooManyRequests); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.idle()
	if got := s.count("SELECT count(*) FROM mails WHERE kind = 'invitation' AND state IN ('sent', 'skipped')"); got != 4 {
		t.Errorf("got %d invitations, want the first and three more", got)
	}
}

func TestInvitationOfALockedAccountDoesNotUnlockIt(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email, token := invited(s, admin.token, nil)
	s.call(http.MethodPost, "/users/"+userIDOf(s, email).String()+"/lock", admin.token, map[string]any{"reason": "wait"})
	acceptInvitation(s, token, goodPassword)
	got := s.call(http.MethodPost, "/login", "", "username="+urlQuery(email)+"&password="+urlQuery(goodPassword), "Content-Type", "application/x-www-form-urlencoded")
	if got.status != http.StatusForbidden && got.status != http.StatusUnauthorized {
		t.Errorf("got %d: %s, want no session", got.status, got.body)
	}
	if got := s.count("SELECT count(*) FROM users WHERE email = $1 AND is_locked", email); got != 1 {
		t.Error("the account is not locked any more")
	}
}
