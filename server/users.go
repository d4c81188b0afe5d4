package server

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// GetUser answers what staff may know of an account.
func (s *Server) GetUser(ctx context.Context, req api.GetUserRequestObject) (api.GetUserResponseObject, error) {
	user, err := s.staffUser(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	return api.GetUser200JSONResponse{Body: user, Headers: api.GetUser200ResponseHeaders{ETag: versionTag(user)}}, nil
}

// CreateUser opens an account for someone else, who proves the address and chooses the password by an invitation.
func (s *Server) CreateUser(ctx context.Context, req api.CreateUserRequestObject) (api.CreateUserResponseObject, error) {
	fields := newUserFields{
		email: req.Body.Email, nickname: req.Body.Nickname, firstName: req.Body.FirstName, lastName: req.Body.LastName,
		bio: req.Body.Bio, language: req.Body.PreferredLanguage, acceptLanguage: req.Params.AcceptLanguage,
		pictureURL: req.Body.ProfilePictureURL, linkedinURL: req.Body.LinkedinProfileURL, githubURL: req.Body.GithubProfileURL,
	}
	if req.Body.Role != nil {
		fields.role = query.UserRole(*req.Body.Role)
	}
	params, err := newUser(fields)
	if err != nil {
		return nil, err
	}
	var answer api.CreateUserResponseObject
	err = s.inTxOnce(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := createUser(ctx, q, params)
		if err != nil {
			return err
		}
		if err := s.sendToken(ctx, q, tx, user, query.TokenPurposeInvitation, clientOf(req.Body.Client)); err != nil {
			return err
		}
		err = s.audit(ctx, q, auditEntry{
			action: query.AuditActionUserCreated, subject: &user.ID, new: map[string]any{"role": user.RoleWhenVerified},
		})
		if err != nil {
			return err
		}
		view, err := s.staffUserIn(ctx, q, user.ID)
		if err != nil {
			return err
		}
		answer = api.CreateUser201JSONResponse{
			Body: view, Headers: api.CreateUser201ResponseHeaders{Location: s.absolute("/users/"+user.ID.String(), nil)},
		}
		return s.keepAnswer(ctx, q, &user.ID, answer.VisitCreateUserResponse)
	})
	if err != nil && isTaken(err) {
		return nil, s.describeTaken(ctx, namesOf(params), false) // nothing is concealed from staff
	}
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	return answer, nil
}

// UpdateUser edits an account below the caller's rank. A corrected e-mail makes it ANONYMOUS until its owner
// proves the new address, and gives it the same rank back then.
func (s *Server) UpdateUser(ctx context.Context, req api.UpdateUserRequestObject) (api.UpdateUserResponseObject, error) {
	b := req.Body
	changes := profileChanges{
		nickname: b.Nickname, preferredLanguage: b.PreferredLanguage, firstName: b.FirstName, lastName: b.LastName, bio: b.Bio,
		pictureURL: b.ProfilePictureURL, linkedinURL: b.LinkedinProfileURL, githubURL: b.GithubProfileURL,
	}
	var params query.UserUpdateProfileParams
	err := s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := s.target(ctx, q, req.UserID)
		if err != nil {
			return err
		}
		if err := requireVersion(req.Params.IfMatch, user); err != nil {
			return err
		}
		params = changes.apply(user)
		if user, err = q.UserUpdateProfile(ctx, params); err != nil {
			return err
		}
		if b.Email != nil {
			if err := s.correctEmail(ctx, q, tx, user, *b.Email); err != nil {
				return err
			}
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionUserUpdated, subject: &user.ID, new: changes.audit()})
	})
	if err != nil {
		names := query.UserTakenParams{ID: req.UserID, Nickname: params.Nickname}
		if b.Email != nil {
			email, _ := parseEmail(*b.Email) // the contract refused others before
			names.EmailCanonical = email.canonical
		}
		return nil, s.withTaken(ctx, err, names)
	}
	user, err := s.staffUser(ctx, req.UserID)
	if err != nil {
		return nil, err
	}
	return api.UpdateUser200JSONResponse{Body: user, Headers: api.UpdateUser200ResponseHeaders{ETag: versionTag(user)}}, nil
}

// correctEmail stores another address and mails its proof. Links to the old one die, and so do the sessions.
func (s *Server) correctEmail(ctx context.Context, q *query.Queries, tx pgx.Tx, user query.User, text string) error {
	email, err := parseEmail(text)
	if err != nil {
		return err // the contract refused it before
	}
	if email.display == user.Email {
		return nil
	}
	account, err := q.LoginAccount(ctx, user.EmailCanonical)
	if err != nil {
		return fmt.Errorf("look account up: %w", err)
	}
	corrected, err := q.UserCorrectEmail(ctx, query.UserCorrectEmailParams{ID: user.ID, Email: email.display, EmailCanonical: email.canonical})
	if err != nil {
		return err // users_email_key becomes email_taken, users_last_admin last_admin in problem.go
	}
	if user.ID == actorOf(ctx).ID {
		return fail(api.ProblemCodeOwnAccount)
	}
	if corrected.EmailCanonical == user.EmailCanonical {
		return nil // another spelling of the same address
	}
	if err := s.endAccess(ctx, q, user.ID); err != nil {
		return err
	}
	if err := s.sendProof(ctx, q, tx, corrected, account.Hash != "", ""); err != nil {
		return err
	}
	return s.audit(ctx, q, auditEntry{
		action: query.AuditActionEmailCorrected, subject: &user.ID,
		old: map[string]any{"email": maskEmail(user.Email)}, new: map[string]any{"email": maskEmail(corrected.Email)},
	})
}

// maskEmail keeps enough of an address to tell two apart in the audit. An imported one need not be an address.
func maskEmail(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 1 || !isDotAtom(email[:at]) {
		return "***"
	}
	return email[:1] + "***" + email[at:]
}

// endAccess ends the sessions and kills the mailed links of an account.
func (s *Server) endAccess(ctx context.Context, q *query.Queries, id uuid.UUID) error {
	if _, err := q.SessionEndAll(ctx, id); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	if err := q.TokenSupersedeAll(ctx, id); err != nil {
		return fmt.Errorf("kill links: %w", err)
	}
	return nil
}

// target loads whom staff are about to change and holds the row. Rank is SQL's can_manage.
func (s *Server) target(ctx context.Context, q *query.Queries, id uuid.UUID) (query.User, error) {
	row, err := q.UserTarget(ctx, actorOf(ctx).Role, id)
	switch {
	case isNoRows(err):
		return query.User{}, fail(api.ProblemCodeNotFound)
	case err != nil:
		return query.User{}, fmt.Errorf("hold user: %w", err)
	case !row.Manageable:
		return query.User{}, fail(api.ProblemCodeRankTooLow)
	}
	return row.User, nil
}

// requireVersion is checkVersion for staff, who edit what others may be editing.
func requireVersion(ifMatch *string, user query.User) error {
	if ifMatch == nil {
		return fail(api.ProblemCodeVersionRequired)
	}
	return checkVersion(ifMatch, user)
}

func versionTag(user api.User) string { return fmt.Sprintf("%q", fmt.Sprint(user.Version)) }
