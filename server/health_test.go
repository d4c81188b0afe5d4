package server_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
	"usermanager/gen/api"
	"usermanager/gen/query"
)

// cutLine is a network between a server and its database that a test can cut.
type cutLine struct {
	mu    sync.Mutex
	isCut bool
	conns map[net.Conn]bool
}

func (l *cutLine) dial(ctx context.Context, network, address string) (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		return nil, &net.OpError{Op: "dial", Net: network, Err: net.ErrClosed}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err == nil {
		l.conns[conn] = true
	}
	return conn, err
}

func (l *cutLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for conn := range l.conns {
		_ = conn.Close()
	}
	clear(l.conns)
}

func (l *cutLine) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}

// poolOver connects to a database of its own; change edits the configuration first.
func poolOver(t testing.TB, url string, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	change(config)
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// F-32
func TestHealthTellsAliveFromReady(t *testing.T) {
	t.Parallel()
	line := &cutLine{conns: map[net.Conn]bool{}}
	s := newSystemOn(t, poolOver(t, dbtest.URL(t), func(c *pgxpool.Config) { c.ConnConfig.DialFunc = line.dial }))
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	readiness := func() response { return s.call(http.MethodGet, "/readyz", "", nil) }
	if got := readiness(); got.status != http.StatusOK || strings.TrimSpace(string(got.body)) != `{"status":"ok"}` {
		t.Errorf("got %d %s, want ok and nothing else", got.status, got.body)
	}
	line.cut()
	s.eventually("readiness to notice", func() bool { return readiness().status == http.StatusServiceUnavailable })
	got := readiness()
	got.problem(t, api.ProblemCodeDatabaseUnavailable)
	if got.header.Get("Retry-After") != "1" {
		t.Errorf("got Retry-After %q, want 1", got.header.Get("Retry-After"))
	}
	for _, told := range []string{"127.0.0.1", "dial", "pgx", "sql", "version", "usermanager_test"} {
		if strings.Contains(strings.ToLower(string(got.body)), told) {
			t.Errorf("the answer tells %q: %s", told, got.body)
		}
	}
	if alive := s.call(http.MethodGet, "/livez", "", nil); alive.status != http.StatusOK { // a restart would not help
		t.Errorf("alive: got %d, want 200", alive.status)
	}
	// F-10, A-50: everything else says so, too, and guessing fails closed.
	before := s.hasher.Verifications()
	for _, got := range []response{
		s.call(http.MethodGet, "/users/me", user.token, nil), signInAttempt(s, user.email, goodPassword), signInAttempt(s, "nobody@example.com", "wrong"),
		s.call(http.MethodPost, "/register", "", map[string]any{"email": uniqueEmail(), "password": goodPassword}),
	} {
		got.problem(t, api.ProblemCodeDatabaseUnavailable)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("got %d, Retry-After %q; want 503 with one", got.status, got.header.Get("Retry-After"))
		}
	}
	if got := s.hasher.Verifications() - before; got != 0 {
		t.Errorf("got %d verifications without a counter, want none", got)
	}
	line.mend()
	s.eventually("readiness to recover by itself", func() bool { return readiness().status == http.StatusOK })
	if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.status != http.StatusOK {
		t.Errorf("afterwards: got %d %s, want 200", got.status, got.body)
	}
}

// F-31
func TestAnOlderSchemaIsNotReady(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("ALTER TABLE goose_db_version RENAME TO hidden")
	s.exec("CREATE TABLE goose_db_version AS SELECT * FROM hidden WHERE version_id < (SELECT max(version_id) FROM hidden)")
	s.eventually("readiness to notice", func() bool { return s.call(http.MethodGet, "/readyz", "", nil).status != http.StatusOK })
	got := s.call(http.MethodGet, "/readyz", "", nil)
	got.problem(t, api.ProblemCodeSchemaOutdated)
	s.exec("INSERT INTO goose_db_version SELECT * FROM hidden")
	s.exec("UPDATE goose_db_version SET version_id = version_id + 1000") // a newer server's: ready
	s.eventually("readiness to recover", func() bool { return s.call(http.MethodGet, "/readyz", "", nil).status == http.StatusOK })
}

// F-32: however often it is asked, the database is asked once a second.
func TestReadinessAsksTheDatabaseOnceASecond(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	if got := s.call(http.MethodGet, "/readyz", "", nil); got.status != http.StatusOK {
		t.Fatalf("got %d %s", got.status, got.body)
	}
	queries := func() int { return int(s.pool.Stat().AcquireCount()) }
	before := queries()
	atOnce(200, 20, func(int) { s.call(http.MethodGet, "/readyz", "", nil) })
	atOnce(200, 20, func(int) { s.call(http.MethodGet, "/livez", "", nil) })
	if got := queries() - before; got > 100 { // jobs ask, too
		t.Errorf("400 questions took %d queries", got)
	}
}
