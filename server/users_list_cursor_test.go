package server_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

// I-13: a cursor is taken as it was given, or not at all.
func TestAnAlteredCursorIsRefused(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager, admin := s.signedIn(query.UserRoleMANAGER), s.signedIn(query.UserRoleADMIN)
	listInsert(s, 20, "now() - make_interval(secs => i)")
	page := listPage(s, manager.token, "limit=5&role=AUTHENTICATED")
	cursor := page.NextCursor.MustGet()
	with := func(cursor string) response {
		return s.call(http.MethodGet, "/users?limit=5&role=AUTHENTICATED&cursor="+cursor, manager.token, nil)
	}
	if got := listOf(t, with(cursor)); got.Size != 5 || got.Items[0].ID == page.Items[0].ID {
		t.Fatalf("got %+v, want the second page", got)
	}
	plain, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		t.Fatal(err)
	}
	var altered []string
	for i := range len(plain) * 8 { // every single bit
		flipped := slices.Clone(plain)
		flipped[i/8] ^= 1 << (i % 8)
		altered = append(altered, base64.RawURLEncoding.EncodeToString(flipped))
	}
	for length := range plain { // every truncation
		if length > 0 {
			altered = append(altered, base64.RawURLEncoding.EncodeToString(plain[:length]))
		}
	}
	altered = append(altered, cursor+"A", cursor+cursor, "A"+cursor, cursor+"=", cursor+"%20", "%20"+cursor, "AQ", "x", "..%2f", "%F0%9F%98%80", "'%20OR%201=1--",
		base64.RawURLEncoding.EncodeToString(make([]byte, len(plain))), base64.StdEncoding.EncodeToString(plain)+"%3D", strings.Repeat("A", 1000),
		strings.ToLower(cursor), strings.ToUpper(cursor))
	for _, text := range altered {
		if got := with(text); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", text, got.status)
		} else {
			got.problem(t, api.ProblemCodeInvalidCursor)
		}
	}
	for name, filters := range map[string]string{
		"another filter": "role=ADMIN", "no filter": "", "one filter more": "role=AUTHENTICATED&is_locked=false", "another name": "nickname=AUTHENTICATED",
	} {
		got := s.call(http.MethodGet, "/users?limit=5&"+filters+"&cursor="+cursor, manager.token, nil)
		if got.problem(t, api.ProblemCodeInvalidCursor); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", name, got.status)
		}
	}
	// A cursor is a place, not a permission: another reader and another page size are fine.
	if got := listPage(s, admin.token, "limit=7&role=AUTHENTICATED&cursor="+cursor); got.Size != 7 {
		t.Errorf("another reader: got %d users, want 7", got.Size)
	}
	other := newSystemOn(t, s.pool) // and so is another server on the same database
	if got := listPage(other, other.login(manager.email, goodPassword), "limit=5&role=AUTHENTICATED&cursor="+cursor); got.Size != 5 {
		t.Errorf("another server: got %d users, want 5", got.Size)
	}
	with(strings.Repeat("A", 1001)).problem(t, api.ProblemCodeValidationFailed)
	if got := with(strings.Repeat("A", 9000)); got.status != http.StatusRequestURITooLong {
		t.Errorf("9 kB: got %d, want 414", got.status)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/users?cursor="+strings.Repeat("A", 1<<20), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // net/http's own answer, in plain text, when it does not just hang up
	if err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("1 MiB: got %d, want 431", resp.StatusCode)
		}
	}
}

