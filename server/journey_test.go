package server_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// journey is a person who uses the server through the generated client. Every method fails the test when the
// answer is not the expected one.
type journey struct {
	t      *testing.T
	system *system
}

// as is the client with a token; an empty one is nobody.
func (j journey) as(token string) *api.ClientWithResponses { return j.system.client(token) }

// TestTheLifeOfAUser is one account from its registration to its restoration, as the people involved see it.
func TestTheLifeOfAUser(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := newSystem(t)
	j := journey{t, s}
	manager := s.signedIn(query.UserRoleMANAGER)
	for range 3 {
		s.account(verifiedUser) // so that the list has pages
	}

	// Ada registers. She cannot sign in yet, not even with the right password.
	registered, err := j.as("").RegisterWithResponse(ctx, nil, api.RegisterRequest{
		Email: "Ada@example.com", Password: goodPassword, Nickname: new("countess"), FirstName: new("Ada"), Bio: new("Computes."),
	})
	j.must(err, registered.HTTPResponse, registered.Body, http.StatusCreated)
	ada := registered.JSON201
	if ada.Role != api.RoleANONYMOUS || ada.EmailVerified || ada.Nickname != "countess" {
		t.Errorf("she begins as %s, verified %t, nickname %q", ada.Role, ada.EmailVerified, ada.Nickname)
	}
	refused := j.loginAda(http.StatusForbidden)
	if refused.ApplicationProblemJSON403.Code != api.ProblemCodeEmailNotVerified {
		t.Errorf("got %s", refused.Body)
	}

	// The mail's link shows a page, which changes nothing, and whose button proves the address.
	token := linkToken(t, s.mailTo("Ada@example.com", "confirm"), "/verify-email/"+ada.ID.String()+"/")
	page, err := j.as("").ShowEmailVerificationWithResponse(ctx, ada.ID, token)
	j.must(err, page.HTTPResponse, page.Body, http.StatusOK)
	if !strings.Contains(string(page.Body), "<button") || s.count("SELECT count(*) FROM users WHERE id = $1 AND email_verified", ada.ID) != 0 {
		t.Error("the page has no button, or looking at it verified the address")
	}
	verified, err := j.as("").VerifyEmailLinkWithResponse(ctx, ada.ID, token)
	j.must(err, verified.HTTPResponse, verified.Body, http.StatusOK)
	if verified.JSON200.Role != api.RoleAUTHENTICATED {
		t.Errorf("she becomes %s", verified.JSON200.Role)
	}

	// She signs in and edits her profile: what is absent stays, null clears, a value is set.
	access := j.loginAda(http.StatusOK).JSON200.AccessToken
	me, err := j.as(access).GetOwnProfileWithResponse(ctx)
	j.must(err, me.HTTPResponse, me.Body, http.StatusOK)
	edited, err := j.as(access).UpdateOwnProfileWithResponse(ctx, &api.UpdateOwnProfileParams{IfMatch: &me.Headers200.ETag}, api.UpdateOwnProfileRequest{
		Bio: nullable.NewNullNullable[string](), LastName: nullable.NewNullableWithValue("Lovelace"),
	})
	j.must(err, edited.HTTPResponse, edited.Body, http.StatusOK)
	if p := edited.JSON200; p.FirstName.MustGet() != "Ada" || !p.Bio.IsNull() || p.LastName.MustGet() != "Lovelace" || p.Version != me.JSON200.Version+1 {
		t.Errorf("got %s", edited.Body)
	}

	// The manager finds her on the list's pages.
	if found := j.walk(manager.token); !slices.Contains(found, ada.ID.String()) || len(found) != 5 {
		t.Errorf("the pages hold %v, want five with %s", found, ada.ID)
	}

	// She cannot upgrade herself; the manager can, and she is told.
	own, err := j.as(access).UpgradeUserWithResponse(ctx, ada.ID)
	j.must(err, own.HTTPResponse, own.Body, http.StatusForbidden)
	if own.ApplicationProblemJSON403.Code != api.ProblemCodeMissingPermission {
		t.Errorf("got %s", own.Body)
	}
	upgraded, err := j.as(manager.token).UpgradeUserWithResponse(ctx, ada.ID)
	j.must(err, upgraded.HTTPResponse, upgraded.Body, http.StatusOK)
	if u := upgraded.JSON200; !u.IsProfessional || u.ProfessionalStatusUpdatedAt.IsNull() {
		t.Errorf("got %s", upgraded.Body)
	}
	s.mailTo("Ada@example.com", "professional")

	// She is locked out at her next request, told, let in again, and has to sign in anew.
	locked, err := j.as(manager.token).LockUserWithResponse(ctx, ada.ID, api.LockUserRequest{Reason: "Shared her password"})
	j.must(err, locked.HTTPResponse, locked.Body, http.StatusOK)
	j.isRefused(access)
	s.mailTo("Ada@example.com", "is locked")
	unlocked, err := j.as(manager.token).UnlockUserWithResponse(ctx, ada.ID)
	j.must(err, unlocked.HTTPResponse, unlocked.Body, http.StatusOK)
	s.mailTo("Ada@example.com", "unlocked")
	j.isRefused(access)
	access = j.loginAda(http.StatusOK).JSON200.AccessToken

	// She is deleted: gone at once, for herself and for staff, and her names are free.
	read, err := j.as(manager.token).GetUserWithResponse(ctx, ada.ID)
	j.must(err, read.HTTPResponse, read.Body, http.StatusOK)
	deleted, err := j.as(manager.token).DeleteUserWithResponse(ctx, ada.ID, &api.DeleteUserParams{IfMatch: &read.Headers200.ETag})
	j.must(err, deleted.HTTPResponse, deleted.Body, http.StatusNoContent)
	j.isRefused(access)
	j.loginAda(http.StatusUnauthorized)
	gone, err := j.as(manager.token).GetUserWithResponse(ctx, ada.ID)
	j.must(err, gone.HTTPResponse, gone.Body, http.StatusNotFound)
	free, err := j.as("").CheckNicknameWithResponse(ctx, "countess")
	j.must(err, free.HTTPResponse, free.Body, http.StatusOK)
	if !free.JSON200.Available {
		t.Error("the nickname of a deleted account is taken")
	}

	// And she is restored as she was.
	restored, err := j.as(manager.token).RestoreUserWithResponse(ctx, ada.ID)
	j.must(err, restored.HTTPResponse, restored.Body, http.StatusOK)
	if u := restored.JSON200; u.Nickname != "countess" || !u.IsProfessional || u.LastName.MustGet() != "Lovelace" || u.Role != api.RoleAUTHENTICATED {
		t.Errorf("got %s", restored.Body)
	}
	j.isRefused(access) // old sessions stay ended
	j.loginAda(http.StatusOK)

	j.remembers(ada.ID.String(), manager.id.String())
}

