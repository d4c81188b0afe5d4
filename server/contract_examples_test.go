package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// exampleWorld is the deployment that the examples of openapi.yaml tell of: Ada is in it, in the state that the
// operation needs, and whoever asks.
type exampleWorld struct {
	*system
	ada, token string // her id, and the token that was mailed to her last
	refresh    string // her newest refresh token
	session    string // and its session
	callers    map[query.UserRole]string
}

// adaFields are the example of her profile.
var adaFields = map[string]any{
	"email": "ada@example.com", "password": goodPassword, "nickname": "ada", "first_name": "Ada", "last_name": "Lovelace",
	"bio": "Writes programs for engines that do not exist yet.", "preferred_language": "en-GB",
	"profile_picture_url": "https://pictures.example.com/ada.png", "linkedin_profile_url": "https://www.linkedin.com/in/ada",
	"github_profile_url": "https://github.com/ada",
}

func newExampleWorld(t testing.TB, configure ...func(*server.Options)) *exampleWorld {
	t.Helper()
	example := func(o *server.Options) {
		o.Product.Name = "User Management System"
		o.Links = map[string]server.LinkTemplates{"": {}, "web": {}}
	}
	w := &exampleWorld{system: newSystem(t, append(configure, example)...), callers: map[query.UserRole]string{}}
	for _, role := range []query.UserRole{query.UserRoleMANAGER, query.UserRoleADMIN} {
		w.callers[role] = w.signedIn(role).token
	}
	return w
}

// registers, invites and so on are what happened before the example's request.
func (w *exampleWorld) registers() {
	profile := registered(w.system, adaFields)
	w.ada = profile.ID.String()
	w.token = mailedToken(w.system, profile.Email, "confirm")
}

func (w *exampleWorld) signsIn() {
	w.registers()
	if got := verifyByToken(w.system, w.token); got.status != http.StatusOK {
		w.t.Fatalf("verify: got %s", got.body)
	}
	var tokens api.TokenResponse
	signedIn := signInAttempt(w.system, "ada@example.com", goodPassword)
	if err := json.Unmarshal(signedIn.body, &tokens); err != nil {
		w.t.Fatalf("sign in: got %s", signedIn.body)
	}
	w.callers[query.UserRoleAUTHENTICATED], w.refresh = tokens.AccessToken, tokens.RefreshToken.MustGet()
	w.scan("SELECT id::text FROM sessions WHERE user_id::text = $1", []any{w.ada}, &w.session)
	w.idle() // the mail has left
}

func (w *exampleWorld) leaves() {
	w.signsIn()
	got := w.call(http.MethodPost, "/users/me/deletion", w.callers[query.UserRoleAUTHENTICATED], map[string]string{"current_password": goodPassword})
	if got.status != http.StatusOK {
		w.t.Fatalf("delete: got %s", got.body)
	}
	w.token = mailedToken(w.system, "ada@example.com", "will be deleted")
}

func (w *exampleWorld) isInvited() {
	fields := maps.Clone(adaFields)
	email, token := invited(w.system, w.callers[query.UserRoleMANAGER], fields)
	w.ada, w.token = userIDOf(w.system, email).String(), token
}

// does is signsIn, and then what staff do with her.
func (w *exampleWorld) does(action string, body any) func() {
	return func() {
		w.signsIn()
		got := w.call(http.MethodPost, "/users/"+w.ada+"/"+action, w.callers[query.UserRoleMANAGER], body)
		if got.status != http.StatusOK {
			w.t.Fatalf("%s: got %s", action, got.body)
		}
		w.idle()
	}
}

func (w *exampleWorld) forgets() {
	w.signsIn()
	w.token = forgotten(w.system, "ada@example.com")
}

func (w *exampleWorld) wantsAnotherAddress() {
	w.signsIn()
	wantEmail(w.system, w.callers[query.UserRoleAUTHENTICATED], goodPassword, "ada.lovelace@example.com")
}

// mistypes her password until she has to wait, and is told.
func (w *exampleWorld) mistypes() {
	w.signsIn()
	for range 5 {
		signInAttempt(w.system, "ada@example.com", "Analytic*1834")
	}
	w.idle()
}

func (w *exampleWorld) isDeleted() {
	w.signsIn()
	if got := w.call(http.MethodDelete, "/users/"+w.ada, w.callers[query.UserRoleMANAGER], nil, "If-Match", "*"); got.status != http.StatusNoContent {
		w.t.Fatalf("delete: got %s", got.body)
	}
}

