package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// actor is who is calling: the account as it is now, not as it was when the token was made.
type actor struct {
	query.User
	sessionID uuid.UUID
}

// actorOf returns the caller of an operation that the contract does not leave public.
func actorOf(ctx context.Context) *actor { return requestOf(ctx).actor }

const sessionTouchInterval = 5 * time.Minute // a read is not a write

// authenticate finds the caller by the bearer token: one indexed query loads session and account, so that a
// lock, a deletion, a demotion or a logout holds at the very next request (Z-08).
func (s *Server) authenticate(r *http.Request) (*actor, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return nil, fail(api.ProblemCodeAuthenticationRequired)
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	if !strings.EqualFold(scheme, "Bearer") && len(values) == 1 {
		return nil, fail(api.ProblemCodeAuthenticationRequired) // another scheme is no bad token (RFC 6750, 3.1)
	}
	if !ok || len(values) > 1 {
		return nil, fail(api.ProblemCodeInvalidAccessToken)
	}
	claims, err := s.verifier.Verify(token, time.Now())
	if err != nil {
		return nil, &Problem{Code: api.ProblemCodeInvalidAccessToken, cause: err}
	}
	row, err := s.query.SessionActor(r.Context(), claims.SessionID)
	if errors.Is(err, pgx.ErrNoRows) || err == nil && row.User.ID != claims.Subject {
		return nil, fail(api.ProblemCodeInvalidAccessToken)
	}
	if err != nil {
		return nil, fmt.Errorf("load session: %w", err)
	}
	if time.Since(row.LastSeenAt) > sessionTouchInterval {
		if err := s.query.SessionTouch(r.Context(), claims.SessionID); err != nil {
			return nil, fmt.Errorf("touch session: %w", err)
		}
	}
	return &actor{User: row.User, sessionID: claims.SessionID}, nil
}
