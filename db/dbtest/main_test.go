package dbtest

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

func TestMain(m *testing.M) { Main(m) }

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Helper()          {}
func (r *recorder) Context() context.Context {
	return context.Background()
}

func (r *recorder) Errorf(format string, _ ...any) { r.failures = append(r.failures, format) }

func (r *recorder) Fatal(args ...any) {
	r.failures = append(r.failures, args[0].(string))
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, _ ...any) {
	r.failures = append(r.failures, format)
	runtime.Goexit()
}

// run plays a test to its end, cleanups included.
func (r *recorder) run(test func()) {
	for _, step := range []func(){test, func() {
		for _, cleanup := range slices.Backward(r.cleanups) {
			cleanup()
		}
	}} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			step()
		}()
		<-done
	}
}

// query is the one value of a query on a database.
func query[T any](t *testing.T, url, sql string, args ...any) T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	defer conn.Close(context.Background())
	rows, _ := conn.Query(t.Context(), sql, args...)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// databases lists those of a server whose names begin so.
func databases(t *testing.T, s *server, prefix string) []string {
	t.Helper()
	rows, _ := s.admin.Query(t.Context(), `SELECT datname FROM pg_database WHERE starts_with(datname, $1)`, prefix)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// another is a second process's view of this one's server, as with a common TEST_DATABASE_URL.
func another(t *testing.T) *server {
	t.Helper()
	Empty(t) // starts this one
	s := &server{from: sources{url: current.Load().running.url}}
	if err := s.ready(t.Context()); err != nil {
		t.Fatalf("connect to the server again: %v", err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// open is a folder that every user may enter; t.TempDir is not.
func open(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(memoryOrDisk(), "dbtest-"+strings.ToLower(rand.Text()))
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := errors.Join(os.Mkdir(dir, 0o755), os.Chmod(dir, 0o755)); err != nil { // Chmod against a strict umask
		t.Fatal(err)
	}
	return dir
}

func nameIn(pool *pgxpool.Pool) string { return pool.Config().ConnConfig.Database }

func hasFailure(r *recorder, text string) bool {
	for _, failure := range r.failures {
		if strings.Contains(failure, text) {
			return true
		}
	}
	return false
}
