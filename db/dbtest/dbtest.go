// Package dbtest gives each test a database of its own: migrated, empty, and gone when the test ends.
//
//	func TestMain(m *testing.M) { dbtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		t.Parallel()
//		pool := dbtest.Pool(t)
//		...
//	}
//
// The server is TEST_DATABASE_URL when that is set (a role that may create databases), else a private one from
// the PostgreSQL binaries of this machine, kept in memory where the system allows it, else a container. It
// starts with the first database that is asked for. A database is a copy of a template that was migrated once,
// which takes tens of milliseconds; on a TEST_DATABASE_URL the template stays for the next run, named by
// db.Fingerprint, and every package's tests share it.
//
// Databases run in the time zone of Asia/Kathmandu, +05:45, so that code that forgets a zone is found here.
package dbtest

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// patience bounds each thing a test waits for here, so that a hanging server fails a test and not a whole run.
const patience = 2 * time.Minute

// current is the server of this process. TestMain has no other way to hand something to tests.
var current atomic.Pointer[server]

// Main runs a package's tests and exits. The server that they started ends with them, also at Ctrl-C; what a
// run leaves behind that was killed, the next one removes.
func Main(m interface{ Run() int }) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	os.Exit(run(m.Run, systemSources(), interrupted))
}

func run(tests func() int, from sources, interrupted <-chan os.Signal) int {
	s := &server{from: from}
	current.Store(s)
	finished := make(chan int, 1)
	go func() { finished <- tests() }()
	code := 130 // what a shell reports for Ctrl-C
	select {
	case code = <-finished:
	case <-interrupted:
	}
	if err := s.close(); err != nil {
		fmt.Fprintln(os.Stderr, "dbtest: stop the database server:", err)
		code = max(code, 1)
	}
	return code
}

// URL is a fresh database with the schema of package db. It is dropped when the test ends, whoever is still
// connected.
func URL(t testing.TB) string {
	t.Helper()
	return database(t, (*server).clone)
}

// Empty is a fresh database without a schema, for tests of migrations. It is dropped when the test ends.
func Empty(t testing.TB) string {
	t.Helper()
	return database(t, (*server).empty)
}

// Pool is connected to a database as of URL, and closed before that is dropped. A test that does not give its
// connections back fails.
func Pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), URL(t))
	if err != nil {
		t.Fatalf("connect to the test's database: %v", err)
	}
	t.Cleanup(func() { closePool(t, pool, 10*time.Second) })
	return pool
}

// closePool does not wait for ever, as Close does, for the rows that a failed test left open.
func closePool(t testing.TB, pool *pgxpool.Pool, limit time.Duration) {
	t.Helper()
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(limit):
		t.Errorf("%d connections of the test's pool were not given back", pool.Stat().AcquiredConns())
	}
}

func database(t testing.TB, create func(*server, context.Context) (name string, err error)) string {
	t.Helper()
	s := current.Load()
	if s == nil {
		t.Fatal("this package's tests need func TestMain(m *testing.M) { dbtest.Main(m) }")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	name, err := create(s, ctx)
	if err != nil {
		t.Fatalf("make a database for the test: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.drop(ctx, name); err != nil {
			t.Errorf("drop the test's database: %v", err)
		}
	})
	return s.url(name)
}
