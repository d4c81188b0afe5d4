package server

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"usermanager/gen/query"
)

const txTries = 3

// inTx runs do in a transaction and commits when it returns nil. Deadlocks and serialization failures are
// tried again (F-15), so do must not have effects outside of the transaction.
func (s *Server) inTx(ctx context.Context, do func(q *query.Queries, tx pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, s.Pool, func(tx pgx.Tx) error { return do(query.New(tx), tx) })
		var pgErr *pgconn.PgError
		if try == txTries || !errors.As(err, &pgErr) || pgErr.Code != "40001" && pgErr.Code != "40P01" {
			return err
		}
		pause := time.Duration(try)*10*time.Millisecond + rand.N(10*time.Millisecond) //nolint:gosec // jitter is no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newID makes a UUIDv7, so that rows lie in the order in which they were made.
func newID() (uuid.UUID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.UUID{}, fmt.Errorf("make id: %w", err)
	}
	return id, nil
}
