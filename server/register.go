package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

const concealed = "If the address can be used, a mail is on its way."

var concealedRegistration = api.Register202JSONResponse{Message: concealed}

// Register opens an unverified account. The verification mail is queued in the same transaction, so neither
// exists without the other.
func (s *Server) Register(ctx context.Context, req api.RegisterRequestObject) (api.RegisterResponseObject, error) {
	if !s.RegistrationOpen {
		return nil, fail(api.ProblemCodeRegistrationClosed)
	}
	perSource := limit{"registration", s.RegistrationLimit, time.Hour}
	within, wait, err := s.count(ctx, s.query, perSource, requestOf(ctx).source())
	if err != nil {
		return nil, err
	}
	if !within {
		return nil, &Problem{Code: api.ProblemCodeTooManyRequests, RetryAfter: wait}
	}
	hash, err := s.Hasher.Hash(ctx, req.Body.Password) // slow on purpose, so before the transaction
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	params, err := newUser(newUserFields{
		email: req.Body.Email, nickname: req.Body.Nickname, firstName: req.Body.FirstName, lastName: req.Body.LastName,
		bio: req.Body.Bio, language: req.Body.PreferredLanguage, acceptLanguage: req.Params.AcceptLanguage,
		pictureURL: req.Body.ProfilePictureURL, linkedinURL: req.Body.LinkedinProfileURL, githubURL: req.Body.GithubProfileURL,
	})
	if err != nil {
		return nil, err
	}
	var answer api.RegisterResponseObject
	err = s.inTxOnce(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := createUser(ctx, q, params)
		if err != nil {
			return err
		}
		if err := q.PasswordSet(ctx, user.ID, hash); err != nil {
			return err
		}
		if err := s.sendToken(ctx, q, tx, user, query.TokenPurposeVerifyEmail, clientOf(req.Body.Client)); err != nil {
			return err
		}
		if err := s.audit(ctx, q, auditEntry{action: query.AuditActionUserRegistered, subject: &user.ID}); err != nil {
			return err
		}
		answer = s.registered(user)
		return s.keepAnswer(ctx, q, &user.ID, answer.VisitRegisterResponse)
	})
	if err == nil {
		return answer, nil
	}
	if !isTaken(err) {
		return nil, fmt.Errorf("register: %w", err)
	}
	taken := s.describeTaken(ctx, namesOf(params), s.RegistrationConceal)
	if !s.RegistrationConceal || taken.Code != api.ProblemCodeEmailTaken {
		return nil, taken
	}
	if err := s.tellOwner(ctx, params.EmailCanonical); err != nil {
		return nil, err
	}
	return concealedRegistration, nil
}

// registered is the answer to whoever opened an account; a concealing server says no more than it does of a known address.
func (s *Server) registered(user query.User) api.RegisterResponseObject {
	if s.RegistrationConceal {
		return concealedRegistration
	}
	return api.Register201JSONResponse{
		Body:    s.apiProfile(user),
		Headers: api.Register201ResponseHeaders{Location: s.absolute("/users/"+user.ID.String(), nil)},
	}
}

func namesOf(p query.UserCreateParams) query.UserTakenParams {
	return query.UserTakenParams{EmailCanonical: p.EmailCanonical, Nickname: p.Nickname, ID: p.ID}
}

// isTaken says whether the database refused an account because of its e-mail address or its nickname.
func isTaken(err error) bool {
	if isNoRows(err) {
		return true // createUser: the nickname
	}
	code := asProblem(err).Code
	return code == api.ProblemCodeEmailTaken || code == api.ProblemCodeNicknameTaken
}

// describeTaken says which of the two was taken, and both if it was both. A concealing server does not say what
// it knows of the address when something else is wrong, too.
func (s *Server) describeTaken(ctx context.Context, names query.UserTakenParams, conceals bool) *Problem {
	taken, err := s.query.UserTaken(ctx, names)
	if err != nil {
		return asProblem(fmt.Errorf("look taken names up: %w", err))
	}
	problem := fail(api.ProblemCodeEmailTaken)
	if !taken.Nickname || taken.Email && !conceals {
		problem.Errors = append(problem.Errors, fieldError(api.FieldLocationBody, "/email", api.FieldCodeTaken, nil))
	}
	if !taken.Nickname {
		return problem
	}
	if len(problem.Errors) == 0 {
		problem.Code = api.ProblemCodeNicknameTaken
	}
	problem.Errors = append(problem.Errors, fieldError(api.FieldLocationBody, "/nickname", api.FieldCodeTaken, nil))
	if problem.Suggestions, err = s.suggestNicknames(ctx, names.Nickname); err != nil {
		return asProblem(err)
	}
	return problem
}

// tellOwner mails the owner of an address that somebody tried to register with it; nobody else learns of it.
func (s *Server) tellOwner(ctx context.Context, canonical string) error {
	return s.inTxOnce(ctx, func(q *query.Queries, tx pgx.Tx) error {
		// About nobody: it was not the owner of the address who asked.
		if err := s.keepAnswer(ctx, q, nil, concealedRegistration.VisitRegisterResponse); err != nil {
			return err
		}
		within, err := s.withinAll(ctx, q, "attempt:"+canonical, limitMailHour)
		if err != nil || !within {
			return err
		}
		user, err := q.UserByEmail(ctx, canonical)
		if isNoRows(err) {
			return nil // deleted in the meantime
		}
		if err != nil {
			return fmt.Errorf("look owner up: %w", err)
		}
		return s.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindRegistrationAttempt})
	})
}

// newUserFields are the fields that an account can be opened with, by its owner or by staff.
type newUserFields struct {
	email                              string
	nickname, firstName, lastName, bio *string
	language, acceptLanguage           *string
	pictureURL, linkedinURL, githubURL *string
	role                               query.UserRole // default AUTHENTICATED
}

func newUser(f newUserFields) (query.UserCreateParams, error) {
	email, err := parseEmail(f.email)
	if err != nil {
		return query.UserCreateParams{}, err // the contract refused it before
	}
	id, err := newID()
	if err != nil {
		return query.UserCreateParams{}, err
	}
	params := query.UserCreateParams{
		ID: id, Email: email.display, EmailCanonical: email.canonical, FirstName: f.firstName, LastName: f.lastName, Bio: f.bio,
		PreferredLanguage: preferredLanguage(f.language, f.acceptLanguage),
		ProfilePictureURL: f.pictureURL, LinkedinProfileURL: f.linkedinURL, GithubProfileURL: f.githubURL,
		RoleWhenVerified: query.UserRoleAUTHENTICATED,
	}
	if f.nickname != nil {
		params.Nickname = *f.nickname
	}
	if f.role != "" {
		params.RoleWhenVerified = f.role
	}
	return params, nil
}

func clientOf(name *string) string {
	if name == nil {
		return ""
	}
	return *name
}
