package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// sessionOperations are the links of a list of sessions: a user's own, or those that staff see.
type sessionOperations struct {
	list, endAll, endOne string
}

var (
	ownSessions  = sessionOperations{"listOwnSessions", "endOtherSessions", "endOwnSession"}
	userSessions = sessionOperations{"listUserSessions", "endUserSessions", "endUserSession"}
)

// ListOwnSessions answers where the caller is signed in.
func (s *Server) ListOwnSessions(ctx context.Context, _ api.ListOwnSessionsRequestObject) (api.ListOwnSessionsResponseObject, error) {
	list, err := s.sessionList(ctx, actorOf(ctx).ID, ownSessions)
	if err != nil {
		return nil, err
	}
	return api.ListOwnSessions200JSONResponse{Body: list, Headers: api.ListOwnSessions200ResponseHeaders{Link: selfLink(list.Links)}}, nil
}

// EndOwnSession ends one of the caller's sessions. Ending one that has ended is no error.
func (s *Server) EndOwnSession(ctx context.Context, req api.EndOwnSessionRequestObject) (api.EndOwnSessionResponseObject, error) {
	if err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		return s.endTypedSession(ctx, q, actorOf(ctx).ID, req.SessionID)
	}); err != nil {
		return nil, err
	}
	return api.EndOwnSession204Response{}, nil
}

// EndOtherSessions signs the caller out everywhere but here.
func (s *Server) EndOtherSessions(ctx context.Context, _ api.EndOtherSessionsRequestObject) (api.EndOtherSessionsResponseObject, error) {
	actor := actorOf(ctx)
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		ended, err := q.SessionEndOthers(ctx, actor.ID, actor.sessionID)
		if err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		return s.auditSessionsEnded(ctx, q, actor.ID, ended)
	})
	if err != nil {
		return nil, err
	}
	return api.EndOtherSessions204Response{}, nil
}

// ListUserSessions answers where a user below the caller's rank is signed in.
func (s *Server) ListUserSessions(ctx context.Context, req api.ListUserSessionsRequestObject) (api.ListUserSessionsResponseObject, error) {
	var list api.SessionList
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		list, err = s.sessionList(ctx, user.ID, userSessions)
		return err
	})
	if err != nil {
		return nil, err
	}
	return api.ListUserSessions200JSONResponse{Body: list, Headers: api.ListUserSessions200ResponseHeaders{Link: selfLink(list.Links)}}, nil
}

// EndUserSession ends one session of a user below the caller's rank.
func (s *Server) EndUserSession(ctx context.Context, req api.EndUserSessionRequestObject) (api.EndUserSessionResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		return s.endTypedSession(ctx, q, user.ID, req.SessionID)
	})
	if err != nil {
		return nil, err
	}
	return api.EndUserSession204Response{}, nil
}

// EndUserSessions signs a user below the caller's rank out everywhere.
func (s *Server) EndUserSessions(ctx context.Context, req api.EndUserSessionsRequestObject) (api.EndUserSessionsResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		ended, err := q.SessionEndAll(ctx, user.ID)
		if err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		return s.auditSessionsEnded(ctx, q, user.ID, ended)
	})
	if err != nil {
		return nil, err
	}
	return api.EndUserSessions204Response{}, nil
}

// endTypedSession is endSession for an id that somebody typed.
func (s *Server) endTypedSession(ctx context.Context, q *query.Queries, userID, id uuid.UUID) error {
	exists, err := s.endSession(ctx, q, userID, id)
	if err == nil && !exists {
		return fail(api.ProblemCodeNotFound)
	}
	return err
}

func (s *Server) auditSessionsEnded(ctx context.Context, q *query.Queries, userID uuid.UUID, ended int64) error {
	if ended == 0 {
		return nil
	}
	return s.audit(ctx, q, auditEntry{action: query.AuditActionSessionEnded, subject: &userID, new: map[string]any{"sessions": ended}})
}

func (s *Server) sessionList(ctx context.Context, userID uuid.UUID, operations sessionOperations) (api.SessionList, error) {
	rows, err := s.query.SessionList(ctx, userID)
	if err != nil {
		return api.SessionList{}, fmt.Errorf("list sessions: %w", err)
	}
	list := api.SessionList{
		Items: make([]api.Session, len(rows)), Total: int64(len(rows)), TotalRelation: api.TotalRelationExact,
		Size: int32(len(rows)), Limit: maxSessions, Page: nullable.NewNullableWithValue[int32](1), Skip: nullable.NewNullableWithValue[int32](0),
		NextCursor: nullable.NewNullNullable[string](), PrevCursor: nullable.NewNullNullable[string](),
		Links: []api.Link{s.link(operations.list, userID.String()), s.link(operations.endAll, userID.String())},
	}
	list.Links[0].Rel = api.RelSelf // from elsewhere it is where the sessions are
	for i, row := range rows {
		list.Items[i] = s.apiSession(ctx, row, operations.endOne)
	}
	return list, nil
}

func (s *Server) apiSession(ctx context.Context, row query.Session, endOne string) api.Session {
	end := s.linkTo(endOne, "{user_id}", row.UserID.String(), "{session_id}", row.ID.String())
	return api.Session{
		ID: row.ID, CreatedAt: row.CreatedAt.UTC(), LastSeenAt: row.LastSeenAt.UTC(), ExpiresAt: row.IdleExpiresAt.UTC(),
		Address: addressOrNull(row.Address), UserAgent: row.UserAgent, DeviceName: orNull(row.DeviceName),
		AuthenticatedBy: api.SessionMethod(row.AuthenticatedBy), IsCurrent: row.ID == actorOf(ctx).sessionID, Links: []api.Link{end},
	}
}

// selfLink is RFC 8288 for a list that has one page.
func selfLink(links []api.Link) string {
	return fmt.Sprintf("<%s>; rel=%q", links[0].Href, links[0].Rel)
}
