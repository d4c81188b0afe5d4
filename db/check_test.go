package db_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"usermanager/db"
	"usermanager/db/dbtest"
)

// F-31, F-32
func TestCheckSchema(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name     string
		database func(testing.TB) string
		change   string
		outdated bool
	}{
		{name: "accepts this binary's schema", database: dbtest.URL},
		{
			name: "accepts a newer one", database: dbtest.URL,
			change: `INSERT INTO goose_db_version (version_id, is_applied) VALUES (90001, true)`,
		},
		{
			name: "refuses one that lacks the last step", database: dbtest.URL, outdated: true,
			change: `DELETE FROM goose_db_version WHERE version_id = (SELECT max(version_id) FROM goose_db_version)`,
		},
		{
			name: "refuses one that lacks every step", database: dbtest.URL, outdated: true,
			change: `DELETE FROM goose_db_version`,
		},
		{name: "refuses an empty database", database: dbtest.Empty, outdated: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			pool := connect(t, c.database(t))
			if c.change != "" {
				exec(t, pool, c.change)
			}
			err := db.CheckSchema(t.Context(), pool)
			if errors.Is(err, db.ErrSchemaOutdated) != c.outdated || (err == nil) == c.outdated {
				t.Errorf("CheckSchema = %v, want outdated: %t", err, c.outdated)
			}
			if c.outdated && !strings.Contains(err.Error(), "migrate up") {
				t.Errorf("CheckSchema = %q, want it to say what to do", err)
			}
		})
	}
}

// F-31
func TestCheckSchemaFollowsTheDatabaseWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	address := dbtest.Empty(t)
	pool := connect(t, address)
	expect := func(outdated bool) {
		t.Helper()
		if err := db.CheckSchema(t.Context(), pool); errors.Is(err, db.ErrSchemaOutdated) != outdated {
			t.Fatalf("CheckSchema = %v, want outdated: %t", err, outdated)
		}
	}

	expect(true)
	if _, err := db.Migrate(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	expect(false)
	if _, err := db.MigrateDown(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	expect(true)
}

func TestAnUnansweredCheckIsNotAnOutdatedSchema(t *testing.T) {
	t.Parallel()
	pool := dbtest.Pool(t)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.CheckSchema(cancelled, pool); err == nil || errors.Is(err, db.ErrSchemaOutdated) {
		t.Errorf("CheckSchema = %v, want an error other than ErrSchemaOutdated", err)
	}
}

// H-05: the runtime role has no DDL.
func TestARoleThatMayOnlyReadCanCheckAndShow(t *testing.T) {
	t.Parallel()
	address := dbtest.URL(t)
	owner := connect(t, address)
	role := query[string](t, owner, `SELECT 'reader_' || current_database()`)
	exec(t, owner, `CREATE ROLE `+role+` LOGIN PASSWORD 'readers-only'`)
	t.Cleanup(func() {
		exec(t, owner, `DROP OWNED BY `+role)
		exec(t, owner, `DROP ROLE `+role)
	})
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(role, "readers-only")
	reader := connect(t, u.String())

	if err := db.CheckSchema(t.Context(), reader); err == nil || errors.Is(err, db.ErrSchemaOutdated) {
		t.Errorf("CheckSchema without the right to read = %v, want an error other than ErrSchemaOutdated", err)
	}
	exec(t, owner, `GRANT SELECT ON goose_db_version TO `+role)
	if err := db.CheckSchema(t.Context(), reader); err != nil {
		t.Errorf("CheckSchema with the right to read = %v", err)
	}
	if _, err := db.Status(t.Context(), u.String()); err != nil {
		t.Errorf("Status with the right to read = %v", err)
	}
}
