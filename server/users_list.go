package server

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/oapi-codegen/nullable"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// userPage is one page of users and where it lies.
type userPage struct {
	rows             []query.UserListRow // newest first
	hasPrev, hasNext bool
}

// ListUsers answers a page, newest first, by cursor or by skip.
func (s *Server) ListUsers(ctx context.Context, req api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	p := req.Params
	if p.Cursor != nil && p.Skip != nil {
		return nil, &Problem{Code: api.ProblemCodeValidationFailed, Errors: []api.FieldError{
			fieldError(api.FieldLocationQuery, "/skip", api.FieldCodeMutuallyExclusive, map[string]string{"other": "cursor"}),
		}}
	}
	filters := filterValues(p)
	count := countParams(p)
	page, err := s.userPage(ctx, p, count, filters.Encode())
	if err != nil {
		return nil, err
	}
	total, err := s.query.UserCount(ctx, count)
	if err != nil {
		return nil, fmt.Errorf("count users: %w", err)
	}
	users, err := s.apiUsers(ctx, s.query, page.rows)
	if err != nil {
		return nil, err
	}
	list := s.userList(p, filters, page, total)
	list.Items = users
	if s.permits(actorOf(ctx).Role, "createUser") {
		list.Links = append(list.Links, s.link("createUser", ""))
	}
	return api.ListUsers200JSONResponse{Body: list, Headers: api.ListUsers200ResponseHeaders{Link: linkHeader(list.Links)}}, nil
}

// userPage reads one row more than the page holds, to know whether another page follows.
func (s *Server) userPage(ctx context.Context, p api.ListUsersParams, f query.UserCountParams, filters string) (userPage, error) {
	limit := limitOf(p)
	params := query.UserListParams{
		ActorRole: actorOf(ctx).Role, EmailCanonical: f.EmailCanonical, Nickname: f.Nickname, Role: f.Role, IsLocked: f.IsLocked,
		EmailVerified: f.EmailVerified, IsProfessional: f.IsProfessional, PageLimit: limit + 1, PageOffset: skipOf(p),
	}
	if p.Cursor != nil {
		place, err := s.decodeCursor(*p.Cursor, filters)
		if err != nil {
			return userPage{}, fail(api.ProblemCodeInvalidCursor)
		}
		if place.isBackward {
			return s.userPageBackward(ctx, params, place)
		}
		params.CursorAt, params.CursorID = &place.at, &place.id
	}
	rows, err := s.query.UserList(ctx, params)
	if err != nil {
		return userPage{}, fmt.Errorf("list users: %w", err)
	}
	hasNext := len(rows) > int(limit)
	if hasNext {
		rows = rows[:limit]
	}
	return userPage{rows: rows, hasPrev: p.Cursor != nil || skipOf(p) > 0, hasNext: hasNext}, nil
}

func (s *Server) userPageBackward(ctx context.Context, params query.UserListParams, place cursor) (userPage, error) {
	found, err := s.query.UserListBackward(ctx, query.UserListBackwardParams{
		ActorRole: params.ActorRole, EmailCanonical: params.EmailCanonical, Nickname: params.Nickname, Role: params.Role,
		IsLocked: params.IsLocked, EmailVerified: params.EmailVerified, IsProfessional: params.IsProfessional,
		CursorAt: place.at, CursorID: place.id, PageLimit: params.PageLimit,
	})
	if err != nil {
		return userPage{}, fmt.Errorf("list users: %w", err)
	}
	hasPrev := len(found) == int(params.PageLimit)
	if hasPrev {
		found = found[:params.PageLimit-1]
	}
	rows := make([]query.UserListRow, 0, len(found))
	for _, row := range slices.Backward(found) {
		rows = append(rows, query.UserListRow(row))
	}
	return userPage{rows: rows, hasPrev: hasPrev, hasNext: true}, nil
}

