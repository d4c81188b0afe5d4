package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// UpgradeUser gives the professional status and tells the user by mail, once however often it is called.
func (s *Server) UpgradeUser(ctx context.Context, req api.UpgradeUserRequestObject) (api.UpgradeUserResponseObject, error) {
	user, err := s.setProfessional(ctx, req.UserID, true)
	if err != nil {
		return nil, err
	}
	return api.UpgradeUser200JSONResponse(user), nil
}

// DowngradeUser takes the professional status back.
func (s *Server) DowngradeUser(ctx context.Context, req api.DowngradeUserRequestObject) (api.DowngradeUserResponseObject, error) {
	user, err := s.setProfessional(ctx, req.UserID, false)
	if err != nil {
		return nil, err
	}
	return api.DowngradeUser200JSONResponse(user), nil
}

func (s *Server) setProfessional(ctx context.Context, id uuid.UUID, isProfessional bool) (api.User, error) {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, id)
		if err != nil || user.IsProfessional == isProfessional {
			return err
		}
		if _, err := q.UserSetProfessional(ctx, isProfessional, id); err != nil {
			return fmt.Errorf("set professional status: %w", err)
		}
		action := query.AuditActionUserDowngraded
		if isProfessional {
			action = query.AuditActionUserUpgraded
			if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: id, Kind: query.MailKindUpgraded}); err != nil {
				return err
			}
		}
		return s.audit(ctx, q, auditEntry{
			action: action, subject: &id,
			old: map[string]any{"is_professional": user.IsProfessional}, new: map[string]any{"is_professional": isProfessional},
		})
	})
	if err != nil {
		return api.User{}, err
	}
	return s.staffUser(ctx, id)
}
