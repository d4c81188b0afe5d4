package server_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
)

// listOf decodes a page of users.
func listOf(t testing.TB, r response) api.UserList {
	t.Helper()
	var list api.UserList
	if err := json.Unmarshal(r.body, &list); err != nil || r.status != 200 {
		t.Fatalf("got %d %s, want a page", r.status, r.body)
	}
	return list
}

// listPage reads a page by its query.
func listPage(s *system, token, query string) api.UserList {
	s.t.Helper()
	return listOf(s.t, s.call("GET", "/users?"+query, token, nil))
}

// listInsert makes so many verified accounts, the i-th (from 1) made at an SQL expression of i.
func listInsert(s *system, n int, createdAt string) {
	s.t.Helper()
	s.exec(fmt.Sprintf(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language, email_verified, role, created_at)
		SELECT gen_random_uuid(), 'list' || i || '@example.com', 'list' || i || '@example.com', 'list_' || i, 'en', true, 'AUTHENTICATED', %s
		FROM generate_series(1, %d) AS i`, createdAt, n))
}

// listOrder is the order in which the list has to be, by the database.
func listOrder(s *system) []uuid.UUID {
	s.t.Helper()
	var ids []uuid.UUID
	s.scan("SELECT array_agg(id ORDER BY created_at DESC, id DESC) FROM users WHERE deleted_at IS NULL", nil, &ids)
	return ids
}

func listIDs(items []api.User) []uuid.UUID {
	ids := make([]uuid.UUID, len(items))
	for i, item := range items {
		ids[i] = item.ID
	}
	return ids
}

// listLink is the link of a page with a relation, and "" when there is none.
func listLink(list api.UserList, rel api.Rel) string {
	for _, link := range list.Links {
		if link.Rel == rel {
			return link.Href
		}
	}
	return ""
}

// listFollow reads the page that a link leads to.
func listFollow(s *system, token, href string) api.UserList {
	s.t.Helper()
	u, err := url.Parse(href)
	if err != nil || !strings.HasPrefix(href, s.url+"/users?") {
		s.t.Fatalf("got link %q, want an absolute one to the list", href)
	}
	return listPage(s, token, u.RawQuery)
}
