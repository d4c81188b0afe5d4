package server_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// raise is a statement that fails as the database does.
func raise(code string) string {
	return "DO $$ BEGIN RAISE EXCEPTION 'induced' USING ERRCODE = '" + code + "'; END $$"
}

// F-15
func TestTransactionsAreTriedThreeTimes(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("CREATE TABLE tries (n integer)")
	for name, c := range map[string]struct {
		code     string
		failures int
		tries    int
		fails    bool
	}{
		"a serialization failure":     {"40001", 1, 2, false},
		"a deadlock":                  {"40P01", 2, 3, false},
		"one that does not go away":   {"40001", 9, 3, true},
		"what another try cannot fix": {"23505", 9, 1, true},
		"nothing":                     {"", 0, 1, false},
	} {
		s.exec("TRUNCATE tries")
		tries := 0
		err := s.server.InTx(t.Context(), func(_ *query.Queries, tx pgx.Tx) error {
			tries++
			if _, err := tx.Exec(t.Context(), "INSERT INTO tries VALUES ($1)", tries); err != nil {
				return err
			}
			if tries > c.failures {
				return nil
			}
			_, err := tx.Exec(t.Context(), raise(c.code))
			return err
		})
		if tries != c.tries || (err != nil) != c.fails {
			t.Errorf("%s: got %d tries and %v, want %d and an error: %v", name, tries, err, c.tries, c.fails)
		}
		if pgErr := (*pgconn.PgError)(nil); c.fails && (!errors.As(err, &pgErr) || pgErr.Code != c.code) {
			t.Errorf("%s: got %v, want the database's own error", name, err)
		}
		want := 1 // of what failed nothing stays
		if c.fails {
			want = 0
		}
		if got := s.count("SELECT count(*) FROM tries"); got != want {
			t.Errorf("%s: got %d rows, want %d", name, got, want)
		}
	}
}

// F-15, with real ones: two transactions that want each other's row.
func TestDeadlocksAreSolvedByTryingAgain(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.exec("CREATE TABLE counters (id integer PRIMARY KEY, n integer NOT NULL)")
	s.exec("INSERT INTO counters VALUES (1, 0), (2, 0)")
	var both sync.WaitGroup // each holds its first row
	both.Add(2)
	errs := make(chan error, 2)
	for i := range 2 {
		isFirst := true
		go func() {
			errs <- s.server.InTx(t.Context(), func(_ *query.Queries, tx pgx.Tx) error {
				for _, id := range []int{1 + i, 2 - i} {
					if _, err := tx.Exec(t.Context(), "UPDATE counters SET n = n + 1 WHERE id = $1", id); err != nil {
						return err
					}
					if isFirst {
						isFirst = false
						both.Done()
						both.Wait()
					}
				}
				return nil
			})
		}()
	}
	for range 2 {
		if err := <-errs; err != nil {
			t.Errorf("got %v, want both to come through", err)
		}
	}
	if got := s.count("SELECT sum(n) FROM counters"); got != 4 {
		t.Errorf("got %d, want each of two transactions once: 4", got)
	}
	s.eventually("the statistics to tell of the deadlock", func() bool {
		return s.count("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") > 0
	})
}

// A client that leaves is not waited for between two tries.
func TestTryingAgainEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	ctx, leave := context.WithCancel(t.Context())
	tries := 0
	began := time.Now()
	err := s.server.InTx(ctx, func(_ *query.Queries, tx pgx.Tx) error {
		tries++
		_, err := tx.Exec(ctx, raise("40001"))
		leave()
		return err
	})
	if !errors.Is(err, context.Canceled) || tries != 1 {
		t.Errorf("got %v after %d tries and %s, want the end of the request", err, tries, time.Since(began))
	}
}

// F-15 through HTTP: the caller does not notice, and is told to come back when it goes on.
func TestRequestsOutliveSerializationFailures(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	s.exec("CREATE SEQUENCE failures") // a sequence is not rolled back
	s.exec(`CREATE FUNCTION induce() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('failures') % 3 <> 0 THEN RAISE EXCEPTION 'induced' USING ERRCODE = '40001'; END IF;
		RETURN NEW; END $$`)
	s.exec("CREATE TRIGGER induce BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION induce()")
	for _, bio := range []string{"one", "two", "three"} {
		if got := s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": bio}); got.status != http.StatusOK {
			t.Errorf("%s: got %d %s, want 200 on the third try", bio, got.status, got.body)
		}
	}
	if got := s.count("SELECT count(*) FROM audit WHERE action = 'profile_updated'"); got != 3 {
		t.Errorf("got %d audit rows of three changes", got)
	}
	for _, code := range []string{"40001", "40P01", "55P03", "57014", "53300", "57P01", "08006", "25006"} {
		s.exec("CREATE OR REPLACE FUNCTION induce() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'induced' USING ERRCODE = '" + code + "'; END $$")
		got := s.call(http.MethodPatch, "/users/me", user.token, map[string]any{"bio": "four"})
		got.problem(t, api.ProblemCodeDatabaseUnavailable)
		if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") != "1" {
			t.Errorf("%s: got %d, Retry-After %q; want 503 and 1", code, got.status, got.header.Get("Retry-After"))
		}
	}
}
