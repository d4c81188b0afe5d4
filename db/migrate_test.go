package db_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"usermanager/db"
	"usermanager/db/dbtest"
)

// sequence is made of files in order, numbered from 1; each is an Up, or an Up and a Down with "-- down" between.
func sequence(files ...string) db.Sequence {
	fsys := fstest.MapFS{}
	for i, file := range files {
		up, down, _ := strings.Cut(file, "-- down")
		name := "0000" + string(rune('1'+i)) + "_step.sql"
		fsys[name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + up + "\n-- +goose Down\n" + down + "\n")}
	}
	return db.NewSequence(fsys, nil)
}

// F-31
func TestTwoMigratorsAtOnceTakeTurns(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)

	const migrators = 4
	applied := make([]int, migrators)
	errs := make([]error, migrators)
	var group sync.WaitGroup
	for i := range migrators {
		group.Go(func() { applied[i], errs[i] = db.Migrate(t.Context(), url) })
	}
	group.Wait()

	if err := errors.Join(errs...); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	slices.Sort(applied)
	if want := []int{0, 0, 0, len(db.Embedded().Steps())}; !slices.Equal(applied, want) {
		t.Errorf("the migrators applied %v steps, want %v", applied, want)
	}
}

// F-31: an index that is built CONCURRENTLY waits for every open statement of the database. A migrator that
// waited for the lock inside PostgreSQL would be one, and the two would wait for each other.
func TestAWaitingMigratorDoesNotBlockAConcurrentIndex(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool := connect(t, url)
	exec(t, pool, `CREATE TABLE things (id int)`)
	release, err := db.Hold(t.Context(), pool)
	if err != nil {
		t.Fatalf("Hold: %v", err)
	}
	defer release()

	waiting := make(chan error, 1)
	go func() {
		_, err := db.Migrate(t.Context(), url)
		waiting <- err
	}()
	migrator := `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name = 'usermanager migrate' AND query ~ 'advisory_lock'`
	eventually(t, "the migrator asks for the lock", func() bool { return query[int](t, pool, migrator) > 0 })

	exec(t, pool, `CREATE INDEX CONCURRENTLY things_id_idx ON things (id)`) // PostgreSQL ends a deadlock after 1 s
	release()
	if err := <-waiting; err != nil {
		t.Errorf("Migrate after the lock was free: %v", err)
	}
}

func TestAMigratorGivesUpWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	release, err := db.Hold(t.Context(), connect(t, url))
	if err != nil {
		t.Fatalf("Hold: %v", err)
	}
	defer release()

	enough := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 300*time.Millisecond, enough)
	defer cancel()
	_, err = db.Migrate(ctx, url)
	if !errors.Is(err, enough) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Migrate = %v, want the context's end", err)
	}
	if err != nil && !strings.Contains(err.Error(), "another migration") {
		t.Errorf("Migrate = %q, want it to say what it waited for", err)
	}
}

func TestPoolAndSessionParametersOfTheServerDoNotDisturbMigrations(t *testing.T) {
	t.Parallel()
	// One connection would not do for the lock and the statements, and a statement of 1 ms for none of them.
	url := dbtest.Empty(t) + "&pool_max_conns=1&pool_min_conns=1&pool_max_conn_lifetime=1h" +
		"&statement_timeout=1&application_name=mine"

	if _, err := db.Migrate(t.Context(), url); err != nil {
		t.Errorf("Migrate: %v", err)
	}
	if _, err := db.Status(t.Context(), url); err != nil {
		t.Errorf("Status: %v", err)
	}
	if _, err := db.MigrateDown(t.Context(), url); err != nil {
		t.Errorf("MigrateDown: %v", err)
	}
}

// F-31
func TestAFailedMigrationKeepsWhatWasAppliedAndContinuesAfterwards(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool := connect(t, url)
	good, bad := `CREATE TABLE one (id int);`, `CREATE TABLE two (id int); SELECT 1/0;`

	applied, err := sequence(good, bad).Up(t.Context(), url)
	if err == nil || applied != 1 {
		t.Fatalf("Up = %d, %v, want 1 and an error", applied, err)
	}
	if left := objects(t, pool); slices.Contains(left, "relation two") || !slices.Contains(left, "relation one") {
		t.Errorf("after the failure there are %v, want one without two", left)
	}
	applied, err = sequence(good, `CREATE TABLE two (id int);`).Up(t.Context(), url)
	if err != nil || applied != 1 {
		t.Errorf("Up of the corrected file = %d, %v, want 1, nil", applied, err)
	}
}

