package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"usermanager/gen/query"
)

// inputPaths are some 300 request targets that other servers route somewhere else than they look.
func inputPaths(id string) []string {
	paths := []string{
		"//", "///", "//evil.example", "//evil.example/", "//evil.example/..", "//evil.example/%2e%2e", "//evil.example//", "/%5cevil.example", "/\\evil.example/..",
		"/%2f%2fevil.example", "/%2fevil.example/", "/.", "/..", "/./", "/../", "/%2e", "/%2e%2e", "/..%2f", "/%00", "/%0d%0aLocation:%20//evil.example", "/%0a", "/;", "/;/users",
		"/USERS", "/Users", "/users%20", "/users%00", "/users%0a", "/users.json", "/users.", "/users;", "/users;a=b", "/users,", "/users'", "/users%2f", "/users%2fme", "/users%5cme",
		"/users\\me", "/users/%2fme", "/users//me", "/users/./me", "/users/me/.", "/users/me/..", "/users/me/../me", "/users/%2e/me", "/users/me%00", "/users/me%20", "/users/me%2f",
		"/users/me.json", "/users/me;a=b", "/users/me;.css", "/users/me%3bx", "/users/me%23", "/users/me%3f", "/users/ME", "/users/%6de", "/users/%6D%65", "/users/m%65", "/%75sers/me", "/users/me//",
		"/users/me/" + id, "/users/" + id + "/me", "/api/users/me", "/v1/users/me", "/users/*", "/users/:user_id", "/users/{user_id}", "/users/me/*", "/*", "/docs%2fswagger-ui.css",
		"/openapi.yaml%00.json", "/openapi.yaml.bak", "/openapi.yaml~", "/openapi.YAML", "/livez%2f..%2fusers", "/livez/../users/me", "/livez/..;/users/me", "/livez/%2e%2e/users/me",
		"/.well-known/../users/me", "/.well-known/jwks.json/../../users/me", "/.well-known%2fjwks.json", "/.well-known/", "/.well-known/jwks.json/..",
	}
	for _, base := range []string{"/users/" + id, "/users/" + id + "/upgrade", "/verify-email", "/nicknames", "/invitations"} {
		for _, trick := range []string{"%2f..", "/..;/", "/..%2f..%2flivez", "/%2e%2e/%2e%2e/livez", "/..%5c..%5clivez", "%00/", "%20", "%09", ";x=y/", "//..//", "/./../x/y/z", "%c0%ae%c0%ae/x/y", "%252e%252e/", "/%u002e/x/y", "%ff/x/y/z"} {
			paths = append(paths, base+trick)
		}
	}
	files := []string{"go.mod", "etc/passwd", "server/server.go", "windows/win.ini", "proc/self/environ", ".env"}
	for _, up := range []string{"..", "%2e%2e", "%2E%2e", ".%2e", "..%2f", "..%5c", "%252e%252e", "..;", "....//", "%c0%ae%c0%ae", "%e0%80%ae", "..%00"} {
		for _, file := range files {
			paths = append(paths, "/docs/"+strings.Repeat(up+"/", 6)+file, "/docs/swagger-ui.css/"+strings.Repeat(up+"/", 7)+file)
		}
	}
	return append(paths, "/docs//evil.example/..", "/docs//evil.example/%2e%2e", "/docs/https://evil.example", "/docs/%2f%2fevil.example", "/docs/./swagger-ui.css/", "/docs//")
}

