package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

func TestMain(m *testing.M) {
	dbtest.Main(countingRun{m})
}

const (
	goodPassword = "Analytic*1843"
	testKey      = "tests only: 0123456789abcdef0123456789abcdef"
)

// cheap keeps the tests fast; what the real parameters cost is measured in package secret.
var cheap = secret.Params{MemoryKiB: 8, Iterations: 1, Parallelism: 1}

// system is a server on a database of its own, with an inbox instead of a mail server.
type system struct {
	t      testing.TB
	server *server.Server
	pool   *pgxpool.Pool
	hasher *secret.Hasher
	inbox  *mail.Inbox
	url    string
	logs   *lockedBuffer
	http   *http.Client // validates every response against the contract
	stop   func()       // idempotent: stops the server as a signal would
}

// newSystem starts a server; configure changes its options first. Jobs run unless the test says otherwise.
func newSystem(t testing.TB, configure ...func(*server.Options)) *system {
	t.Helper()
	return newSystemOn(t, dbtest.Pool(t), configure...)
}

func newSystemOn(t testing.TB, pool *pgxpool.Pool, configure ...func(*server.Options)) *system {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	publicURL, err := url.Parse("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	hasher, err := secret.NewHasher(secret.HasherOptions{Params: cheap, Queue: 1000, MaxWait: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	root, err := secret.NewRoot([]byte(testKey), nil)
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
	logs := &lockedBuffer{}
	opts := server.Options{
		Pool: pool, Secret: root, Mail: inbox, Hasher: hasher, PublicURL: publicURL,
		Product: mail.Product{Name: "Test Product", URL: "https://product.example.com", SupportEmail: "help@example.com"},
		Docs:    true, RegistrationOpen: true, RegistrationLimit: 1_000_000, PollInterval: 100 * time.Millisecond,
		Logger: slog.New(slog.NewJSONHandler(logs, nil)),
	}
	for _, c := range configure {
		c(&opts)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := server.New(ctx, opts)
	if err != nil {
		cancel()
		t.Fatalf("new server: %v", err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, listener, 0) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return &system{
		t: t, server: s, pool: pool, hasher: opts.Hasher, inbox: inbox, url: publicURL.String(), logs: logs,
		http: &http.Client{Transport: &validatingTransport{t: t}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
		stop: stop,
	}
}

// client is the generated client, signed in with the token unless it is empty.
func (s *system) client(token string) *api.ClientWithResponses {
	s.t.Helper()
	client, err := api.NewClientWithResponses(s.url, api.WithHTTPClient(s.http), api.WithRequestEditorFn(bearer(token)))
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}

func bearer(token string) api.RequestEditorFn {
	return func(_ context.Context, r *http.Request) error {
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		return nil
	}
}

// account is a user of a test, with a session.
type account struct {
	id       uuid.UUID
	email    string
	nickname string
	token    string
}

// signedIn makes an account with a proven address and signs it in.
func (s *system) signedIn(role query.UserRole) account {
	s.t.Helper()
	a := s.account(server.NewAccount{Role: role, EmailVerified: true})
	token, err := s.server.AccessToken(context.Background(), a.email)
	if err != nil {
		s.t.Fatal(err)
	}
	a.token = token
	return a
}

// account makes an account; an e-mail address is made up if there is none.
func (s *system) account(n server.NewAccount) account {
	s.t.Helper()
	if n.Email == "" {
		n.Email = uniqueEmail()
	}
	if n.Password == "" {
		n.Password = goodPassword
	}
	user, err := s.server.CreateAccount(context.Background(), n)
	if err != nil {
		s.t.Fatalf("create account: %v", err)
	}
	return account{id: user.ID, email: user.Email, nickname: user.Nickname}
}

func uniqueEmail() string {
	return "u" + strings.ReplaceAll(uuid.NewString(), "-", "") + "@example.com"
}

// login signs in with a password and returns the token.
func (s *system) login(email, password string) string {
	s.t.Helper()
	resp, err := s.client("").LoginWithFormdataBodyWithResponse(context.Background(), api.LoginRequest{Username: email, Password: password})
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.JSON200 == nil {
		s.t.Fatalf("login of %s: %s", email, resp.Body)
	}
	return resp.JSON200.AccessToken
}

// response is a raw answer.
type response struct {
	status int
	header http.Header
	body   []byte
}

// call sends a raw request: a string or []byte body as it is, anything else as JSON.
func (s *system) call(method, path, token string, body any, header ...string) response {
	s.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(context.Background(), method, s.url+path, reader)
	if err != nil {
		s.t.Fatal(err)
	}
	if reader != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return response{status: resp.StatusCode, header: resp.Header, body: data}
}

// problem decodes a problem and fails unless it has this code.
func (r response) problem(t testing.TB, code api.ProblemCode) api.Problem {
	t.Helper()
	return decodeProblem(t, r.body, code)
}

func decodeProblem(t testing.TB, body []byte, code api.ProblemCode) api.Problem {
	t.Helper()
	var p api.Problem
	if err := json.Unmarshal(body, &p); err != nil {
		t.Fatalf("got %q, want a problem with code %s", body, code)
	}
	if p.Code != code {
		t.Fatalf("got %s, want code %s", body, code)
	}
	return p
}

// fieldCodes are the codes of a problem's errors by pointer.
func fieldCodes(p api.Problem) map[string][]api.FieldCode {
	codes := map[string][]api.FieldCode{}
	for _, e := range p.Errors {
		codes[e.Pointer] = append(codes[e.Pointer], e.Code)
	}
	return codes
}

// mailTo waits for the newest mail to an address whose subject contains a word.
func (s *system) mailTo(address, subject string) mail.InboxMail {
	s.t.Helper()
	var found mail.InboxMail
	s.eventually("a mail to "+address+" about "+subject, func() bool {
		for _, m := range s.inbox.Mails(address) {
			if strings.Contains(strings.ToLower(m.Subject), strings.ToLower(subject)) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// eventually polls until a condition holds.
func (s *system) eventually(what string, isSo func() bool) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !isSo() {
		if time.Now().After(deadline) {
			s.t.Fatalf("waited in vain for %s", what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// idle waits until no job is waiting to run now.
func (s *system) idle() {
	s.t.Helper()
	s.eventually("all jobs to be done", func() bool {
		var n int
		s.scan("SELECT count(*) FROM river_job WHERE state IN ('available', 'running', 'pending')", nil, &n)
		return n == 0
	})
}

// linkToken is the token of the mailed link that leads to a path of this server.
func linkToken(t testing.TB, m mail.InboxMail, path string) string {
	t.Helper()
	at := strings.Index(m.Text, path)
	if at < 0 {
		t.Fatalf("no link to %s in %q", path, m.Text)
	}
	link := strings.FieldsFunc(m.Text[at:], func(r rune) bool { return r == ' ' || r == '\n' || r == '\r' || r == ')' || r == '>' })[0]
	return link[strings.LastIndexByte(link, '/')+1:]
}

// exec and scan are for states that the API cannot reach.
func (s *system) exec(sql string, args ...any) {
	s.t.Helper()
	if _, err := s.pool.Exec(context.Background(), sql, args...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *system) scan(sql string, args []any, into ...any) {
	s.t.Helper()
	if err := s.pool.QueryRow(context.Background(), sql, args...).Scan(into...); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *system) count(sql string, args ...any) int {
	s.t.Helper()
	var n int
	s.scan(sql, args, &n)
	return n
}

// lockedBuffer collects the log.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
