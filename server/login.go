package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

// Login checks an e-mail address and a password, and opens a session (OAuth2 password grant).
func (s *Server) Login(ctx context.Context, req api.LoginRequestObject) (api.LoginResponseObject, error) {
	opened, err := s.signIn(ctx, signInAddress(req.Body.Username), req.Body.Password, newSession{method: query.SessionMethodPassword})
	if err != nil {
		return nil, err
	}
	return api.Login200JSONResponse(s.apiTokens(opened)), nil
}

// signInAddress is the canonical form of what somebody signs in with. What is no address at all is counted and
// answered like an unknown one.
func signInAddress(text string) string {
	email, err := parseEmail(text)
	if err != nil {
		return strings.ToLower(strings.TrimSpace(text))
	}
	return email.canonical
}

// signIn checks a password and opens a session. Unknown addresses cost the same work and get the same answer as
// wrong passwords; only the right password learns more.
func (s *Server) signIn(ctx context.Context, canonical, password string, session newSession) (openedSession, error) {
	attempt, err := s.reserveAttempt(ctx, canonical)
	if err != nil {
		return openedSession{}, err
	}
	account, err := s.query.LoginAccount(ctx, canonical)
	if err != nil && !isNoRows(err) {
		s.releaseAttempt(ctx, attempt)
		return openedSession{}, fmt.Errorf("look account up: %w", err)
	}
	match, outdated, err := s.verifyPassword(ctx, account.Hash, password)
	if err != nil {
		s.releaseAttempt(ctx, attempt) // nothing was evaluated: too busy, or the client has gone
		return openedSession{}, err
	}
	if !match {
		if err := s.recordFailure(ctx, attempt, account.User.ID); err != nil {
			return openedSession{}, err
		}
		return openedSession{}, fail(api.ProblemCodeInvalidCredentials)
	}
	s.clearAttempt(ctx, attempt)
	switch user := account.User; {
	case !user.EmailVerified:
		return openedSession{}, s.refuseOwner(ctx, user, api.ProblemCodeEmailNotVerified)
	case user.IsLocked:
		return openedSession{}, s.refuseOwner(ctx, user, api.ProblemCodeAccountLocked)
	}
	opened, err := s.openSession(ctx, account.User, session)
	if err == nil && outdated {
		s.upgradeHash(ctx, account, password)
	}
	return opened, err
}

// verifyPassword does a full verification also when there is no hash to verify against.
func (s *Server) verifyPassword(ctx context.Context, hash, password string) (match, outdated bool, err error) {
	if hash == "" {
		return false, false, s.Hasher.VerifyDummy(ctx, password)
	}
	match, outdated, err = s.Hasher.Verify(ctx, hash, password)
	if errors.Is(err, secret.ErrMalformedHash) {
		s.Logger.LogAttrs(ctx, slog.LevelError, "stored password hash cannot be read", slog.String("request_id", requestOf(ctx).id))
		return false, false, nil // nobody gets in by it
	}
	return match, outdated, err
}

// refuseOwner turns the right password away, and records that somebody holds the one of a shut account.
func (s *Server) refuseOwner(ctx context.Context, user query.User, code api.ProblemCode) error {
	err := s.audit(ctx, s.query, auditEntry{
		action: query.AuditActionLoginRefused, subject: &user.ID, new: map[string]any{"code": code},
	})
	if err != nil {
		return err
	}
	return fail(code)
}

// upgradeHash stores the password under the current parameters. The login stands whether or not it works.
func (s *Server) upgradeHash(ctx context.Context, account query.LoginAccountRow, password string) {
	hash, err := s.Hasher.Hash(ctx, password)
	if err == nil {
		err = s.query.PasswordUpgrade(ctx, query.PasswordUpgradeParams{UserID: account.User.ID, OldHash: account.Hash, NewHash: hash})
	}
	if err != nil {
		s.Logger.LogAttrs(ctx, slog.LevelWarn, "password hash not upgraded", slog.String("request_id", requestOf(ctx).id), slog.Any("error", err))
	}
}

const maxUserAgent = 255 // of the column

// cleanUserAgent keeps what fits and is text.
func cleanUserAgent(header string) string {
	header = strings.ToValidUTF8(header, "")
	if !isText(header, false) {
		return ""
	}
	if utf8.RuneCountInString(header) > maxUserAgent {
		header = string([]rune(header)[:maxUserAgent])
	}
	return header
}
