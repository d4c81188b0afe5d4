package server

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// ExportOwnData answers everything that is stored about the caller but what proves who they are. That it was asked
// for is recorded, because whoever holds a stolen token would ask for it, too.
func (s *Server) ExportOwnData(ctx context.Context, _ api.ExportOwnDataRequestObject) (api.ExportOwnDataResponseObject, error) {
	user := actorOf(ctx).User
	export := api.AccountExport{ExportedAt: time.Now().UTC(), Profile: s.apiProfile(user)}
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		facts, err := q.ExportFacts(ctx, user.ID)
		if err != nil {
			return fmt.Errorf("read facts: %w", err)
		}
		export.LastLoginAt, export.LoginCount, export.PasswordChangedAt = timeOrNull(facts.LastLoginAt), facts.LoginCount, timeOrNull(facts.PasswordChangedAt)
		export.PendingEmail = orNull(facts.PendingEmail)
		if export.Sessions, err = exportedSessions(ctx, q, user.ID); err != nil {
			return err
		}
		if export.Mails, err = exportedMails(ctx, q, user.ID); err != nil {
			return err
		}
		if export.Events, err = exportedEvents(ctx, q, user.ID); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionDataExported, subject: &user.ID})
	})
	if err != nil {
		return nil, err
	}
	return api.ExportOwnData200JSONResponse{
		Body: export, Headers: api.ExportOwnData200ResponseHeaders{ContentDisposition: `attachment; filename="account.json"`},
	}, nil
}

func exportedSessions(ctx context.Context, q *query.Queries, userID uuid.UUID) ([]api.ExportedSession, error) {
	rows, err := q.ExportSessions(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	sessions := make([]api.ExportedSession, len(rows))
	for i, row := range rows {
		sessions[i] = api.ExportedSession{
			ID: row.ID, CreatedAt: row.CreatedAt.UTC(), LastSeenAt: row.LastSeenAt.UTC(), ExpiresAt: row.IdleExpiresAt.UTC(),
			EndedAt: timeOrNull(row.EndedAt), IsRemembered: row.IsRemembered, AuthenticatedBy: api.SessionMethod(row.AuthenticatedBy),
			Address: addressOrNull(row.Address), UserAgent: row.UserAgent, DeviceName: orNull(row.DeviceName),
		}
	}
	return sessions, nil
}

func exportedMails(ctx context.Context, q *query.Queries, userID uuid.UUID) ([]api.ExportedMail, error) {
	rows, err := q.ExportMails(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("read mails: %w", err)
	}
	mails := make([]api.ExportedMail, len(rows))
	for i, row := range rows {
		mails[i] = api.ExportedMail{Kind: api.LastMailKind(row.Kind), State: api.LastMailState(row.State), At: row.StateAt.UTC()}
	}
	return mails, nil
}

// exportedEvents says of others who did something to the account only that they were staff.
func exportedEvents(ctx context.Context, q *query.Queries, userID uuid.UUID) ([]api.ExportedEvent, error) {
	rows, err := q.ExportEvents(ctx, &userID)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events := make([]api.ExportedEvent, len(rows))
	for i, row := range rows {
		event := api.ExportedEvent{Action: string(row.Action), At: row.At.UTC(), By: api.EventActorNobody, Address: addressOrNull(row.Address)}
		switch {
		case row.ActorID != nil && *row.ActorID == userID:
			event.By = api.EventActorSelf
		case row.ActorID != nil:
			event.By, event.Address = api.EventActorStaff, addressOrNull(nil)
		}
		events[i] = event
	}
	return events, nil
}

func addressOrNull(address *netip.Addr) nullable.Nullable[string] {
	if address == nil {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(address.String())
}