func TestAPathThatLooksLikeAnotherReachesNothing(t *testing.T) { // I-09, Z-11
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	token := w.callers[query.UserRoleADMIN].token
	paths := inputPaths(w.target.id.String())
	if len(paths) < 300 {
		t.Errorf("got %d samples, want 300", len(paths))
	}
	w.storesNothing(func() {
		for _, path := range paths {
			for _, method := range []string{"GET", "DELETE"} {
				status, header, body := w.wire(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: evil.example\r\nAuthorization: Bearer %s\r\nIf-Match: *\r\nConnection: close\r\n\r\n", method, path, token))
				if header.Get("Location") != "" || status >= 300 && status < 400 || status >= 500 {
					t.Errorf("%s %s: got %d to %q, want neither a redirect nor an error", method, path, status, header.Get("Location"))
				}
				if status < 300 && !inputIsHarmless(path) {
					t.Errorf("%s %s: got %d %.200s, want nothing there", method, path, status, body)
				}
				if strings.Contains(body, "root:") || strings.Contains(body, "module usermanager") || strings.Contains(body, w.target.email) {
					t.Errorf("%s %s: got what it must not reach: %.200s", method, path, body)
				}
			}
		}
	})
}

// inputIsHarmless says which of the paths are answered: pages that read their own address in the browser, and the
// question whether a name of any form is free.
func inputIsHarmless(path string) bool {
	for _, prefix := range []string{"/nicknames/", "/invitations/", "/verify-email/"} {
		if rest, ok := strings.CutPrefix(path, prefix); ok && rest != "" {
			return true
		}
	}
	return false
}

func TestOneTrailingSlashIsTheSameAddressWithoutARedirect(t *testing.T) { // I-09
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, op := range contractOperations() {
		plain, slash := w.request(op), w.request(op)
		plain.token, slash.token = "", ""
		slash.path += "/"
		if op.method != http.MethodGet {
			plain, slash = plain.set("Content-Type", "text/plain"), slash.set("Content-Type", "text/plain") // so that nothing is done twice
		}
		a, b := w.send(plain), w.send(slash)
		if a.status != b.status || b.header.Get("Location") != a.header.Get("Location") {
			t.Errorf("%s with a trailing slash: got %d to %q, want %d", op.OperationID, b.status, b.header.Get("Location"), a.status)
		}
	}
}

func TestAQueryBehindAPathThatTakesNoneChangesNothing(t *testing.T) { // I-09
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, id := range []string{"getOwnProfile", "getUser", "getSettings", "getLiveness", "getJwks", "showDocs", "showInvitation"} {
		for _, query := range []string{"?", "?x", "?x=1", "?/../users", "?%00", "?access_token=x", "?;", "??", "?user_id=me&role=ADMIN"} {
			r := w.request(contractOperationOf(t, id))
			r.path += query
			if got := w.send(r); got.status != http.StatusOK {
				t.Errorf("GET %s: got %d %s, want 200", r.path, got.status, got.body)
			}
		}
	}
}

func TestAnotherHostInTheTargetChangesNothing(t *testing.T) { // I-09, A-68
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	token := w.callers[query.UserRoleADMIN].token
	for _, target := range []string{"http://evil.example/users/me", "https://evil.example/users/me", "HTTP://user:pass@evil.example:1/users/me"} {
		status, _, body := w.wire("GET " + target + " HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\nAuthorization: Bearer " + token + "\r\nConnection: close\r\n\r\n")
		if status != http.StatusOK || strings.Contains(body, "evil.example") || !strings.Contains(body, w.url+"/users/me") {
			t.Errorf("GET %s: got %d %s, want the profile with links of this server", target, status, body)
		}
	}
	for _, request := range []string{
		"GET users/me HTTP/1.1\r\nHost: x\r\n\r\n", "GET  HTTP/1.1\r\nHost: x\r\n\r\n", "GET /users/me\r\n\r\n", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "GET /users/me HTTP/9.9\r\nHost: x\r\n\r\n",
		"GET /users/me HTTP/1.1\r\n\r\n", "GET /users/me HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET /users/me HTTP/1.1\r\nHost: x\r\nX-A\x00: b\r\n\r\n", "GET /users/me HTTP/1.1\r\nHost: x\r\n Folded: b\r\n\r\n",
		"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef", "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
		"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "\x16\x03\x01\x02\x00\x01\r\n\r\n",
	} {
		if status, _, body := w.wire(request); status != 400 && status != 501 && status != 505 {
			t.Errorf("%q: got %d %s, want 400, 501 or 505", request, status, body)
		}
	}
}
