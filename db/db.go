// Package db is the database's schema: the migrations that build it and the check that says whether a
// database has it.
//
// migrations/*.sql are read by goose and by sqlc. They are append-only: a file that has been released is never
// edited, a new one takes the next free number. A rolling deployment runs the old and the new binary on one
// schema, so a change comes in two releases: one that expands (new column, new table, index CONCURRENTLY in a
// file marked NO TRANSACTION) and a later one that contracts what nothing reads any more.
//
// The job queue's own tables come from package rivermigrate and are steps of the same sequence: see river.go.
package db

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Migration is one step of the schema's history in one database.
type Migration struct {
	Version   int64
	Name      string    // what the file name says after its number; empty when this binary does not know the step
	AppliedAt time.Time // UTC; zero while the step is pending
}

// Migrate brings the database at url up to this binary's schema and says how many steps that took; 0 is the
// answer of a database that was there already or is ahead. url is what the server uses, pool_* parameters
// included, except that it must not lead through a transaction pooler such as PgBouncer: two migrators at once
// take turns through a lock of the session. A step waits at most 5 seconds for a table's lock, so that it
// never queues the traffic of a running server behind itself; after an error the applied steps stay, and a
// second call continues after them.
func Migrate(ctx context.Context, url string) (applied int, err error) {
	err = withMigrator(ctx, url, embedded(), func(m *migrator) error {
		applied, err = m.up(ctx)
		return err
	})
	if err != nil {
		return applied, fmt.Errorf("migrate up: %w", err)
	}
	return applied, nil
}

// MigrateDown undoes the newest step of the database at url and returns the version that it is at afterwards.
// 0 is an empty database, of which another step down is not an error. A step that this binary does not know
// cannot be undone by it: the newer binary that made it can.
func MigrateDown(ctx context.Context, url string) (version int64, err error) {
	err = withMigrator(ctx, url, embedded(), func(m *migrator) error {
		version, err = m.down(ctx)
		return err
	})
	if err != nil {
		return version, fmt.Errorf("migrate down: %w", err)
	}
	return version, nil
}

// Status lists every step by version: those that this binary knows and those that the database has. It only
// reads, so it answers on a replica and leaves an empty database empty.
func Status(ctx context.Context, url string) ([]Migration, error) {
	config, err := poolConfig(url)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))

	status, err := embedded().status(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("migration status: %w", err)
	}
	return status, nil
}

// Fingerprint is the SHA-256, in hex, of all that Migrate would do to an empty database: equal fingerprints
// mean equal schemas. Tests name their template database by it.
func Fingerprint() string {
	return embedded().fingerprint()
}

// schema is a sequence of steps: SQL files, and between them River's own. Tests make other ones.
type schema struct {
	files fs.FS // *.sql in its root
	river []riverStep
}

func embedded() schema {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // a valid constant path, so never
	}
	return schema{files: files, river: riverSteps()}
}

// steps lists the sequence by version. goose refuses what this skips: files without a number, numbers twice.
func (s schema) steps() []Migration {
	names, _ := fs.Glob(s.files, "*.sql") // fails for a malformed pattern only
	var steps []Migration
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			continue
		}
		_, title, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".sql"), "_")
		steps = append(steps, Migration{Version: version, Name: title})
	}
	for _, step := range s.river {
		steps = append(steps, Migration{Version: step.version, Name: step.name()})
	}
	slices.SortStableFunc(steps, func(a, b Migration) int { return int(a.Version - b.Version) })
	return steps
}

// latest is the version of a database that has every step.
func (s schema) latest() int64 {
	steps := s.steps()
	return steps[len(steps)-1].Version
}

func (s schema) fingerprint() string {
	sum := sha256.New()
	names, _ := fs.Glob(s.files, "*.sql")
	for _, name := range names {
		content, err := fs.ReadFile(s.files, name)
		if err != nil {
			panic(err) // embedded files can be read
		}
		// Lengths keep a line that moves from one file to the next from giving the same sum.
		fmt.Fprintf(sum, "%s %d\n%s", name, len(content), content)
	}
	for _, step := range s.river {
		fmt.Fprintf(sum, "%d %s\n", step.version, step.name())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func (s schema) status(ctx context.Context, conn *pgx.Conn) ([]Migration, error) {
	status := s.steps()
	rows, _ := conn.Query(ctx, `SELECT version_id, tstamp FROM goose_db_version WHERE version_id > 0`)
	type row struct {
		Version   int64
		AppliedAt time.Time
	}
	applied, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	if isUndefinedTable(err) {
		return status, nil
	}
	if err != nil {
		return nil, err
	}
	for _, a := range applied {
		i := slices.IndexFunc(status, func(m Migration) bool { return m.Version == a.Version })
		if i < 0 {
			status = append(status, Migration{Version: a.Version})
			i = len(status) - 1
		}
		status[i].AppliedAt = a.AppliedAt
	}
	slices.SortStableFunc(status, func(a, b Migration) int { return int(a.Version - b.Version) })
	return status, nil
}

func isUndefinedTable(err error) bool {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pgErr.Code == "42P01"
}
