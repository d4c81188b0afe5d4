package server

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

// tokenKinds is what each kind of mailed token is for, and how long it lives from its first delivery.
var tokenKinds = map[query.TokenPurpose]struct {
	purpose secret.Purpose
	mail    query.MailKind
	ttl     time.Duration
}{
	query.TokenPurposeVerifyEmail:        {secret.PurposeVerifyEmail, query.MailKindVerifyEmail, 24 * time.Hour},
	query.TokenPurposeInvitation:         {secret.PurposeInvitation, query.MailKindInvitation, 72 * time.Hour},
	query.TokenPurposeResetPassword:      {secret.PurposeResetPassword, query.MailKindPasswordReset, time.Hour},
	query.TokenPurposeConfirmEmailChange: {secret.PurposeConfirmEmailChange, query.MailKindEmailChange, 24 * time.Hour},
	query.TokenPurposeRevokeEmailChange:  {secret.PurposeRevokeEmailChange, query.MailKindEmailChangeNotice, 24 * time.Hour},
	query.TokenPurposeCancelDeletion:     {secret.PurposeCancelDeletion, query.MailKindDeletionScheduled, deletionGrace},
}

// undeliveredTTL bounds the life of a token whose mail never left.
const undeliveredTTL = 72 * time.Hour

// sendToken makes a token for the user's present address and queues its mail. It kills the older link of the
// same kind. The caller holds the user's row, or has just made it.
func (s *Server) sendToken(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User, purpose query.TokenPurpose, client string) error {
	id, err := s.createToken(ctx, q, query.TokenCreateParams{
		UserID: user.ID, Purpose: purpose, Address: user.EmailCanonical, Client: client,
	})
	if err != nil {
		return err
	}
	return s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: tokenKinds[purpose].mail, TokenID: &id})
}

// createToken stores a token of which params say what it is bound to, and kills the older one of the kind unless it
// is lasting. The caller holds the user's row, or has just made it.
func (s *Server) createToken(ctx context.Context, q *query.Queries, params query.TokenCreateParams) (id uuid.UUID, err error) {
	if !params.IsLasting {
		if err := q.TokenSupersede(ctx, params.UserID, params.Purpose); err != nil {
			return id, fmt.Errorf("supersede token: %w", err)
		}
	}
	if id, err = newID(); err != nil {
		return id, err
	}
	params.ID, params.UndeliveredSeconds = id, undeliveredTTL.Seconds()
	params.Hash = secret.TokenHash(s.Secret.MintToken(tokenKinds[params.Purpose].purpose, id, params.UserID, params.Address))
	if _, err := q.TokenCreate(ctx, params); err != nil {
		return id, fmt.Errorf("create token: %w", err)
	}
	return id, nil
}

// findToken looks a submitted token up and proves that it is one of ours for one of these purposes, whatever its state.
func (s *Server) findToken(ctx context.Context, text string, purposes ...query.TokenPurpose) (query.TokenByIDRow, error) {
	token, err := secret.ParseToken(text)
	if err != nil {
		return query.TokenByIDRow{}, s.wrongToken(ctx)
	}
	row, err := s.query.TokenByID(ctx, token.ID)
	if isNoRows(err) {
		return query.TokenByIDRow{}, s.wrongToken(ctx)
	}
	if err != nil {
		return query.TokenByIDRow{}, fmt.Errorf("look token up: %w", err)
	}
	if !slices.Contains(purposes, row.Purpose) || !s.Secret.VerifyToken(tokenKinds[row.Purpose].purpose, token, row.UserID, row.Address) {
		return query.TokenByIDRow{}, s.wrongToken(ctx)
	}
	return row, nil
}

// wrongToken refuses a token that was never ours, and slows a source down that tries many. Tokens have 256
// secret bits, so a right one need not be slowed down.
func (s *Server) wrongToken(ctx context.Context) error {
	within, wait, err := s.count(ctx, s.query, limitTokenGuesses, requestOf(ctx).source())
	if err != nil {
		return err
	}
	if !within {
		return &Problem{Code: api.ProblemCodeTooManyRequests, RetryAfter: wait}
	}
	return invalidToken()
}

