package server

import (
	"context"
	"fmt"

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
	if err := s.checkInvitedPassword(ctx, token, req.Body.Password); err != nil {
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

// checkInvitedPassword is the policy again, now that the token says whose words the password must not be made of.
func (s *Server) checkInvitedPassword(ctx context.Context, token query.TokenByIDRow, password string) error {
	user, err := s.query.UserByEmail(ctx, token.Address)
	if isNoRows(err) {
		return invalidToken() // the account is gone, or its address is another one now
	}
	if err != nil {
		return fmt.Errorf("look user up: %w", err)
	}
	words := []string{user.Email, user.Nickname}
	for _, name := range []*string{user.FirstName, user.LastName} {
		if name != nil {
			words = append(words, *name)
		}
	}
	if broken := s.checkNewPassword("/password", password, words); len(broken) > 0 {
		return &Problem{Code: api.ProblemCodeValidationFailed, Errors: broken}
	}
	return nil
}

// ResendInvitation mails the invitation again; the older link dies.
func (s *Server) ResendInvitation(ctx context.Context, req api.ResendInvitationRequestObject) (api.ResendInvitationResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		if user.EmailVerified {
			return fail(api.ProblemCodeAlreadyVerified)
		}
		within, wait, err := s.count(ctx, q, limitMailHour, "invitation:"+user.EmailCanonical)
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
	if err != nil {
		return nil, err
	}
	return api.ResendInvitation202JSONResponse{Message: "The invitation is on its way."}, nil
}
