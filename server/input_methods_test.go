package server_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// inputMethods are what a client might try.
var inputMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "SEARCH", "LINK", "get", "FOO", "*"}

func TestAnUndocumentedMethodIsRefusedAndTheOthersAreNamed(t *testing.T) { // I-08
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	// "me" and "accept" are also what a user_id and a token could be: these belong to the path with the parameter.
	otherwise := []string{"DELETE /users/me", "GET /invitations/accept", "HEAD /invitations/accept"}
	w.storesNothing(func() {
		for path, item := range closedSpec().Paths.Map() {
			allowed := []string{"OPTIONS"}
			for method := range item.Operations() {
				allowed = append(allowed, method)
				if method == http.MethodGet {
					allowed = append(allowed, http.MethodHead)
				}
			}
			slices.Sort(allowed)
			for _, method := range inputMethods {
				if slices.Contains(allowed, method) || slices.Contains(otherwise, method+" "+path) {
					continue
				}
				for _, token := range []string{"", w.callers[query.UserRoleADMIN].token} {
					r := contractRequest{method: method, path: strings.NewReplacer("{user_id}", w.target.id.String(), "{nickname}", "ada", "{token}", "x").Replace(path), token: token, header: http.Header{}}
					got := w.sendUnchecked(r)
					if method != http.MethodHead { // whose answer has no body
						w.refused(method+" "+path, got, http.StatusMethodNotAllowed, api.ProblemCodeMethodNotAllowed)
					}
					if got.status != http.StatusMethodNotAllowed {
						t.Errorf("%s %s: got status %d, want 405", method, path, got.status)
					}
					named := strings.Split(got.header.Get("Allow"), ", ")
					slices.Sort(named)
					if !slices.Equal(named, allowed) {
						t.Errorf("%s %s: got Allow %q, want %q", method, path, named, allowed)
					}
				}
			}
		}
	})
}

// sendUnchecked is send for methods that the contract's checks do not know.
func (w *contractWorld) sendUnchecked(r contractRequest) response {
	w.t.Helper()
	checked := w.http
	w.http = &http.Client{CheckRedirect: checked.CheckRedirect}
	defer func() { w.http = checked }()
	return w.send(r)
}

func TestAnUnknownPathIsNotFoundWhateverTheMethod(t *testing.T) { // I-08
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, path := range []string{"/nothing", "/users/me/nothing", "/users/" + w.target.id.String() + "/nothing", "/admin", "/metrics", "/debug/pprof/", "/debug/vars", "/.git/config", "/.env", "/server-status", "/swagger.json", "/dev/inbox"} { // Z-13
		for _, method := range inputMethods {
			got := w.sendUnchecked(contractRequest{method: method, path: path, token: w.callers[query.UserRoleADMIN].token, header: http.Header{}})
			if method == http.MethodHead && got.status == http.StatusNotFound {
				continue // without a body
			}
			w.refused(method+" "+path, got, http.StatusNotFound, api.ProblemCodeNotFound)
		}
	}
}

func TestAnAddressThatTwoPathsShareIsNoHole(t *testing.T) { // Z-11
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.storesNothing(func() {
		for _, token := range []string{w.callers[query.UserRoleMANAGER].token, w.callers[query.UserRoleADMIN].token} {
			got := w.call(http.MethodDelete, "/users/me", token, nil, "If-Match", "*")
			w.refused("DELETE /users/me", got, http.StatusNotFound, api.ProblemCodeNotFound)
			for _, path := range []string{"/users//lock", "/users//upgrade", "/users//restore", "/users//invitation"} {
				got := w.call(http.MethodPost, path, token, `{"reason":"no id"}`)
				w.refused("POST "+path, got, http.StatusNotFound, api.ProblemCodeNotFound)
			}
		}
	})
}

func TestTraceAndConnectAreRefused(t *testing.T) { // I-08
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, request := range []string{
		"TRACE / HTTP/1.1\r\nHost: x\r\nX-Secret: " + inputCanary + "\r\n\r\n", "TRACE /users/me HTTP/1.1\r\nHost: x\r\nX-Secret: " + inputCanary + "\r\n\r\n",
		"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nX-Secret: " + inputCanary + "\r\n\r\n",
		"CONNECT /users HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	} {
		status, header, body := w.wire(request)
		isRefusal := status == 400 || status == 404 || status == 405 || status == 505 || strings.HasPrefix(request, "OPTIONS") && status < 300
		if !isRefusal || strings.Contains(body, inputCanary) {
			t.Errorf("%q: got %d %v %s, want it refused and nothing repeated", request, status, header, body)
		}
	}
}

