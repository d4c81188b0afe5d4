package server_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"usermanager/gen/query"
	"usermanager/server"
)

const formType = "application/x-www-form-urlencoded"

// verifiedUser is an ordinary account that can sign in.
var verifiedUser = server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true}

// signInAttempt posts the form of a sign-in and returns whatever comes back.
func signInAttempt(s *system, email, password string, header ...string) response {
	s.t.Helper()
	form := url.Values{"username": {email}, "password": {password}}
	return s.call(http.MethodPost, "/login", "", form.Encode(), append([]string{"Content-Type", formType}, header...)...)
}

// signInFrom is signInAttempt from another address; the system has to be behindLoopbackProxy.
func signInFrom(s *system, address, email, password string) response {
	s.t.Helper()
	return signInAttempt(s, email, password, "X-Forwarded-For", address)
}

// behindLoopbackProxy believes the tests' own X-Forwarded-For.
func behindLoopbackProxy(o *server.Options) {
	o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
}

// maskedAnswer is everything of an answer that may not differ between two of a kind.
func maskedAnswer(r response) string {
	header := r.header.Clone()
	id := header.Get("X-Request-Id")
	header.Del("X-Request-Id")
	header.Del("Date")
	text, err := json.Marshal([]any{r.status, header})
	if err != nil {
		return err.Error()
	}
	return string(text) + strings.ReplaceAll(string(r.body), id, "ID")
}

// tokenPart reads the header (0) or the claims (1) of an access token without checking it.
func tokenPart(t testing.TB, token string, part int) map[string]any {
	t.Helper()
	data := decodeTokenPart(t, strings.Split(token, ".")[part])
	var values map[string]any
	if err := json.Unmarshal(data, &values); err != nil {
		t.Fatalf("part %d of the token: %v", part, err)
	}
	return values
}

// mustSignIn fails unless an answer is that of a successful sign-in.
func mustSignIn(t testing.TB, r response) {
	t.Helper()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(r.body, &body); err != nil || r.status != http.StatusOK || body.AccessToken == "" {
		t.Fatalf("got %d %s, want an access token", r.status, r.body)
	}
}

// passLoginTime makes every counted failure and every wait older.
func passLoginTime(s *system, by time.Duration) {
	s.t.Helper()
	s.exec(`UPDATE login_failures SET wait_until = wait_until - d, window_started_at = window_started_at - d,
		last_failed_at = last_failed_at - d FROM make_interval(secs => $1) AS d`, by.Seconds())
}

// atOnce runs do n times, at most so many at a time, and waits for all.
func atOnce(n, atATime int, do func(i int)) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, atATime)
	for i := range n {
		turns <- struct{}{}
		wg.Go(func() {
			defer func() { <-turns }()
			do(i)
		})
	}
	wg.Wait()
}

// countingStatuses counts answers of parallel requests by status.
type countingStatuses struct {
	mu sync.Mutex
	n  map[int]int
}

func (c *countingStatuses) add(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[int]int{}
	}
	c.n[status]++
}

func plantPasswordHash(s *system, id uuid.UUID, hash string) {
	s.t.Helper()
	s.exec("UPDATE passwords SET hash = $2 WHERE user_id = $1", id, hash)
}

func passwordHash(s *system, id uuid.UUID) (hash string) {
	s.t.Helper()
	s.scan("SELECT hash FROM passwords WHERE user_id = $1", []any{id}, &hash)
	return hash
}

// waitForLockedQuery waits until so many connections of the test's database stand before a lock.
func waitForLockedQuery(s *system, n int) {
	s.t.Helper()
	s.eventually("a query that waits for a lock", func() bool {
		return s.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'") >= n
	})
}

// uncheckedGet asks for what the contract does not know; its answers are not validated.
func uncheckedGet(t testing.TB, url string, header ...string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	return roundTrip(t, http.DefaultTransport, req)
}

// checkedGet holds the answer to the contract, for servers that a test starts by itself.
func checkedGet(t testing.TB, url string) response {
	t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return roundTrip(t, &validatingTransport{t}, req)
}

func roundTrip(t testing.TB, transport http.RoundTripper, req *http.Request) response {
	t.Helper()
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{status: resp.StatusCode, header: resp.Header, body: body}
}

func parsedURL(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
