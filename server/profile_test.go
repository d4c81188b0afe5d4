package server_test

import (
	"net/http"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func TestTheOwnProfileIsReadAndChangedByItsOwner(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	client := s.client(user.token)
	read, err := client.GetOwnProfileWithResponse(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if read.JSON200 == nil || read.JSON200.ID != user.id || read.JSON200.Email != user.email || read.HTTPResponse.Header.Get("ETag") != `"2"` {
		t.Fatalf("got %s with ETag %s, want the own profile", read.Body, read.HTTPResponse.Header.Get("ETag"))
	}
	got := s.call(http.MethodPatch, "/users/me", user.token, map[string]any{
		"nickname": "Countess", "first_name": "Ada", "preferred_language": "EN-gb", "bio": "A\nB", "github_profile_url": "https://github.com/ada",
	})
	for name, want := range map[string]any{
		"nickname": "Countess", "first_name": "Ada", "preferred_language": "en-GB", "bio": "A\nB", "github_profile_url": "https://github.com/ada",
		"last_name": nil, "role": "AUTHENTICATED", "version": 3.0, "email": user.email,
	} {
		if value := staffFieldOf(t, got.body, name); value != want {
			t.Errorf("%s: got %v, want %v", name, value, want)
		}
	}
	var fields string
	s.scan("SELECT new->>'fields' FROM audit WHERE action = 'profile_updated' AND actor_id = $1 AND subject_id = $1", []any{user.id}, &fields)
	if want := `["bio", "first_name", "github_profile_url", "nickname", "preferred_language"]`; fields != want {
		t.Errorf("got %s in the audit, want the names of the fields %s and no values", fields, want)
	}
}

// One person edits in one place, so If-Match is optional; who sends it is held to it.
func TestIfMatchIsOptionalForTheOwnProfile(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	patch := func(bio string, header ...string) response {
		return s.call(http.MethodPatch, "/users/me", user.token, map[string]string{"bio": bio}, header...)
	}
	first := patch("one")
	if first.status != 200 || first.header.Get("ETag") != `"3"` {
		t.Fatalf("without a tag: got %d and ETag %s", first.status, first.header.Get("ETag"))
	}
	patch("stale", "If-Match", `"2"`).problem(t, api.ProblemCodeVersionConflict)
	patch("weak", "If-Match", `W/"3"`).problem(t, api.ProblemCodeVersionConflict)
	for _, tag := range []string{`"3"`, "*", `"1", "5", "7"`} {
		if got := patch("with "+tag, "If-Match", tag); got.status != 200 || staffFieldOf(t, got.body, "bio") != "with "+tag {
			t.Errorf("with %s: got %d %s, want it applied", tag, got.status, got.body)
		}
	}
}

func TestSigningInDoesNotMoveTheVersion(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	s.login(user.email, goodPassword)
	staffRefusedLogin := s.call(http.MethodPost, "/login", "", "username="+user.email+"&password=wrong", "Content-Type", "application/x-www-form-urlencoded")
	staffRefusedLogin.problem(t, api.ProblemCodeInvalidCredentials)
	if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.header.Get("ETag") != `"2"` {
		t.Errorf("got ETag %s, want only edits to move it", got.header.Get("ETag"))
	}
}

// What staff decide is not part of the own profile, and neither is the address that proves it.
func TestTheOwnProfileHasNoStaffFields(t *testing.T) { // Z-03
	t.Parallel()
	s := newSystem(t)
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN} {
		user := s.signedIn(role)
		for _, body := range []string{`{"email": "other@example.com"}`, `{"role": "ADMIN"}`, `{"is_professional": true}`, `{"is_locked": false}`} {
			problem := s.call(http.MethodPatch, "/users/me", user.token, body).problem(t, api.ProblemCodeValidationFailed)
			if len(problem.Errors) != 1 || problem.Errors[0].Code != api.FieldCodeUnknownField {
				t.Errorf("%s as %s: got %v, want unknown_field", body, role, problem.Errors)
			}
		}
	}
}

// A row from before the present rules is read, and edited field by field.
func TestAnImportedProfileCanBeEditedAsItIs(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	s.exec(`UPDATE users SET nickname = 'no rule, at all!', first_name = E'a\tb', preferred_language = 'Klingonian',
		profile_picture_url = 'javascript:alert(1)', linkedin_profile_url = '' WHERE id = $1`, user.id)
	got := s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "New", "linkedin_profile_url": nil})
	for name, want := range map[string]any{
		"nickname": "no rule, at all!", "first_name": "a\tb", "preferred_language": "Klingonian", "bio": "New",
		"profile_picture_url": "javascript:alert(1)", "linkedin_profile_url": nil,
	} {
		if value := staffFieldOf(t, got.body, name); value != want {
			t.Errorf("%s: got %v, want %v", name, value, want)
		}
	}
}

func TestUnverifiedAccountsHaveNoWayIn(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(server.NewAccount{})
	staffLogin(s, user.email).problem(t, api.ProblemCodeEmailNotVerified)
	if n := s.count("SELECT count(*) FROM sessions"); n != 0 {
		t.Errorf("got %d sessions, want none", n)
	}
}
