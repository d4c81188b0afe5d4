package server

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// ChangeOwnPassword sets another password for who knows the current one. This session goes on, the others end.
func (s *Server) ChangeOwnPassword(ctx context.Context, req api.ChangeOwnPasswordRequestObject) (api.ChangeOwnPasswordResponseObject, error) {
	if broken := s.checkNewPassword("/new_password", req.Body.NewPassword, wordsOf(actorOf(ctx).User)); len(broken) > 0 {
		return nil, &Problem{Code: api.ProblemCodeValidationFailed, Errors: broken}
	}
	current, err := s.proveOwnPassword(ctx, req.Body.CurrentPassword)
	if err != nil {
		return nil, err
	}
	isSame, _, err := s.Hasher.Verify(ctx, current, req.Body.NewPassword)
	if err != nil {
		return nil, fmt.Errorf("compare passwords: %w", err)
	}
	if isSame {
		return nil, &Problem{Code: api.ProblemCodeValidationFailed, Errors: []api.FieldError{
			fieldError(api.FieldLocationBody, "/new_password", api.FieldCodeUnchanged, nil),
		}}
	}
	hash, err := s.Hasher.Hash(ctx, req.Body.NewPassword)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	for try := 1; ; try++ {
		err = s.replacePassword(ctx, current, hash)
		if !errors.Is(err, errPasswordMoved) || try == txTries {
			break
		}
		if current, err = s.matchOwnPassword(ctx, req.Body.CurrentPassword); err != nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	return api.ChangeOwnPassword204Response{}, nil
}

// errPasswordMoved says that the stored hash is another one than that which was proven: the same password under newer
// parameters, then the change goes on, or another password, then it does not.
var errPasswordMoved = errors.New("the password was stored anew in the meantime")

// replacePassword stores the new password in the place of the proven one.
func (s *Server) replacePassword(ctx context.Context, current, hash string) error {
	id := actorOf(ctx).ID
	return s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		if _, err := q.UserLock(ctx, id); isNoRows(err) {
			return fail(api.ProblemCodeInvalidAccessToken) // deleted in the meantime
		} else if err != nil {
			return fmt.Errorf("hold account: %w", err)
		}
		n, err := q.PasswordReplace(ctx, query.PasswordReplaceParams{UserID: id, OldHash: current, NewHash: hash})
		if err != nil {
			return fmt.Errorf("set password: %w", err)
		}
		if n == 0 {
			return errPasswordMoved
		}
		if _, err := q.SessionEndOthers(ctx, id, actorOf(ctx).sessionID); err != nil {
			return fmt.Errorf("end other sessions: %w", err)
		}
		for _, purpose := range []query.TokenPurpose{query.TokenPurposeResetPassword, query.TokenPurposeConfirmEmailChange} {
			if err := q.TokenSupersede(ctx, id, purpose); err != nil { // they were asked for by the older password
				return fmt.Errorf("kill links: %w", err)
			}
		}
		if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: id, Kind: query.MailKindPasswordChanged}); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionPasswordChanged, subject: &id})
	})
}

// proveOwnPassword checks the current password of who is signed in, counted and slowed down like a sign-in, so that a
// stolen session is no way to guess it. It returns the hash that matched.
func (s *Server) proveOwnPassword(ctx context.Context, password string) (hash string, err error) {
	attempt, err := s.reserveAttempt(ctx, actorOf(ctx).EmailCanonical)
	if err != nil {
		return "", err
	}
	hash, err = s.matchOwnPassword(ctx, password)
	switch {
	case err == nil:
		s.clearAttempt(ctx, attempt)
	case asProblem(err).Code == api.ProblemCodeInvalidCurrentPassword:
		if err := s.recordFailure(ctx, attempt, actorOf(ctx).ID); err != nil {
			return "", err
		}
	default:
		s.releaseAttempt(ctx, attempt) // nothing was evaluated
	}
	return hash, err
}

// matchOwnPassword returns the stored hash if the password belongs to it.
func (s *Server) matchOwnPassword(ctx context.Context, password string) (hash string, err error) {
	account, err := s.query.LoginAccount(ctx, actorOf(ctx).EmailCanonical)
	if isNoRows(err) || err == nil && account.User.ID != actorOf(ctx).ID {
		return "", fail(api.ProblemCodeInvalidAccessToken) // deleted, or another address, in the meantime
	}
	if err != nil {
		return "", fmt.Errorf("look account up: %w", err)
	}
	match, _, err := s.verifyPassword(ctx, account.Hash, password)
	if err != nil {
		return "", fmt.Errorf("check password: %w", err)
	}
	if !match {
		problem := fail(api.ProblemCodeInvalidCurrentPassword)
		problem.Errors = []api.FieldError{fieldError(api.FieldLocationBody, "/current_password", api.FieldCodeMismatch, nil)}
		return "", problem
	}
	return account.Hash, nil
}

// wordsOf are the words that an account's password must not be made of.
func wordsOf(user query.User) []string {
	words := []string{user.Email, user.Nickname}
	for _, name := range []*string{user.FirstName, user.LastName} {
		if name != nil {
			words = append(words, *name)
		}
	}
	return words
}

// ChangePassword leads password managers to where a password is changed.
func (s *Server) ChangePassword(context.Context, api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	return api.ChangePassword302Response{Headers: api.ChangePassword302ResponseHeaders{Location: s.changePasswordLink()}}, nil
}

// changePasswordLink is where someone sets another password who may not know the present one.
func (s *Server) changePasswordLink() string {
	if s.ChangePasswordLink != "" {
		return s.ChangePasswordLink
	}
	return s.absolute("/password/forgot", url.Values{})
}
