package server

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// ForgotPassword mails a link to set a new password. The answer and the work are the same for every address: whether
// there is such an account is found out by a job, which for unknown addresses finds nobody.
func (s *Server) ForgotPassword(ctx context.Context, req api.ForgotPasswordRequestObject) (api.ForgotPasswordResponseObject, error) {
	email, err := parseEmail(req.Body.Email)
	if err != nil {
		return nil, err // the contract refused it before
	}
	within, _, err := s.count(ctx, s.query, limitForgotSource, requestOf(ctx).source())
	if err != nil {
		return nil, err
	}
	if within {
		if err := s.requestReset(ctx, email.canonical, clientOf(req.Body.Client)); err != nil {
			return nil, err
		}
	}
	return api.ForgotPassword202JSONResponse{Message: concealed}, nil
}

func (s *Server) requestReset(ctx context.Context, canonical, client string) error {
	return s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		within, err := s.withinAll(ctx, q, resetSubject(canonical), limitMailMinute, limitMailHour)
		if err != nil || !within {
			return err
		}
		user, err := q.UserByEmail(ctx, canonical)
		if err != nil && !isNoRows(err) {
			return fmt.Errorf("look account up: %w", err)
		}
		if _, err := s.jobs.InsertTx(ctx, tx, forgotPasswordArgs{UserID: user.ID, Client: client}, nil); err != nil {
			return fmt.Errorf("enqueue job: %w", err)
		}
		entry := auditEntry{action: query.AuditActionPasswordResetRequested}
		if user.ID != uuid.Nil {
			entry.subject = &user.ID
		}
		return s.audit(ctx, q, entry)
	})
}

// resetSubject is what the limits of these mails count, whoever asks for them.
func resetSubject(canonical string) string { return "reset:" + canonical }

// forgotPasswordArgs asks for a reset link. Unknown addresses queue one too, with an id that nobody has.
type forgotPasswordArgs struct {
	UserID uuid.UUID `json:"user_id"`
	Client string    `json:"client"`
}

func (forgotPasswordArgs) Kind() string { return "forgot_password" }

type forgotPasswordWorker struct {
	river.WorkerDefaults[forgotPasswordArgs]
	server *Server
}

func (w *forgotPasswordWorker) Work(ctx context.Context, job *river.Job[forgotPasswordArgs]) error {
	return w.server.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := q.UserLock(ctx, job.Args.UserID)
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look user up: %w", err)
		}
		return w.server.sendToken(ctx, q, tx, user, query.TokenPurposeResetPassword, job.Args.Client)
	})
}

// ResetPassword sets a new password by the mailed token, once. Nobody is signed in by it, and what somebody else may
// have begun with the older password ends: sessions, other links, an e-mail change that waits for its proof.
func (s *Server) ResetPassword(ctx context.Context, req api.ResetPasswordRequestObject) (api.ResetPasswordResponseObject, error) {
	token, err := s.findToken(ctx, req.Body.Token, query.TokenPurposeResetPassword)
	if err != nil {
		return nil, err
	}
	if err := checkOpen(token); err != nil {
		return nil, err
	}
	if err := s.checkMailedPassword(ctx, token, req.Body.Password); err != nil {
		return nil, err
	}
	hash, err := s.Hasher.Hash(ctx, req.Body.Password) // slow on purpose, so before the transaction
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	err = s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.useToken(ctx, q, token)
		if err != nil {
			return err
		}
		if user.EmailCanonical != token.Address {
			return invalidToken() // its address is another one now
		}
		if !user.EmailVerified {
			if err := s.proveByReset(ctx, q, user); err != nil {
				return err
			}
		}
		if err := q.PasswordSet(ctx, user.ID, hash); err != nil {
			return fmt.Errorf("set password: %w", err)
		}
		return s.endRecovery(ctx, q, tx, user)
	})
	if err != nil {
		return nil, err
	}
	return api.ResetPassword204Response{}, nil
}

// proveByReset verifies an account whose owner opened a mailed link. Whoever set the older password had proven
// nothing, so no source is known for having had it.
func (s *Server) proveByReset(ctx context.Context, q *query.Queries, user query.User) error {
	verified, err := q.UserVerify(ctx, user.ID, user.EmailCanonical)
	if err != nil {
		return fmt.Errorf("verify address: %w", err)
	}
	if err := q.LoginFailureForget(ctx, s.Secret.AddressKey(user.EmailCanonical)); err != nil {
		return fmt.Errorf("forget sign-ins: %w", err)
	}
	return s.audit(ctx, q, auditEntry{action: query.AuditActionEmailVerified, subject: &user.ID, new: map[string]any{"role": verified.Role}})
}

// endRecovery is what follows a reset: everything ends but an administrator's lock (Z-09) and the links that undo an
// e-mail change.
func (s *Server) endRecovery(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User) error {
	if _, err := q.SessionEndAll(ctx, user.ID); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if err := q.TokenSupersedeAllButLasting(ctx, user.ID); err != nil {
		return fmt.Errorf("kill links: %w", err)
	}
	if _, err := q.LoginFailureEndWaits(ctx, s.Secret.AddressKey(user.EmailCanonical)); err != nil {
		return fmt.Errorf("end waits: %w", err)
	}
	if err := s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindPasswordChanged}); err != nil {
		return err
	}
	return s.audit(ctx, q, auditEntry{action: query.AuditActionPasswordReset, subject: &user.ID})
}

// SendPasswordResetMail is ForgotPassword by staff, who are told when it is too often.
func (s *Server) SendPasswordResetMail(ctx context.Context, req api.SendPasswordResetMailRequestObject) (api.SendPasswordResetMailResponseObject, error) {
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		within, wait, err := s.count(ctx, q, limitMailHour, resetSubject(user.EmailCanonical))
		if err != nil {
			return err
		}
		if !within {
			return &Problem{Code: api.ProblemCodeTooManyRequests, RetryAfter: wait}
		}
		if err := s.sendToken(ctx, q, tx, user, query.TokenPurposeResetPassword, ""); err != nil {
			return err
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionPasswordResetRequested, subject: &user.ID})
	})
	if err != nil {
		return nil, err
	}
	return api.SendPasswordResetMail202JSONResponse{Message: mailSent}, nil
}
