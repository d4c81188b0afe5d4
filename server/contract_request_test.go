package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// contractWorld is a system with a caller of each role, and requests that openapi.yaml describes.
type contractWorld struct {
	*system
	callers map[query.UserRole]account
	target  account
	session string // of the administrator
	hops    atomic.Uint32
}

// contractProxies lets each request come from an address of its own, so that no limit of a source is in the way.
func contractProxies(o *server.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

func newContractWorld(t testing.TB, s *system) *contractWorld {
	t.Helper()
	w := &contractWorld{system: s, callers: map[query.UserRole]account{}}
	for _, role := range []query.UserRole{query.UserRoleAUTHENTICATED, query.UserRoleMANAGER, query.UserRoleADMIN} {
		w.callers[role] = s.signedIn(role)
	}
	w.target = s.account(server.NewAccount{})
	s.scan("SELECT id::text FROM sessions WHERE user_id = $1", []any{w.callers[query.UserRoleADMIN].id}, &w.session)
	return w
}

// contractRequest is a request before it is sent. Nil and empty members are left out.
type contractRequest struct {
	op     contractOperation
	method string
	path   string // with its query
	token  string
	body   []byte
	header http.Header
}

// request is a complete request of an operation: an administrator's, with the document's own example as body.
func (w *contractWorld) request(op contractOperation) contractRequest {
	w.t.Helper()
	r := contractRequest{op: op, method: op.method, path: op.path, header: http.Header{}}
	if !op.isPublic() {
		r.token = w.callers[query.UserRoleADMIN].token
	}
	r.path = strings.NewReplacer("{user_id}", w.target.id.String(), "{session_id}", w.session, "{nickname}", "ada", "{token}", contractMailedToken).Replace(r.path)
	for _, p := range op.Parameters {
		switch p.Value.Name {
		case "If-Match":
			r.header.Set("If-Match", "*")
		case "Idempotency-Key": // of this request, so that what is refused can be seen to keep nothing
			r.header.Set("Idempotency-Key", uuid.NewString())
		}
	}
	if mediaType, example := op.example(); mediaType != "" {
		r.header.Set("Content-Type", mediaType)
		r.body = contractEncode(mediaType, example)
	}
	return r
}

// contractMailedToken has the form of a mailed token, but is nobody's.
const contractMailedToken = "AQIDBAGYHVx6AHAAgAAAAAAAAABkZW1vLWRlbW8tZGVtby1kZW1vLWRlbW8tZGVtbw"

// example is the document's own example of the body, of which the caller may change a copy.
func (o contractOperation) example() (mediaType string, example map[string]any) {
	if o.RequestBody == nil {
		return "", nil
	}
	for name, content := range o.RequestBody.Value.Content {
		object, _ := content.Example.(map[string]any)
		return name, maps.Clone(object)
	}
	return "", nil
}

func contractEncode(mediaType string, fields map[string]any) []byte {
	if mediaType == "application/x-www-form-urlencoded" {
		form := url.Values{}
		for name, value := range fields {
			form.Set(name, fmt.Sprint(value))
		}
		return []byte(form.Encode())
	}
	data, err := json.Marshal(fields)
	if err != nil {
		panic(err) // the document's own example
	}
	return data
}

// fields are the names of the body's fields.
func (o contractOperation) fields() []string {
	if o.RequestBody == nil {
		return nil
	}
	mediaType, _ := o.example()
	return slices.Sorted(maps.Keys(o.RequestBody.Value.Content.Get(mediaType).Schema.Value.Properties))
}

// with replaces the body by the example with one field changed.
func (r contractRequest) with(name string, value any) contractRequest {
	mediaType, example := r.op.example()
	example[name] = value
	r.body = contractEncode(mediaType, example)
	return r
}

// raw replaces the body by these bytes.
func (r contractRequest) raw(body string) contractRequest {
	r.body = []byte(body)
	return r
}

// set replaces a header.
func (r contractRequest) set(name, value string) contractRequest {
	r.header = r.header.Clone()
	r.header.Set(name, value)
	return r
}

// send sends the request as it is, from an address of its own.
func (w *contractWorld) send(r contractRequest) response {
	w.t.Helper()
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	return w.sendBody(r, body)
}

// sendBody is send with any reader: one whose length is unknown travels in chunks.
func (w *contractWorld) sendBody(r contractRequest, body io.Reader) response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), r.method, w.url+r.path, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	req.Header = r.header.Clone()
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	hop := w.hops.Add(1)
	req.Header.Set("X-Forwarded-For", netip.AddrFrom4([4]byte{10, byte(hop >> 16), byte(hop >> 8), byte(hop)}).String())
	resp, err := w.http.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", r.method, r.path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	contractCheckHeaders(w.t, r, resp.Header)
	return response{status: resp.StatusCode, header: resp.Header, body: data}
}

