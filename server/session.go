package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

const (
	maxSessions = 20               // alive for one user, ASVS 7.1.2; the oldest goes
	tabsGrace   = 10 * time.Second // in which tabs that were all open send the same refresh token
)

// newSession is what the person who signs in decides about the session.
type newSession struct {
	deviceName   *string
	isRemembered bool
	method       query.SessionMethod
}

// openedSession is a session with tokens that were made for it just now.
type openedSession struct {
	id            uuid.UUID
	user          query.User // as it is now
	accessToken   string
	refreshToken  string
	idleExpiresAt time.Time
}

// CreateSession signs in with an e-mail address or a nickname.
func (s *Server) CreateSession(ctx context.Context, req api.CreateSessionRequestObject) (api.CreateSessionResponseObject, error) {
	inCookie := req.Body.Cookie != nil && *req.Body.Cookie
	if inCookie {
		if err := s.requireSameSite(ctx); err != nil {
			return nil, err
		}
	}
	canonical, err := s.identify(ctx, req.Body.Identifier)
	if err != nil {
		return nil, err
	}
	isRemembered := req.Body.Remember != nil && *req.Body.Remember
	opened, err := s.signIn(ctx, canonical, req.Body.Password, newSession{req.Body.DeviceName, isRemembered, query.SessionMethodPassword})
	if err != nil {
		return nil, err
	}
	tokens, cookie := s.apiTokens(opened), (*string)(nil)
	if inCookie {
		tokens.RefreshToken, cookie = nullable.NewNullNullable[string](), refreshCookie(opened, isRemembered)
	}
	return api.CreateSession201JSONResponse{Body: tokens, Headers: api.CreateSession201ResponseHeaders{
		Location: s.absolute("/users/me/sessions/"+opened.id.String(), nil), SetCookie: cookie,
	}}, nil
}

// identify turns an e-mail address or a nickname into the canonical address under which attempts are counted, so
// that both ways into an account share its waits. Unknown nicknames are counted by themselves.
func (s *Server) identify(ctx context.Context, identifier string) (string, error) {
	if strings.Contains(identifier, "@") {
		return signInAddress(identifier), nil
	}
	canonical, err := s.query.UserAddressByNickname(ctx, identifier)
	if isNoRows(err) {
		return "nickname:" + strings.ToLower(strings.TrimSpace(identifier)), nil // no address: it opens nothing
	}
	if err != nil {
		return "", fmt.Errorf("look nickname up: %w", err)
	}
	return canonical, nil
}

// openSession makes a session and its tokens, and records the login.
func (s *Server) openSession(ctx context.Context, user query.User, n newSession) (openedSession, error) {
	id, err := newID()
	if err != nil {
		return openedSession{}, err
	}
	idle := s.SessionIdle
	if n.isRemembered {
		idle = s.SessionIdleRemembered
	}
	var session query.Session
	err = s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		// The account may have been locked or deleted since its password was checked.
		now, err := q.UserLock(ctx, user.ID)
		if isNoRows(err) || err == nil && now.IsLocked {
			return fail(api.ProblemCodeInvalidCredentials)
		}
		if err != nil {
			return fmt.Errorf("hold account: %w", err)
		}
		user = now
		r := requestOf(ctx)
		session, err = q.SessionCreate(ctx, query.SessionCreateParams{
			ID: id, UserID: user.ID, MaxSeconds: max(s.SessionMax, s.AccessTTL).Seconds(), IdleSeconds: max(idle, s.AccessTTL).Seconds(),
			IsRemembered: n.isRemembered, Address: validAddress(r.address), UserAgent: r.userAgent, DeviceName: n.deviceName, AuthenticatedBy: n.method,
		})
		if err != nil {
			return fmt.Errorf("create session: %w", err)
		}
		if err := q.SessionEndOldest(ctx, user.ID, maxSessions); err != nil {
			return fmt.Errorf("end oldest session: %w", err)
		}
		if err := q.LoginFactRecord(ctx, user.ID); err != nil {
			return fmt.Errorf("record login: %w", err)
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionLoginSucceeded, subject: &user.ID})
	})
	if err != nil {
		return openedSession{}, err
	}
	return s.withTokens(openedSession{id: id, user: user, idleExpiresAt: session.IdleExpiresAt}, 0, session.Salt)
}