func invalidToken() *Problem {
	problem := fail(api.ProblemCodeTokenInvalid)
	problem.Errors = []api.FieldError{fieldError(api.FieldLocationBody, "/token", api.FieldCodeInvalidFormat, nil)}
	return problem
}

// checkOpen says why a token that is ours cannot be used, or nil.
func checkOpen(t query.TokenByIDRow) error {
	switch {
	case t.UsedAt != nil, t.SupersededAt != nil:
		return fail(api.ProblemCodeTokenUsed)
	case t.IsExpired:
		return fail(api.ProblemCodeTokenExpired)
	}
	return nil
}

// consumeToken uses a token up and proves its address, in one transaction with do. Of many at once one
// succeeds; the others are told token_used.
func (s *Server) consumeToken(ctx context.Context, t query.TokenByIDRow, action query.AuditAction, do func(q *query.Queries, user query.User) error) (query.User, error) {
	var user query.User
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		if _, err := s.useToken(ctx, q, t); err != nil {
			return err
		}
		var err error
		user, err = q.UserVerify(ctx, t.UserID, t.Address)
		if isNoRows(err) {
			return invalidToken() // its address is another one now
		}
		if err != nil {
			return fmt.Errorf("verify address: %w", err)
		}
		if err := do(q, user); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: action, subject: &user.ID, new: map[string]any{"role": user.Role}})
	})
	return user, err
}

// useToken holds the token's account and uses the token up.
func (s *Server) useToken(ctx context.Context, q *query.Queries, t query.TokenByIDRow) (query.User, error) {
	// The account first, as whoever replaces its links does: in another order the two wait for each other.
	user, err := q.UserLock(ctx, t.UserID)
	if isNoRows(err) {
		return user, invalidToken() // the account is gone
	}
	if err != nil {
		return user, fmt.Errorf("hold account: %w", err)
	}
	if _, err := q.TokenConsume(ctx, t.ID); isNoRows(err) {
		return user, fail(api.ProblemCodeTokenUsed)
	} else if err != nil {
		return user, fmt.Errorf("consume token: %w", err)
	}
	return user, nil
}

func verifiedAccount(user query.User) api.VerifiedAccount {
	return api.VerifiedAccount{
		UserID: user.ID, Email: user.Email, Nickname: user.Nickname, Role: api.Role(user.Role), EmailVerified: user.EmailVerified,
	}
}

func nothingMore(*query.Queries, query.User) error { return nil }

// linkFor is where a mailed token leads: the client's template, else the built-in page.
func (s *Server) linkFor(purpose query.TokenPurpose, client, token string, userID uuid.UUID) string {
	templates := s.Links[client]
	switch purpose {
	case query.TokenPurposeVerifyEmail:
		return fillTemplate(templates.VerifyEmail, token, s.absolute("/verify-email/"+userID.String()+"/"+token, nil))
	case query.TokenPurposeInvitation:
		return fillTemplate(templates.Invitation, token, s.absolute("/invitations/"+token, nil))
	case query.TokenPurposeCancelDeletion:
		return fillTemplate(templates.CancelDeletion, token, s.absolute("/deletion/cancel/"+token, nil))
	case query.TokenPurposeResetPassword:
		return fillTemplate(templates.ResetPassword, token, s.absolute("/password/reset/"+token, nil))
	case query.TokenPurposeConfirmEmailChange:
		return fillTemplate(templates.ConfirmEmailChange, token, s.absolute("/email-change/confirm/"+token, nil))
	case query.TokenPurposeRevokeEmailChange:
		return fillTemplate(templates.RevokeEmailChange, token, s.absolute("/email-change/revoke/"+token, nil))
	}
	return ""
}
