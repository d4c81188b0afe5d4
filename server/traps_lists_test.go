package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// listTraps is about GET /users.
func listTraps() []trap {
	return []trap{
		{"the order is newest first, and stays while rows are edited", orderStays}, // I-12
		{"a page holds a hundred at most", func(t *testing.T, s *system) { // I-12
			_, manager, _ := trapStaff(s)
			for _, limit := range []string{"101", "1000000", "2147483648", "99999999999999999999"} {
				s.call(http.MethodGet, "/users?limit="+limit, manager.token, nil).problem(t, api.ProblemCodeValidationFailed)
			}
			trapStatus(s, "100", s.call(http.MethodGet, "/users?limit=100", manager.token, nil), http.StatusOK)
		}},
		{"a page of none is refused and does not crash", func(t *testing.T, s *system) { // I-12
			_, manager, _ := trapStaff(s)
			got := s.call(http.MethodGet, "/users?limit=0", manager.token, nil)
			trapFields(s, got, map[string][]api.FieldCode{"/limit": {api.FieldCodeTooSmall}})
		}},
		{"negative numbers are refused instead of finding nobody", func(t *testing.T, s *system) { // I-12
			_, manager, _ := trapStaff(s)
			got := s.call(http.MethodGet, "/users?limit=-1&skip=-5", manager.token, nil)
			trapFields(s, got, map[string][]api.FieldCode{"/limit": {api.FieldCodeTooSmall}, "/skip": {api.FieldCodeTooSmall}})
		}},
		{"links to pages have each parameter once and lead there", pageLinksLead},
		{"an old row does not break the list", oldRowsAreListed},
	}
}

func orderStays(t *testing.T, _ *system) {
	s := newSystem(t)
	_, manager, _ := trapStaff(s)
	var all []string
	for range 12 {
		all = append(all, s.account(verifiedUser).id.String())
	}
	s.exec("UPDATE users SET created_at = '2026-01-01' WHERE id = ANY($1)", all[:6]) // one time stamp for many
	s.scan("SELECT array_agg(id::text ORDER BY created_at DESC, id DESC) FROM users", nil, &all)
	for _, by := range []string{"next_cursor", "skip"} {
		var walked []string
		path := "/users?limit=4"
		for path != "" {
			var page api.UserList
			trapJSON(s, s.call(http.MethodGet, path, manager.token, nil), http.StatusOK, &page)
			for _, user := range page.Items {
				walked = append(walked, user.ID.String())
			}
			// An edit moves the row in the table, which is the order of a query that asks for none.
			s.exec("UPDATE users SET bio = 'edited' WHERE id = $1", walked[len(walked)-1])
			path = ""
			if cursor, err := page.NextCursor.Get(); err == nil {
				path = "/users?limit=4&cursor=" + cursor
				if by == "skip" {
					path = fmt.Sprintf("/users?limit=4&skip=%d", len(walked))
				}
			}
			if page.Total != int64(len(all)) {
				t.Errorf("total is %d, want %d", page.Total, len(all))
			}
		}
		if !slices.Equal(walked, all) {
			t.Errorf("by %s: walked\n%v\nwant\n%v", by, walked, all)
		}
	}
}

func pageLinksLead(t *testing.T, _ *system) {
	s := newSystem(t)
	_, manager, _ := trapStaff(s)
	for range 5 {
		s.account(verifiedUser)
	}
	path, seen := "/users?role=AUTHENTICATED&limit=2&skip=2", 0
	for _, rel := range []api.Rel{api.RelPrev, api.RelNext, api.RelNext, api.RelFirst, api.RelLast, api.RelSelf} {
		got := s.call(http.MethodGet, path, manager.token, nil)
		var page api.UserList
		trapJSON(s, got, http.StatusOK, &page)
		i := slices.IndexFunc(page.Links, func(l api.Link) bool { return l.Rel == rel })
		if i < 0 {
			t.Fatalf("%s has no link %s, only %s", path, rel, trapRels(page.Links))
		}
		href := page.Links[i].Href
		if !strings.Contains(got.header.Get("Link"), "<"+href+`>; rel="`+string(rel)+`"`) {
			t.Errorf("the header has no %s: %s", rel, got.header.Get("Link"))
		}
		u, err := url.Parse(href)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range u.Query() {
			if len(values) != 1 {
				t.Errorf("%s has %s %d times", href, name, len(values))
			}
		}
		if strings.Count(href, "?") != 1 || u.Query().Get("role") != "AUTHENTICATED" || u.Query().Get("limit") != "2" {
			t.Errorf("%s is not the same list", href)
		}
		seen += len(page.Items)
		path = strings.TrimPrefix(href, s.url)
	}
	if seen != 2+2+2+2+2+2 { // the last of six has two, too
		t.Errorf("%d users on six pages of two", seen)
	}
}

func oldRowsAreListed(t *testing.T, _ *system) {
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	old := s.account(verifiedUser)
	// What an import of the old database may hold, and no request could.
	s.exec(`UPDATE users SET email = 'OLD USER@localhost', email_canonical = 'old user@localhost', nickname = repeat('é ', 25),
		first_name = '', last_name = repeat('x', 100), bio = E'\u0007' || repeat('b', 499), preferred_language = 'English',
		profile_picture_url = 'ftp://old/pic', linkedin_profile_url = 'linkedin.com/in/x', github_profile_url = '',
		created_at = '1970-01-01', updated_at = '1969-12-31' WHERE id = $1`, old.id)
	var page api.UserList
	trapJSON(s, s.call(http.MethodGet, "/users", manager.token, nil), http.StatusOK, &page)
	if len(page.Items) != 2 || page.Items[1].ID != old.id || page.Items[1].Email != "OLD USER@localhost" {
		t.Errorf("got %+v", page.Items)
	}
	if user := trapUser(s, manager, old.id); user.PreferredLanguage != "English" || user.FirstName.MustGet() != "" {
		t.Errorf("got %+v", user)
	}
	// Editing one field does not ask for the others to be mended first.
	got := s.call(http.MethodPatch, trapPath(old, ""), manager.token, map[string]any{"first_name": "Olga"}, "If-Match", "*")
	trapStatus(s, "edit", got, http.StatusOK)
	if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND first_name = 'Olga' AND nickname = repeat('é ', 25)", old.id); n != 1 {
		t.Error("the edit did not keep the rest")
	}
}
