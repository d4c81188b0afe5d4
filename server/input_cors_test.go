package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/query"
	"usermanager/server"
)

func TestOnlyTheConfiguredOriginsMayReadAnswers(t *testing.T) { // H-07
	t.Parallel()
	configured := []string{"https://app.test", "https://admin.app.test:8443", "http://localhost:3000"}
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.CORSOrigins = configured }))
	foreign := []string{
		"null", "NULL", "*", "", " ", "app.test", "//app.test", "https://", "https://app.test.evil", "https://app.test.evil.example", "https://evilapp.test", "https://evil-app.test", "https://evil.app.test", "https://sub.app.test",
		"https://app.test:443", "https://app.test:8443", "https://app.test:80", "https://app.test/", "https://app.test/path", "https://app.test?x", "https://app.test#x", "https://app.test@evil.example", "https://user@app.test",
		"https://evil.example#https://app.test", "https://evil.example?https://app.test", "https://evil.example/https://app.test", "http://app.test", "HTTPS://app.test", "https://APP.test", "https://App.Test", "https:/app.test",
		"https://app.test ", " https://app.test", "https://app.test, https://evil.example", "https://evil.example, https://app.test", "https://app.test https://evil.example", "https://app.test.", "https://app_test", "https://apptest",
		"https://app-test", "https://аpp.test", "https://app.test\u200b", "https://admin.app.test", "https://admin.app.test:8444", "http://localhost", "http://localhost:3001", "http://127.0.0.1:3000", "http://[::1]:3000", "https://localhost:3000",
		"file://", "chrome-extension://abcdef", "data:text/html,x", "capacitor://localhost", "https://app.test%60.evil.example", "https://app.test`.evil.example", "https://app.test_.evil.example", strings.Repeat("https://app.test", 100),
	}
	if len(foreign) < 40 {
		t.Errorf("got %d origins, want 40", len(foreign))
	}
	for _, op := range []contractOperation{contractOperationOf(t, "getOwnProfile"), contractOperationOf(t, "login"), contractOperationOf(t, "updateUser")} {
		for _, origin := range append(foreign, configured...) {
			isAllowed := slices.Contains(configured, strings.TrimSpace(origin)) // net/http trims what stands around a value
			simple := w.request(op).set("Origin", origin)
			preflight := contractRequest{op: op, method: http.MethodOptions, path: simple.path, header: http.Header{"Origin": {origin}}}
			preflight = preflight.set("Access-Control-Request-Method", op.method).set("Access-Control-Request-Headers", "authorization,content-type,if-match,x-evil")
			for _, r := range []contractRequest{simple, preflight} {
				got := w.send(r)
				want := ""
				if isAllowed {
					want = strings.TrimSpace(origin)
				}
				if got.header.Get("Access-Control-Allow-Origin") != want || len(got.header.Values("Access-Control-Allow-Origin")) > 1 {
					t.Errorf("%s %s from %q: got Access-Control-Allow-Origin %q, want %q", r.method, r.path, origin, got.header.Values("Access-Control-Allow-Origin"), want)
				}
				if !slices.Contains(got.header.Values("Vary"), "Origin") {
					t.Errorf("%s %s from %q: got Vary %q, want Origin", r.method, r.path, origin, got.header.Values("Vary"))
				}
				if !isAllowed && (got.header.Get("Access-Control-Allow-Methods") != "" || got.header.Get("Access-Control-Allow-Headers") != "") {
					t.Errorf("%s %s from %q: got permissions %v", r.method, r.path, origin, got.header)
				}
			}
		}
	}
}

func TestAPreflightTellsWhatTheContractNeedsWithoutAskingWhoIsCalling(t *testing.T) { // H-07
	t.Parallel()
	const origin = "https://app.test"
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.CORSOrigins = []string{origin} }))
	w.storesNothing(func() {
		for _, op := range contractOperations() {
			r := w.request(op)
			r.method, r.token, r.body = http.MethodOptions, "", nil
			got := w.send(r.set("Origin", origin).set("Access-Control-Request-Method", op.method))
			if contractIsForAll(op) {
				continue // see below
			}
			if got.status != http.StatusNoContent || got.header.Get("Access-Control-Allow-Origin") != origin {
				t.Errorf("preflight of %s: got %d %v, want it allowed", op.OperationID, got.status, got.header)
			}
			if !slices.Contains(strings.Split(got.header.Get("Access-Control-Allow-Methods"), ","), op.method) {
				t.Errorf("preflight of %s: got methods %q, want %s", op.OperationID, got.header.Get("Access-Control-Allow-Methods"), op.method)
			}
			sent := []string{"Authorization", "Content-Type"}
			for _, p := range op.Parameters {
				if p.Value.In == "header" {
					sent = append(sent, p.Value.Name)
				}
			}
			for _, name := range sent {
				if !slices.Contains(strings.Split(got.header.Get("Access-Control-Allow-Headers"), ","), name) {
					t.Errorf("preflight of %s: got headers %q, want %s", op.OperationID, got.header.Get("Access-Control-Allow-Headers"), name)
				}
			}
			if got.header.Get("Access-Control-Max-Age") == "" || got.header.Get("Access-Control-Allow-Credentials") != contractCredentials(op, true) {
				t.Errorf("preflight of %s: got %v, want it remembered, and credentials for the cookie only", op.OperationID, got.header)
			}
		}
	})
}