// before is the state that an operation's example needs; where it says nothing, Ada has signed in.
func (w *exampleWorld) before(operationID string) func() {
	switch operationID {
	case "register":
		return func() {}
	case "verifyEmail", "verifyEmailLink", "resendVerification", "showEmailVerification":
		return w.registers
	case "acceptInvitation", "resendInvitation", "showInvitation", "sendVerificationMail":
		return w.isInvited
	case "cancelDeletion", "showDeletionCancellation":
		return w.leaves
	case "resetPassword", "showPasswordReset":
		return w.forgets
	case "confirmEmailChange", "showEmailChangeConfirmation":
		return func() { w.wantsAnotherAddress(); w.token = confirmationOf(w.system, "ada.lovelace@example.com") }
	case "revokeEmailChange", "showEmailChangeRevocation":
		return func() { w.wantsAnotherAddress(); w.token = revocationOf(w.system, "ada@example.com") }
	case "clearLoginWaits":
		return w.mistypes
	case "restoreUser":
		return w.isDeleted
	case "downgradeUser":
		return w.does("upgrade", nil)
	case "unlockUser":
		return w.does("lock", map[string]string{"reason": "Shared the password with a colleague"})
	}
	return w.signsIn
}

// caller is the lowest role that may do it: Ada herself where that is enough.
func (w *exampleWorld) caller(op contractOperation) string {
	if op.isPublic() {
		return ""
	}
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN} {
		if missingScopes(role, op) == nil && w.callers[role] != "" {
			return w.callers[role]
		}
	}
	w.t.Fatalf("%s: nobody may call it", op.OperationID)
	return ""
}

func missingScopes(role query.UserRole, op contractOperation) []string {
	roles, _ := closedSpec().Components.SecuritySchemes["oauth2"].Value.Extensions["x-roles"].(map[string]any)
	held, _ := roles[string(role)].([]any)
	var missing []string
	for _, scope := range op.scopes() {
		if !slices.Contains(held, any(scope)) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// send makes the request out of the examples alone, with the ids and tokens of this world in their place.
func (w *exampleWorld) send(op contractOperation) response {
	path, header := op.path, []string{}
	for _, p := range op.Parameters {
		value, isText := p.Value.Example.(string)
		switch p.Value.In {
		case openapi3.ParameterInPath:
			path = strings.Replace(path, "{"+p.Value.Name+"}", url.PathEscape(value), 1)
		case openapi3.ParameterInHeader:
			if isText {
				header = append(header, p.Value.Name, value)
			}
		case openapi3.ParameterInQuery:
			if p.Value.Name == "limit" { // the others are filters and places, see below
				path += fmt.Sprint("?limit=", p.Value.Example)
			}
		}
	}
	var body any
	if mediaType, example := op.example(); mediaType != "" {
		body = w.here(string(contractEncode(mediaType, example)))
		header = append(header, "Content-Type", mediaType)
	}
	return w.call(op.method, w.here(path), w.caller(op), body, header...)
}

const (
	exampleID      = "01981d5c-7a00-7000-8000-000000000001"
	exampleSession = "01981d5c-7a00-7000-8000-000000000010"
	exampleAccess  = "eyJhbGciOiJFUzI1NiIsImtpZCI6IjEiLCJ0eXAiOiJhdCtqd3QifQ.e30.c2ln"
	exampleRefresh = "AQIDBAGYHVx6AHAAgAAAAAAAABAAAAAAAAAAAWRlbW8tZGVtby1kZW1vLWRlbW8tZGVtby1kZW1vLWRl"
)

// here puts this world's id and token in the place of the document's.
func (w *exampleWorld) here(text string) string {
	if w.ada == "" {
		return text // nobody has registered
	}
	return strings.NewReplacer(
		exampleID, w.ada, contractMailedToken, w.token, exampleRefresh, w.refresh, exampleSession, w.session,
		exampleAccess, w.callers[query.UserRoleAUTHENTICATED],
	).Replace(text)
}

var exampleVolatile = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
	{regexp.MustCompile(`"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"`), `"<time>"`},
	{regexp.MustCompile(`"suggestions":\["[^]]*"\]`), `"suggestions":["<nicknames>"]`},
	{regexp.MustCompile(`"(access_token|refresh_token|x|y|kid|next_cursor|prev_cursor)":"[^"]+"`), `"$1":"<$1>"`},
	{regexp.MustCompile(`"(iat|exp)":\d+`), `"$1":"<$1>"`},
	{regexp.MustCompile(`"state":"(queued|sent)"`), `"state":"<on its way>"`}, // as fast as the worker is
	{regexp.MustCompile(`^"[\w-]{22}"$`), `"<hash>"`},                         // of the document, which cannot hold its own
	{regexp.MustCompile(`cursor=[\w-]+`), "cursor=<cursor>"},
}

// exampleOf is a body in all but what differs between any two answers.
func exampleOf(t testing.TB, body []byte, base string) any {
	t.Helper()
	text := strings.ReplaceAll(string(body), base, "http://localhost:8080")
	for _, v := range exampleVolatile {
		text = v.what.ReplaceAllString(text, v.as)
	}
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("got %s: %v", body, err)
	}
	return value
}