func TestLinksLeadToTheSamePagesAsTheirHeader(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	listInsert(s, 23, "now() - make_interval(secs => i)")
	for _, start := range []string{"limit=5&role=AUTHENTICATED", "limit=5&role=AUTHENTICATED&skip=0", "limit=5&email_verified=true&is_locked=false"} {
		first := s.call(http.MethodGet, "/users?"+start, admin.token, nil)
		page := listOf(t, first)
		listCheckHeader(t, first.header.Get("Link"), page)
		byCursor := page
		for number := 1; ; number++ {
			if page.Page.MustGet() != int32(number) || listLink(page, api.RelSelf) == "" || listLink(page, api.RelFirst) == "" || listLink(page, api.RelLast) == "" {
				t.Errorf("%s: page %d: got %+v", start, number, page.Links)
			}
			if !slices.Equal(listIDs(byCursor.Items), listIDs(page.Items)) {
				t.Errorf("%s: page %d differs by skip and by cursor", start, number)
			}
			for _, same := range []api.UserList{page, byCursor} {
				if again := listFollow(s, admin.token, listLink(same, api.RelSelf)); !slices.Equal(listIDs(again.Items), listIDs(same.Items)) {
					t.Errorf("%s: page %d: self is another page", start, number)
				}
			}
			next := listLink(page, api.RelNext)
			if (next == "") != page.NextCursor.IsNull() || (next == "") != (listLink(byCursor, api.RelNext) == "") {
				t.Errorf("%s: page %d: next link %q and cursor %v disagree", start, number, next, page.NextCursor)
			}
			if next == "" {
				if last := listFollow(s, admin.token, listLink(page, api.RelLast)); !slices.Equal(listIDs(last.Items), listIDs(page.Items)) {
					t.Errorf("%s: last is another page than the one without a next", start)
				}
				break
			}
			following, followingByCursor := listFollow(s, admin.token, next), listPage(s, admin.token, strings.Replace(start, "&skip=0", "", 1)+"&cursor="+byCursor.NextCursor.MustGet())
			if listLink(followingByCursor, api.RelLast) != "" {
				t.Errorf("%s: a page by cursor has a last link", start)
			}
			for _, p := range []api.UserList{following, followingByCursor} {
				if back := listFollow(s, admin.token, listLink(p, api.RelPrev)); !slices.Equal(listIDs(back.Items), listIDs(page.Items)) {
					t.Errorf("%s: prev of page %d is not page %d", start, number+1, number)
				}
			}
			page, byCursor = following, followingByCursor
		}
	}
	if page := listPage(s, admin.token, "limit=5"); listLink(page, api.RelCreate) != s.url+"/users" || listLink(page, api.RelPrev) != "" {
		t.Errorf("got %+v, want a way to invite and none back from the first page", page.Links)
	}
}

// listCheckHeader compares the Link header (RFC 8288) with the links of the body that lead to pages.
func listCheckHeader(t testing.TB, header string, page api.UserList) {
	t.Helper()
	var want []string
	for _, link := range page.Links {
		if link.OperationID == "listUsers" {
			want = append(want, fmt.Sprintf("<%s>; rel=%q", link.Href, link.Rel))
		}
	}
	if header != strings.Join(want, ", ") || len(want) < 3 {
		t.Errorf("got Link %s, want %s", header, want)
	}
}

// I-12: who is there all the time is met once, whatever comes and goes meanwhile.
func TestAWalkAmongInsertsAndDeletesMeetsEveryStableRowOnce(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	listInsert(s, 60, "now() - interval '1 hour' - make_interval(secs => i / 3)")
	stable := listOrder(s)
	stop := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() { // rows between the stable ones and of the same times
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			s.exec(`INSERT INTO users (id, email, email_canonical, nickname, preferred_language, created_at)
				SELECT gen_random_uuid(), $1::text || j, $1::text || j, $1::text || j, 'en', now() - interval '1 hour' - make_interval(secs => j) FROM generate_series(-2, 19, 3) AS j`,
				fmt.Sprintf("churn_%d_", i))
			s.exec("DELETE FROM users WHERE nickname LIKE $1", fmt.Sprintf("churn\\_%d\\_%%", i-1))
		}
	})
	for walk := range 4 {
		limit := []int{1, 3, 10, 7}[walk]
		met := map[uuid.UUID]int{}
		next := func(p api.UserList) (string, bool) { v, err := p.NextCursor.Get(); return v, err == nil }
		page := listPage(s, admin.token, fmt.Sprintf("limit=%d", limit))
		if walk%2 == 1 { // backward, from the oldest of the stable ones
			for cursor, more := next(page); more; cursor, more = next(page) {
				page = listPage(s, admin.token, fmt.Sprintf("limit=%d&cursor=%s", limit, cursor))
			}
			next = func(p api.UserList) (string, bool) { v, err := p.PrevCursor.Get(); return v, err == nil }
		}
		for {
			for _, id := range listIDs(page.Items) {
				met[id]++
			}
			cursor, more := next(page)
			if !more || len(page.Items) > 0 && met[page.Items[0].ID] > 1 {
				break
			}
			page = listPage(s, admin.token, fmt.Sprintf("limit=%d&cursor=%s", limit, cursor))
		}
		for id, n := range met {
			if n > 1 {
				t.Errorf("limit %d: met %s %d times", limit, id, n)
			}
		}
		for _, id := range stable {
			if met[id] != 1 {
				t.Errorf("limit %d: met the stable %s %d times", limit, id, met[id])
			}
		}
	}
	close(stop)
	churn.Wait()
}