// contractCredentials is the header with which browsers let pages of an allowed origin send the cookie: at the
// operations that have one (T-41), and nowhere else.
func contractCredentials(op contractOperation, isAllowed bool) string {
	if isAllowed && slices.Contains([]string{"createSession", "refreshSession", "logout"}, op.OperationID) {
		return "true"
	}
	return ""
}

// contractIsForAll says whether pages of every origin may read an operation: the contract itself, and nothing else.
func contractIsForAll(op contractOperation) bool {
	return op.OperationID == "getOpenapiYaml" || op.OperationID == "getOpenapiJson"
}

func TestPagesOfEveryOriginMayReadTheContractAndNothingElse(t *testing.T) { // H-07
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.CORSOrigins = []string{"https://app.test"} }))
	for _, op := range contractOperations() {
		for _, origin := range []string{"https://editor.elsewhere.test", "http://localhost:3000", "null", "https://app.test"} {
			read := w.request(op)
			read.token = "" // whatever the answer is
			want := map[bool]string{true: "*"}[contractIsForAll(op)]
			if origin == "https://app.test" && want == "" {
				want = origin
			}
			preflight := contractRequest{op: op, method: http.MethodOptions, path: read.path, header: http.Header{}}
			preflight = preflight.set("Access-Control-Request-Method", http.MethodGet).set("Access-Control-Request-Headers", "if-none-match,x-tool")
			got, allowed := w.send(read.set("Origin", origin)), w.send(preflight.set("Origin", origin))
			for _, answer := range []response{got, allowed} {
				if values := strings.Join(answer.header.Values("Access-Control-Allow-Origin"), " and "); values != want || answer.header.Get("Access-Control-Allow-Credentials") != contractCredentials(op, want == origin) {
					t.Errorf("%s from %s: got Access-Control-Allow-Origin %q, want %q and credentials for the cookie only", op.OperationID, origin, values, want)
				}
			}
			if !contractIsForAll(op) {
				continue
			}
			if got.status != http.StatusOK || !slices.Contains(strings.Split(got.header.Get("Access-Control-Expose-Headers"), ","), "ETag") {
				t.Errorf("%s from %s: got %d %v, want the document and its tag", op.OperationID, origin, got.status, got.header)
			}
			if allowed.status != http.StatusNoContent || allowed.header.Get("Access-Control-Allow-Methods") != "GET,HEAD" || allowed.header.Get("Access-Control-Allow-Headers") != "*" {
				t.Errorf("preflight of %s from %s: got %d %v, want reading with any header allowed", op.OperationID, origin, allowed.status, allowed.header)
			}
		}
	}
	for _, path := range []string{"/openapi.yaml.bak", "/openapi.yamlx", "/docs/../openapi.yaml/users", "/openapi.yaml/x", "/docs"} {
		if got := uncheckedGet(t, w.url+path, "Origin", "https://editor.elsewhere.test"); got.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: got Access-Control-Allow-Origin %q", path, got.header.Get("Access-Control-Allow-Origin"))
		}
	}
}

func TestBrowsersMayReadEveryHeaderThatTheContractDeclares(t *testing.T) { // H-07
	t.Parallel()
	const origin = "https://app.test"
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.CORSOrigins = []string{origin} }))
	own := w.request(contractOperationOf(t, "getOwnProfile"))
	exposed := strings.Split(w.send(own.set("Origin", origin)).header.Get("Access-Control-Expose-Headers"), ",")
	for _, op := range contractOperations() {
		for status, ref := range op.Responses.Map() {
			for name := range ref.Value.Headers {
				if !slices.Contains(exposed, name) && name != "Set-Cookie" { // no script is to read that one
					t.Errorf("%s %s declares header %s, which browsers may not read", op.OperationID, status, name)
				}
			}
		}
	}
	if !slices.Contains(exposed, "X-Request-Id") {
		t.Errorf("got %q, want the request id among them", exposed)
	}
	refused := own
	refused.token = ""
	if got := w.send(refused.set("Origin", origin)); got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("a refusal: got %v, want that the page may read it", got.header)
	}
}

func TestDevelopmentTakesAnyPortOfLocalhostAndNothingElse(t *testing.T) { // H-07
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies, func(o *server.Options) { o.CORSLocalhost = true }))
	for origin, isAllowed := range map[string]bool{
		"http://localhost": true, "http://localhost:3000": true, "http://127.0.0.1:5173": true, "http://[::1]:8080": true,
		"https://localhost:3000": false, "http://localhost.evil.example": false, "http://localhost:3000.evil.example": false, "http://evil.example#localhost": false, "http://localhost/": false, "http://user@localhost": false,
		"http://localhost@evil.example": false, "http://LOCALHOST:3000": false, "null": false, "http://127.0.0.2": false, "http://0.0.0.0:3000": false, "http://192.168.0.1:3000": false, "http://[::]:3000": false, "http://localhost:x": false,
	} {
		r := w.request(contractOperationOf(t, "getOwnProfile")).set("Origin", origin)
		r.token = w.callers[query.UserRoleAUTHENTICATED].token
		if got := w.send(r).header.Get("Access-Control-Allow-Origin") != ""; got != isAllowed {
			t.Errorf("from %q: got allowed %t, want %t", origin, got, isAllowed)
		}
	}
}