// must fails unless the answer has the status.
func (j journey) must(err error, response *http.Response, body []byte, status int) {
	j.t.Helper()
	if err != nil {
		j.t.Fatal(err)
	}
	if response.StatusCode != status {
		j.t.Fatalf("%s %s answered %d %s, want %d", response.Request.Method, response.Request.URL.Path, response.StatusCode, body, status)
	}
}

func (j journey) loginAda(status int) *api.LoginHTTPResponse {
	j.t.Helper()
	got, err := j.as("").LoginWithFormdataBodyWithResponse(context.Background(), api.LoginRequest{Username: "ada@example.com", Password: goodPassword})
	if err != nil {
		j.t.Fatal(err)
	}
	j.must(nil, got.HTTPResponse, got.Body, status)
	return got
}

// isRefused proves that a token opens nothing any more.
func (j journey) isRefused(access string) {
	j.t.Helper()
	got, err := j.as(access).GetOwnProfileWithResponse(context.Background())
	if err != nil {
		j.t.Fatal(err)
	}
	j.must(nil, got.HTTPResponse, got.Body, http.StatusUnauthorized)
	if got.ApplicationProblemJSON401.Code != api.ProblemCodeInvalidAccessToken {
		j.t.Errorf("got %s", got.Body)
	}
}

// walk follows the cursor through pages of three and back, and returns the ids on the way there.
func (j journey) walk(access string) (ids []string) {
	j.t.Helper()
	first := j.page(access, nil)
	next, err := first.NextCursor.Get()
	if err != nil {
		j.t.Fatalf("the first page of %d has no next one", first.Total)
	}
	second := j.page(access, &next)
	prev, err := second.PrevCursor.Get()
	if err != nil || !second.NextCursor.IsNull() || !first.PrevCursor.IsNull() {
		j.t.Fatalf("two pages have cursors %v, %v and %v, %v", first.PrevCursor, first.NextCursor, second.PrevCursor, second.NextCursor)
	}
	if back := j.page(access, &prev); !slices.EqualFunc(back.Items, first.Items, func(a, b api.User) bool { return a.ID == b.ID }) {
		j.t.Error("the way back leads to another page")
	}
	for _, user := range slices.Concat(first.Items, second.Items) {
		ids = append(ids, user.ID.String())
	}
	return ids
}

func (j journey) page(access string, cursor *string) *api.UserList {
	j.t.Helper()
	got, err := j.as(access).ListUsersWithResponse(context.Background(), &api.ListUsersParams{Limit: new(int32(3)), Cursor: cursor})
	if err != nil {
		j.t.Fatal(err)
	}
	j.must(nil, got.HTTPResponse, got.Body, http.StatusOK)
	return got.JSON200
}

// remembers compares the audit with the life (H-12).
func (j journey) remembers(user, manager string) {
	j.t.Helper()
	var entries []string
	j.system.scan(`SELECT array_agg(action::text || CASE actor_id::text WHEN $1 THEN ' self' WHEN $2 THEN ' manager' ELSE '' END ORDER BY id)
		FROM audit WHERE subject_id::text = $1`, []any{user, manager}, &entries)
	want := []string{
		"user_registered", "login_refused", "email_verified", "login_succeeded", "profile_updated self",
		"permission_denied self", "user_upgraded manager",
		"user_locked manager", "user_unlocked manager", "login_succeeded", "user_deleted manager", "user_restored manager", "login_succeeded",
	}
	if !slices.Equal(entries, want) {
		j.t.Errorf("the audit holds\n%v\nwant\n%v", entries, want)
	}
}
