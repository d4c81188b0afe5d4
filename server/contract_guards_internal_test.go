package server

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

// contractServer is a server whose insides a test may look at or change. It serves through its handler only.
func contractServer(t *testing.T, logger *slog.Logger) *Server {
	t.Helper()
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: secret.Params{MemoryKiB: 8, Iterations: 1, Parallelism: 1}, Queue: 100, MaxWait: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	root, err := secret.NewRoot([]byte("tests only: 0123456789abcdef0123456789abcdef"), nil)
	if err != nil {
		t.Fatal(err)
	}
	from, err := mail.ParseFrom("Tests <tests@example.com>")
	if err != nil {
		t.Fatal(err)
	}
	inbox, err := mail.OpenInbox("", from)
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(context.Background(), Options{
		Pool: dbtest.Pool(t), Secret: root, Mail: inbox, Inbox: inbox, Hasher: hasher, PublicURL: &url.URL{Scheme: "https", Host: "users.example.com"},
		Product: mail.Product{Name: "Test Product", URL: "https://product.example.com", SupportEmail: "help@example.com"},
		Docs:    true, Logger: logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contractToken opens a session for a new account of a role.
func contractToken(t *testing.T, s *Server, role query.UserRole) string {
	t.Helper()
	email := strings.ToLower(string(role)) + "@example.com"
	if _, err := s.CreateAccount(t.Context(), NewAccount{Email: email, Password: "Analytic*1843", Role: role, EmailVerified: true}); err != nil {
		t.Fatal(err)
	}
	token, err := s.AccessToken(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func contractGet(s *Server, path, token string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, r)
	return w
}

func contractSpec(t *testing.T) *openapi3.T {
	t.Helper()
	spec, err := api.GetSwagger()
	if err != nil {
		t.Fatal(err)
	}
	return spec
}

func TestAnOperationWithoutASecurityLineIsClosedToEveryRole(t *testing.T) { // Z-01
	t.Parallel()
	s := contractServer(t, slog.New(slog.DiscardHandler))
	tokens := map[query.UserRole]string{}
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN} {
		tokens[role] = contractToken(t, s, role)
	}
	if got := contractGet(s, "/users/me", tokens[query.UserRoleADMIN]); got.Code != http.StatusOK {
		t.Fatalf("before the edit: got status %d, want 200", got.Code)
	}
	for name, security := range map[string]*openapi3.SecurityRequirements{
		"no security line": nil,
		"no scopes":        {{"oauth2": {}}},
		"another scheme":   {{"basic": {"profile:read"}}},
		"an unknown scope": {{"oauth2": {"profile:own"}}},
		"one scope of two": {{"oauth2": {"profile:read", "profile:own"}}},
	} {
		spec := contractSpec(t)
		for _, path := range []string{"/users/me", "/settings"} { // the second is public until its line is gone
			spec.Paths.Value(path).Get.Security = security
		}
		edited, err := contractOf(spec)
		if err != nil {
			t.Fatal(err)
		}
		s.contract = edited
		for _, path := range []string{"/users/me", "/settings"} {
			for role, token := range tokens {
				got := contractGet(s, path, token)
				if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), `"missing_permission"`) {
					t.Errorf("%s, %s as %s: got %d %s, want missing_permission", name, path, role, got.Code, got.Body)
				}
			}
			if got := contractGet(s, path, ""); got.Code != http.StatusUnauthorized {
				t.Errorf("%s, %s without a token: got %d, want 401", name, path, got.Code)
			}
		}
	}
}

func TestADocumentWithoutItsSecuritySchemeIsNotServed(t *testing.T) { // Z-01
	t.Parallel()
	for name, edit := range map[string]func(*openapi3.T){
		"no scheme":    func(spec *openapi3.T) { delete(spec.Components.SecuritySchemes, "oauth2") },
		"broken roles": func(spec *openapi3.T) { spec.Components.SecuritySchemes["oauth2"].Value.Extensions["x-roles"] = "all" },
		"roles that JSON cannot hold": func(spec *openapi3.T) {
			spec.Components.SecuritySchemes["oauth2"].Value.Extensions["x-roles"] = func() {}
		},
	} {
		spec := contractSpec(t)
		edit(spec)
		if _, err := contractOf(spec); err == nil {
			t.Errorf("%s: got a contract, want an error at the start", name)
		}
	}
}

func TestEveryProblemCodeHasTheStatusThatItsOperationsDeclare(t *testing.T) {
	t.Parallel()
	spec := contractSpec(t)
	statuses := map[int]bool{http.StatusMethodNotAllowed: true} // of paths, not of operations
	for path, item := range spec.Paths.Map() {
		for method, op := range item.Operations() {
			_, line, _ := strings.Cut(op.Description, "Codes: ")
			listed := map[int][]string{}
			for i, code := range strings.Split(line, "`") {
				if i%2 == 0 {
					continue
				}
				kind, isKnown := problemKinds[api.ProblemCode(code)]
				if !isKnown {
					t.Errorf("%s %s lists %q, which the server does not know", method, path, code)
				}
				listed[kind.status] = append(listed[kind.status], code)
				if op.Responses.Status(kind.status) == nil {
					t.Errorf("%s lists %s, but does not declare its status %d", op.OperationID, code, kind.status)
				}
			}
			for text := range op.Responses.Map() {
				status, err := strconv.Atoi(text)
				if err != nil {
					t.Fatalf("%s declares status %q, want a number", op.OperationID, text)
				}
				statuses[status] = true
				if status >= 400 && len(listed[status]) == 0 {
					t.Errorf("%s declares status %d, but lists no code that has it", op.OperationID, status)
				}
			}
		}
	}
	codes := spec.Components.Schemas["ProblemCode"].Value.Enum
	for _, code := range codes {
		kind, isKnown := problemKinds[api.ProblemCode(code.(string))]
		if !isKnown || kind.title == "" || kind.detail == "" {
			t.Errorf("problem code %s has no status, title or sentence", code)
		}
		if isKnown && !statuses[kind.status] {
			t.Errorf("problem code %s has status %d, which no operation declares", code, kind.status)
		}
	}
	if len(problemKinds) != len(codes) {
		t.Errorf("the server knows %d problem codes, the contract %d", len(problemKinds), len(codes))
	}
}

func TestEveryProblemExampleIsWhatTheServerWouldSay(t *testing.T) {
	t.Parallel()
	for name, response := range contractSpec(t).Components.Responses {
		if name == "NotModified" && len(response.Value.Content) == 0 {
			continue // RFC 9110, 15.4.5: a 304 has no body
		}
		content := response.Value.Content.Get("application/problem+json")
		if content == nil {
			t.Errorf("response %s is no problem", name)
			continue
		}
		for key, example := range content.Examples {
			value := example.Value.Value.(map[string]any)
			code := api.ProblemCode(value["code"].(string))
			kind := problemKinds[code]
			if key != string(code) || value["type"] != "urn:usermanager:problem:"+key {
				t.Errorf("%s: example %s has code %s and type %s", name, key, code, value["type"])
			}
			if value["title"] != kind.title || value["detail"] != kind.detail || value["status"] != float64(kind.status) {
				t.Errorf("%s: example %s says %v %q %q, want %d %q %q", name, key, value["status"], value["title"], value["detail"], kind.status, kind.title, kind.detail)
			}
			if value["error"] != nil && value["error"] != oauthError(code) {
				t.Errorf("%s: example %s has error %s, want %s", name, key, value["error"], oauthError(code))
			}
			for _, e := range value["errors"].([]any) {
				field := e.(map[string]any)
				if want := fieldDetails[api.FieldCode(field["code"].(string))]; field["detail"] != want {
					t.Errorf("%s: example %s says %q of its field, want %q", name, key, field["detail"], want)
				}
			}
		}
	}
}

func TestEveryFieldCodeHasASentence(t *testing.T) {
	t.Parallel()
	codes := contractSpec(t).Components.Schemas["FieldCode"].Value.Enum
	for _, code := range codes {
		if fieldDetails[api.FieldCode(code.(string))] == "" {
			t.Errorf("field code %s has no sentence", code)
		}
	}
	if len(fieldDetails) != len(codes) {
		t.Errorf("the server knows %d field codes, the contract %d", len(fieldDetails), len(codes))
	}
}

func TestEveryMappedConstraintExists(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	for name := range constraintProblems {
		var exists bool
		err := pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = $1)
			OR EXISTS (SELECT FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indisunique AND relname = $1)`, name).Scan(&exists)
		if err != nil {
			t.Fatal(err)
		}
		if !exists {
			t.Errorf("the database has no constraint %s", name)
		}
	}
}

func TestEveryTokenPurposeHasAMailAndATime(t *testing.T) {
	t.Parallel()
	for _, purpose := range query.AllTokenPurposeValues() {
		kind := tokenKinds[purpose]
		if kind.purpose == "" || kind.ttl <= 0 || !slices.Contains(mail.Kinds(), mail.Kind(kind.mail)) {
			t.Errorf("token purpose %s has %+v", purpose, kind)
		}
	}
}

func TestEveryRequestExampleMeetsTheServersOwnChecks(t *testing.T) {
	t.Parallel()
	s := &Server{Options: Options{PasswordPolicy: secret.PolicyComposition, Links: map[string]LinkTemplates{"web": {}}}}
	spec := contractSpec(t)
	ct, err := contractOf(spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, op := range ct.byID {
		if op.body == nil {
			continue
		}
		body, isObject := op.spec.RequestBody.Value.Content.Get(op.mediaType).Example.(map[string]any)
		if !isObject {
			t.Errorf("%s has no example of its body", op.id)
			continue
		}
		if broken := s.checkBody(op, body); len(broken) > 0 {
			t.Errorf("the example of %s is refused: %+v", op.id, broken)
		}
		for name, property := range op.body.Properties { // a form is filled from the examples of its fields
			text, isString := property.Value.Example.(string)
			if isString && len(s.checkString(property.Value, pointerTo(name), text, body)) > 0 {
				t.Errorf("the example of field %s of %s is refused", name, op.id)
			}
		}
	}
}

func TestEveryRouteIsInTheContractOrIsAListedPage(t *testing.T) { // Z-13
	t.Parallel()
	s := contractServer(t, slog.New(slog.DiscardHandler))
	pages := []string{"GET /docs/*", "GET /dev/inbox", "DELETE /dev/inbox"}
	served := map[string]bool{}
	for _, route := range s.echo.Routes() {
		method := route.Method
		if method == http.MethodHead {
			method = http.MethodGet // HEAD mirrors GET
		}
		if method == echo.RouteNotFound {
			continue
		}
		name := method + " " + route.Path
		served[name] = true
		if s.contract.operations[name] == nil && !slices.Contains(pages, name) {
			t.Errorf("%s is served, but is neither in the contract nor a listed page", name)
		}
	}
	for name := range s.contract.operations {
		if !served[name] {
			t.Errorf("%s is in the contract, but is not served", name)
		}
	}
	for _, name := range pages {
		if !served[name] {
			t.Errorf("%s is listed here, but is not served", name)
		}
	}
}

func TestAPanicIsAProblemWithoutDetails(t *testing.T) { // H-06, H-16
	t.Parallel()
	logs := &strings.Builder{}
	s := contractServer(t, slog.New(slog.NewJSONHandler(logs, nil)))
	s.echo.GET("/panic", func(echo.Context) error { panic("CANARY-secret") })
	got := contractGet(s, "/panic", "")
	if got.Code != http.StatusInternalServerError || !strings.Contains(got.Body.String(), `"internal_error"`) {
		t.Fatalf("got %d %s, want internal_error", got.Code, got.Body)
	}
	if strings.Contains(got.Body.String(), "CANARY") || strings.Contains(got.Body.String(), ".go") {
		t.Errorf("got %s, want no details", got.Body)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Cache-Control": "no-store",
		"Strict-Transport-Security": "max-age=31536000; includeSubDomains", // the public URL is https
	} {
		if got.Header().Get(name) != want {
			t.Errorf("got %s %q, want %q", name, got.Header().Get(name), want)
		}
	}
	if !strings.Contains(logs.String(), "CANARY-secret") || strings.Count(logs.String(), "\n") != 2 {
		t.Errorf("got log %s, want the cause and the request, one line each", logs)
	}
	if again := contractGet(s, "/livez", ""); again.Code != http.StatusOK {
		t.Errorf("after a panic: got status %d, want 200", again.Code)
	}
}
