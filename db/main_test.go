package db_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db/dbtest"
)

func TestMain(m *testing.M) { dbtest.Main(m) }

// connect gives a test more hands on its database.
func connect(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// query is one value of any type that the query's row holds.
func query[T any](t *testing.T, pool *pgxpool.Pool, sql string, args ...any) T {
	t.Helper()
	rows, _ := pool.Query(t.Context(), sql, args...)
	value, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return value
}

// exec works in a clean-up, too, when the test's context has ended.
func exec(t *testing.T, pool *pgxpool.Pool, sql string) {
	t.Helper()
	if _, err := pool.Exec(context.WithoutCancel(t.Context()), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// objects lists everything of a database that somebody made: tables, indexes, sequences, views, types,
// functions, schemas and extensions.
func objects(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	rows, err := pool.Query(context.WithoutCancel(t.Context()), `
		SELECT kind || ' ' || name FROM (
			SELECT relnamespace AS schema, 'relation' AS kind, relname::text AS name FROM pg_class
			UNION ALL SELECT typnamespace, 'type', typname::text FROM pg_type
			UNION ALL SELECT pronamespace, 'function', proname::text FROM pg_proc
			UNION ALL SELECT oid, 'schema', nspname::text FROM pg_namespace WHERE nspname <> 'public'
			UNION ALL SELECT 0, 'extension', extname::text FROM pg_extension WHERE extname <> 'plpgsql') o
		LEFT JOIN pg_namespace n ON n.oid = o.schema
		WHERE n.nspname IS NULL OR n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema'
		ORDER BY 1`)
	if err != nil {
		t.Fatalf("list objects: %v", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("list objects: %v", err)
	}
	return names
}