// F-31
func TestAMigrationDoesNotQueueTrafficBehindItsLock(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool := connect(t, url)
	exec(t, pool, `CREATE TABLE busy (id int)`)
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	if _, err := tx.Exec(t.Context(), `LOCK TABLE busy`); err != nil {
		t.Fatal(err)
	}

	_, err = sequence(`ALTER TABLE busy ADD COLUMN more int;`).Up(t.Context(), url)
	pgErr, _ := errors.AsType[*pgconn.PgError](err)
	if pgErr == nil || pgErr.Code != "55P03" {
		t.Fatalf("Up = %v, want a lock timeout", err)
	}
	if !strings.Contains(err.Error(), "run it again") {
		t.Errorf("Up = %q, want it to say what to do", err)
	}
}

func TestANumberThatIsTakenTwiceIsExplained(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{"00001_mine.sql": {Data: []byte("-- +goose Up\n")}}
	_, err := db.NewSequence(fsys, map[int64]int{1: 8}).Up(t.Context(), dbtest.Empty(t))
	if err == nil || !strings.Contains(err.Error(), "mine and river_8 both have number 1") {
		t.Errorf("Up = %v, want it to name both steps", err)
	}
}

func TestOneStepDownAtATime(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	s := sequence(`CREATE TABLE one (id int); -- down
		DROP TABLE one;`, `CREATE TABLE two (id int); -- down
		DROP TABLE missing;`)
	if _, err := s.Up(t.Context(), url); err != nil {
		t.Fatalf("Up: %v", err)
	}

	if _, err := s.Down(t.Context(), url); err == nil {
		t.Fatal("a Down that cannot work gave no error")
	}
	pool := connect(t, url)
	if left := objects(t, pool); !slices.Contains(left, "relation two") {
		t.Errorf("the failed Down left %v, want two still there", left)
	}
}

func TestAStepOfANewerBinaryIsNotUndone(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool := connect(t, url)
	exec(t, pool, `INSERT INTO goose_db_version (version_id, is_applied) VALUES (90001, true)`)
	before := objects(t, pool)

	if _, err := db.MigrateDown(t.Context(), url); err == nil {
		t.Error("MigrateDown of an unknown step gave no error")
	}
	if after := objects(t, pool); !slices.Equal(before, after) {
		t.Errorf("MigrateDown changed the database from %v to %v", before, after)
	}
	if applied, err := db.Migrate(t.Context(), url); err != nil || applied != 0 {
		t.Errorf("Migrate of a newer database = %d, %v, want 0, nil", applied, err)
	}
}

func TestAnUnreachableDatabaseIsAnErrorWithoutThePassword(t *testing.T) {
	t.Parallel()
	calls := map[string]func(url string) error{
		"Migrate":     func(url string) error { _, err := db.Migrate(t.Context(), url); return err },
		"MigrateDown": func(url string) error { _, err := db.MigrateDown(t.Context(), url); return err },
		"Status":      func(url string) error { _, err := db.Status(t.Context(), url); return err },
	}
	for name, call := range calls {
		for _, url := range []string{
			"postgres://me:CANARY-1@127.0.0.1:1/nothing",
			"postgres://me:CANARY-1@127.0.0.1:port/nothing",
			"postgres://me:CANARY-1@127.0.0.1:1/nothing?pool_max_conns=many",
		} {
			err := call(url)
			if err == nil {
				t.Errorf("%s of %s gave no error", name, url)
			} else if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s = %q, which contains the password", name, err)
			}
		}
	}
}

// eventually asks until the answer is yes; other tests decide how long that takes, so the limit is generous.
func eventually(t *testing.T, what string, happened func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !happened() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("still waiting: %s", what)
		}
	}
}
