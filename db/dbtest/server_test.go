package dbtest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"usermanager/db"
)

func TestTheTemplateIsMadeOnceForAllProcesses(t *testing.T) {
	t.Parallel()
	const processes = 4
	name := templatePrefix + "of_many"
	var mu sync.Mutex
	migrations := 0
	migrate := func(ctx context.Context, url string) (int, error) {
		mu.Lock()
		migrations++
		mu.Unlock()
		return db.Migrate(ctx, url)
	}

	var group sync.WaitGroup
	errs := make([]error, processes)
	for i := range processes {
		s := another(t)
		group.Go(func() { errs[i] = s.makeTemplate(t.Context(), name, migrate) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("makeTemplate: %v", err)
	}
	if migrations != 1 {
		t.Errorf("the template was migrated %d times, want once", migrations)
	}
	s := another(t)
	if left := databases(t, s, name); !slices.Equal(left, []string{name}) {
		t.Errorf("there are %v, want the template alone", left)
	}
	if err := s.drop(t.Context(), name); err != nil {
		t.Errorf("drop the template: %v", err)
	}
}

func TestATemplateThatWasLeftUnfinishedIsMadeAnew(t *testing.T) {
	t.Parallel()
	s := another(t)
	name := templatePrefix + "unfinished"
	if _, err := s.admin.Exec(t.Context(), "CREATE DATABASE "+name+"_new"); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken file")
	err := s.makeTemplate(t.Context(), name, func(context.Context, string) (int, error) { return 0, broken })
	if !errors.Is(err, broken) {
		t.Fatalf("makeTemplate = %v, want %v", err, broken)
	}
	if left := databases(t, s, name); len(left) > 0 {
		t.Fatalf("the failure leaves %v", left)
	}
	if err := s.makeTemplate(t.Context(), name, db.Migrate); err != nil {
		t.Errorf("makeTemplate after the failure = %v", err)
	}
	if err := s.drop(t.Context(), name); err != nil {
		t.Errorf("drop the template: %v", err)
	}
}

func TestNobodyCanConnectToTheTemplate(t *testing.T) {
	t.Parallel()
	URL(t) // makes it
	allowed := query[bool](t, Empty(t), `SELECT datallowconn FROM pg_database WHERE datname = $1`, template())
	if allowed {
		t.Error("connections to the template are allowed, and one would stop every copy")
	}
	if len(template()+"_new") > 63 {
		t.Errorf("the name %s_new is longer than PostgreSQL keeps", template())
	}
	if !strings.HasSuffix(template(), db.Fingerprint()[:16]) {
		t.Errorf("the template is %s, want it to be named by the fingerprint %s", template(), db.Fingerprint())
	}
}

func TestDatabasesOfKilledRunsAreDropped(t *testing.T) {
	t.Parallel()
	s := another(t)
	now := time.Now()
	old := fmt.Sprintf("%s%d_killed", databasePrefix, now.Add(-25*time.Hour).Unix())
	young := fmt.Sprintf("%s%d_running", databasePrefix, now.Add(-23*time.Hour).Unix())
	foreign := databasePrefix + "of_somebody"
	for _, name := range []string{old, young, foreign} {
		if _, err := s.admin.Exec(t.Context(), "CREATE DATABASE "+name); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.drop(context.Background(), name); err != nil {
				t.Errorf("drop: %v", err)
			}
		})
	}

	if err := s.dropStale(t.Context(), now); err != nil {
		t.Fatalf("dropStale: %v", err)
	}
	left := databases(t, s, databasePrefix)
	if slices.Contains(left, old) || !slices.Contains(left, young) || !slices.Contains(left, foreign) {
		t.Errorf("dropStale leaves %v, want %s gone and the others not", left, old)
	}
}

// H-05: the tests need no superuser.
func TestARoleThatMayCreateDatabasesIsEnough(t *testing.T) {
	t.Parallel()
	owner := another(t)
	as := func(role, options string) *server {
		t.Helper()
		if _, err := owner.admin.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'testing' "+options); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if _, err := owner.admin.Exec(context.Background(), "DROP ROLE "+role); err != nil {
				t.Errorf("drop the role: %v", err)
			}
		})
		u, err := url.Parse(owner.running.url)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(role, "testing")
		s := &server{from: sources{url: u.String()}}
		t.Cleanup(func() { s.close() })
		if err := s.ready(t.Context()); err != nil {
			t.Fatalf("ready as %s: %v", role, err)
		}
		return s
	}

	if name, err := as("dbtest_reader", "").empty(t.Context()); err == nil || !strings.Contains(err.Error(), "permission") {
		t.Errorf("a database without the right to create one = %q, %v, want that the permission is missing", name, err)
	}

	creator := as("dbtest_creator", "CREATEDB")
	const made = templatePrefix + "of_creator"
	if err := creator.makeTemplate(t.Context(), made, db.Migrate); err != nil {
		t.Fatalf("makeTemplate: %v", err)
	}
	name, err := creator.create(t.Context(), " TEMPLATE "+made+creator.copies)
	if err != nil {
		t.Fatalf("create: %v", err)
	}
	if users := query[int](t, creator.url(name), `SELECT count(*) FROM users`); users != 0 {
		t.Errorf("the database has %d users, want none", users)
	}
	for _, name := range []string{name, made} {
		if err := creator.drop(t.Context(), name); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
}

func TestAnEndedContextIsAnErrorEverywhere(t *testing.T) {
	t.Parallel()
	s := another(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"drop":         s.drop(ctx, "nothing"),
		"dropStale":    s.dropStale(ctx, time.Now()),
		"makeTemplate": s.makeTemplate(ctx, "nothing", db.Migrate),
	} {
		if err == nil {
			t.Errorf("%s gave no error", name)
		}
	}
	if _, err := s.clone(ctx); err == nil || !strings.Contains(err.Error(), "template") {
		t.Errorf("clone = %v, want that the template could not be made", err)
	}
}

func TestAWrongAddressIsExplainedWithoutThePassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"host=127.0.0.1 user=me password=CANARY-1",
		"mysql://me:CANARY-1@127.0.0.1/",
		"postgres://me:CANARY-1@127.0.0.1:port/",
		"postgres://me:CANARY-1@127.0.0.1:1/?pool_max_conns=many",
		"postgres://me:CANARY-1@127.0.0.1:1/",
	} {
		s := &server{from: sources{url: url}}
		err := s.ready(t.Context())
		if err == nil {
			t.Errorf("%s gave no error", url)
		} else if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("ready = %q, which contains the password", err)
		}
		if again := s.ready(t.Context()); !errors.Is(again, err) {
			t.Errorf("asked again = %v, want the same answer %v", again, err)
		}
		if err := s.close(); err != nil {
			t.Errorf("close = %v", err)
		}
	}
}

// The target is 70 ms for a database on an idle machine: `go test -bench URL ./db/dbtest`.
func BenchmarkURL(b *testing.B) {
	s := current.Load()
	name, err := s.clone(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if err := s.drop(b.Context(), name); err != nil {
		b.Fatal(err)
	}
	b.Run("make", func(b *testing.B) {
		for b.Loop() {
			name, err := s.clone(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if err := s.drop(b.Context(), name); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	})
	b.Run("make and drop", func(b *testing.B) {
		for b.Loop() {
			name, err := s.clone(b.Context())
			if err == nil {
				err = s.drop(b.Context(), name)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