// contractCheckHeaders checks what stands on every answer, whatever its status (H-06).
func contractCheckHeaders(t testing.TB, r contractRequest, header http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		"Server": "", "X-Powered-By": "",
	} {
		if got := header.Get(name); got != want {
			t.Errorf("%s %s: got %s %q, want %q", r.method, r.path, name, got, want)
		}
	}
	policy := header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; frame-ancestors 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("%s %s: got Content-Security-Policy %q", r.method, r.path, policy)
	}
	if _, err := uuid.Parse(header.Get("X-Request-Id")); err != nil {
		t.Errorf("%s %s: got X-Request-Id %q, want a UUID", r.method, r.path, header.Get("X-Request-Id"))
	}
	if header.Get("Content-Type") == "application/problem+json" && header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: got a problem with Cache-Control %q, want no-store", r.method, r.path, header.Get("Cache-Control"))
	}
}

// refused fails unless the answer has this status and code and tells nothing of the inside.
func (w *contractWorld) refused(what string, got response, status int, code api.ProblemCode) api.Problem {
	w.t.Helper()
	var p api.Problem
	if err := json.Unmarshal(got.body, &p); err != nil || got.status != status || p.Code != code {
		w.t.Errorf("%s: got %d %s, want %d %s", what, got.status, got.body, status, code)
		return p
	}
	if p.RequestID != got.header.Get("X-Request-Id") || p.Instance != "urn:uuid:"+p.RequestID {
		w.t.Errorf("%s: request id %q of the body is not %q of the header", what, p.RequestID, got.header.Get("X-Request-Id"))
	}
	for _, leak := range []string{"SQLSTATE", "relation", "pgx", "pgconn", ".go:", "goroutine", "panic", "postgres", "constraint", "_hidden", "dial tcp", "127.0.0.1", "kin-openapi", "Schema:"} {
		if bytes.Contains(got.body, []byte(leak)) {
			w.t.Errorf("%s: the answer tells of the inside (%q): %s", what, leak, got.body)
		}
	}
	return p
}

// contractStored are the tables in which nothing may appear when a request is refused.
var contractStored = []string{"users", "passwords", "sessions", "one_time_tokens", "mails", "idempotency_keys", "audit"}

// stored counts their rows, and sums what they hold, so that a changed row is seen, too.
func (w *contractWorld) stored() string {
	w.t.Helper()
	var sums []string
	for _, table := range contractStored {
		var sum string
		w.scan("SELECT count(*) || ' ' || coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM "+table+" t", nil, &sum)
		sums = append(sums, table+" "+sum)
	}
	return strings.Join(sums, ", ")
}

// storesNothing fails when do changes the stored rows.
func (w *contractWorld) storesNothing(do func()) {
	w.t.Helper()
	before := w.stored()
	do()
	if after := w.stored(); after != before {
		w.t.Errorf("something was stored: got\n%s, want\n%s", after, before)
	}
}