// The examples of every operation are one true exchange: what the request's examples ask for is answered by the
// response's example, value by value. Problems are compared where they are met, see coverage_report_test.go.
func TestEveryRequestExampleIsAnsweredByTheResponseExample(t *testing.T) {
	t.Parallel()
	for _, op := range contractOperations() {
		t.Run(op.OperationID, func(t *testing.T) {
			t.Parallel()
			w := newExampleWorld(t)
			w.before(op.OperationID)()
			got := w.send(op)
			w.isExample(op, got)
		})
	}
}

// isExample fails unless the answer is what the operation's example of that status says.
func (w *exampleWorld) isExample(op contractOperation, got response) {
	w.t.Helper()
	declared := op.Responses.Status(got.status)
	if got.status >= 400 || declared == nil {
		w.t.Fatalf("the example is answered %d %s", got.status, got.body)
	}
	for name, header := range declared.Value.Headers {
		if !header.Value.Required && got.header.Get(name) == "" {
			continue
		}
		example, _ := header.Value.Example.(string)
		if answer, want := exampleHeader(got.header.Get(name), w.url), exampleHeader(example, w.url); answer != want {
			w.t.Errorf("header %s: got %q, the example says %q", name, answer, want)
		}
	}
	content := declared.Value.Content.Get("application/json")
	if content == nil || op.OperationID == "getOpenapiJson" {
		return // nothing, a page, or the document itself
	}
	want, err := json.Marshal(content.Examples["success"].Value.Value)
	if err != nil {
		w.t.Fatal(err)
	}
	if answer, example := exampleOf(w.t, got.body, w.url), exampleOf(w.t, want, w.url); !reflect.DeepEqual(answer, example) {
		w.t.Errorf("got\n%s, the example says\n%s", exampleText(answer), exampleText(example))
	}
}

// A concealing server answers the same request by the other success of the operation.
func TestTheExampleOfARegistrationIsConcealed(t *testing.T) {
	t.Parallel()
	w := newExampleWorld(t, func(o *server.Options) { o.RegistrationConceal = true })
	op := contractOperationOf(t, "register")
	got := w.send(op)
	w.isExample(op, got)
	if got.status != http.StatusAccepted {
		t.Errorf("got %d, want 202", got.status)
	}
}

func exampleHeader(value, base string) string {
	value = strings.ReplaceAll(value, base, "http://localhost:8080")
	for _, v := range exampleVolatile {
		value = v.what.ReplaceAllString(value, v.as)
	}
	return value
}

func exampleText(value any) string {
	data, _ := json.Marshal(value)
	return string(data)
}

// Every query parameter's example finds Ada.
func TestEveryQueryParameterExampleIsTaken(t *testing.T) {
	t.Parallel()
	w := newExampleWorld(t)
	w.signsIn()
	for _, op := range contractOperations() {
		for _, p := range op.Parameters {
			if p.Value.In != openapi3.ParameterInQuery {
				continue
			}
			data, err := json.Marshal(p.Value.Example)
			if err != nil {
				t.Fatal(err)
			}
			value, err := strconv.Unquote(string(data))
			if err != nil {
				value = string(data) // a number or a boolean
			}
			if p.Value.Name == "cursor" {
				value = *w.firstCursor() // it is sealed by each deployment's own key
			}
			got := w.call(op.method, op.path+"?"+url.Values{p.Value.Name: {value}}.Encode(), w.callers[query.UserRoleMANAGER], nil)
			if got.status != http.StatusOK || !strings.Contains(string(got.body), w.ada) {
				t.Errorf("%s?%s=%s: got %d %s, want a page with Ada", op.path, p.Value.Name, value, got.status, got.body)
			}
		}
	}
}

// firstCursor leads to the page that Ada is on.
func (w *exampleWorld) firstCursor() *string {
	w.t.Helper()
	later := w.account(verifiedUser)
	page := listPage(w.system, w.callers[query.UserRoleMANAGER], "limit=1")
	if page.Items[0].ID != later.id || page.NextCursor.IsNull() {
		w.t.Fatalf("got first %s, want the newest and a cursor", page.Items[0].ID)
	}
	cursor := page.NextCursor.MustGet()
	return &cursor
}
