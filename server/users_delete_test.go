package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func staffDelete(s *system, token string, id uuid.UUID) {
	s.t.Helper()
	if got := s.call(http.MethodDelete, "/users/"+id.String(), token, nil, "If-Match", "*"); got.status != http.StatusNoContent || len(got.body) != 0 {
		s.t.Fatalf("delete: got %d %s, want 204", got.status, got.body)
	}
}

func staffRestore(s *system, token string, id uuid.UUID) response {
	s.t.Helper()
	return s.call(http.MethodPost, "/users/"+id.String()+"/restore", token, nil)
}

func TestADeletedAccountIsGoneForEveryoneAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	path := "/users/" + user.id.String()
	staffDelete(s, manager.token, user.id)
	s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken) // Z-08
	staffLogin(s, user.email).problem(t, api.ProblemCodeInvalidCredentials)
	for _, token := range []string{manager.token, admin.token} {
		for _, op := range []struct {
			method, path string
			body         any
		}{
			{"GET", path, nil}, {"PATCH", path, map[string]string{"bio": "x"}}, {"DELETE", path, nil}, {"POST", path + "/upgrade", nil},
			{"POST", path + "/downgrade", nil}, {"POST", path + "/lock", map[string]string{"reason": "x"}}, {"POST", path + "/unlock", nil},
			{"POST", path + "/invitation", nil},
		} {
			got := s.call(op.method, op.path, token, op.body, "If-Match", "*")
			if got.problem(t, api.ProblemCodeNotFound); got.status != 404 {
				t.Errorf("%s %s: got %d, want 404", op.method, op.path, got.status)
			}
		}
		list := s.call(http.MethodGet, "/users?limit=100", token, nil)
		if strings.Contains(string(list.body), user.email) {
			t.Error("the list still shows the deleted account")
		}
		if got := listOf(t, s.call(http.MethodGet, "/users?email="+user.email, token, nil)); got.Total != 0 {
			t.Errorf("got %d users with the address, want none", got.Total)
		}
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'user_deleted' AND actor_id = $1 AND subject_id = $2", manager.id, user.id); n != 1 {
		t.Errorf("got %d audit rows, want 1", n)
	}
}

// Z-07: the names are free at once, and whoever takes them gets nothing of the old account.
func TestADeletedAccountFreesItsNamesAtOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	old := s.signedIn(query.UserRoleMANAGER)
	staffDelete(s, admin.token, old.id)
	got := s.call(http.MethodPost, "/register", "", map[string]string{"email": strings.ToUpper(old.email), "nickname": strings.ToUpper(old.nickname), "password": goodPassword})
	if got.status != http.StatusCreated {
		t.Fatalf("got %s, want both names free", got.body)
	}
	token := linkToken(t, s.mailTo(strings.Replace(strings.ToUpper(old.email), "EXAMPLE.COM", "example.com", 1), "confirm"), "/verify-email/")
	if got := s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token}); got.status != 200 {
		t.Fatalf("got %s, want the address proven", got.body)
	}
	var id uuid.UUID
	s.scan("SELECT id FROM users WHERE email_canonical = $1 AND deleted_at IS NULL", []any{old.email}, &id)
	if after, _ := staffGet(s, admin.token, id); id == old.id || after.Role != api.RoleAUTHENTICATED {
		t.Errorf("got %+v, want a new account without the old rights", after)
	}
	s.call(http.MethodGet, "/users/me", old.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
}

func TestRestoreBringsTheAccountBackButNotItsSessionsOrLinks(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.signedIn(query.UserRoleMANAGER)
	before, _ := staffGet(s, admin.token, user.id)
	staffDelete(s, admin.token, user.id)
	got := staffUserOf(t, staffRestore(s, admin.token, user.id), 200)
	if got.Email != before.Email || got.Nickname != before.Nickname || got.Role != api.RoleMANAGER || got.Version != before.Version+2 {
		t.Errorf("got %+v, want %+v two edits later", got, before)
	}
	s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
	s.login(user.email, goodPassword)
	again := staffUserOf(t, staffRestore(s, admin.token, user.id), 200)
	if again.Version != got.Version {
		t.Errorf("restoring again moved the version from %d to %d", got.Version, again.Version)
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'user_restored' AND subject_id = $1", user.id); n != 1 {
		t.Errorf("got %d audit rows, want 1", n)
	}

	invited := staffUserOf(t, s.call(http.MethodPost, "/users", admin.token, map[string]string{"email": uniqueEmail()}), 201)
	token := linkToken(t, s.mailTo(invited.Email, "invit"), "/invitations/")
	staffDelete(s, admin.token, invited.ID)
	staffUserOf(t, staffRestore(s, admin.token, invited.ID), 200)
	s.call(http.MethodPost, "/invitations/accept", "", map[string]string{"token": token, "password": goodPassword}).problem(t, api.ProblemCodeTokenUsed)
}

func TestRestoreKeepsToTheRank(t *testing.T) { // Z-05
	t.Parallel()
	s := newSystem(t)
	admin, manager := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER)
	for _, role := range []query.UserRole{query.UserRoleMANAGER, query.UserRoleADMIN} {
		other := s.signedIn(role)
		staffDelete(s, admin.token, other.id)
		staffRestore(s, manager.token, other.id).problem(t, api.ProblemCodeRankTooLow)
		if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND deleted_at IS NOT NULL", other.id); n != 1 {
			t.Errorf("the deleted %s came back", role)
		}
	}
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	staffDelete(s, admin.token, user.id)
	staffUserOf(t, staffRestore(s, manager.token, user.id), 200)
}

