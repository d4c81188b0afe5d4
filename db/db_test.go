package db_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"usermanager/db"
	"usermanager/db/dbtest"
)

func TestMigrateBuildsTheSchemaAndRepeatingItDoesNothing(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)

	applied, err := db.Migrate(t.Context(), url)
	if err != nil {
		t.Fatalf("first Migrate: %v", err)
	}
	if want := len(db.Embedded().Steps()); applied != want {
		t.Errorf("first Migrate applied %d steps, want %d", applied, want)
	}
	pool := connect(t, url)
	for _, table := range []string{"users", "river_job", "river_queue"} {
		if !query[bool](t, pool, `SELECT to_regclass($1) IS NOT NULL`, table) {
			t.Errorf("table %s is missing", table)
		}
	}
	before := objects(t, pool)

	applied, err = db.Migrate(t.Context(), url)
	if err != nil || applied != 0 {
		t.Errorf("second Migrate = %d, %v, want 0, nil", applied, err)
	}
	if after := objects(t, pool); !slices.Equal(before, after) {
		t.Errorf("second Migrate changed the database from %v to %v", before, after)
	}
}

// F-31
func TestEveryStepCanBeUndoneAndDoneAgain(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool := connect(t, url)
	nothing := objects(t, pool)
	if _, err := db.Migrate(t.Context(), url); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	everything := objects(t, pool)

	steps := db.Embedded().Steps()
	for i, step := range slices.Backward(steps) {
		version, err := db.MigrateDown(t.Context(), url)
		if err != nil {
			t.Fatalf("MigrateDown of %d_%s: %v", step.Version, step.Name, err)
		}
		want := int64(0)
		if i > 0 {
			want = steps[i-1].Version
		}
		if version != want {
			t.Errorf("MigrateDown of %d_%s = %d, want %d", step.Version, step.Name, version, want)
		}
	}
	if left := objects(t, pool); !slices.Equal(left, nothing) {
		t.Errorf("the way down leaves %v in an empty database", left)
	}
	if version, err := db.MigrateDown(t.Context(), url); err != nil || version != 0 {
		t.Errorf("MigrateDown of an empty database = %d, %v, want 0, nil", version, err)
	}

	if applied, err := db.Migrate(t.Context(), url); err != nil || applied != len(steps) {
		t.Errorf("Migrate after the way down = %d, %v, want %d, nil", applied, err, len(steps))
	}
	if again := objects(t, pool); !slices.Equal(again, everything) {
		t.Errorf("up again gives %v, want %v", again, everything)
	}
}

func TestStatusOfAnEmptyDatabaseIsAllPendingAndChangesNothing(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)

	status, err := db.Status(t.Context(), url)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	if want := db.Embedded().Steps(); !slices.Equal(status, want) {
		t.Errorf("Status = %v, want the pending steps %v", status, want)
	}
	if made := objects(t, connect(t, url)); len(made) > 0 {
		t.Errorf("Status made %v", made)
	}
}

func TestStatusTellsWhenEachStepWasAppliedAlsoRivers(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	before := time.Now()
	if _, err := db.Migrate(t.Context(), url); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	if _, err := db.MigrateDown(t.Context(), url); err != nil {
		t.Fatalf("MigrateDown: %v", err)
	}

	status, err := db.Status(t.Context(), url)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	if len(status) != len(db.Embedded().Steps()) {
		t.Fatalf("Status = %v, want one entry for each of %v", status, db.Embedded().Steps())
	}
	last := len(status) - 1
	for i, m := range status {
		if i == last {
			if !m.AppliedAt.IsZero() {
				t.Errorf("the step that was undone counts as applied at %v", m.AppliedAt)
			}
			continue
		}
		// The database's zone is +05:45, so a time stamp read in a wrong zone is hours away.
		if m.AppliedAt.Before(before.Add(-time.Second)) || m.AppliedAt.After(time.Now().Add(time.Second)) {
			t.Errorf("%d_%s was applied at %v, want about %v", m.Version, m.Name, m.AppliedAt, before)
		}
	}
	names := func(m db.Migration) bool { return strings.HasPrefix(m.Name, "river_") }
	if !slices.ContainsFunc(status, names) {
		t.Errorf("River's tables are not among %v", status)
	}
}

func TestStatusShowsStepsThatANewerBinaryMade(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	exec(t, connect(t, url), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (90001, true)`)

	status, err := db.Status(t.Context(), url)
	if err != nil {
		t.Fatalf("Status: %v", err)
	}
	last := status[len(status)-1]
	if last.Version != 90001 || last.Name != "" || last.AppliedAt.IsZero() {
		t.Errorf("the last entry is %+v, want an applied step 90001 without a name", last)
	}
}

func TestTheFingerprintFollowsTheSchema(t *testing.T) {
	t.Parallel()
	if sum, err := hex.DecodeString(db.Fingerprint()); err != nil || len(sum) != 32 {
		t.Errorf("Fingerprint() = %q, want 32 bytes in hex", db.Fingerprint())
	}

	files := func(first, second string) fstest.MapFS {
		return fstest.MapFS{"00001_a.sql": {Data: []byte(first)}, "00002_b.sql": {Data: []byte(second)}}
	}
	original := db.NewSequence(files("x", "y"), map[int64]int{3: 8}).Fingerprint()
	if again := db.NewSequence(files("x", "y"), map[int64]int{3: 8}).Fingerprint(); again != original {
		t.Errorf("one schema has the fingerprints %s and %s", original, again)
	}
	for name, other := range map[string]db.Sequence{
		"another text":       db.NewSequence(files("x", "z"), map[int64]int{3: 8}),
		"a moved text":       db.NewSequence(files("xy", ""), map[int64]int{3: 8}),
		"another River":      db.NewSequence(files("x", "y"), map[int64]int{3: 7}),
		"another place":      db.NewSequence(files("x", "y"), map[int64]int{4: 8}),
		"no River":           db.NewSequence(files("x", "y"), nil),
		"another file name":  db.NewSequence(fstest.MapFS{"00001_a.sql": {Data: []byte("x")}, "00002_c.sql": {Data: []byte("y")}}, map[int64]int{3: 8}),
		"a file that's more": db.NewSequence(fstest.MapFS{"00001_a.sql": {Data: []byte("x")}, "00002_b.sql": {Data: []byte("y")}, "00004_d.sql": {}}, map[int64]int{3: 8}),
	} {
		if other.Fingerprint() == original {
			t.Errorf("%s gives the same fingerprint", name)
		}
	}
}

func TestStepsAreNumberedOneByOneAndNamed(t *testing.T) {
	t.Parallel()
	for i, step := range db.Embedded().Steps() {
		if step.Version != int64(i+1) || step.Name == "" {
			t.Errorf("step %d is %d_%s, want number %d and a name", i+1, step.Version, step.Name, i+1)
		}
	}
}
