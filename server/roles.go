package server

import (
	"context"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// SetUserRole gives a role, which holds at the user's next request. An unverified account takes it when its
// address is proven.
func (s *Server) SetUserRole(ctx context.Context, req api.SetUserRoleRequestObject) (api.SetUserRoleResponseObject, error) {
	role := query.UserRole(req.Body.Role)
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil || user.RoleWhenVerified == role {
			return err
		}
		if _, err := q.UserSetRole(ctx, role, user.ID); err != nil {
			return err // users_last_admin becomes last_admin in problem.go
		}
		if user.ID == actorOf(ctx).ID {
			return fail(api.ProblemCodeOwnAccount)
		}
		if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindRoleChanged, Role: &role}); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{
			action: query.AuditActionRoleChanged, subject: &user.ID,
			old: map[string]any{"role": user.RoleWhenVerified}, new: map[string]any{"role": role},
		})
	})
	if err != nil {
		return nil, err
	}
	user, err := s.staffUser(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	return api.SetUserRole200JSONResponse(user), nil
}