func TestRestoreIsRefusedWhenANameWasTakenMeanwhile(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for name, tc := range map[string]struct {
		takesEmail, takesNickname bool
		code                      api.ProblemCode
		pointer                   string
	}{
		"address":  {true, false, api.ProblemCodeEmailTaken, "/email"},
		"nickname": {false, true, api.ProblemCodeNicknameTaken, "/nickname"},
		"both":     {true, true, api.ProblemCodeEmailTaken, "/nickname"}, // beside the e-mail's
	} {
		user := s.account(server.NewAccount{EmailVerified: true})
		staffDelete(s, admin.token, user.id)
		successor := server.NewAccount{}
		if tc.takesEmail {
			successor.Email = strings.ToUpper(user.email)
		}
		if tc.takesNickname {
			successor.Nickname = strings.ToUpper(user.nickname)
		}
		s.account(successor)
		got := staffRestore(s, admin.token, user.id)
		if codes := fieldCodes(got.problem(t, tc.code)); got.status != 409 || len(codes[tc.pointer]) != 1 {
			t.Errorf("%s: got %d %v, want 409 and %s", name, got.status, codes, tc.pointer)
		}
		if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND deleted_at IS NOT NULL AND version = 3", user.id); n != 1 {
			t.Errorf("%s: the deleted account changed", name)
		}
	}
}

// An imported nickname follows no rule; what is suggested instead has to.
func TestTheSuggestionsForAnOddImportedNicknameCanBeTaken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	for _, odd := range []string{strings.Repeat("ö", 50), "ab cd/ef", "日本語", "-x", "a"} {
		user, successor := s.account(server.NewAccount{}), s.account(server.NewAccount{})
		staffDelete(s, admin.token, user.id)
		s.exec("UPDATE users SET nickname = $2 WHERE id = ANY($1)", []uuid.UUID{user.id, successor.id}, odd)
		problem := staffRestore(s, admin.token, user.id).problem(t, api.ProblemCodeNicknameTaken)
		if len(problem.Suggestions) != 3 {
			t.Errorf("%q: got suggestions %q, want three", odd, problem.Suggestions)
		}
		for _, suggestion := range problem.Suggestions {
			if got := staffPatch(s, admin.token, successor.id, map[string]string{"nickname": suggestion}, "*"); got.status != 200 {
				t.Errorf("%q: taking %q: got %s", odd, suggestion, got.body)
			}
		}
		staffDelete(s, admin.token, successor.id)
	}
}

func TestRestoreEndsAfterThirtyDays(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	s.idle() // the clean-up that runs at the start
	user := s.account(server.NewAccount{EmailVerified: true})
	staffDelete(s, admin.token, user.id)
	s.exec("UPDATE users SET deleted_at = now() - interval '30 days 1 minute' WHERE id = $1", user.id)
	staffRestore(s, admin.token, user.id).problem(t, api.ProblemCodeNotFound)
	s.exec("UPDATE users SET deleted_at = now() - interval '29 days 23 hours' WHERE id = $1", user.id)
	staffUserOf(t, staffRestore(s, admin.token, user.id), 200)
	staffRestore(s, admin.token, uuid.New()).problem(t, api.ProblemCodeNotFound)
}

func TestNobodyDeletesThemselvesAsStaff(t *testing.T) { // Z-06
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	remove := func() response {
		return s.call(http.MethodDelete, "/users/"+admin.id.String(), admin.token, nil, "If-Match", "*")
	}
	remove().problem(t, api.ProblemCodeLastAdmin)
	other := s.signedIn(query.UserRoleADMIN)
	remove().problem(t, api.ProblemCodeOwnAccount)
	s.call(http.MethodPost, "/users/"+other.id.String()+"/lock", admin.token, map[string]string{"reason": "x"})
	remove().problem(t, api.ProblemCodeLastAdmin) // a locked administrator is of no use
	if got := s.call(http.MethodGet, "/users/me", admin.token, nil); got.status != 200 {
		t.Errorf("got %d after the refusals, want the account as before", got.status)
	}
}

func TestDowngradeTakesTheStatusBackWithoutAMail(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	user := s.account(server.NewAccount{EmailVerified: true, IsProfessional: true})
	before, _ := staffGet(s, manager.token, user.id)
	var last api.User
	for range 2 { // idempotent
		last = staffUserOf(t, s.call(http.MethodPost, "/users/"+user.id.String()+"/downgrade", manager.token, nil), 200)
		if last.IsProfessional || last.ProfessionalStatusUpdatedAt.IsNull() || last.Version != before.Version+1 {
			t.Errorf("got %+v, want the status taken back by one edit", last)
		}
	}
	if !last.ProfessionalStatusUpdatedAt.MustGet().After(before.ProfessionalStatusUpdatedAt.MustGet()) {
		t.Error("the time of the change did not move")
	}
	if n := s.count("SELECT count(*) FROM mails"); n != 0 {
		t.Errorf("got %d mails, want none", n)
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'user_downgraded' AND actor_id = $1", manager.id); n != 1 {
		t.Errorf("got %d audit rows, want 1", n)
	}
}
