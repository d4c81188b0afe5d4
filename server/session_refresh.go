package server

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

// RefreshSession takes a refresh token and answers the next pair. One statement decides which token may still be
// used, so tabs that refresh at once get the same successor and none is signed out (T-32).
func (s *Server) RefreshSession(ctx context.Context, req api.RefreshSessionRequestObject) (api.RefreshSessionResponseObject, error) {
	inCookie := req.Body.RefreshToken == nil
	text := cookieOf(ctx)
	if inCookie && text != "" {
		if err := s.requireSameSite(ctx); err != nil {
			return nil, err
		}
	}
	if !inCookie {
		text = *req.Body.RefreshToken
	}
	row, token, err := s.findRefresh(ctx, text)
	if err != nil {
		return nil, err
	}
	if row == nil {
		return nil, fail(api.ProblemCodeInvalidRefreshToken)
	}
	r := requestOf(ctx)
	next, err := s.query.SessionRefresh(ctx, query.SessionRefreshParams{
		ID: token.SessionID, Counter: token.Counter, Address: validAddress(r.address), UserAgent: r.userAgent,
		GraceSeconds: s.RefreshGrace.Seconds(), TabsSeconds: tabsGrace.Seconds(),
	})
	if isNoRows(err) {
		return nil, s.refuseRefresh(ctx, *row, token)
	}
	if err != nil {
		return nil, fmt.Errorf("refresh session: %w", err)
	}
	opened, err := s.withTokens(openedSession{id: token.SessionID, user: next.User, idleExpiresAt: next.IdleExpiresAt}, token.Counter+1, row.Session.Salt)
	if err != nil {
		return nil, err
	}
	tokens, cookie := s.apiTokens(opened), (*string)(nil)
	if inCookie {
		tokens.RefreshToken, cookie = nullable.NewNullNullable[string](), refreshCookie(opened, row.Session.IsRemembered)
	}
	return api.RefreshSession200JSONResponse{Body: tokens, Headers: api.RefreshSession200ResponseHeaders{SetCookie: cookie}}, nil
}

// findRefresh returns the session of a genuine refresh token, in whatever state it is, or nil: garbage has no
// effect on any session (T-31).
func (s *Server) findRefresh(ctx context.Context, text string) (*query.SessionByIDRow, secret.RefreshToken, error) {
	token, err := secret.ParseRefresh(text)
	if err != nil {
		return nil, token, nil //nolint:nilerr // that it is garbage is the answer
	}
	row, err := s.query.SessionByID(ctx, token.SessionID)
	if isNoRows(err) || err == nil && !s.Secret.VerifyRefresh(token, row.Session.Salt) {
		return nil, token, nil
	}
	if err != nil {
		return nil, token, fmt.Errorf("look session up: %w", err)
	}
	return &row, token, nil
}

// refuseRefresh answers a genuine token that cannot be used. In a session that is alive it is a copy: the session
// ends and its owner is told (RFC 9700, 4.14.2).
func (s *Server) refuseRefresh(ctx context.Context, row query.SessionByIDRow, token secret.RefreshToken) error {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		now, err := q.SessionByID(ctx, token.SessionID)
		if isNoRows(err) || err == nil && (!now.IsAlive || now.Session.RefreshCounter <= token.Counter) {
			return nil // ended, erased, locked: nothing was copied
		}
		if err != nil {
			return fmt.Errorf("look session up: %w", err)
		}
		isNews, err := q.SessionEnd(ctx, token.SessionID, row.Session.UserID)
		if err != nil || !isNews {
			return err // another copy was refused just now
		}
		err = s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: row.Session.UserID, Kind: query.MailKindSessionReplayed})
		if err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{
			action: query.AuditActionSessionReplayed, subject: &row.Session.UserID, new: map[string]any{"session_id": token.SessionID},
		})
	})
	if err != nil {
		return err
	}
	return fail(api.ProblemCodeInvalidRefreshToken)
}
