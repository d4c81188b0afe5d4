package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func staffLock(s *system, token string, id uuid.UUID, reason string) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/users/"+id.String()+"/lock", token, map[string]string{"reason": reason})
}

func staffUnlock(s *system, token string, id uuid.UUID) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/users/"+id.String()+"/unlock", token, nil)
}

// Z-08: the next request, whatever it asks for, by whatever session.
func TestALockRefusesTheNextRequestAndEndsEverySession(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER)
	tokens := []string{user.token, s.login(user.email, goodPassword), s.login(user.email, goodPassword)}
	got := staffUserOf(t, staffLock(s, admin.token, user.id, "Shared the password"), 200)
	if !got.IsLocked || got.LockReason.MustGet() != "Shared the password" || got.Role != api.RoleMANAGER {
		t.Errorf("got %+v, want a locked manager", got)
	}
	for _, token := range tokens {
		for _, path := range []string{"/users/me", "/users", "/users/" + user.id.String()} {
			s.call(http.MethodGet, path, token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
		}
	}
	staffLogin(s, user.email).problem(t, api.ProblemCodeAccountLocked)
	unlocked := staffUserOf(t, staffUnlock(s, admin.token, user.id), 200)
	if unlocked.IsLocked || !unlocked.LockReason.IsNull() || unlocked.Version != got.Version+1 {
		t.Errorf("got %+v, want the lock and its reason gone", unlocked)
	}
	for _, token := range tokens {
		s.call(http.MethodGet, "/users/me", token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
	}
	s.login(user.email, goodPassword)
}

func TestLockAndUnlockMailOnceHoweverOftenTheyAreCalled(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	const secretReason = "Suspected of selling the door codes"
	for range 3 {
		staffUserOf(t, staffLock(s, manager.token, user.id, secretReason), 200)
	}
	locked, _ := staffGet(s, manager.token, user.id)
	again := staffUserOf(t, staffLock(s, manager.token, user.id, "Another reason"), 200)
	if locked.Version != 3 || again.Version != 4 || again.LockReason.MustGet() != "Another reason" {
		t.Errorf("got versions %d and %d and reason %v, want one step each and the new reason", locked.Version, again.Version, again.LockReason)
	}
	m := s.mailTo(user.email, "is locked")
	if strings.Contains(m.Text+m.HTML, "door codes") {
		t.Error("the mail tells the reason")
	}
	for range 3 {
		staffUserOf(t, staffUnlock(s, manager.token, user.id), 200)
	}
	s.mailTo(user.email, "is unlocked")
	for _, kind := range []string{"locked", "unlocked"} {
		if n := s.count("SELECT count(*) FROM mails WHERE kind::text = $1", kind); n != 1 {
			t.Errorf("got %d mails that it is %s, want 1", n, kind)
		}
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action IN ('user_locked', 'user_unlocked') AND actor_id = $1", manager.id); n != 3 {
		t.Errorf("got %d audit rows, want a lock, another reason and an unlock", n)
	}
}

// Z-09: proving an address again, or waiting, lifts no lock of staff.
func TestNothingButUnlockLiftsALock(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email := uniqueEmail()
	if got := s.call(http.MethodPost, "/register", "", map[string]string{"email": email, "password": goodPassword}); got.status != 201 {
		t.Fatalf("register: %s", got.body)
	}
	var registered uuid.UUID
	s.scan("SELECT id FROM users WHERE email = $1", []any{email}, &registered)
	staffUserOf(t, staffLock(s, admin.token, registered, "x"), 200)
	token := linkToken(t, s.mailTo(email, "confirm"), "/verify-email/")
	s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token})
	staffLogin(s, email).problem(t, api.ProblemCodeAccountLocked)

	invited := staffUserOf(t, s.call(http.MethodPost, "/users", admin.token, map[string]string{"email": uniqueEmail()}), 201)
	staffUserOf(t, staffLock(s, admin.token, invited.ID, "x"), 200)
	token = linkToken(t, s.mailTo(invited.Email, "invit"), "/invitations/")
	s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword})
	staffLogin(s, invited.Email).problem(t, api.ProblemCodeAccountLocked)

	for _, step := range []func(){
		func() { staffPatch(s, admin.token, registered, map[string]string{"bio": "x"}, "*") },
		func() { staffSetRole(s, admin.token, registered, "ADMIN") },
		func() { s.call(http.MethodPost, "/users/"+registered.String()+"/upgrade", admin.token, nil) },
		func() { staffDelete(s, admin.token, registered); staffRestore(s, admin.token, registered) },
	} {
		step()
		if got, _ := staffGet(s, admin.token, registered); !got.IsLocked || got.LockReason.MustGet() != "x" {
			t.Errorf("got %+v, want it locked still", got)
		}
	}
}

