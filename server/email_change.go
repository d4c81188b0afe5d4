package server

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// ChangeOwnEmail asks for another address. Nothing changes before the new one proves itself; the present one is told
// at once and can stop it. Whether the new one belongs to somebody else is told to nobody but its owner.
func (s *Server) ChangeOwnEmail(ctx context.Context, req api.ChangeOwnEmailRequestObject) (api.ChangeOwnEmailResponseObject, error) {
	email, err := parseEmail(req.Body.Email)
	if err != nil {
		return nil, err // the contract refused it before
	}
	if email.canonical == actorOf(ctx).EmailCanonical {
		return nil, &Problem{Code: api.ProblemCodeValidationFailed, Errors: []api.FieldError{
			fieldError(api.FieldLocationBody, "/email", api.FieldCodeUnchanged, nil),
		}}
	}
	if _, err := s.proveOwnPassword(ctx, req.Body.CurrentPassword); err != nil {
		return nil, err
	}
	within, wait, err := s.count(ctx, s.query, limitEmailChange, actorOf(ctx).ID.String())
	if err != nil {
		return nil, err
	}
	if !within {
		return nil, &Problem{Code: api.ProblemCodeTooManyRequests, RetryAfter: wait}
	}
	err = s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		return s.requestEmailChange(ctx, q, tx, email, clientOf(req.Body.Client))
	})
	if err != nil {
		return nil, err
	}
	return api.ChangeOwnEmail202JSONResponse{Message: concealed}, nil
}

// requestEmailChange does the same work for a free address and for a taken one, and the caller's own mailbox gets the
// same notice.
func (s *Server) requestEmailChange(ctx context.Context, q *query.Queries, tx pgx.Tx, email emailAddress, client string) error {
	user, err := q.UserLock(ctx, actorOf(ctx).ID)
	if isNoRows(err) {
		return fail(api.ProblemCodeInvalidAccessToken) // deleted in the meantime
	}
	if err != nil {
		return fmt.Errorf("hold account: %w", err)
	}
	revocation, err := s.createToken(ctx, q, query.TokenCreateParams{
		UserID: user.ID, Purpose: query.TokenPurposeRevokeEmailChange, Address: user.EmailCanonical, Email: &user.Email,
		Client: client, IsLasting: true,
	})
	if err != nil {
		return err
	}
	confirmation, err := s.createToken(ctx, q, query.TokenCreateParams{
		UserID: user.ID, Purpose: query.TokenPurposeConfirmEmailChange, Address: email.canonical, Email: &email.display,
		Client: client, SessionID: &actorOf(ctx).sessionID,
	})
	if err != nil {
		return err
	}
	toNew := query.MailCreateParams{UserID: user.ID, Kind: query.MailKindEmailChange, TokenID: &confirmation, Recipient: &email.display}
	owner, err := q.UserByEmail(ctx, email.canonical)
	if err == nil && owner.EmailVerified {
		toNew = query.MailCreateParams{UserID: owner.ID, Kind: query.MailKindEmailChangeAttempt}
	} else if err != nil && !isNoRows(err) {
		return fmt.Errorf("look address up: %w", err)
	}
	within, _, err := s.count(ctx, q, limitMailHour, "email_change:"+email.canonical) // whoever asks
	if err != nil {
		return err
	}
	if within {
		if err := s.enqueueMail(ctx, q, tx, toNew); err != nil {
			return err
		}
	}
	err = s.enqueueMail(ctx, q, tx, query.MailCreateParams{
		UserID: user.ID, Kind: query.MailKindEmailChangeNotice, TokenID: &revocation, Recipient: &user.Email,
	})
	if err != nil {
		return err
	}
	return s.auditEmail(ctx, q, query.AuditActionEmailChangeRequested, user, email.display)
}

// ConfirmEmailChange gives the account the address that the token was mailed to. The session that asked for it goes on.
func (s *Server) ConfirmEmailChange(ctx context.Context, req api.ConfirmEmailChangeRequestObject) (api.ConfirmEmailChangeResponseObject, error) {
	token, err := s.findOpenToken(ctx, req.Body.Token, query.TokenPurposeConfirmEmailChange)
	if err != nil {
		return nil, err
	}
	var changed query.User
	err = s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.useToken(ctx, q, token)
		if err != nil {
			return err
		}
		if user.IsLocked {
			return invalidToken() // Z-08: nothing changes while staff keep the account shut
		}
		if err := s.evict(ctx, q, token.Address, time.Time{}); err != nil {
			return err // a proof is more than a registration without one
		}
		if changed, err = s.setEmail(ctx, q, token); err != nil {
			return err
		}
		if _, err := q.SessionEndOthers(ctx, user.ID, *token.SessionID); err != nil {
			return fmt.Errorf("end other sessions: %w", err)
		}
		if err := q.TokenSupersedeAllButLasting(ctx, user.ID); err != nil {
			return fmt.Errorf("kill links: %w", err) // they were mailed to the older address
		}
		if err := s.tellOlderAddress(ctx, q, tx, user); err != nil {
			return err
		}
		return s.auditEmail(ctx, q, query.AuditActionEmailChanged, user, changed.Email)
	})
	if err != nil {
		return nil, err
	}
	return api.ConfirmEmailChange200JSONResponse(verifiedAccount(changed)), nil
}

