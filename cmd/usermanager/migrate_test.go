package main

import (
	"strings"
	"testing"

	"usermanager/db/dbtest"
)

func TestMigrateBuildsAndUndoesTheSchema(t *testing.T) {
	t.Parallel()
	env := withEnv("DATABASE_URL=" + dbtest.Empty(t))
	migrate := func(command string) outcome {
		t.Helper()
		got := runCommand(t, env, "migrate", command)
		if got.code != 0 {
			t.Fatalf("migrate %s: %s", command, got.stderr)
		}
		return got
	}

	if got := migrate("status"); strings.Count(got.stdout, "pending") < 4 {
		t.Errorf("an empty database has pending steps only, got\n%s", got.stdout)
	}
	up := migrate("up")
	if !strings.HasPrefix(up.stdout, "applied 1 users\n") || strings.Count(up.stdout, "applied") < 4 {
		t.Errorf("up prints\n%s", up.stdout)
	}
	if got := migrate("up"); got.stdout != "The schema is up to date.\n" {
		t.Errorf("a second up prints\n%s", got.stdout)
	}
	if got := migrate("status"); strings.Contains(got.stdout, "pending") || !strings.Contains(got.stdout, "users") {
		t.Errorf("status afterwards\n%s", got.stdout)
	}
	if got := migrate("down"); !strings.HasPrefix(got.stdout, "The schema is at version ") {
		t.Errorf("down prints\n%s", got.stdout)
	}
	if got := migrate("status"); strings.Count(got.stdout, "pending") != 1 {
		t.Errorf("status after one step down\n%s", got.stdout)
	}
	if got := migrate("up"); strings.Count(got.stdout, "applied") != 1 {
		t.Errorf("up after one step down prints\n%s", got.stdout)
	}
}

func TestMigrateStatusShowsStepsOfANewerVersion(t *testing.T) {
	t.Parallel()
	url := dbtest.URL(t)
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if _, err := pool.Exec(t.Context(), `INSERT INTO goose_db_version (version_id, is_applied) VALUES (9001, true)`); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, withEnv("DATABASE_URL="+url), "migrate", "status")
	if got.code != 0 || !strings.Contains(got.stdout, "9001     (made by a newer version)") {
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestMigrateSaysWhatItAppliedBeforeAnError(t *testing.T) {
	t.Parallel()
	url := dbtest.Empty(t)
	pool, err := openPool(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	// Something of the second step's is there already.
	if _, err := pool.Exec(t.Context(), `CREATE TABLE sessions ()`); err != nil {
		t.Fatal(err)
	}
	got := runCommand(t, withEnv("DATABASE_URL="+url), "migrate", "up")
	if got.code != 1 || got.stdout != "applied 1 users\n" || !strings.Contains(got.stderr, "sessions") {
		t.Errorf("exit code %d with\n%s%s", got.code, got.stdout, got.stderr)
	}
}

func TestMigrateNeedsADatabase(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"up", "down", "status"} {
		if got := runCommand(t, nil, "migrate", command); got.code != 1 || !strings.HasPrefix(got.stderr, "DATABASE_URL is not set") {
			t.Errorf("%s without one: exit code %d with %q", command, got.code, got.stderr)
		}
		unreachable := withEnv("DATABASE_URL=postgres://u:" + canary + "@127.0.0.1:1/d?connect_timeout=1")
		got := runCommand(t, unreachable, "migrate", command)
		if got.code != 1 || got.stderr == "" || strings.Contains(got.stderr, canary) { // H-09
			t.Errorf("%s with one that is down: exit code %d with %q", command, got.code, got.stderr)
		}
	}
}
