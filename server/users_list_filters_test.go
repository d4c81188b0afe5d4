package server_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// listFilterUser is what the filters look at.
type listFilterUser struct {
	role                          string
	locked, verified, isProfessed bool
}

// Every combination of the filters finds exactly the users that meet all of them.
func TestFiltersCombine(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	users := map[uuid.UUID]listFilterUser{admin.id: {"ADMIN", false, true, false}}
	for i := range 32 {
		u := listFilterUser{[]string{"AUTHENTICATED", "MANAGER", "ADMIN", "AUTHENTICATED"}[i%4], i&4 != 0, i&8 == 0, i&16 != 0}
		rank := u.role
		if !u.verified {
			u.role = "ANONYMOUS"
		}
		id := uuid.New()
		users[id] = u
		s.exec(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language, email_verified, role, role_when_verified, is_locked, is_professional)
			VALUES ($1, $2::text, $2, $3, 'en', $4, $5, $6, $7, $8)`,
			id, fmt.Sprintf("filter%d@example.com", i), fmt.Sprintf("Filter_%d", i), u.verified, u.role, rank, u.locked, u.isProfessed)
	}
	flags := []string{"", "true", "false"}
	meets := func(value bool, filter string) bool { return filter == "" || filter == fmt.Sprint(value) }
	for _, role := range []string{"", "ANONYMOUS", "AUTHENTICATED", "MANAGER", "ADMIN"} {
		for i := range 27 {
			locked, verified, professional := flags[i%3], flags[i/3%3], flags[i/9]
			values := url.Values{"limit": {"100"}}
			for name, value := range map[string]string{"role": role, "is_locked": locked, "email_verified": verified, "is_professional": professional} {
				if value != "" {
					values.Set(name, value)
				}
			}
			var want []string
			for id, u := range users {
				if (role == "" || role == u.role) && meets(u.locked, locked) && meets(u.verified, verified) && meets(u.isProfessed, professional) {
					want = append(want, id.String())
				}
			}
			slices.Sort(want)
			page := listPage(s, admin.token, values.Encode())
			var got []string
			for _, id := range listIDs(page.Items) {
				got = append(got, id.String())
			}
			slices.Sort(got)
			if !slices.Equal(got, want) || page.Total != int64(len(want)) {
				t.Errorf("%s: got %d of %d users", values.Encode(), len(got), len(want))
			}
		}
	}
	for name, tc := range map[string]struct{ query, nickname string }{
		"address in any case":           {"email=FILTER7@Example.COM", "Filter_7"},
		"address with blanks around it": {"email=%20filter7@example.com%20", "Filter_7"},
		"nickname in any case":          {"nickname=fILTER_7", "Filter_7"},
		"nickname and role":             {"nickname=filter_4&role=AUTHENTICATED", "Filter_4"},
		"address and another role":      {"email=filter4@example.com&role=ADMIN", ""},
		"two that contradict":           {"email=filter4@example.com&nickname=filter_5", ""},
		"a part of a nickname":          {"nickname=filter", ""},
		"_ is a letter here (I-11)":     {"nickname=Filter%2507", ""},
		"% is one as well (I-11)":       {"nickname=%25", ""},
		"not an address":                {"email=nonsense", ""},
		"a quote (I-10)":                {"nickname='%20OR%201=1--", ""},
	} {
		page := listPage(s, admin.token, tc.query)
		if tc.nickname == "" && page.Total != 0 || tc.nickname != "" && (page.Total != 1 || page.Items[0].Nickname != tc.nickname) {
			t.Errorf("%s: got %+v, want %q", name, page.Items, tc.nickname)
		}
	}
}

// What was imported from an older system follows no rule but the columns', and must not hide the rest of a list.
func TestOddImportedRowsNeverBreakTheList(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	odd := map[string]string{ // SQL by column
		"email":                          `repeat('Ω', 254)`,
		"nickname":                       `repeat('😀', 50)`,
		"first_name":                     `repeat(U&'\202E', 100)`,
		"last_name":                      `E'\x01\x02 tab\t'`,
		"bio":                            `repeat(E'\n', 500)`,
		"preferred_language":             `repeat('x', 50)`,
		"profile_picture_url":            `'javascript:alert(1)//' || repeat('x', 200)`,
		"linkedin_profile_url":           `''`,
		"github_profile_url":             `'<script>' || repeat('&', 247)`,
		"lock_reason":                    `''`,
		"professional_status_updated_at": `NULL`,
		"created_at":                     `timestamptz '0001-01-01 00:00:00+00'`,
		"updated_at":                     `timestamptz '9999-12-31 23:59:59.999999+00'`,
		"version":                        `9007199254740991`,
	}
	columns := slices.Sorted(maps.Keys(odd))
	for i, column := range columns { // one oddity each, and at last all of them
		s.exec(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language, is_locked, is_professional) VALUES ($1, $2::text, $2, $3, 'en', true, true)`,
			uuid.New(), fmt.Sprintf("odd%d@example.com", i), fmt.Sprintf("odd_%d", i))
		s.exec(fmt.Sprintf("UPDATE users SET %s = %s WHERE nickname = $1", column, odd[column]), fmt.Sprintf("odd_%d", i))
	}
	all := uuid.New()
	s.exec(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language, is_locked, is_professional) VALUES ($1, 'all', 'all', 'all', 'en', true, true)`, all)
	for _, column := range columns {
		value := odd[column]
		if column == "nickname" {
			value = `repeat('Ä', 50)`
		}
		s.exec(fmt.Sprintf("UPDATE users SET %s = %s WHERE id = $1", column, value), all)
	}
	s.exec("UPDATE users SET email = 'Not An Address', email_canonical = 'not an address' WHERE id = $1", all)
	for _, limit := range []int{1, 4, 100} {
		var walked []uuid.UUID
		for page := listPage(s, admin.token, fmt.Sprintf("limit=%d", limit)); ; page = listPage(s, admin.token, fmt.Sprintf("limit=%d&cursor=%s", limit, page.NextCursor.MustGet())) {
			walked = append(walked, listIDs(page.Items)...)
			if page.NextCursor.IsNull() || len(walked) > len(columns)+2 {
				break
			}
		}
		if !slices.Equal(walked, listOrder(s)) {
			t.Errorf("limit %d: walked through %d of %d users", limit, len(walked), len(columns)+2)
		}
	}
	for _, filter := range []string{"email=NOT%20an%20address", "nickname=" + url.QueryEscape(strings.Repeat("ä", 50))} {
		if page := listPage(s, admin.token, filter); page.Total != 1 || page.Items[0].ID != all {
			t.Errorf("%s: got %d users, want the one with it", filter, page.Total)
		}
	}
	s.exec("UPDATE users SET version = 1 WHERE version > 1000")
	for _, id := range listOrder(s) {
		if id == admin.id {
			continue
		}
		path := "/users/" + id.String()
		for _, got := range []response{
			s.call("GET", path, admin.token, nil), staffPatch(s, admin.token, id, map[string]string{"preferred_language": "de"}, "*"), staffUnlock(s, admin.token, id),
			staffLock(s, admin.token, id, "x"), staffSetRole(s, admin.token, id, "MANAGER"), s.call("POST", path+"/downgrade", admin.token, nil),
			s.call("POST", path+"/upgrade", admin.token, nil), s.call("POST", path+"/invitation", admin.token, nil),
		} {
			if got.status >= 300 {
				t.Errorf("%s: got %d %s", id, got.status, got.body)
			}
		}
		staffDelete(s, admin.token, id)
		staffUserOf(t, staffRestore(s, admin.token, id), 200)
	}
}

// The longest filters still fit into the links that repeat them.
func TestLongFiltersFitIntoLinks(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	email, nickname := strings.Repeat("😀", 254), strings.Repeat("Ω", 50)
	s.exec(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language) VALUES ($1, 'x', $2, $3, 'en')`, uuid.New(), email, nickname)
	page := listPage(s, admin.token, url.Values{"email": {email}, "nickname": {nickname}, "role": {"ANONYMOUS"}, "is_locked": {"false"}, "limit": {"1"}}.Encode())
	if page.Total != 1 {
		t.Errorf("got %d users, want the one", page.Total)
	}
	for _, rel := range []api.Rel{api.RelSelf, api.RelFirst, api.RelLast} {
		if got := listFollow(s, admin.token, listLink(page, rel)); got.Total != 1 {
			t.Errorf("%s: got %d users, want the same one", rel, got.Total)
		}
	}
}
