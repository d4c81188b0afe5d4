package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// AcceptInvitation sets the first password of an invited account and proves its address, once.
func (s *Server) AcceptInvitation(ctx context.Context, req api.AcceptInvitationRequestObject) (api.AcceptInvitationResponseObject, error) {
	token, err := s.findToken(ctx, req.Body.Token, query.TokenPurposeInvitation)
	if err != nil {
		return nil, err
	}
	if err := checkOpen(token); err != nil {
		return nil, err
	}
	if err := s.checkMailedPassword(ctx, token, req.Body.Password); err != nil {
		return nil, err
	}
	hash, err := s.Hasher.Hash(ctx, req.Body.Password)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	user, err := s.consumeToken(ctx, token, query.AuditActionInvitationAccepted, func(q *query.Queries, user query.User) error {
		if err := q.PasswordSet(ctx, user.ID, hash); err != nil {
			return fmt.Errorf("set password: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return api.AcceptInvitation200JSONResponse(verifiedAccount(user)), nil
}

// checkMailedPassword is the policy again, now that the token says whose words the password must not be made of.
func (s *Server) checkMailedPassword(ctx context.Context, token query.TokenByIDRow, password string) error {
	user, err := s.query.UserByEmail(ctx, token.Address)
	if isNoRows(err) {
		return invalidToken() // the account is gone, or its address is another one now
	}
	if err != nil {
		return fmt.Errorf("look user up: %w", err)
	}
	if broken := s.checkNewPassword("/password", password, wordsOf(user)); len(broken) > 0 {
		return &Problem{Code: api.ProblemCodeValidationFailed, Errors: broken}
	}
	return nil
}

// ResendInvitation mails the invitation again; the older link dies.
func (s *Server) ResendInvitation(ctx context.Context, req api.ResendInvitationRequestObject) (api.ResendInvitationResponseObject, error) {
	err := s.resendProof(ctx, req.UserID, "invitation:")
	if err != nil {
		return nil, err
	}
	return api.ResendInvitation202JSONResponse{Message: "The invitation is on its way."}, nil
}

const mailSent = "The mail is on its way."

// SendVerificationMail mails the proof of the address again; the older link dies.
func (s *Server) SendVerificationMail(ctx context.Context, req api.SendVerificationMailRequestObject) (api.SendVerificationMailResponseObject, error) {
	if err := s.resendProof(ctx, req.UserID, verificationSubject); err != nil {
		return nil, err
	}
	return api.SendVerificationMail202JSONResponse{Message: mailSent}, nil
}

// resendProof mails an unverified account of lower rank what it needs, unless its counter is at its limit.
func (s *Server) resendProof(ctx context.Context, id uuid.UUID, counter string) error {
	return s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, id)
		if err != nil {
			return err
		}
		if user.EmailVerified {
			return fail(api.ProblemCodeAlreadyVerified)
		}
		within, wait, err := s.count(ctx, q, limitMailHour, counter+user.EmailCanonical)
		if err != nil {
			return err
		}
		if !within {
			return &Problem{Code: api.ProblemCodeTooManyRequests, RetryAfter: wait}
		}
		account, err := q.LoginAccount(ctx, user.EmailCanonical)
		if err != nil {
			return fmt.Errorf("look account up: %w", err)
		}
		return s.sendProof(ctx, q, tx, user, account.Hash != "", "")
	})
}
