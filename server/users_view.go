package server

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// staffUser loads an account as staff see it.
func (s *Server) staffUser(ctx context.Context, id uuid.UUID) (api.User, error) {
	return s.staffUserIn(ctx, s.query, id)
}

// staffUserIn is staffUser in a transaction that has just written the account.
func (s *Server) staffUserIn(ctx context.Context, q *query.Queries, id uuid.UUID) (api.User, error) {
	row, err := q.UserStaffView(ctx, actorOf(ctx).Role, id)
	if isNoRows(err) {
		return api.User{}, fail(api.ProblemCodeNotFound)
	}
	if err != nil {
		return api.User{}, fmt.Errorf("load user: %w", err)
	}
	users, err := s.apiUsers(ctx, q, []query.UserListRow{query.UserListRow(row)})
	if err != nil {
		return api.User{}, err
	}
	return users[0], nil
}

// apiUsers adds what failed sign-ins left, by one query for all: they are kept by address and not by account.
func (s *Server) apiUsers(ctx context.Context, q *query.Queries, rows []query.UserListRow) ([]api.User, error) {
	keys := make([][]byte, len(rows))
	for i, row := range rows {
		keys[i] = s.Secret.AddressKey(row.User.EmailCanonical)
	}
	summaries, err := q.LoginFailureSummary(ctx, keys)
	if err != nil {
		return nil, fmt.Errorf("load failed sign-ins: %w", err)
	}
	byKey := make(map[string]query.LoginFailureSummaryRow, len(summaries))
	for _, summary := range summaries {
		byKey[string(summary.AddressKey)] = summary
	}
	users := make([]api.User, len(rows))
	for i, row := range rows {
		users[i] = s.apiUser(actorOf(ctx), row, byKey[string(keys[i])])
	}
	return users, nil
}

func (s *Server) apiUser(actor *actor, row query.UserListRow, failures query.LoginFailureSummaryRow) api.User {
	u := row.User
	wait := nullable.NewNullNullable[time.Time]()
	isWaiting := failures.WaitUntil.After(time.Now())
	if isWaiting {
		wait = timeOrNull(&failures.WaitUntil)
	}
	return api.User{
		ID: u.ID, Email: u.Email, Nickname: u.Nickname, FirstName: orNull(u.FirstName), LastName: orNull(u.LastName), Bio: orNull(u.Bio),
		PreferredLanguage: u.PreferredLanguage, ProfilePictureURL: orNull(u.ProfilePictureURL),
		LinkedinProfileURL: orNull(u.LinkedinProfileURL), GithubProfileURL: orNull(u.GithubProfileURL), Role: api.Role(u.Role),
		IsProfessional: u.IsProfessional, ProfessionalStatusUpdatedAt: timeOrNull(u.ProfessionalStatusUpdatedAt),
		EmailVerified: u.EmailVerified, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(), Version: u.Version,
		RoleWhenVerified: api.GrantedRole(u.RoleWhenVerified), LastLoginAt: timeOrNull(row.LastLoginAt),
		FailedLoginAttempts: failures.Failures, LoginWaitUntil: wait, IsLocked: u.IsLocked, LockReason: orNull(u.LockReason),
		LastMail: api.LastMail{
			Kind: api.LastMailKind(row.MailKind), State: api.LastMailState(row.MailState), At: timeOrNull(row.MailAt),
		},
		Links: s.userLinks(actor, u, row.Manageable, isWaiting),
	}
}