// tellOlderAddress mails the address that an account had, with the link that brings it back while there is one.
func (s *Server) tellOlderAddress(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User) error {
	mail := query.MailCreateParams{UserID: user.ID, Kind: query.MailKindEmailChanged, Recipient: &user.Email}
	id, err := q.TokenNewestRevocation(ctx, user.ID, user.EmailCanonical)
	if err == nil {
		mail.TokenID = &id
	} else if !isNoRows(err) {
		return fmt.Errorf("look link up: %w", err)
	}
	return s.enqueueMail(ctx, q, tx, mail)
}

// RevokeEmailChange keeps the older address or brings it back. Whoever asked for the change knows the password, so
// every session ends, and so does what they have begun since; the links of earlier changes stay.
func (s *Server) RevokeEmailChange(ctx context.Context, req api.RevokeEmailChangeRequestObject) (api.RevokeEmailChangeResponseObject, error) {
	token, err := s.findOpenToken(ctx, req.Body.Token, query.TokenPurposeRevokeEmailChange)
	if err != nil {
		return nil, err
	}
	err = s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.useToken(ctx, q, token)
		if err != nil {
			return err
		}
		if user.EmailCanonical != token.Address {
			if err := s.bringEmailBack(ctx, q, tx, user, token); err != nil {
				return err
			}
		}
		if _, err := q.SessionEndAll(ctx, user.ID); err != nil {
			return fmt.Errorf("end sessions: %w", err)
		}
		if err := q.TokenSupersedeAllButLasting(ctx, user.ID); err != nil {
			return fmt.Errorf("kill links: %w", err)
		}
		if err := s.cancelDeletion(ctx, q, tx, user); err != nil {
			return err // whoever changed the address may have begun it
		}
		if err := q.TokenSupersedeNewer(ctx, user.ID, token.CreatedAt); err != nil {
			return fmt.Errorf("kill later links: %w", err)
		}
		return s.auditEmail(ctx, q, query.AuditActionEmailChangeRevoked, user, *token.Email)
	})
	if err != nil {
		return nil, err
	}
	return api.RevokeEmailChange204Response{}, nil
}

func (s *Server) bringEmailBack(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User, token query.TokenByIDRow) error {
	if err := s.evict(ctx, q, token.Address, token.CreatedAt); err != nil {
		return err
	}
	if _, err := s.setEmail(ctx, q, token); err != nil {
		return err
	}
	return s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindEmailChanged, Recipient: &user.Email})
}

// evict deletes an account that took an address since then and has not proven it: else whoever registers with an
// address that is not theirs would keep its owner from having it. Staff can restore what they invited.
func (s *Server) evict(ctx context.Context, q *query.Queries, canonical string, since time.Time) error {
	found, err := q.UserByEmail(ctx, canonical)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look address up: %w", err)
	}
	squatter, err := q.UserLock(ctx, found.ID)
	if isNoRows(err) || err == nil && (squatter.EmailVerified || squatter.CreatedAt.Before(since)) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("hold account: %w", err)
	}
	if err := q.UserDelete(ctx, squatter.ID); err != nil {
		return fmt.Errorf("delete account: %w", err)
	}
	if err := s.endAccess(ctx, q, squatter.ID); err != nil {
		return err
	}
	return s.audit(ctx, q, auditEntry{action: query.AuditActionUserDeleted, subject: &squatter.ID})
}

// findOpenToken is findToken for one that can still be used.
func (s *Server) findOpenToken(ctx context.Context, text string, purpose query.TokenPurpose) (query.TokenByIDRow, error) {
	token, err := s.findToken(ctx, text, purpose)
	if err != nil {
		return token, err
	}
	return token, checkOpen(token)
}

// setEmail gives an account the address that the token proves. The index decides whether it is free.
func (s *Server) setEmail(ctx context.Context, q *query.Queries, token query.TokenByIDRow) (query.User, error) {
	user, err := q.UserSetEmail(ctx, query.UserSetEmailParams{ID: token.UserID, Email: *token.Email, EmailCanonical: token.Address})
	if err != nil {
		return user, fmt.Errorf("set address: %w", err) // users_email_key becomes email_taken in problem.go
	}
	return user, nil
}

func (s *Server) auditEmail(ctx context.Context, q *query.Queries, action query.AuditAction, user query.User, next string) error {
	return s.audit(ctx, q, auditEntry{
		action: action, subject: &user.ID, old: map[string]any{"email": maskEmail(user.Email)}, new: map[string]any{"email": maskEmail(next)},
	})
}
