package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"usermanager/db"
)

const (
	connectTimeout = 5 * time.Second
	// connLifetime lets connections move to another machine after a failover. The jitter keeps them from all
	// doing so at once.
	connLifetime = 30 * time.Minute
	connJitter   = 5 * time.Minute
)

// openPool prepares connections for requests and jobs and opens none yet. Limits that the URL sets itself are
// kept: an operator has reasons. Waiting for a free connection is bounded by each caller's context.
func openPool(ctx context.Context, url string, maxConnections int) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// parseKind has parsed it before, so this cannot be the URL; pgx's sentence would quote it all the same.
		return nil, errors.New("DATABASE_URL cannot be used any more")
	}
	config.MaxConns = int32(maxConnections) // #nosec G115 -- at most 1000, see parseScalar
	config.MinConns = min(config.MinConns, config.MaxConns)
	config.MinIdleConns = min(config.MinIdleConns, config.MaxConns)
	config.MaxConnLifetime, config.MaxConnLifetimeJitter = connLifetime, connJitter
	if config.ConnConfig.ConnectTimeout == 0 || config.ConnConfig.ConnectTimeout > connectTimeout {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    "usermanager",
		"timezone":                            "UTC",
		"statement_timeout":                   "5s", // no query of ours needs one; a request is given up by then
		"lock_timeout":                        "3s",
		"idle_in_transaction_session_timeout": "10s", // a transaction whose server is gone holds its locks no longer
	} {
		if _, set := config.ConnConfig.RuntimeParams[name]; !set {
			config.ConnConfig.RuntimeParams[name] = value
		}
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("prepare database connections: %w", err)
	}
	return pool, nil
}

// openMigrated is openPool on a database that answers and has the schema; else its error says what to do.
func openMigrated(ctx context.Context, url string, maxConnections int) (*pgxpool.Pool, error) {
	pool, err := openPool(ctx, url, maxConnections)
	if err != nil {
		return nil, err
	}
	err = db.CheckSchema(ctx, pool)
	if err == nil {
		return pool, nil
	}
	pool.Close()
	if _, isConnect := errors.AsType[*pgconn.ConnectError](err); isConnect {
		// pgx names each address that it tried, on a line of its own.
		return nil, fmt.Errorf("the database of DATABASE_URL cannot be reached: %s", strings.Join(strings.Fields(err.Error()), " "))
	}
	return nil, err
}
