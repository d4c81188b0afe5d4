package server

import (
	"context"
	"errors"
	"fmt"
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
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if try == txTries || !ok || pgErr.Code != "40001" && pgErr.Code != "40P01" {
			return err
		}
		jitter, randErr := randomBelow(10)
		if randErr != nil {
			return errors.Join(err, randErr)
		}
		pause := time.Duration(10*try+jitter) * time.Millisecond
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