func TestUnlockEndsTheWaitsAfterFailedSignIns(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, user := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleAUTHENTICATED)
	for range 5 {
		s.call(http.MethodPost, "/login", "", "username="+user.email+"&password=wrong", "Content-Type", "application/x-www-form-urlencoded")
	}
	if got := staffLogin(s, user.email); got.status != http.StatusTooManyRequests {
		t.Fatalf("got %d, want a wait", got.status)
	}
	waiting, _ := staffGet(s, manager.token, user.id)
	if waiting.LoginWaitUntil.IsNull() || !slices.ContainsFunc(waiting.Links, func(l api.Link) bool { return l.Rel == api.RelUnlock }) {
		t.Errorf("got %+v, want the wait and the link that ends it", waiting)
	}
	got := staffUserOf(t, staffUnlock(s, manager.token, user.id), 200)
	if got.FailedLoginAttempts != 0 || !got.LoginWaitUntil.IsNull() {
		t.Errorf("got %+v, want no failures and no wait", got)
	}
	s.login(user.email, goodPassword)
	if n := s.count("SELECT count(*) FROM mails WHERE kind = 'unlocked'"); n != 0 {
		t.Errorf("got %d mails, want none: nothing was locked", n)
	}
}

func TestNobodyLocksThemselves(t *testing.T) { // Z-06
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	staffLock(s, admin.token, admin.id, "x").problem(t, api.ProblemCodeLastAdmin)
	s.signedIn(query.UserRoleADMIN)
	staffLock(s, admin.token, admin.id, "x").problem(t, api.ProblemCodeOwnAccount)
	manager := s.signedIn(query.UserRoleMANAGER)
	staffLock(s, manager.token, manager.id, "x").problem(t, api.ProblemCodeRankTooLow)
	for _, a := range []account{admin, manager} {
		if got := s.call(http.MethodGet, "/users/me", a.token, nil); got.status != 200 {
			t.Errorf("got %d after the refusal, want the session to go on", got.status)
		}
	}
	staffUserOf(t, staffUnlock(s, admin.token, admin.id), 200) // changes nothing
}

func TestALockNeedsAReason(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	user := s.account(server.NewAccount{})
	for name, tc := range map[string]struct {
		body string
		code api.FieldCode
	}{
		"none":          {`{}`, api.FieldCodeRequired},
		"null":          {`{"reason": null}`, api.FieldCodeNullNotAllowed},
		"empty":         {`{"reason": ""}`, api.FieldCodeTooShort},
		"blank":         {`{"reason": "  "}`, api.FieldCodeRequired},
		"a number":      {`{"reason": 7}`, api.FieldCodeWrongType},
		"two lines":     {`{"reason": "a\nb"}`, api.FieldCodeInvalidCharacters},
		"501 character": {`{"reason": "` + strings.Repeat("ä", 501) + `"}`, api.FieldCodeTooLong},
	} {
		got := s.call(http.MethodPost, "/users/"+user.id.String()+"/lock", manager.token, tc.body)
		if codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))["/reason"]; len(codes) != 1 || codes[0] != tc.code {
			t.Errorf("%s: got %v, want %s", name, codes, tc.code)
		}
	}
	if got := staffLock(s, manager.token, user.id, strings.Repeat("ä", 500)); got.status != 200 {
		t.Errorf("500 characters: got %s", got.body)
	}
}
