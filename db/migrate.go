package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// lockTimeout bounds how long a step queues for a lock: every query on that table queues behind it meanwhile.
const lockTimeout = 5 * time.Second

// migrationLock is the advisory lock that migrators of one database take turns by.
const migrationLock = 7_305_802_471_023_558

// migrator holds the connections of one call, and the lock.
type migrator struct {
	pool     *pgxpool.Pool
	provider *goose.Provider
}

// withMigrator calls do while this process is the only one that migrates the database at url.
func withMigrator(ctx context.Context, url string, s schema, do func(*migrator) error) error {
	config, err := poolConfig(url)
	if err != nil {
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return err
	}
	defer pool.Close() // ends the session that holds the lock, too

	// The statements run through the same pool as the lock: Close above waits for all of them.
	sqlDB := stdlib.OpenDBFromPool(pool)
	defer sqlDB.Close()
	provider, err := s.provider(pool, sqlDB)
	if err != nil {
		return err
	}

	locked, err := lock(ctx, pool)
	if err != nil {
		return err
	}
	defer locked.Release()
	return do(&migrator{pool: pool, provider: provider})
}

// lock asks until it gets the lock. It does not wait inside PostgreSQL, because the one who holds the lock may
// be in CREATE INDEX CONCURRENTLY, which waits for every open statement, the waiting one included: a deadlock.
func lock(ctx context.Context, pool *pgxpool.Pool) (*pgxpool.Conn, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		var locked bool
		err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(migrationLock)).Scan(&locked)
		if err == nil && locked {
			return conn, nil
		}
		if err == nil {
			select {
			case <-tick.C:
				continue
			case <-ctx.Done():
				err = context.Cause(ctx)
			}
		}
		conn.Release()
		return nil, fmt.Errorf("wait for another migration of this database: %w", err)
	}
}

// poolConfig reads url and replaces what suits requests but not DDL.
func poolConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url) // takes the pool_* parameters out, which the server would refuse
	if err != nil {
		return nil, err
	}
	config.MaxConns = 4 // the lock's, goose's, River's and one to spare; pool_max_conns=1 would wait for itself
	config.MinConns = 0
	config.MinIdleConns = 0
	params := config.ConnConfig.RuntimeParams
	params["application_name"] = "usermanager migrate"
	params["lock_timeout"] = fmt.Sprint(lockTimeout.Milliseconds())
	params["statement_timeout"] = "0" // an index on a big table takes as long as it takes
	params["idle_in_transaction_session_timeout"] = "0"
	params["timezone"] = "UTC" // goose's time stamps have no zone of their own
	return config, nil
}

func (s schema) provider(pool *pgxpool.Pool, sqlDB *sql.DB) (*goose.Provider, error) {
	// goose says that a number is taken twice, but a newcomer cannot see that the other one is River's.
	seen := map[int64]string{}
	for _, step := range s.steps() {
		if name, taken := seen[step.Version]; taken {
			return nil, fmt.Errorf("steps %s and %s both have number %d: give the newer one the next free number "+
				"(River's are in db/river.go)", name, step.Name, step.Version)
		}
		seen[step.Version] = step.Name
	}
	return goose.NewProvider(goose.DialectPostgres, sqlDB, s.files,
		goose.WithDisableGlobalRegistry(true),
		goose.WithGoMigrations(riverMigrations(pool, s.river)...))
}

func (m *migrator) up(ctx context.Context) (int, error) {
	results, err := m.provider.Up(ctx)
	if partial, ok := errors.AsType[*goose.PartialError](err); ok {
		return len(partial.Applied), explain(err)
	}
	return len(results), explain(err)
}

func (m *migrator) down(ctx context.Context) (int64, error) {
	_, err := m.provider.Down(ctx)
	if err != nil && !errors.Is(err, goose.ErrNoNextVersion) {
		return 0, explain(err)
	}
	version, err := m.provider.GetDBVersion(ctx)
	if err != nil || version > 0 {
		return version, err
	}
	// goose's own table is the last thing that makes the database not empty.
	_, err = m.pool.Exec(ctx, `DROP TABLE goose_db_version`)
	return 0, err
}

// explain says what to do about the one error that is nobody's mistake.
func explain(err error) error {
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if ok && pgErr.Code == "55P03" {
		return fmt.Errorf("a lock was not free within %s, so that step was left out; run it again when the "+
			"database is less busy: %w", lockTimeout, err)
	}
	return err
}
