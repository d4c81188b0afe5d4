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

func staffSetRole(s *system, token string, id uuid.UUID, role string) response {
	s.t.Helper()
	return s.call(http.MethodPut, "/users/"+id.String()+"/role", token, map[string]string{"role": role})
}

// Z-10: the role in a token is information. What it may do is decided by the account as it is now.
func TestARoleChangeHoldsAtTheNextRequestOfTheSameToken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	list := func() int { return s.call(http.MethodGet, "/users", user.token, nil).status }
	demote := func() int { return staffSetRole(s, user.token, user.id, "AUTHENTICATED").status }
	for _, step := range []struct {
		role         string
		list, demote int // demote: what setUserRole says
	}{
		{"MANAGER", 200, 403}, {"ADMIN", 200, 409}, {"MANAGER", 200, 403}, {"AUTHENTICATED", 403, 403}, {"ADMIN", 200, 409}, {"AUTHENTICATED", 403, 403},
	} {
		got := staffUserOf(t, staffSetRole(s, admin.token, user.id, step.role), 200)
		if string(got.Role) != step.role || string(got.RoleWhenVerified) != step.role {
			t.Errorf("got %+v, want role %s", got, step.role)
		}
		if list() != step.list || demote() != step.demote {
			t.Errorf("as %s: got %d for the list and %d for a role change, want %d and %d", step.role, list(), demote(), step.list, step.demote)
		}
		profile := s.call(http.MethodGet, "/users/me", user.token, nil)
		if role := staffFieldOf(t, profile.body, "role"); role != step.role {
			t.Errorf("got role %v in the own profile, want %s", role, step.role)
		}
	}
}

func TestARoleChangeIsMailedAndAuditedOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for range 3 { // idempotent
		staffUserOf(t, staffSetRole(s, admin.token, user.id, "MANAGER"), 200)
	}
	if m := s.mailTo(user.email, "role"); !strings.Contains(m.Text, "MANAGER") && !strings.Contains(strings.ToLower(m.Text), "manager") {
		t.Errorf("got %q, want the mail to name the role", m.Text)
	}
	if n := s.count("SELECT count(*) FROM mails WHERE kind = 'role_changed'"); n != 1 {
		t.Errorf("got %d mails, want 1", n)
	}
	var before, after string
	s.scan("SELECT old->>'role', new->>'role' FROM audit WHERE action = 'role_changed' AND actor_id = $1 AND subject_id = $2",
		[]any{admin.id, user.id}, &before, &after)
	if before != "AUTHENTICATED" || after != "MANAGER" {
		t.Errorf("got %s to %s in the audit, want AUTHENTICATED to MANAGER", before, after)
	}
	if got, _ := staffGet(s, admin.token, user.id); got.Version != 3 {
		t.Errorf("got version %d, want one step for one change", got.Version)
	}
}

func TestAnUnverifiedAccountTakesItsRoleOnProof(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email := uniqueEmail()
	if got := s.call(http.MethodPost, "/register", "", map[string]string{"email": email, "password": goodPassword}); got.status != 201 {
		t.Fatalf("register: %s", got.body)
	}
	var id uuid.UUID
	s.scan("SELECT id FROM users WHERE email = $1", []any{email}, &id)
	got := staffUserOf(t, staffSetRole(s, admin.token, id, "MANAGER"), 200)
	if got.Role != api.RoleANONYMOUS || got.RoleWhenVerified != api.GrantedRoleMANAGER {
		t.Errorf("got %+v, want the role to wait for the proof", got)
	}
	staffLogin(s, email).problem(t, api.ProblemCodeEmailNotVerified)
	token := linkToken(t, s.mailTo(email, "confirm"), "/verify-email/")
	if got := s.call(http.MethodPost, "/verify-email", "", map[string]string{"token": token}); got.status != 200 || staffFieldOf(t, got.body, "role") != "MANAGER" {
		t.Errorf("got %s, want the proof to give MANAGER", got.body)
	}
}

func TestNobodyChangesTheirOwnRole(t *testing.T) { // Z-05, Z-06
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	staffSetRole(s, admin.token, admin.id, "MANAGER").problem(t, api.ProblemCodeLastAdmin)
	s.account(server.NewAccount{Role: query.UserRoleADMIN}) // invited: of no use yet
	staffSetRole(s, admin.token, admin.id, "MANAGER").problem(t, api.ProblemCodeLastAdmin)
	s.signedIn(query.UserRoleADMIN)
	staffSetRole(s, admin.token, admin.id, "AUTHENTICATED").problem(t, api.ProblemCodeOwnAccount)
	staffUserOf(t, staffSetRole(s, admin.token, admin.id, "ADMIN"), 200) // nothing changes
	if got, _ := staffGet(s, admin.token, admin.id); got.Role != api.RoleADMIN || got.Version != 2 {
		t.Errorf("got %+v, want the account as it was", got)
	}
	if n := s.count("SELECT count(*) FROM mails"); n != 0 {
		t.Errorf("got %d mails, want none", n)
	}
}

func TestARoleIsOneOfThreeWords(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for body, code := range map[string]api.FieldCode{
		`{"role": "ANONYMOUS"}`: api.FieldCodeNotInEnum, `{"role": "admin"}`: api.FieldCodeNotInEnum, `{"role": "SUPERADMIN"}`: api.FieldCodeNotInEnum,
		`{"role": "ADMIN "}`: api.FieldCodeNotInEnum, `{"role": "MANAGER,ADMIN"}`: api.FieldCodeNotInEnum, `{"role": ""}`: api.FieldCodeNotInEnum,
		`{"role": null}`: api.FieldCodeNotInEnum, `{"role": 3}`: api.FieldCodeNotInEnum, `{"role": ["ADMIN"]}`: api.FieldCodeNotInEnum, `{}`: api.FieldCodeRequired,
	} {
		got := s.call(http.MethodPut, "/users/"+user.id.String()+"/role", admin.token, body)
		codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))
		if got.status != 422 || !slices.Contains(codes["/role"], code) {
			t.Errorf("%s: got %d %v, want 422 and %s", body, got.status, codes, code)
		}
	}
	if got, _ := staffGet(s, admin.token, user.id); got.Role != api.RoleAUTHENTICATED || got.Version != 2 {
		t.Errorf("got %+v, want the account as it was", got)
	}
}
