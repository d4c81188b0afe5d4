// Journey drives a live server with the client that oapi-codegen makes of its document: the one-page
// example of how an application in Go uses it, and the proof that it can.
//
// It reads BASE_URL, MANAGER_EMAIL and PASSWORD, prints each step and exits with 1 at the first surprise.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/oapi-codegen/nullable"

	"usermanagerclient/generated"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	j := journey{
		baseURL:  os.Getenv("BASE_URL"),
		manager:  os.Getenv("MANAGER_EMAIL"),
		password: os.Getenv("PASSWORD"),
		email:    "go-" + rand.Text() + "@example.org",
	}
	if err := j.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "journey:", err)
		os.Exit(1)
	}
	fmt.Println("journey: passed")
}

type journey struct {
	baseURL, manager, password string
	email                      string // of the new user
}

// userPassword is the new user's.
const userPassword = "Analytic*1843"

func (j journey) run(ctx context.Context) error {
	anyone, err := usermanager.NewClientWithResponses(j.baseURL)
	if err != nil {
		return err
	}
	registered, err := j.register(ctx, anyone)
	if err != nil {
		return fmt.Errorf("register: %w", err)
	}
	if err := j.verify(ctx, anyone, registered.ID); err != nil {
		return fmt.Errorf("verify: %w", err)
	}
	tokens, err := j.login(ctx, anyone, j.email, userPassword)
	if err != nil {
		return fmt.Errorf("log in as user: %w", err)
	}
	user, err := j.as(tokens)
	if err != nil {
		return err
	}
	if err := patch(ctx, user); err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	managersTokens, err := j.login(ctx, anyone, j.manager, j.password)
	if err != nil {
		return fmt.Errorf("log in as manager: %w", err)
	}
	manager, err := j.as(managersTokens)
	if err != nil {
		return err
	}
	if err := list(ctx, manager); err != nil {
		return fmt.Errorf("list: %w", err)
	}
	if err := upgrade(ctx, manager, user, registered.ID); err != nil {
		return fmt.Errorf("upgrade: %w", err)
	}
	if err := introspect(ctx, manager, tokens.AccessToken, registered.ID); err != nil {
		return fmt.Errorf("introspect: %w", err)
	}
	return j.sessions(ctx, anyone, registered.Nickname)
}

// register opens the account, twice with one key, as if the first answer had been lost: there is one account.
func (j journey) register(ctx context.Context, anyone *usermanager.ClientWithResponses) (*usermanager.OwnProfile, error) {
	form := usermanager.RegisterJSONRequestBody{
		Email:     j.email,
		Password:  userPassword,
		FirstName: new("Ada"),
		LastName:  new("Lovelace"),
	}
	key := &usermanager.RegisterParams{IdempotencyKey: new(rand.Text())}
	got, err := anyone.RegisterWithResponse(ctx, key, form)
	if err != nil {
		return nil, err
	}
	again, err := anyone.RegisterWithResponse(ctx, key, form)
	if err != nil {
		return nil, err
	}
	profile := got.JSON201
	if profile == nil {
		return nil, unexpected(got.HTTPResponse, got.Body)
	}
	if profile.Email != j.email || profile.EmailVerified || profile.Role != usermanager.RoleANONYMOUS {
		return nil, fmt.Errorf("a new account is %+v", *profile)
	}
	if again.JSON201 == nil || again.JSON201.ID != profile.ID {
		return nil, unexpected(again.HTTPResponse, again.Body)
	}
	fmt.Println("registered", profile.Nickname)
	return profile, nil
}

func (j journey) verify(ctx context.Context, anyone *usermanager.ClientWithResponses, id usermanager.UserIDPath) error {
	token, err := j.mailedToken(ctx, j.baseURL+"/verify-email/"+id.String()+"/")
	if err != nil {
		return err
	}
	got, err := anyone.VerifyEmailWithResponse(ctx, usermanager.VerifyEmailJSONRequestBody{Token: token})
	if err != nil {
		return err
	}
	if got.JSON200 == nil {
		return unexpected(got.HTTPResponse, got.Body)
	}
	if !got.JSON200.EmailVerified || got.JSON200.Role != usermanager.RoleAUTHENTICATED {
		return fmt.Errorf("a verified account is %+v", *got.JSON200)
	}
	fmt.Println("verified")
	return nil
}

// login signs in by the form of OAuth2.
func (j journey) login(ctx context.Context, anyone *usermanager.ClientWithResponses, email, password string) (*usermanager.TokenResponse, error) {
	got, err := anyone.LoginWithFormdataBodyWithResponse(ctx, usermanager.LoginFormdataRequestBody{
		Username: email,
		Password: password,
	})
	if err != nil {
		return nil, err
	}
	if got.JSON200 == nil {
		return nil, unexpected(got.HTTPResponse, got.Body)
	}
	fmt.Println("logged in as", email)
	return got.JSON200, nil
}

// as returns a client that sends the access token with each request.
func (j journey) as(tokens *usermanager.TokenResponse) (*usermanager.ClientWithResponses, error) {
	// docs: use
	authorize := func(_ context.Context, req *http.Request) error {
		req.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
		return nil
	}
	return usermanager.NewClientWithResponses(j.baseURL, usermanager.WithRequestEditorFn(authorize))
	// docs: end
}

