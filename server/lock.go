package server

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// LockUser shuts an account: its sessions end and its next request is refused.
func (s *Server) LockUser(ctx context.Context, req api.LockUserRequestObject) (api.LockUserResponseObject, error) {
	reason := req.Body.Reason
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil || user.IsLocked && user.LockReason != nil && *user.LockReason == reason {
			return err
		}
		if _, err := q.UserSetLock(ctx, query.UserSetLockParams{ID: user.ID, IsLocked: true, LockReason: &reason}); err != nil {
			return err // users_last_admin becomes last_admin in problem.go
		}
		if user.ID == actorOf(ctx).ID {
			return fail(api.ProblemCodeOwnAccount)
		}
		if !user.IsLocked {
			if _, err := q.SessionEndAll(ctx, user.ID); err != nil {
				return fmt.Errorf("end sessions: %w", err)
			}
			if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindLocked}); err != nil {
				return err
			}
		}
		return s.audit(ctx, q, auditEntry{
			action: query.AuditActionUserLocked, subject: &user.ID,
			old: map[string]any{"is_locked": user.IsLocked, "lock_reason": user.LockReason},
			new: map[string]any{"is_locked": true, "lock_reason": reason},
		})
	})
	if err != nil {
		return nil, err
	}
	user, err := s.staffUser(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	return api.LockUser200JSONResponse(user), nil
}

// UnlockUser ends a lock and every wait after failed sign-ins. Sessions that the lock ended stay ended.
func (s *Server) UnlockUser(ctx context.Context, req api.UnlockUserRequestObject) (api.UnlockUserResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		ended, err := q.LoginFailureEndWaits(ctx, s.Secret.AddressKey(user.EmailCanonical))
		if err != nil {
			return fmt.Errorf("end waits: %w", err)
		}
		if !user.IsLocked && ended == 0 {
			return nil
		}
		unlocked := auditEntry{
			action: query.AuditActionUserUnlocked, subject: &user.ID,
			old: map[string]any{"is_locked": user.IsLocked, "lock_reason": user.LockReason}, new: map[string]any{"is_locked": false},
		}
		if !user.IsLocked {
			return s.audit(ctx, q, unlocked)
		}
		if _, err := q.UserSetLock(ctx, query.UserSetLockParams{ID: user.ID}); err != nil {
			return fmt.Errorf("unlock: %w", err)
		}
		if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindUnlocked}); err != nil {
			return err
		}
		return s.audit(ctx, q, unlocked)
	})
	if err != nil {
		return nil, err
	}
	user, err := s.staffUser(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	return api.UnlockUser200JSONResponse(user), nil
}
