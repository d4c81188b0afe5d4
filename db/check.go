package db

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrSchemaOutdated says that the database lacks steps that this binary's queries rely on.
var ErrSchemaOutdated = errors.New("the database schema is older than this server: run `usermanager migrate up`")

// CheckSchema is nil when the database of pool has this binary's schema or a newer one: in a rolling deployment
// the old binaries go on while the new one's steps are there already. Otherwise the error is an
// ErrSchemaOutdated, or whatever kept the question from being answered. It costs one query of a small table
// and is meant for readiness; the role that asks needs SELECT on goose_db_version.
func CheckSchema(ctx context.Context, pool *pgxpool.Pool) error {
	var version int64
	err := pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version`).Scan(&version)
	switch want := embedded().latest(); {
	case isUndefinedTable(err):
		return fmt.Errorf("%w (it has no schema at all)", ErrSchemaOutdated)
	case err != nil:
		return fmt.Errorf("read the schema's version: %w", err)
	case version < want:
		return fmt.Errorf("%w (it is at %d of %d)", ErrSchemaOutdated, version, want)
	}
	return nil
}