// withTokens adds the access token and the refresh token of a counter.
func (s *Server) withTokens(o openedSession, counter int64, salt uuid.UUID) (openedSession, error) {
	var err error
	o.refreshToken = s.Secret.MintRefresh(o.id, counter, salt)
	o.accessToken, err = s.signToken(o.user, o.id)
	return o, err
}

func (s *Server) signToken(user query.User, sessionID uuid.UUID) (string, error) {
	now := time.Now()
	token, err := s.verifier.Keys().Sign(secret.Claims{
		Subject: user.ID, SessionID: sessionID,
		IssuedAt: now, ExpiresAt: now.Add(s.AccessTTL), Scope: s.scopesOf(user.Role),
	})
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

// scopesOf is what a role may do, as tokens say it.
func (s *Server) scopesOf(role query.UserRole) string {
	return strings.Join(s.contract.scopes[role], " ")
}

func (s *Server) issuer() string { return strings.TrimSuffix(s.PublicURL.String(), "/") }

func (s *Server) apiTokens(o openedSession) api.TokenResponse {
	return api.TokenResponse{
		AccessToken: o.accessToken, RefreshToken: nullable.NewNullableWithValue(o.refreshToken), TokenType: api.TokenTypeBearer,
		ExpiresIn: int32(s.AccessTTL.Seconds()), Scope: s.scopesOf(o.user.Role),
	}
}

// Logout ends the session of every token that is sent. Whoever has none that is alive is signed out already
// (RFC 7009, 2.2).
func (s *Server) Logout(ctx context.Context, req api.LogoutRequestObject) (api.LogoutResponseObject, error) {
	sessions, cookie, err := s.presentedSessions(ctx, req.Body.RefreshToken)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		for id, userID := range sessions {
			if _, err := s.endSession(ctx, q, userID, id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.Logout204Response{Headers: api.Logout204ResponseHeaders{SetCookie: cookie}}, nil
}

// presentedSessions are those that the request holds a genuine token of, with their users, and what removes its
// cookie.
func (s *Server) presentedSessions(ctx context.Context, refreshToken *string) (sessions map[uuid.UUID]uuid.UUID, cookie *string, err error) {
	sessions = map[uuid.UUID]uuid.UUID{}
	if claims, err := s.verifier.Verify(bearerOf(ctx), time.Now()); err == nil {
		sessions[claims.SessionID] = claims.Subject
	}
	var tokens []string
	if refreshToken != nil {
		tokens = append(tokens, *refreshToken)
	}
	if kept := cookieOf(ctx); kept != "" {
		if err := s.requireSameSite(ctx); err != nil {
			return nil, nil, err
		}
		tokens, cookie = append(tokens, kept), noRefreshCookie()
	}
	for _, token := range tokens {
		row, _, err := s.findRefresh(ctx, token)
		if err != nil {
			return nil, nil, err
		}
		if row != nil {
			sessions[row.Session.ID] = row.Session.UserID
		}
	}
	return sessions, cookie, nil
}

// endSession ends one session of a user and says whether they have or had it. One that has ended is no error.
func (s *Server) endSession(ctx context.Context, q *query.Queries, userID, id uuid.UUID) (exists bool, err error) {
	isNews, err := q.SessionEnd(ctx, id, userID)
	if isNoRows(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("end session: %w", err)
	}
	if !isNews {
		return true, nil
	}
	return true, s.audit(ctx, q, auditEntry{action: query.AuditActionSessionEnded, subject: &userID, new: map[string]any{"session_id": id}})
}
