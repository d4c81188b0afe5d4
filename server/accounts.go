package server

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// NewAccount is an account that the command line makes: without a mail, and if wanted with a proven address.
type NewAccount struct {
	Email, Nickname, Password string // without a nickname one is generated
	FirstName, LastName, Bio  string
	PreferredLanguage         string // default English
	Role                      query.UserRole
	EmailVerified             bool
	IsProfessional            bool
	LockReason                string // locked when there is one
}

// CreateAccount makes an account under the same rules as the API. Its errors can be printed.
func (s *Server) CreateAccount(ctx context.Context, a NewAccount) (query.User, error) {
	if err := s.checkAccount(a); err != nil {
		return query.User{}, err
	}
	hash, err := s.Hasher.Hash(ctx, a.Password)
	if err != nil {
		return query.User{}, fmt.Errorf("hash password: %w", err)
	}
	params, err := newUser(newUserFields{
		email: a.Email, nickname: &a.Nickname, firstName: emptyToNil(a.FirstName), lastName: emptyToNil(a.LastName), bio: emptyToNil(a.Bio),
		language: emptyToNil(a.PreferredLanguage), role: a.Role,
	})
	if err != nil {
		return query.User{}, err
	}
	var user query.User
	err = s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) (err error) {
		user, err = s.insertAccount(ctx, q, a, params, hash)
		return err
	})
	if err != nil && isTaken(err) {
		return query.User{}, s.describeTaken(ctx, namesOf(params), false)
	}
	return user, err
}

func (s *Server) insertAccount(ctx context.Context, q *query.Queries, a NewAccount, params query.UserCreateParams, hash string) (query.User, error) {
	user, err := createUser(ctx, q, params)
	if err != nil {
		return user, err
	}
	if err := q.PasswordSet(ctx, user.ID, hash); err != nil {
		return user, fmt.Errorf("set password: %w", err)
	}
	if a.EmailVerified {
		if user, err = q.UserVerify(ctx, user.ID, user.EmailCanonical); err != nil {
			return user, fmt.Errorf("verify address: %w", err)
		}
	}
	if a.IsProfessional {
		if user, err = q.UserSetProfessional(ctx, true, user.ID); err != nil {
			return user, fmt.Errorf("set professional status: %w", err)
		}
	}
	if a.LockReason != "" {
		if user, err = q.UserSetLock(ctx, query.UserSetLockParams{ID: user.ID, IsLocked: true, LockReason: &a.LockReason}); err != nil {
			return user, fmt.Errorf("lock: %w", err)
		}
	}
	return user, s.audit(ctx, q, auditEntry{
		action: query.AuditActionUserCreated, subject: &user.ID, new: map[string]any{"role": user.RoleWhenVerified},
	})
}

// checkAccount applies the rules of the registration's schema.
func (s *Server) checkAccount(a NewAccount) error {
	body := map[string]any{"email": a.Email, "password": a.Password}
	for name, value := range map[string]string{
		"nickname": a.Nickname, "first_name": a.FirstName, "last_name": a.LastName, "bio": a.Bio, "preferred_language": a.PreferredLanguage,
	} {
		if value != "" {
			body[name] = value
		}
	}
	if broken := s.checkBody(s.contract.byID["register"], body); len(broken) > 0 {
		return &Problem{Code: api.ProblemCodeValidationFailed, Errors: broken}
	}
	return nil
}

// BootstrapAdmin makes the first administrator of a deployment, when there is none. Servers that start together
// make one.
func (s *Server) BootstrapAdmin(ctx context.Context, email, password string) (created bool, err error) {
	a := NewAccount{Email: email, Password: password, Role: query.UserRoleADMIN, EmailVerified: true}
	if err := s.checkAccount(a); err != nil {
		return false, err
	}
	hash, err := s.Hasher.Hash(ctx, password)
	if err != nil {
		return false, fmt.Errorf("hash password: %w", err)
	}
	params, err := newUser(newUserFields{email: email, role: a.Role})
	if err != nil {
		return false, err
	}
	err = s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		if err := q.AdminBootstrapLock(ctx); err != nil {
			return fmt.Errorf("wait for other servers: %w", err)
		}
		exists, err := q.AdminExists(ctx)
		if err != nil || exists {
			return err
		}
		_, err = s.insertAccount(ctx, q, a, params, hash)
		created = err == nil
		return err
	})
	if err != nil && isTaken(err) {
		return false, s.describeTaken(ctx, namesOf(params), false)
	}
	return created, err
}

// AccessToken opens a session for an account and returns its bearer token, for the development command line.
func (s *Server) AccessToken(ctx context.Context, email string) (string, error) {
	address, err := parseEmail(email)
	if err != nil {
		return "", err
	}
	user, err := s.query.UserByEmail(ctx, address.canonical)
	if isNoRows(err) {
		return "", fail(api.ProblemCodeNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("look user up: %w", err)
	}
	opened, err := s.openSession(ctx, user, newSession{method: query.SessionMethodCommandLine})
	return opened.accessToken, err
}

func emptyToNil(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