// userList fills the envelope and the links to the neighbouring pages.
func (s *Server) userList(p api.ListUsersParams, filters url.Values, page userPage, total int64) api.UserList {
	limit, skip := limitOf(p), skipOf(p)
	list := api.UserList{
		Total: min(total, countBound), TotalRelation: api.TotalRelationExact, Size: int32(len(page.rows)), Limit: limit,
		Page: nullable.NewNullNullable[int32](), Skip: nullable.NewNullNullable[int32](),
		NextCursor: nullable.NewNullNullable[string](), PrevCursor: nullable.NewNullNullable[string](),
	}
	if total > countBound {
		list.TotalRelation = api.TotalRelationAtLeast
	}
	if n := len(page.rows); n > 0 && page.hasNext {
		list.NextCursor.Set(s.cursorAt(page.rows[n-1].User, false, filters))
	}
	if len(page.rows) > 0 && page.hasPrev {
		list.PrevCursor.Set(s.cursorAt(page.rows[0].User, true, filters))
	}
	to := func(rel api.Rel, name, value string) {
		values := maps.Clone(filters)
		values.Set("limit", strconv.Itoa(int(limit)))
		if name != "" {
			values.Set(name, value)
		}
		list.Links = append(list.Links, api.Link{
			Rel: rel, Href: s.absolute("/users", values), Method: api.LinkMethodGET, OperationID: "listUsers",
		})
	}
	toSkip := func(rel api.Rel, skip int32) { to(rel, "skip", strconv.Itoa(int(skip))) }
	toCursor := func(rel api.Rel, c nullable.Nullable[string]) {
		if text, err := c.Get(); err == nil {
			to(rel, "cursor", text)
		}
	}
	if p.Cursor != nil {
		to(api.RelSelf, "cursor", *p.Cursor)
		to(api.RelFirst, "", "")
		toCursor(api.RelPrev, list.PrevCursor)
		toCursor(api.RelNext, list.NextCursor)
		return list
	}
	list.Page.Set(skip/limit + 1)
	list.Skip.Set(skip)
	toSkip(api.RelSelf, skip)
	toSkip(api.RelFirst, 0)
	if skip > 0 {
		toSkip(api.RelPrev, max(0, skip-limit))
	}
	if page.hasNext && skip+limit <= countBound {
		toSkip(api.RelNext, skip+limit)
	} else {
		toCursor(api.RelNext, list.NextCursor) // further than skip goes
	}
	if last := max(0, int32(total)-1) / limit * limit; list.TotalRelation == api.TotalRelationExact {
		toSkip(api.RelLast, last)
	}
	return list
}

func (s *Server) cursorAt(user query.User, isBackward bool, filters url.Values) string {
	return s.encodeCursor(cursor{isBackward: isBackward, at: user.CreatedAt, id: user.ID}, filters.Encode())
}

func limitOf(p api.ListUsersParams) int32 {
	if p.Limit == nil {
		return defaultLimit
	}
	return *p.Limit
}

func skipOf(p api.ListUsersParams) int32 {
	if p.Skip == nil {
		return 0
	}
	return *p.Skip
}

// countParams are the filters as the queries take them.
func countParams(p api.ListUsersParams) query.UserCountParams {
	params := query.UserCountParams{
		Nickname: p.Nickname, IsLocked: p.IsLocked, EmailVerified: p.EmailVerified, IsProfessional: p.IsProfessional, Bound: countBound,
	}
	if p.Email != nil {
		email, err := parseEmail(*p.Email)
		if err != nil {
			email.canonical = strings.ToLower(strings.TrimSpace(*p.Email)) // an imported one need not be an address
		}
		params.EmailCanonical = &email.canonical
	}
	if p.Role != nil {
		role := query.UserRole(*p.Role)
		params.Role = &role
	}
	return params
}

// filterValues are the filters as a query string, in which every link and cursor carries them on.
func filterValues(p api.ListUsersParams) url.Values {
	values := url.Values{}
	text := func(name string, value *string) {
		if value != nil {
			values.Set(name, *value)
		}
	}
	flag := func(name string, value *bool) {
		if value != nil {
			values.Set(name, strconv.FormatBool(*value))
		}
	}
	text("email", p.Email)
	text("nickname", p.Nickname)
	text("role", (*string)(p.Role))
	flag("is_locked", p.IsLocked)
	flag("email_verified", p.EmailVerified)
	flag("is_professional", p.IsProfessional)
	return values
}

// linkHeader is RFC 8288 for the pages; what can be done is in the body.
func linkHeader(links []api.Link) string {
	var parts []string
	for _, l := range links {
		if l.OperationID == "listUsers" {
			parts = append(parts, fmt.Sprintf("<%s>; rel=%q", l.Href, l.Rel))
		}
	}
	return strings.Join(parts, ", ")
}