// patch changes the profile that was read: what is absent stays, null clears, a value is set; and what was
// changed meanwhile is not overwritten.
func patch(ctx context.Context, user *usermanager.ClientWithResponses) error {
	before, err := user.GetOwnProfileWithResponse(ctx)
	if err != nil {
		return err
	}
	if before.JSON200 == nil {
		return unexpected(before.HTTPResponse, before.Body)
	}
	version := &usermanager.UpdateOwnProfileParams{IfMatch: new(before.HTTPResponse.Header.Get("ETag"))}

	// docs: patch
	after, err := user.UpdateOwnProfileWithResponse(ctx, version, usermanager.UpdateOwnProfileJSONRequestBody{
		// FirstName is absent.
		LastName: nullable.NewNullNullable[string](),
		Bio:      nullable.NewNullableWithValue("Writes programs."),
	})
	// docs: end
	if err != nil {
		return err
	}
	profile := after.JSON200
	if profile == nil {
		return unexpected(after.HTTPResponse, after.Body)
	}
	firstName, err := profile.FirstName.Get()
	if err != nil || firstName != "Ada" {
		return fmt.Errorf("the absent first name did not stay: %q, %w", firstName, err)
	}
	if !profile.LastName.IsNull() {
		return fmt.Errorf("null did not clear the last name: %v", profile.LastName)
	}
	bio, err := profile.Bio.Get()
	if err != nil || bio != "Writes programs." {
		return fmt.Errorf("the bio was not set: %q, %w", bio, err)
	}

	stale, err := user.UpdateOwnProfileWithResponse(ctx, version, usermanager.UpdateOwnProfileJSONRequestBody{
		Nickname: new("countess"),
	})
	if err != nil {
		return err
	}
	problem := stale.ApplicationProblemJSON412
	if problem == nil || problem.Code != usermanager.ProblemCodeVersionConflict {
		return unexpected(stale.HTTPResponse, stale.Body)
	}
	fmt.Printf("patched from version %d to %d; the old version is refused: %s\n",
		before.JSON200.Version, profile.Version, advice(problem.Code))
	return nil
}

// list reads two pages.
func list(ctx context.Context, manager *usermanager.ClientWithResponses) error {
	page := &usermanager.ListUsersParams{Limit: new(int32(2))}
	first, err := manager.ListUsersWithResponse(ctx, page)
	if err != nil {
		return err
	}
	if first.JSON200 == nil {
		return unexpected(first.HTTPResponse, first.Body)
	}
	cursor, err := first.JSON200.NextCursor.Get()
	if err != nil {
		return fmt.Errorf("no second page: %w", err)
	}
	page.Cursor = &cursor
	second, err := manager.ListUsersWithResponse(ctx, page)
	if err != nil {
		return err
	}
	if second.JSON200 == nil {
		return unexpected(second.HTTPResponse, second.Body)
	}
	seen := map[usermanager.UserIDPath]bool{}
	for _, user := range append(first.JSON200.Items, second.JSON200.Items...) {
		if seen[user.ID] {
			return fmt.Errorf("%s is on both pages", user.Email)
		}
		seen[user.ID] = true
	}
	if len(seen) < 3 {
		return fmt.Errorf("two pages have %d users", len(seen))
	}
	fmt.Println("listed", len(seen), "users on two pages")
	return nil
}

// upgrade makes the new user professional, which a manager may and the user may not.
func upgrade(ctx context.Context, manager, user *usermanager.ClientWithResponses, id usermanager.UserIDPath) error {
	done, err := manager.UpgradeUserWithResponse(ctx, id)
	if err != nil {
		return err
	}
	if done.JSON200 == nil || !done.JSON200.IsProfessional {
		return unexpected(done.HTTPResponse, done.Body)
	}
	refused, err := user.UpgradeUserWithResponse(ctx, id)
	if err != nil {
		return err
	}
	problem := refused.ApplicationProblemJSON403
	if problem == nil || problem.Code != usermanager.ProblemCodeMissingPermission {
		return unexpected(refused.HTTPResponse, refused.Body)
	}
	if got := advice(problem.Code); got != askStaff {
		return fmt.Errorf("the advice is %q", got)
	}
	fmt.Println("upgraded by the manager; refused to the user:", advice(problem.Code))
	return nil
}

// introspect asks about a token as another service would, with an account of its own.
func introspect(ctx context.Context, service *usermanager.ClientWithResponses, token string, id usermanager.UserIDPath) error {
	got, err := service.IntrospectTokenWithFormdataBodyWithResponse(ctx, usermanager.IntrospectTokenFormdataRequestBody{Token: token})
	if err != nil {
		return err
	}
	if got.JSON200 == nil || !got.JSON200.Active || got.JSON200.Sub.MustGet() != id.String() {
		return unexpected(got.HTTPResponse, got.Body)
	}
	fmt.Println("the token is alive; its user may do", got.JSON200.Scope.MustGet())
	return nil
}

// unexpected is an answer that the journey did not want, with what the server says about it.
func unexpected(response *http.Response, body []byte) error {
	if response == nil {
		return errors.New("no answer")
	}
	return fmt.Errorf("unexpected answer %s: %s", response.Status, body)
}
