package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstack/echo/v4"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
)

// whatever a client writes into its headers, it is one source.
func TestForgedHeadersShareOneBucket(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	email := uniqueEmail()
	statuses := map[int]int{}
	for i := range 60 {
		address := fmt.Sprintf("203.0.113.%d", i)
		forged := [][]string{
			{"X-Forwarded-For", address}, {"X-Real-IP", address}, {"Forwarded", "for=" + address}, {"True-Client-IP", address}, {"X_Forwarded_For", address},
			{"X-Forwarded-For", "127.0.0.1, " + address}, {"CF-Connecting-IP", address}, {"X-Client-IP", address, "X-Cluster-Client-Ip", address}, {"X-Forwarded-For", "fe80::1%" + address},
			{"X-Forwarded-For", "garbage", "Via", "1.1 " + address},
		}
		statuses[signInAttempt(s, email, "wrong", forged[i%len(forged)]...).status]++
	}
	if statuses[http.StatusUnauthorized] != 5 || statuses[http.StatusTooManyRequests] != 55 {
		t.Errorf("got %v, want 5 guesses and 55 refusals", statuses)
	}
	var sources, addresses string
	s.scan("SELECT string_agg(DISTINCT source, ' ') FROM login_failures WHERE source <> ''", nil, &sources)
	s.scan("SELECT string_agg(DISTINCT host(address), ' ') FROM audit", nil, &addresses)
	if sources != "127.0.0.1" || addresses != "127.0.0.1" {
		t.Errorf("got sources %s and audited addresses %s, want the peer's", sources, addresses)
	}
}

//
func TestClientsBehindAProxyAreTwoSources(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy)
	user := s.account(verifiedUser)
	for range 6 {
		signInFrom(s, "203.0.113.1", user.email, "wrong")
	}
	throttled(t, signInFrom(s, "203.0.113.1", user.email, goodPassword))
	mustSignIn(t, signInFrom(s, "203.0.113.2", user.email, goodPassword))
	var address string
	s.scan("SELECT host(address) FROM audit WHERE action = 'login_succeeded'", nil, &address)
	if address != "203.0.113.2" {
		t.Errorf("the audit names %s, want the client", address)
	}
}

// Every answer has an id of the server's own, which problems, the log and the audit repeat.
func TestRequestsHaveAnIDThatIsFoundAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ids := map[string]bool{}
	for range 3 {
		got := signInAttempt(s, "nobody@example.com", "wrong", "X-Request-Id", "mine\r", "X-Request-ID", "mine")
		id := got.header.Get("X-Request-Id")
		problem := got.problem(t, api.ProblemCodeInvalidCredentials)
		if id == "mine" || len(id) != 36 || problem.RequestID != id || problem.Instance != "urn:uuid:"+id || ids[id] {
			t.Errorf("got id %q, request_id %q, instance %q", id, problem.RequestID, problem.Instance)
		}
		if n := s.count("SELECT count(*) FROM audit WHERE request_id = $1", id); n != 1 {
			t.Errorf("got %d audit rows of request %s, want 1", n, id)
		}
		if n := strings.Count(s.logs.String(), `"request_id":"`+id+`"`); n != 1 {
			t.Errorf("got %d log lines of request %s, want 1", n, id)
		}
		ids[id] = true
	}
}

// the log knows routes, not addresses of resources, and nothing that a client wrote.
func TestTheRequestLogHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	const canary = "canaryzq"
	s.call(http.MethodGet, "/users?email="+canary+"@example.com", admin.token, nil, "User-Agent", canary, "Referer", "https://"+canary+".example.com", "Cookie", canary+"=1")
	s.call(http.MethodGet, "/users/"+admin.id.String(), admin.token, nil)
	s.call(http.MethodGet, "/verify-email/"+admin.id.String()+"/"+canary, "", nil)
	s.call(http.MethodGet, "/nowhere/"+canary+"?x="+canary, "", nil)
	signInAttempt(s, canary+"@example.com", canary, "X-Forwarded-For", canary)
	log := s.logs.String()
	for _, secret := range []string{canary, admin.id.String(), admin.email, admin.token} {
		if strings.Contains(log, secret) {
			t.Errorf("the log holds %q:\n%s", secret, log)
		}
	}
	routes := []string{}
	for line := range strings.Lines(log) {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Errorf("a line is no JSON: %q", line)
		}
		if entry["msg"] == "request" {
			routes = append(routes, fmt.Sprint(entry["method"], " ", entry["route"], " ", entry["status"]))
		}
	}
	for _, want := range []string{"GET /users 200", "GET /users/:user_id 200", "GET /verify-email/:user_id/:token 200", "POST /login 401"} {
		if !slices.Contains(routes, want) {
			t.Errorf("got %v, want %s among them", routes, want)
		}
	}
}

// H-16
func TestAPanicIsAnswered500AndKeepsTheProcessAlive(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.server.AddRoute("/panic", func(echo.Context) error { panic("the secret of a panic") })
	s.server.AddRoute("/abort", func(echo.Context) error { panic(http.ErrAbortHandler) })
	for range 3 {
		got := uncheckedGet(t, s.url+"/panic")
		problem := got.problem(t, api.ProblemCodeInternalError)
		if got.status != http.StatusInternalServerError || problem.RequestID != got.header.Get("X-Request-Id") || strings.Contains(string(got.body), "secret") || strings.Contains(string(got.body), ".go") {
			t.Errorf("got %d %s, want a bare 500", got.status, got.body)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Security-Policy") == "" { // H-06
			t.Errorf("got headers %v, want those of every answer", got.header)
		}
		if !strings.Contains(s.logs.String(), problem.RequestID) || !strings.Contains(s.logs.String(), "the secret of a panic") {
			t.Error("the log does not say what happened")
		}
	}
	// A handler may still hang up, as net/http lets it.
	if resp, err := s.http.Get(s.url + "/abort"); err == nil {
		_ = resp.Body.Close()
		t.Error("a handler that aborts was answered")
	}
	if got := s.call(http.MethodGet, "/readyz", "", nil); got.status != http.StatusOK {
		t.Errorf("afterwards: got %d, want 200", got.status)
	}
}

// panickingSender panics at the first mail and sends the others.
type panickingSender struct {
	mail.Sender
	panics atomic.Int32
}

func (s *panickingSender) Send(ctx context.Context, m mail.Message) error {
	if s.panics.CompareAndSwap(0, 1) {
		panic("no mail today")
	}
	return s.Sender.Send(ctx, m)
}

// H-16: a job that panics is tried again; the process and the other jobs go on.
func TestAPanicInAMailDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	sender := &panickingSender{}
	s := newSystem(t, func(o *server.Options) { sender.Sender = o.Mail; o.Mail = sender })
	_, email := registerWith(s, goodPassword)
	s.mailTo(email, "confirm")
	if got := sender.panics.Load(); got != 1 {
		t.Errorf("got %d panics, want 1 and then the mail", got)
	}
	if got := s.call(http.MethodGet, "/livez", "", nil); got.status != http.StatusOK {
		t.Errorf("afterwards: got %d, want 200", got.status)
	}
}
