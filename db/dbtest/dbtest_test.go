package dbtest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"usermanager/db"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	first, second := Pool(t), Pool(t)
	if nameIn(first) == nameIn(second) {
		t.Fatalf("two calls give the same database %s", nameIn(first))
	}
	if err := db.CheckSchema(t.Context(), first); err != nil {
		t.Errorf("CheckSchema = %v", err)
	}
	if _, err := first.Exec(t.Context(), `CREATE TABLE mine (id int)`); err != nil {
		t.Fatal(err)
	}
	var there bool
	if err := second.QueryRow(t.Context(), `SELECT to_regclass('mine') IS NOT NULL`).Scan(&there); err != nil || there {
		t.Errorf("the other database has the first one's table: %t, %v", there, err)
	}
	if users := query[int](t, URL(t), `SELECT count(*) FROM users`); users != 0 {
		t.Errorf("a fresh database has %d users, want none", users)
	}
}

func TestAnEmptyDatabaseHasNoSchema(t *testing.T) {
	t.Parallel()
	if n := query[int](t, Empty(t), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != 0 {
		t.Errorf("an empty database has %d tables, want none", n)
	}
}

func TestDatabasesRunInAnOddTimeZone(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"URL": URL(t), "Empty": Empty(t)} {
		if got := query[string](t, url, `SELECT current_setting('timezone')`); got != "Asia/Kathmandu" {
			t.Errorf("%s: the time zone is %s, want Asia/Kathmandu", name, got)
		}
	}
}

func TestADatabaseIsDroppedWhenItsTestEnds(t *testing.T) {
	t.Parallel()
	var name string
	var conn *pgx.Conn
	t.Run("a test that leaves a connection open", func(t *testing.T) {
		pool := Pool(t)
		name = nameIn(pool)
		var err error
		if conn, err = pgx.Connect(t.Context(), pool.Config().ConnString()); err != nil {
			t.Fatal(err)
		}
	})
	if slices.Contains(databases(t, current.Load(), databasePrefix), name) {
		t.Errorf("the database %s is still there", name)
	}
	if err := conn.Ping(t.Context()); err == nil {
		t.Error("the open connection still works")
	}
}

func TestManyTestsAtOnceGetADatabaseEach(t *testing.T) {
	t.Parallel()
	const many = 20
	names := make([]string, many)
	var group sync.WaitGroup
	for i := range many {
		group.Go(func() { names[i] = query[string](t, URL(t), `SELECT current_database()`) })
	}
	group.Wait()
	slices.Sort(names)
	if distinct := slices.Compact(slices.Clone(names)); len(distinct) != many || distinct[0] == "" {
		t.Errorf("%d tests got the databases %v, want one each", many, names)
	}
}

func TestAPackageWithoutMainIsTold(t *testing.T) {
	// Not parallel: it takes the server away from the others for a moment.
	s := current.Swap(nil)
	defer current.Store(s)
	r := &recorder{}
	r.run(func() { URL(r) })
	if !hasFailure(r, "TestMain") {
		t.Errorf("the test failed with %q, want it to name TestMain", r.failures)
	}
}

func TestAServerThatCannotBeHadFailsTheTest(t *testing.T) {
	// Not parallel, as above.
	s := current.Swap(&server{from: sources{url: "postgres://me:CANARY-1@127.0.0.1:1/none"}})
	defer current.Store(s)
	for name, get := range map[string]func(testing.TB) string{"URL": URL, "Empty": Empty} {
		r := &recorder{}
		r.run(func() { get(r) })
		if !hasFailure(r, "make a database") {
			t.Errorf("%s failed with %q, want that no database could be made", name, r.failures)
		}
	}
}

