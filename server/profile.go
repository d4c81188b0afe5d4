package server

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// GetOwnProfile answers from the row that authenticated the request: one query in all.
func (s *Server) GetOwnProfile(ctx context.Context, _ api.GetOwnProfileRequestObject) (api.GetOwnProfileResponseObject, error) {
	user := actorOf(ctx).User
	return api.GetOwnProfile200JSONResponse{Body: s.apiProfile(user), Headers: api.GetOwnProfile200ResponseHeaders{ETag: etag(user)}}, nil
}

// UpdateOwnProfile changes the fields that are given. If-Match is optional: a person edits in one place.
func (s *Server) UpdateOwnProfile(ctx context.Context, req api.UpdateOwnProfileRequestObject) (api.UpdateOwnProfileResponseObject, error) {
	var user query.User
	var params query.UserUpdateProfileParams
	err := s.inTx(ctx, func(q *query.Queries, _ pgx.Tx) (err error) {
		if user, err = q.UserLock(ctx, actorOf(ctx).ID); err != nil {
			return fmt.Errorf("hold profile: %w", err)
		}
		if err := checkVersion(req.Params.IfMatch, user); err != nil {
			return err
		}
		b := req.Body
		changes := profileChanges{
			nickname: b.Nickname, preferredLanguage: b.PreferredLanguage, firstName: b.FirstName, lastName: b.LastName, bio: b.Bio,
			pictureURL: b.ProfilePictureURL, linkedinURL: b.LinkedinProfileURL, githubURL: b.GithubProfileURL,
		}
		params = changes.apply(user)
		if user, err = q.UserUpdateProfile(ctx, params); err != nil {
			return err // users_nickname_key becomes nickname_taken in problem.go
		}
		return s.audit(ctx, q, auditEntry{action: query.AuditActionProfileUpdated, subject: &user.ID, new: changes.audit()})
	})
	if err != nil {
		return nil, s.withTaken(ctx, err, query.UserTakenParams{ID: params.ID, Nickname: params.Nickname})
	}
	// The links are those of the account as it is now, which may have a new nickname but no new role.
	return api.UpdateOwnProfile200JSONResponse{Body: s.apiProfile(user), Headers: api.UpdateOwnProfile200ResponseHeaders{ETag: etag(user)}}, nil
}

// withTaken completes a refusal because of a taken name: both are named if both are taken, with suggestions.
func (s *Server) withTaken(ctx context.Context, err error, names query.UserTakenParams) error {
	if code := asProblem(err).Code; code != api.ProblemCodeEmailTaken && code != api.ProblemCodeNicknameTaken {
		return err
	}
	return s.describeTaken(ctx, names, false)
}

// profileChanges are the fields of a PATCH: nil or unspecified stays, null clears.
type profileChanges struct {
	nickname, preferredLanguage        *string
	firstName, lastName, bio           nullable.Nullable[string]
	pictureURL, linkedinURL, githubURL nullable.Nullable[string]
}

func (c profileChanges) apply(user query.User) query.UserUpdateProfileParams {
	params := query.UserUpdateProfileParams{
		ID: user.ID, Nickname: user.Nickname, PreferredLanguage: user.PreferredLanguage,
		FirstName: changed(user.FirstName, c.firstName), LastName: changed(user.LastName, c.lastName), Bio: changed(user.Bio, c.bio),
		ProfilePictureURL:  changed(user.ProfilePictureURL, c.pictureURL),
		LinkedinProfileURL: changed(user.LinkedinProfileURL, c.linkedinURL),
		GithubProfileURL:   changed(user.GithubProfileURL, c.githubURL),
	}
	if c.nickname != nil {
		params.Nickname = *c.nickname
	}
	if c.preferredLanguage != nil {
		params.PreferredLanguage = preferredLanguage(c.preferredLanguage, nil)
	}
	return params
}

// audit names the given fields, not their values: who people are is not the audit's business.
func (c profileChanges) audit() map[string]any {
	given := map[string]bool{
		"nickname": c.nickname != nil, "preferred_language": c.preferredLanguage != nil,
		"first_name": c.firstName.IsSpecified(), "last_name": c.lastName.IsSpecified(), "bio": c.bio.IsSpecified(),
		"profile_picture_url": c.pictureURL.IsSpecified(), "linkedin_profile_url": c.linkedinURL.IsSpecified(),
		"github_profile_url": c.githubURL.IsSpecified(),
	}
	maps.DeleteFunc(given, func(_ string, isGiven bool) bool { return !isGiven })
	return map[string]any{"fields": append([]string{}, slices.Sorted(maps.Keys(given))...)} // none: [], not null
}

func changed(old *string, change nullable.Nullable[string]) *string {
	if !change.IsSpecified() {
		return old
	}
	if value, err := change.Get(); err == nil {
		return &value
	}
	return nil
}

func etag(user query.User) string { return `"` + strconv.FormatInt(user.Version, 10) + `"` }

// checkVersion compares an If-Match with the version that is stored (RFC 9110, 13.1.1). The row is held, so
// of two edits at once the second one sees the first.
func checkVersion(ifMatch *string, user query.User) error {
	if ifMatch == nil || strings.TrimSpace(*ifMatch) == "*" {
		return nil
	}
	for tag := range strings.SplitSeq(*ifMatch, ",") {
		if strings.TrimSpace(tag) == etag(user) {
			return nil
		}
	}
	return fail(api.ProblemCodeVersionConflict)
}

func (s *Server) apiProfile(u query.User) api.OwnProfile {
	return api.OwnProfile{
		ID: u.ID, Email: u.Email, Nickname: u.Nickname, FirstName: orNull(u.FirstName), LastName: orNull(u.LastName), Bio: orNull(u.Bio),
		PreferredLanguage: u.PreferredLanguage, ProfilePictureURL: orNull(u.ProfilePictureURL),
		LinkedinProfileURL: orNull(u.LinkedinProfileURL), GithubProfileURL: orNull(u.GithubProfileURL), Role: api.Role(u.Role),
		IsProfessional: u.IsProfessional, ProfessionalStatusUpdatedAt: timeOrNull(u.ProfessionalStatusUpdatedAt),
		EmailVerified: u.EmailVerified, CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(), Version: u.Version, DeletionAt: timeOrNull(u.DeletionAt),
		Links: s.profileLinks(u),
	}
}

func orNull(text *string) nullable.Nullable[string] {
	if text == nil {
		return nullable.NewNullNullable[string]()
	}
	return nullable.NewNullableWithValue(*text)
}

func timeOrNull(at *time.Time) nullable.Nullable[time.Time] {
	if at == nil {
		return nullable.NewNullNullable[time.Time]()
	}
	return nullable.NewNullableWithValue(at.UTC())
}
