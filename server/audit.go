package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// auditEntry is who did what to whom. Old and new hold decisions and the names of edited fields, never
// secrets, and no personal data: rows outlive the accounts they speak of.
type auditEntry struct {
	action  query.AuditAction
	subject *uuid.UUID
	old     map[string]any
	new     map[string]any
}

// audit writes an entry in the transaction of the change that it records.
func (s *Server) audit(ctx context.Context, q *query.Queries, e auditEntry) error {
	id, err := newID()
	if err != nil {
		return err
	}
	r := requestOf(ctx)
	params := query.AuditCreateParams{ID: id, Action: e.action, SubjectID: e.subject, RequestID: r.id, Address: validAddress(r.address)}
	if r.actor != nil {
		params.ActorID = &r.actor.ID
	}
	if params.Old, err = auditJSON(e.old); err != nil {
		return err
	}
	if params.New, err = auditJSON(e.new); err != nil {
		return err
	}
	if err := q.AuditCreate(ctx, params); err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return nil
}

// auditDenied records who lacked a permission or the rank, whatever part of the server refused them (H-12). The
// refusal stands even when the record cannot be written.
func (s *Server) auditDenied(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		problem, ok := errors.AsType[*Problem](err)
		if !ok || problem.Code != api.ProblemCodeMissingPermission && problem.Code != api.ProblemCodeRankTooLow {
			return err
		}
		ctx := c.Request().Context()
		entry := auditEntry{action: query.AuditActionPermissionDenied, new: map[string]any{"operation": requestOf(ctx).operationID()}}
		if id, parseErr := uuid.Parse(c.Param("user_id")); parseErr == nil {
			entry.subject = &id
		}
		if auditErr := s.audit(ctx, s.query, entry); auditErr != nil {
			s.Logger.LogAttrs(ctx, slog.LevelError, "audit of a refused permission", slog.String("request_id", requestOf(ctx).id), slog.Any("error", auditErr))
		}
		return err
	}
}

func auditJSON(values map[string]any) ([]byte, error) {
	if values == nil {
		return nil, nil
	}
	data, err := json.Marshal(values)
	if err != nil {
		return nil, fmt.Errorf("encode audit: %w", err)
	}
	return data, nil
}

func validAddress(a netip.Addr) *netip.Addr {
	if !a.IsValid() {
		return nil
	}
	return &a
}
