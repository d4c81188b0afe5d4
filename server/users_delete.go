package server

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// DeleteUser takes an account away at once; restoreUser brings it back for 30 days.
func (s *Server) DeleteUser(ctx context.Context, req api.DeleteUserRequestObject) (api.DeleteUserResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		if err := requireVersion(req.Params.IfMatch, user); err != nil {
			return err
		}
		if err := q.UserDelete(ctx, user.ID); err != nil {
			return err // users_last_admin becomes last_admin in problem.go
		}
		if user.ID == actorOf(ctx).ID {
			return fail(api.ProblemCodeOwnAccount) // after the statement: the last administrator is told that
		}
		if err := s.endAccess(ctx, q, user.ID); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionUserDeleted, subject: &user.ID})
	})
	if err != nil {
		return nil, err
	}
	return api.DeleteUser204Response{}, nil
}

// RestoreUser brings a deleted account back, unless its address or nickname was taken meanwhile.
func (s *Server) RestoreUser(ctx context.Context, req api.RestoreUserRequestObject) (api.RestoreUserResponseObject, error) {
	names := query.UserTakenParams{ID: req.UserID}
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		row, err := q.UserTargetDeleted(ctx, actorOf(ctx).Role, req.UserID)
		switch {
		case isNoRows(err) || err == nil && row.User.DeletedAt != nil && time.Since(*row.User.DeletedAt) > restoreWindow:
			return fail(api.ProblemCodeNotFound)
		case err != nil:
			return fmt.Errorf("hold user: %w", err)
		case !row.Manageable:
			return fail(api.ProblemCodeRankTooLow)
		case row.User.DeletedAt == nil:
			return nil
		}
		names.Nickname, names.EmailCanonical = row.User.Nickname, row.User.EmailCanonical
		if _, err := q.UserRestore(ctx, req.UserID); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionUserRestored, subject: &req.UserID})
	})
	if err != nil {
		return nil, s.withTaken(ctx, err, names)
	}
	user, err := s.staffUser(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	return api.RestoreUser200JSONResponse(user), nil
}
