package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// Limits of failed sign-ins beside LoginAttempts.
const (
	loginWindow          = 24 * time.Hour // failures of one source against one address that are older do not count
	loginsPerAddress     = 100            // an hour, from all sources that never succeeded
	loginAddressWindow   = time.Hour
	loginsPerSource      = 50 // in ten minutes, against all addresses
	loginSourceWindow    = 10 * time.Minute
	allSources           = ""
	releaseAttemptWithin = 2 * time.Second
)

// attempt is one try to sign in that has been counted as a failure before it is evaluated, so that tries at
// once cannot outrun the limit.
type attempt struct {
	addressKey []byte
	source     string
	startsWait bool // it was the last one before a wait
	isKnown    bool // this source has signed in to this address before
}

var allAddresses = []byte{}

// reserveAttempt counts a try in its own transaction, which a refused login does not roll back. While a wait
// lasts it refuses, alike for known and unknown addresses and for right and wrong passwords.
func (s *Server) reserveAttempt(ctx context.Context, canonical string) (attempt, error) {
	a := attempt{addressKey: s.Secret.AddressKey(canonical), source: requestOf(ctx).source()}
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		_, err := s.reserve(ctx, q, allAddresses, a.source, loginsPerSource, loginSourceWindow)
		if err != nil {
			return err
		}
		pair, err := s.reserve(ctx, q, a.addressKey, a.source, s.LoginAttempts, loginWindow)
		if err != nil {
			return err
		}
		a.startsWait, a.isKnown = pair.WaitUntil != nil, pair.SucceededAt != nil
		if a.isKnown {
			return nil // the owner is not locked out by what others do
		}
		_, err = s.reserve(ctx, q, a.addressKey, allSources, loginsPerAddress, loginAddressWindow)
		return err
	})
	if err != nil {
		return attempt{}, err
	}
	return a, nil
}

func (s *Server) reserve(ctx context.Context, q *query.Queries, addressKey []byte, source string, attempts int, window time.Duration) (query.LoginFailureReserveRow, error) {
	row, err := q.LoginFailureReserve(ctx, query.LoginFailureReserveParams{
		AddressKey: addressKey, Source: source, MaxFailures: int32(attempts),
		WindowSeconds: window.Seconds(), WaitSeconds: s.LoginWait.Seconds(),
	})
	if !isNoRows(err) {
		if err != nil {
			err = fmt.Errorf("count attempt: %w", err)
		}
		return row, err
	}
	until, err := q.LoginFailureWait(ctx, addressKey, source)
	if err != nil {
		return row, fmt.Errorf("look wait up: %w", err)
	}
	return row, &Problem{Code: api.ProblemCodeTooManyAttempts, RetryAfter: time.Until(until)}
}

// releaseAttempt takes a reservation back that was never evaluated. It works on when the client has gone.
func (s *Server) releaseAttempt(ctx context.Context, a attempt) {
	s.settleAttempt(ctx, a, func(ctx context.Context, q *query.Queries) error {
		return q.LoginFailureRelease(ctx, a.addressKey, a.source)
	})
}

// clearAttempt ends the waits of a source that knew the password.
func (s *Server) clearAttempt(ctx context.Context, a attempt) {
	s.settleAttempt(ctx, a, func(ctx context.Context, q *query.Queries) error {
		return q.LoginFailureClear(ctx, a.addressKey, a.source)
	})
}

// settleAttempt undoes a reservation in all its counters. When that fails the login goes on: the counter is
// one too high, which heals by itself.
func (s *Server) settleAttempt(ctx context.Context, a attempt, settlePair func(context.Context, *query.Queries) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseAttemptWithin)
	defer cancel()
	settle := func(q *query.Queries, _ pgx.Tx) error {
		if err := q.LoginFailureRelease(ctx, allAddresses, a.source); err != nil { // the order of reserveAttempt: no deadlocks
			return err
		}
		if err := settlePair(ctx, q); err != nil {
			return err
		}
		if a.isKnown {
			return nil
		}
		return q.LoginFailureRelease(ctx, a.addressKey, allSources)
	}
	err := s.inTx(ctx, settle)
	for try := 1; try < txTries && err != nil && isDatabaseUnavailable(err); try++ {
		err = s.inTx(ctx, settle) // on another connection: releasing twice costs nothing, not releasing locks the owner out
	}
	if err != nil {
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "login counter not settled", slog.String("request_id", requestOf(ctx).id), slog.Any("error", err))
	}
}

// recordFailure writes the audit, and when a wait begins queues the job that tells the owner: for unknown
// addresses a job of the same cost that finds nobody.
func (s *Server) recordFailure(ctx context.Context, a attempt, userID uuid.UUID) error {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		entry := auditEntry{action: query.AuditActionLoginRefused}
		if userID != uuid.Nil {
			entry.subject = &userID
		}
		if requestOf(ctx).actor != nil { // who is signed in has to prove the password again
			entry.new = map[string]any{"operation": requestOf(ctx).operationID()}
		}
		if a.startsWait {
			entry.action = query.AuditActionLoginThrottled
			if err := s.enqueueSignInFailures(ctx, tx, userID); err != nil {
				return err
			}
		}
		return s.audit(ctx, q, entry)
	})
	if err != nil {
		return fmt.Errorf("record failed login: %w", err)
	}
	return nil
}
