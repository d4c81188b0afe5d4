package server_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
	"usermanager/gen/query"
)

// F-10: what a restart of PostgreSQL looks like from a connection, over and over.
func TestKilledConnectionsAreNeverAnInternalError(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	s := newSystemOn(t, poolOver(t, url, func(c *pgxpool.Config) { c.MaxConns = 6 }))
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	if got := s.call(http.MethodGet, "/livez", "", nil); got.status != http.StatusOK { // jobs have started: the start itself needs the database
		t.Fatalf("got %d", got.status)
	}
	killer, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = killer.Close(context.WithoutCancel(t.Context())) }()
	ctx, stop := context.WithCancel(t.Context())
	killed := make(chan int, 1)
	go func() {
		n := 0
		for ctx.Err() == nil {
			var hit int
			err := killer.QueryRow(t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid()`).Scan(&hit)
			if err != nil {
				t.Errorf("kill connections: %v", err)
				break
			}
			n += hit
			pgSleep(t, killer, "0.01") // let some requests through
		}
		killed <- n
	}()
	var statuses countingStatuses
	registered := make(chan string, 500)
	atOnce(300, 10, func(i int) {
		var got response
		switch i % 5 {
		case 0:
			got = s.call(http.MethodGet, "/users/me", user.token, nil)
		case 1:
			got = s.call(http.MethodGet, "/users", admin.token, nil)
		case 2:
			got = signInAttempt(s, user.email, goodPassword)
		case 3:
			got = s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "x"})
		case 4:
			var email string
			if got, email = registerWith(s, goodPassword); got.status == http.StatusCreated {
				registered <- email
			}
		}
		statuses.add(got.status)
		switch got.status {
		case http.StatusOK, http.StatusCreated:
		case http.StatusServiceUnavailable, http.StatusTooManyRequests:
			if got.header.Get("Retry-After") == "" {
				t.Errorf("a %d without Retry-After", got.status)
			}
			// Attempts whose release a fault prevents count as failures: guessing fails closed, nothing else does.
			if got.status == http.StatusTooManyRequests && i%5 != 2 {
				t.Errorf("got %s for something else than a sign-in", got.body)
			}
		default:
			t.Errorf("got %d %s, want success or 503", got.status, got.body)
		}
	})
	stop()
	if n := <-killed; n < 20 {
		t.Errorf("killed %d connections only", n)
	}
	if statuses.n[http.StatusServiceUnavailable] == 0 || statuses.n[http.StatusOK] == 0 {
		t.Errorf("got %v, want some of both: else this proves nothing", statuses.n)
	}
	s.eventually("the server to recover by itself", func() bool {
		return s.call(http.MethodGet, "/users/me", user.token, nil).status == http.StatusOK
	})
	// The ledger: what was acknowledged is there, as a whole.
	close(registered)
	for email := range registered {
		if n := s.count(`SELECT count(*) FROM users JOIN passwords ON passwords.user_id = users.id JOIN one_time_tokens ON one_time_tokens.user_id = users.id
			JOIN mails ON mails.user_id = users.id JOIN audit ON audit.subject_id = users.id AND audit.action = 'user_registered' WHERE users.email = $1`, email); n != 1 {
			t.Errorf("%s was acknowledged and is there %d times", email, n)
		}
	}
	if n := s.count("SELECT count(*) FROM users WHERE NOT EXISTS (SELECT FROM mails WHERE mails.user_id = users.id) AND NOT email_verified"); n != 0 {
		t.Errorf("%d accounts have no mail", n)
	}
}

func pgSleep(t testing.TB, conn *pgx.Conn, seconds string) {
	if _, err := conn.Exec(context.WithoutCancel(t.Context()), "SELECT pg_sleep("+seconds+")"); err != nil {
		t.Errorf("pause: %v", err)
	}
}

// F-14: rows held from outside, with the limits of serve scaled down.
func TestHeldLocksAreAnsweredQuicklyAndRecovered(t *testing.T) {
	t.Parallel()
	s := newSystemOn(t, poolOver(t, dbtest.URL(t), func(c *pgxpool.Config) {
		c.MaxConns = 4
		c.ConnConfig.RuntimeParams["lock_timeout"], c.ConnConfig.RuntimeParams["statement_timeout"] = "150ms", "1s"
	}))
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	release := holdUsers(s)
	var statuses countingStatuses
	began := time.Now()
	atOnce(40, 40, func(int) {
		statuses.add(s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "x"}).status)
	})
	if statuses.n[http.StatusServiceUnavailable] != 40 {
		t.Errorf("got %v, want 40 x 503", statuses.n)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %s", took)
	}
	for _, path := range []string{"/livez", "/readyz", "/users/me"} { // reading is not locked
		if got := s.call(http.MethodGet, path, user.token, nil); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200", path, got.status, got.body)
		}
	}
	release()
	if got := s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "y"}); got.status != http.StatusOK {
		t.Errorf("afterwards: got %d %s, want 200", got.status, got.body)
	}
}

// F-13: without any limit in the database a request is given up all the same, and so is waiting for a connection.
func TestRequestsHaveADeadline(t *testing.T) {
	t.Parallel()
	s := newSystemOn(t, poolOver(t, dbtest.URL(t), func(c *pgxpool.Config) { c.MaxConns = 4 }))
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	release := holdUsers(s)
	began := time.Now()
	took := make([]time.Duration, 12)
	atOnce(len(took), len(took), func(i int) {
		got := s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "x"})
		if took[i] = time.Since(began); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("got %d %s, want 503 with Retry-After", got.status, got.body)
		}
	})
	if last := slices.Max(took); last > 10*time.Second { // five, on a busy machine
		t.Errorf("the last one was given up after %s, want 5 s", last)
	}
	release()
	s.eventually("the server to recover by itself", func() bool {
		return s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "y"}).status == http.StatusOK
	})
	if got := s.count("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"); got != 0 {
		t.Errorf("%d queries of requests that were given up go on", got)
	}
}

// holdUsers locks every account from a connection of its own until release is called.
func holdUsers(s *system) (release func()) {
	s.t.Helper()
	conn, err := pgx.ConnectConfig(context.Background(), s.pool.Config().ConnConfig)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(context.Background(), "BEGIN; SET LOCAL lock_timeout = 0; SELECT FROM users FOR UPDATE"); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		s.t.Helper()
		if _, err := conn.Exec(context.Background(), "ROLLBACK"); err != nil {
			s.t.Fatal(err)
		}
	}
}