// wire sends bytes as they are, which a client library would not, and reads one answer.
func (w *contractWorld) wire(request string) (status int, header http.Header, body string) {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		w.t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		w.t.Fatalf("%.80q: %v", request, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%.80q: %v", request, err)
	}
	return resp.StatusCode, resp.Header, string(data)
}

func TestAMethodOverrideIsIgnored(t *testing.T) { // I-08
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	admin := w.callers[query.UserRoleADMIN]
	w.storesNothing(func() {
		for _, header := range []string{"X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method", "X-Http-Method-Override"} {
			for _, method := range []string{"DELETE", "PATCH", "POST"} {
				r := w.request(contractOperationOf(t, "getUser")).set(header, method).set("If-Match", "*")
				if got := w.send(r); got.status != http.StatusOK {
					t.Errorf("GET with %s: %s: got %d %s, want the user", header, method, got.status, got.body)
				}
			}
		}
		r := w.request(contractOperationOf(t, "getUser"))
		r.path += "?_method=DELETE&method=DELETE&X-HTTP-Method-Override=DELETE"
		if got := w.send(r); got.status != http.StatusOK {
			t.Errorf("GET with _method=DELETE: got %d %s, want the user", got.status, got.body)
		}
		unlock := w.request(contractOperationOf(t, "unlockUser")).set("Content-Type", "application/x-www-form-urlencoded").raw("_method=DELETE")
		if got := w.send(unlock); got.status != http.StatusOK {
			t.Errorf("POST with _method=DELETE: got %d %s, want the user", got.status, got.body)
		}
		list := w.request(contractOperationOf(t, "listUsers"))
		list.path += "?_method=POST"
		w.refused("the list with _method", w.send(list), http.StatusUnprocessableEntity, api.ProblemCodeValidationFailed)
	})
	if n := w.count("SELECT count(*) FROM users WHERE deleted_at IS NOT NULL OR is_locked"); n != 0 {
		t.Errorf("got %d users deleted or locked by %s, want none", n, admin.email)
	}
}

func TestHeadMirrorsGet(t *testing.T) { // I-08
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	for _, op := range contractOperations() {
		if op.method != http.MethodGet {
			continue
		}
		for _, token := range []string{"", w.callers[query.UserRoleAUTHENTICATED].token, w.callers[query.UserRoleADMIN].token} {
			get := w.request(op)
			get.token = token
			head := get
			head.method = http.MethodHead
			a, b := w.send(get), w.send(head)
			if a.status != b.status || len(b.body) != 0 {
				t.Errorf("HEAD of %s: got %d and %d bytes, want %d without a body", op.OperationID, b.status, len(b.body), a.status)
			}
			for _, header := range []http.Header{a.header, b.header} {
				for _, name := range []string{"Date", "X-Request-Id", "Content-Length"} {
					header.Del(name) // HEAD may leave the length out (RFC 9110, 9.3.2)
				}
			}
			for name := range a.header {
				if a.header.Get(name) != b.header.Get(name) {
					t.Errorf("HEAD of %s: got %s %q, want %q", op.OperationID, name, b.header.Get(name), a.header.Get(name))
				}
			}
			if len(a.header) != len(b.header) {
				t.Errorf("HEAD of %s: got headers %v, want %v", op.OperationID, b.header, a.header)
			}
		}
	}
}

func TestOptionsNeitherAsksWhoIsCallingNorDoesAnything(t *testing.T) { // I-08, H-07
	t.Parallel()
	w := newContractWorld(t, newSystem(t, contractProxies))
	w.storesNothing(func() {
		for _, op := range contractOperations() {
			r := w.request(op)
			r.method, r.token, r.body = http.MethodOptions, "", nil
			got := w.send(r)
			if got.status != http.StatusNoContent || len(got.body) != 0 || got.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("OPTIONS %s: got %d %v %s, want 204 and nothing else", r.path, got.status, got.header, got.body)
			}
		}
	})
}
