package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// VerifyEmail proves the address that the token was mailed to: the account gets its role.
func (s *Server) VerifyEmail(ctx context.Context, req api.VerifyEmailRequestObject) (api.VerifyEmailResponseObject, error) {
	token, err := s.findToken(ctx, req.Body.Token, query.TokenPurposeVerifyEmail)
	if err != nil {
		return nil, err
	}
	account, err := s.verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return api.VerifyEmail200JSONResponse(account), nil
}

// VerifyEmailLink is VerifyEmail for the address of the mailed link.
func (s *Server) VerifyEmailLink(ctx context.Context, req api.VerifyEmailLinkRequestObject) (api.VerifyEmailLinkResponseObject, error) {
	token, err := s.findToken(ctx, req.Token, query.TokenPurposeVerifyEmail)
	if err == nil && token.UserID != req.UserID {
		err = s.wrongToken(ctx) // a token of someone else
	}
	if err != nil {
		return nil, atPath(err)
	}
	account, err := s.verify(ctx, token)
	if err != nil {
		return nil, atPath(err)
	}
	return api.VerifyEmailLink200JSONResponse(account), nil
}

// atPath says that the refused token was in the path.
func atPath(err error) error {
	if problem, ok := errors.AsType[*Problem](err); ok {
		for i := range problem.Errors {
			problem.Errors[i].Location = api.FieldLocationPath
		}
	}
	return err
}

// verify consumes the token. Mail scanners and double clicks send it twice, so for ten minutes a used one
// answers the same success.
func (s *Server) verify(ctx context.Context, token query.TokenByIDRow) (api.VerifiedAccount, error) {
	err := checkOpen(token)
	if err == nil {
		var user query.User
		user, err = s.consumeToken(ctx, token, query.AuditActionEmailVerified, nothingMore)
		if err == nil {
			return verifiedAccount(user), nil
		}
	}
	if asProblem(err).Code != api.ProblemCodeTokenUsed {
		return api.VerifiedAccount{}, err
	}
	return s.verifiedJustNow(ctx, token, err)
}

// verifiedJustNow repeats the success of a token that was used within ten minutes, else it returns the refusal.
func (s *Server) verifiedJustNow(ctx context.Context, token query.TokenByIDRow, refusal error) (api.VerifiedAccount, error) {
	now, err := s.query.TokenByID(ctx, token.ID) // another request may have used it since it was looked up
	if err != nil {
		return api.VerifiedAccount{}, fmt.Errorf("look token up: %w", err)
	}
	if !now.IsJustUsed {
		return api.VerifiedAccount{}, refusal
	}
	user, err := s.query.UserByEmail(ctx, token.Address)
	if isNoRows(err) || err == nil && (user.ID != token.UserID || !user.EmailVerified) {
		return api.VerifiedAccount{}, refusal
	}
	if err != nil {
		return api.VerifiedAccount{}, fmt.Errorf("look user up: %w", err)
	}
	return verifiedAccount(user), nil
}

// ResendVerification mails a new link. The answer is the same for every address and every token: whether
// there is such an account is nobody's business.
func (s *Server) ResendVerification(ctx context.Context, req api.ResendVerificationRequestObject) (api.ResendVerificationResponseObject, error) {
	if (req.Body.Email == nil) == (req.Body.Token == nil) {
		code, params := api.FieldCodeRequired, map[string]string(nil)
		if req.Body.Email != nil {
			code, params = api.FieldCodeMutuallyExclusive, map[string]string{"other": "token"}
		}
		return nil, &Problem{Code: api.ProblemCodeValidationFailed, Errors: []api.FieldError{fieldError(api.FieldLocationBody, "/email", code, params)}}
	}
	address, err := s.resendAddress(ctx, req.Body)
	if err != nil {
		return nil, err
	}
	within, _, err := s.count(ctx, s.query, limitResendSource, requestOf(ctx).source())
	if err != nil {
		return nil, err
	}
	if within && address != "" {
		if err := s.resend(ctx, address, clientOf(req.Body.Client)); err != nil {
			return nil, err
		}
	}
	return api.ResendVerification202JSONResponse{Message: concealed}, nil
}

// resendAddress is the canonical address that was asked for, by itself or by a token; "" for a token that is not ours.
func (s *Server) resendAddress(ctx context.Context, body *api.ResendVerificationJSONRequestBody) (string, error) {
	if body.Email != nil {
		email, err := parseEmail(*body.Email)
		return email.canonical, err
	}
	token, err := s.findToken(ctx, *body.Token, query.TokenPurposeVerifyEmail, query.TokenPurposeInvitation)
	if err != nil && asProblem(err).Code != api.ProblemCodeInternalError && asProblem(err).Code != api.ProblemCodeDatabaseUnavailable {
		return "", nil
	}
	return token.Address, err
}

// verificationSubject and an address are what the limits of these mails count, whoever asks for them.
const verificationSubject = "verify:"

func (s *Server) resend(ctx context.Context, address, client string) error {
	return s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		within, err := s.withinAll(ctx, q, verificationSubject+address, limitMailMinute, limitMailHour)
		if err != nil || !within {
			return err
		}
		account, err := q.LoginAccount(ctx, address)
		if isNoRows(err) || err == nil && account.User.EmailVerified {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look account up: %w", err)
		}
		user, err := q.UserLock(ctx, account.User.ID)
		if err != nil {
			return fmt.Errorf("hold account: %w", err)
		}
		return s.sendProof(ctx, q, tx, user, account.Hash != "", client)
	})
}

// sendProof mails what an unverified account needs: its verification link, or while it has no password the
// invitation that sets one.
func (s *Server) sendProof(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User, hasPassword bool, client string) error {
	purpose, action := query.TokenPurposeVerifyEmail, query.AuditActionVerificationSent
	if !hasPassword {
		purpose, action = query.TokenPurposeInvitation, query.AuditActionInvitationSent
	}
	if err := s.sendToken(ctx, q, tx, user, purpose, client); err != nil {
		return err
	}
	return s.audit(ctx, q, auditEntry{action: action, subject: &user.ID})
}
