package db

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// riverStep is a number in the sequence of migrations at which River's tables move to one of River's versions.
type riverStep struct {
	version int64
	target  int // of rivermigrate's line "main"
}

func (s riverStep) name() string {
	return fmt.Sprintf("river_%d", s.target)
}

// riverSteps is append-only, like the files: when a new River brings a new version of its tables, it takes the
// next free number, so that its order among the files is the same in every database and one step down is never
// a surprise. A test fails until it does.
func riverSteps() []riverStep {
	return []riverStep{
		{version: 4, target: 8},
	}
}

// riverMigrations are the steps as goose runs them: outside a transaction, because one of River's versions uses
// an enum value that the one before has to commit first. River records each version with its change, and
// repeating a version is not an error, so a step that broke off half-way continues where it was.
func riverMigrations(pool *pgxpool.Pool, steps []riverStep) []*goose.Migration {
	var migrations []*goose.Migration
	before := -1 // rivermigrate's word for nothing at all
	for _, step := range steps {
		migrations = append(migrations, goose.NewGoMigration(step.version,
			riverMigration(pool, rivermigrate.DirectionUp, step.target),
			riverMigration(pool, rivermigrate.DirectionDown, before)))
		before = step.target
	}
	return migrations
}

func riverMigration(pool *pgxpool.Pool, direction rivermigrate.Direction, target int) *goose.GoFunc {
	run := func(ctx context.Context, _ *sql.DB) error {
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{
			Logger: slog.New(slog.DiscardHandler), // the caller reports steps; River's default is standard output
		})
		if err != nil {
			return err
		}
		_, err = migrator.Migrate(ctx, direction, &rivermigrate.MigrateOpts{TargetVersion: target})
		return err
	}
	return &goose.GoFunc{RunDB: run, Mode: goose.TransactionDisabled}
}