func TestAConnectionThatIsNotGivenBackFailsTheTestInsteadOfHangingIt(t *testing.T) {
	t.Parallel()
	pool := Pool(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r := &recorder{}
	closePool(r, pool, time.Millisecond)
	if !hasFailure(r, "not given back") {
		t.Errorf("the test failed with %q, want it to mention the connection", r.failures)
	}
	conn.Release()
}

func TestADropThatFailsFailsTheTest(t *testing.T) {
	t.Parallel()
	Empty(t) // starts the server
	r := &recorder{}
	r.run(func() {
		database(r, func(*server, context.Context) (string, error) { return "no name; at all", nil })
	})
	if !hasFailure(r, "drop the test's database") {
		t.Errorf("the test failed with %q, want that the drop did", r.failures)
	}
}

func TestRunStopsWhatTheTestsStarted(t *testing.T) {
	// Not parallel: run sets the process's server.
	outer := current.Load()
	defer current.Store(outer)
	parent := open(t)
	from := sources{local: func(ctx context.Context) (running, error) { return startLocal(ctx, parent) }}

	code := run(func() int {
		r := &recorder{}
		r.run(func() { query[int](t, URL(r), `SELECT 1`) })
		if len(r.failures) > 0 {
			t.Errorf("URL: %v", r.failures)
		}
		if entries, _ := os.ReadDir(parent); len(entries) != 1 {
			t.Errorf("the running server has %d folders, want one", len(entries))
		}
		return 7
	}, from, nil)
	if code != 7 {
		t.Errorf("run = %d, want the tests' own 7", code)
	}
	if entries, _ := os.ReadDir(parent); len(entries) != 0 {
		t.Errorf("run leaves %v behind", entries)
	}
}

func TestRunEndsAtASignal(t *testing.T) {
	// Not parallel, as above.
	Empty(t) // starts the server
	outer := current.Load()
	defer current.Store(outer)
	interrupted := make(chan os.Signal, 1)
	forever := make(chan struct{})
	defer close(forever)
	stopped := false
	from := sources{local: func(context.Context) (running, error) {
		return running{url: outer.running.url, stop: func(context.Context) error {
			stopped = true
			return nil
		}}, nil
	}}

	code := run(func() int {
		if err := current.Load().ready(t.Context()); err != nil {
			t.Errorf("ready: %v", err)
		}
		interrupted <- os.Interrupt
		<-forever
		return 0
	}, from, interrupted)
	if code != 130 || !stopped {
		t.Errorf("run = %d, stopped: %t, want 130 and true", code, stopped)
	}
}

// blocking makes this program, started again by the next test, wait in a test for its end.
const blocking = "DBTEST_BLOCK"

func TestMainCleansUpAtATerminationSignal(t *testing.T) {
	t.Parallel()
	if os.Getenv(blocking) != "" {
		fmt.Println("database", query[string](t, URL(t), `SELECT current_setting('data_directory')`))
		select {}
	}

	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), blocking+"=1", "TEST_DATABASE_URL=")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var data string
	lines := bufio.NewScanner(stdout)
	for data == "" && lines.Scan() {
		data, _ = strings.CutPrefix(lines.Text(), "database ")
	}
	if !strings.Contains(data, folderPrefix) {
		t.Errorf("the other run's data are in %q, want a folder named %s...", data, folderPrefix)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // until its end
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 130 {
		t.Errorf("the interrupted run ended with %v, want exit status 130", err)
	}
	if _, err := os.Stat(filepath.Dir(data)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the interrupted run leaves %s: %v", filepath.Dir(data), err)
	}
}

func TestAServerThatDoesNotStopFailsTheRun(t *testing.T) {
	// Not parallel, as above.
	Empty(t) // starts the server
	outer := current.Load()
	defer current.Store(outer)
	from := sources{local: func(context.Context) (running, error) {
		return running{url: outer.running.url, stop: func(context.Context) error { return errors.New("it goes on") }}, nil
	}}
	code := run(func() int {
		if err := current.Load().ready(t.Context()); err != nil {
			t.Errorf("ready: %v", err)
		}
		return 0
	}, from, nil)
	if code != 1 {
		t.Errorf("run = %d, want 1", code)
	}
}

func TestARunWithoutDatabasesStartsNothing(t *testing.T) {
	// Not parallel, as above.
	outer := current.Load()
	defer current.Store(outer)
	from := sources{local: func(context.Context) (running, error) {
		t.Error("a server was started")
		return running{}, nil
	}}
	if code := run(func() int { return 0 }, from, nil); code != 0 {
		t.Errorf("run = %d, want 0", code)
	}
	if err := current.Load().ready(t.Context()); err == nil || !strings.Contains(err.Error(), "over") {
		t.Errorf("a database after the run = %v, want that the tests are over", err)
	}
}
