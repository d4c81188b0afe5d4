package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

// sessionTTL is how long a session lives at most.
const sessionTTL = 24 * time.Hour

// Login checks an e-mail address and a password, and opens a session. Unknown addresses cost the same work
// and get the same answer as wrong passwords; only the right password learns more.
func (s *Server) Login(ctx context.Context, req api.LoginRequestObject) (api.LoginResponseObject, error) {
	email, emailErr := parseEmail(req.Body.Username)
	if emailErr != nil {
		// Not an address at all: counted and answered like an unknown one.
		email.canonical = strings.ToLower(strings.TrimSpace(req.Body.Username))
	}
	attempt, err := s.reserveAttempt(ctx, email.canonical)
	if err != nil {
		return nil, err
	}
	account, err := s.query.LoginAccount(ctx, email.canonical)
	if err != nil && !isNoRows(err) {
		s.releaseAttempt(ctx, attempt)
		return nil, fmt.Errorf("look account up: %w", err)
	}
	match, outdated, err := s.verifyPassword(ctx, account.Hash, req.Body.Password)
	if err != nil {
		s.releaseAttempt(ctx, attempt) // nothing was evaluated: too busy, or the client has gone
		return nil, err
	}
	if !match {
		if err := s.recordFailure(ctx, attempt, account.User.ID); err != nil {
			return nil, err
		}
		return nil, fail(api.ProblemCodeInvalidCredentials)
	}
	s.clearAttempt(ctx, attempt)
	switch user := account.User; {
	case !user.EmailVerified:
		return nil, s.refuseOwner(ctx, user, api.ProblemCodeEmailNotVerified)
	case user.IsLocked:
		return nil, s.refuseOwner(ctx, user, api.ProblemCodeAccountLocked)
	}
	token, err := s.openSession(ctx, account.User, account.PasswordSetAt)
	if err != nil {
		return nil, err
	}
	if outdated {
		s.upgradeHash(ctx, account, req.Body.Password)
	}
	return api.Login200JSONResponse{
		AccessToken: token, TokenType: api.TokenTypeBearer, ExpiresIn: int32(s.AccessTTL.Seconds()),
		Scope: strings.Join(s.contract.scopes[account.User.Role], " "),
	}, nil
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

// openSession makes a session and its access token, and records the login. provenAt is when the password was set that
// has been proven; zero when none was asked for.
func (s *Server) openSession(ctx context.Context, user query.User, provenAt time.Time) (token string, err error) {
	id, err := newID()
	if err != nil {
		return "", err
	}
	err = s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		// The account may have been locked or deleted since its password was checked.
		if now, err := q.UserLock(ctx, user.ID); isNoRows(err) || err == nil && now.IsLocked {
			return fail(api.ProblemCodeInvalidCredentials)
		} else if err != nil {
			return fmt.Errorf("hold account: %w", err)
		}
		if err := stillProven(ctx, q, user.ID, provenAt); err != nil {
			return err
		}
		r := requestOf(ctx)
		_, err := q.SessionCreate(ctx, query.SessionCreateParams{
			ID: id, UserID: user.ID, TtlSeconds: max(sessionTTL, s.AccessTTL).Seconds(), Address: validAddress(r.address), UserAgent: r.userAgent,
		})
		if err != nil {
			return fmt.Errorf("create session: %w", err)
		}
		if err := q.LoginFactRecord(ctx, user.ID); err != nil {
			return fmt.Errorf("record login: %w", err)
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionLoginSucceeded, subject: &user.ID})
	})
	if err != nil {
		return "", err
	}
	return s.signToken(user, id)
}

// stillProven refuses a password that was changed or reset since it was checked: its sessions have just been ended, and
// no other one begins. The caller holds the account, as whoever sets a password does.
func stillProven(ctx context.Context, q *query.Queries, id uuid.UUID, provenAt time.Time) error {
	if provenAt.IsZero() {
		return nil
	}
	setAt, err := q.PasswordSetAt(ctx, id)
	if err != nil {
		return fmt.Errorf("look password up: %w", err)
	}
	if !setAt.Equal(provenAt) {
		return fail(api.ProblemCodeInvalidCredentials)
	}
	return nil
}

func (s *Server) signToken(user query.User, sessionID uuid.UUID) (string, error) {
	now := time.Now()
	token, err := s.verifier.Keys().Sign(secret.Claims{
		Subject: user.ID, SessionID: sessionID,
		IssuedAt: now, ExpiresAt: now.Add(s.AccessTTL), Scope: strings.Join(s.contract.scopes[user.Role], " "),
	})
	if err != nil {
		return "", fmt.Errorf("sign token: %w", err)
	}
	return token, nil
}

func (s *Server) issuer() string { return strings.TrimSuffix(s.PublicURL.String(), "/") }

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
