package server

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// deletionGrace is how long an owner can take a deletion back: as long as staff can restore what they deleted.
const deletionGrace = restoreWindow

// ScheduleOwnDeletion lets an account be erased once the grace is over, signs its owner out everywhere and mails a link
// that takes it back. Repeating it changes nothing.
func (s *Server) ScheduleOwnDeletion(ctx context.Context, req api.ScheduleOwnDeletionRequestObject) (api.ScheduleOwnDeletionResponseObject, error) {
	if _, err := s.proveOwnPassword(ctx, req.Body.CurrentPassword); err != nil {
		return nil, err
	}
	id := actorOf(ctx).ID
	var at time.Time
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := q.UserLock(ctx, id)
		if isNoRows(err) {
			return fail(api.ProblemCodeInvalidAccessToken) // deleted in the meantime
		}
		if err != nil {
			return fmt.Errorf("hold account: %w", err)
		}
		if user.DeletionAt != nil {
			at = *user.DeletionAt
			return nil
		}
		if user, err = q.UserScheduleDeletion(ctx, deletionGrace.Seconds(), id); err != nil {
			return err // users_last_admin becomes last_admin in problem.go
		}
		at = *user.DeletionAt
		if _, err := q.SessionEndAll(ctx, id); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		if err := q.TokenSupersedeAllButLasting(ctx, id); err != nil {
			return fmt.Errorf("kill links: %w", err)
		}
		// Lasting: neither a reset nor a change of the address takes the way back.
		token, err := s.createToken(ctx, q, query.TokenCreateParams{
			UserID: id, Purpose: query.TokenPurposeCancelDeletion, Address: user.EmailCanonical, Client: clientOf(req.Body.Client), IsLasting: true,
		})
		if err != nil {
			return err
		}
		err = s.enqueueMail(ctx, q, tx, query.MailCreateParams{
			UserID: id, Kind: query.MailKindDeletionScheduled, TokenID: &token, Recipient: &user.Email,
		})
		if err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionDeletionScheduled, subject: &id, new: map[string]any{"deletion_at": at}})
	})
	if err != nil {
		return nil, err
	}
	return api.ScheduleOwnDeletion200JSONResponse{DeletionAt: at.UTC()}, nil
}

// CancelOwnDeletion keeps the account. Without a deletion it changes nothing.
func (s *Server) CancelOwnDeletion(ctx context.Context, _ api.CancelOwnDeletionRequestObject) (api.CancelOwnDeletionResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := q.UserLock(ctx, actorOf(ctx).ID)
		if isNoRows(err) {
			return fail(api.ProblemCodeInvalidAccessToken) // deleted in the meantime
		}
		if err != nil {
			return fmt.Errorf("hold account: %w", err)
		}
		return s.cancelDeletion(ctx, q, tx, user)
	})
	if err != nil {
		return nil, err
	}
	return api.CancelOwnDeletion204Response{}, nil
}

// CancelDeletion is CancelOwnDeletion by the mailed token, once.
func (s *Server) CancelDeletion(ctx context.Context, req api.CancelDeletionRequestObject) (api.CancelDeletionResponseObject, error) {
	token, err := s.findOpenToken(ctx, req.Body.Token, query.TokenPurposeCancelDeletion)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.useToken(ctx, q, token)
		if err != nil {
			return err
		}
		return s.cancelDeletion(ctx, q, tx, user)
	})
	if err != nil {
		return nil, err
	}
	return api.CancelDeletion204Response{}, nil
}

// cancelDeletion keeps an account and kills the links that would. Without a deletion it changes nothing.
func (s *Server) cancelDeletion(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User) error {
	if user.DeletionAt == nil {
		return nil
	}
	if err := q.TokenSupersede(ctx, user.ID, query.TokenPurposeCancelDeletion); err != nil {
		return fmt.Errorf("kill link: %w", err)
	}
	if err := q.UserCancelDeletion(ctx, user.ID); err != nil {
		return fmt.Errorf("cancel deletion: %w", err)
	}
	if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindDeletionCancelled}); err != nil {
		return err
	}
	return s.audit(ctx, q, auditEntry{action: query.AuditActionDeletionCancelled, subject: &user.ID})
}
