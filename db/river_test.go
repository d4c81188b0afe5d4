package db_test

import (
	"slices"
	"testing"
	"testing/fstest"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"usermanager/db"
	"usermanager/db/dbtest"
)

func TestTheSchemaHasTheTablesOfTheRiverThatIsLinkedIn(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := migrator.Validate(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK {
		t.Errorf("River says %v: append a step to riverSteps with the next free number", result.Messages)
	}
}

type greeting struct{}

func (greeting) Kind() string { return "greeting" }

func TestAJobCanBeQueued(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Insert(t.Context(), greeting{}, nil); err != nil {
		t.Errorf("Insert: %v", err)
	}
}

func TestRiversTablesMoveInStepsLikeOurs(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool := connect(t, url)
	file := &fstest.MapFile{Data: []byte("-- +goose Up\nCREATE TABLE between (id int);\n-- +goose Down\nDROP TABLE between;\n")}
	older := db.NewSequence(fstest.MapFS{"00002_between.sql": file}, map[int64]int{1: 4})
	newer := db.NewSequence(fstest.MapFS{"00002_between.sql": file}, map[int64]int{1: 4, 3: 8})
	at := func() int { return query[int](t, pool, `SELECT max(version) FROM river_migration`) }

	if _, err := older.Up(t.Context(), url); err != nil {
		t.Fatalf("Up: %v", err)
	}
	if got := at(); got != 4 {
		t.Fatalf("after Up River is at %d, want 4", got)
	}
	if _, err := newer.Up(t.Context(), url); err != nil {
		t.Fatalf("Up of the newer: %v", err)
	}
	if got := at(); got != 8 {
		t.Fatalf("after Up of the newer River is at %d, want 8", got)
	}
	if version, err := newer.Down(t.Context(), url); err != nil || version != 2 || at() != 4 {
		t.Fatalf("Down = %d, %v with River at %d, want 2 and 4", version, err, at())
	}
	if version, err := newer.Down(t.Context(), url); err != nil || version != 1 || at() != 4 {
		t.Fatalf("second Down = %d, %v with River at %d, want 1 and 4", version, err, at())
	}
	if version, err := newer.Down(t.Context(), url); err != nil || version != 0 {
		t.Fatalf("third Down = %d, %v, want 0", version, err)
	}
	if left := objects(t, pool); len(left) > 0 {
		t.Errorf("the way down leaves %v", left)
	}
}

func TestARiverStepThatBrokeOffContinues(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool := connect(t, url)
	if _, err := db.Migrate(t.Context(), url); err != nil {
		t.Fatalf("Migrate: %v", err)
	}
	want := objects(t, pool)

	// What a kill between River's commits and goose's leaves: River's tables ahead of the record.
	steps := db.Embedded().Steps()
	i := slices.IndexFunc(steps, func(m db.Migration) bool { return m.Name == "river_8" })
	for range len(steps) - i {
		if _, err := db.MigrateDown(t.Context(), url); err != nil {
			t.Fatalf("MigrateDown: %v", err)
		}
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = migrator.Migrate(t.Context(), rivermigrate.DirectionUp, &rivermigrate.MigrateOpts{TargetVersion: 5})
	if err != nil {
		t.Fatal(err)
	}

	if applied, err := db.Migrate(t.Context(), url); err != nil || applied != len(steps)-i {
		t.Errorf("Migrate = %d, %v, want %d, nil", applied, err, len(steps)-i)
	}
	if got := objects(t, pool); !slices.Equal(got, want) {
		t.Errorf("the database has %v, want %v", got, want)
	}
}
