package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
)

func TestTheListIsNewestFirstAndHasADefiniteOrderAmongEquals(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	listInsert(s, 60, "timestamptz '2026-01-01 00:00:00.123456+00' - make_interval(secs => i / 20)") // twenty of each time
	want := listOrder(s)
	for _, limit := range []int{1, 7, 20, 100} {
		var forward []uuid.UUID
		page := listPage(s, admin.token, fmt.Sprintf("limit=%d", limit))
		for {
			forward = append(forward, listIDs(page.Items)...)
			if page.NextCursor.IsNull() || len(forward) > len(want) {
				break
			}
			page = listPage(s, admin.token, fmt.Sprintf("limit=%d&cursor=%s", limit, page.NextCursor.MustGet()))
		}
		if !slices.Equal(forward, want) {
			t.Errorf("limit %d: walked forward through %d in another order than the %d there are", limit, len(forward), len(want))
		}
		// Backward, the pages end where the walk forward began: the last step may be a shorter page.
		var backward []uuid.UUID
		for backward = listIDs(page.Items); !page.PrevCursor.IsNull() && len(backward) <= len(want); backward = append(listIDs(page.Items), backward...) {
			page = listPage(s, admin.token, fmt.Sprintf("limit=%d&cursor=%s", limit, page.PrevCursor.MustGet()))
			if page.NextCursor.IsNull() {
				t.Fatal("a page that is reached backward has no next one")
			}
		}
		if !slices.Equal(backward, want) {
			t.Errorf("limit %d: walked backward through %d in another order than the %d there are", limit, len(backward), len(want))
		}
		var skipped []uuid.UUID
		for skip := 0; skip < len(want); skip += limit {
			skipped = append(skipped, listIDs(listPage(s, admin.token, fmt.Sprintf("limit=%d&skip=%d", limit, skip)).Items)...)
		}
		if !slices.Equal(skipped, want) {
			t.Errorf("limit %d: skipped through another order", limit)
		}
	}
}

func TestTheEnvelopeSaysWhereThePageLies(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	listInsert(s, 24, "now() - make_interval(secs => i)")
	first := listPage(s, admin.token, "")
	if first.Total != 25 || first.TotalRelation != api.TotalRelationExact || first.Size != 10 || first.Limit != 10 || first.Page.MustGet() != 1 ||
		first.Skip.MustGet() != 0 || first.NextCursor.IsNull() || !first.PrevCursor.IsNull() {
		t.Errorf("first page: got %+v", first)
	}
	last := listPage(s, admin.token, "skip=20")
	if last.Size != 5 || last.Page.MustGet() != 3 || last.Skip.MustGet() != 20 || !last.NextCursor.IsNull() || last.PrevCursor.IsNull() {
		t.Errorf("last page: got %+v", last)
	}
	second := listPage(s, admin.token, "cursor="+first.NextCursor.MustGet())
	if second.Total != 25 || second.Size != 10 || !second.Page.IsNull() || !second.Skip.IsNull() || second.NextCursor.IsNull() || second.PrevCursor.IsNull() {
		t.Errorf("by cursor: got %+v", second)
	}
	beyond := listPage(s, admin.token, "skip=1000")
	if beyond.Size != 0 || len(beyond.Items) != 0 || beyond.Total != 25 || !beyond.NextCursor.IsNull() || !beyond.PrevCursor.IsNull() {
		t.Errorf("beyond the end: got %+v", beyond)
	}
	if !strings.Contains(string(s.call("GET", "/users?skip=1000", admin.token, nil).body), `"items":[]`) {
		t.Error("no users are an empty list, not null")
	}
	none := listPage(s, admin.token, "nickname=nobody-here")
	if none.Total != 0 || none.TotalRelation != api.TotalRelationExact || none.Size != 0 || listLink(none, api.RelLast) == "" {
		t.Errorf("no match: got %+v", none)
	}
}

func TestABigTotalIsALowerBound(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	listInsert(s, 9_999, "now() - make_interval(secs => i)")
	full := listPage(s, admin.token, "skip=9990")
	if full.Total != 10_000 || full.TotalRelation != api.TotalRelationExact || full.Size != 10 || !full.NextCursor.IsNull() || listLink(full, api.RelLast) == "" {
		t.Errorf("10 000: got total %d %s, size %d", full.Total, full.TotalRelation, full.Size)
	}
	s.exec("UPDATE users SET nickname = nickname || '-x', email = 'b' || email, email_canonical = 'b' || email_canonical WHERE id <> $1", admin.id)
	listInsert(s, 20, "now() - interval '1 day' - make_interval(secs => i)")
	page := listPage(s, admin.token, "skip=10000")
	if page.Total != 10_000 || page.TotalRelation != api.TotalRelationAtLeast || page.Size != 10 || page.Page.MustGet() != 1001 || listLink(page, api.RelLast) != "" {
		t.Errorf("10 020: got %+v", page)
	}
	next := listFollow(s, admin.token, listLink(page, api.RelNext)) // further than skip goes, so by cursor
	if next.Size != 10 || !next.Skip.IsNull() || next.Items[0].Nickname != "list_11" || !next.NextCursor.IsNull() {
		t.Errorf("after the furthest skip: got %+v", next)
	}
	if few := listPage(s, admin.token, "role=ADMIN"); few.Total != 1 || few.TotalRelation != api.TotalRelationExact {
		t.Errorf("filtered: got total %d %s, want exactly 1", few.Total, few.TotalRelation)
	}
}

// I-12: the replaced system divided by a limit of 0 and answered a negative skip with nothing.
func TestPagingParametersAreNumbersInTheirRange(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	for _, ok := range []string{"", "limit=1", "limit=100", "skip=0", "skip=10000", "limit=100&skip=10000"} {
		listPage(s, manager.token, ok)
	}
	bad := []string{"-1", "101", "2147483647", "2147483648", "4294967297", "9223372036854775807", "9223372036854775808", "18446744073709551616", "1e3",
		"1.0", "1.5", "٣", "0x10", "0b1", "1_0", "", " ", "1 ", "NaN", "Infinity", "null", "true", "1;DROP TABLE users", "%00", "1%00", "%FF", "[1]", "1,2"}
	for _, value := range bad {
		raw := value
		if !strings.Contains(value, "%") {
			raw = url.QueryEscape(value)
		}
		for _, name := range []string{"limit", "skip"} {
			if name == "skip" && value == "101" {
				continue
			}
			got := s.call(http.MethodGet, "/users?"+name+"="+raw, manager.token, nil)
			codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))
			if got.status != http.StatusUnprocessableEntity || len(codes["/"+name]) == 0 {
				t.Errorf("%s=%q: got %d %v, want 422 that names it", name, value, got.status, codes)
			}
		}
	}
	s.call(http.MethodGet, "/users?limit=0", manager.token, nil).problem(t, api.ProblemCodeValidationFailed)
	s.call(http.MethodGet, "/users?skip=10001", manager.token, nil).problem(t, api.ProblemCodeValidationFailed)
}

// Z-12: filters are those of the contract and cannot be widened; a misspelt one is not silently everything.
func TestAnUnknownOrRepeatedOrWrongFilterIsNamed(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	manager := s.signedIn(query.UserRoleMANAGER)
	cursor := func() string {
		listInsert(s, 12, "now() - make_interval(secs => i)")
		return listPage(s, manager.token, "").NextCursor.MustGet()
	}()
	for raw, want := range map[string]map[string]api.FieldCode{
		"rol=ADMIN":                         {"/rol": api.FieldCodeUnknownField},
		"sort=hashed_password":              {"/sort": api.FieldCodeUnknownField},
		"filter[role]=ADMIN":                {"/filter[role]": api.FieldCodeUnknownField},
		"include=passwords&page=2":          {"/include": api.FieldCodeUnknownField, "/page": api.FieldCodeUnknownField},
		"LIMIT=5":                           {"/LIMIT": api.FieldCodeUnknownField},
		"limit[]=5":                         {"/limit[]": api.FieldCodeUnknownField},
		"limit=5&limit=6":                   {"/limit": api.FieldCodeRepeated},
		"role=MANAGER&role=ADMIN":           {"/role": api.FieldCodeRepeated},
		"is_locked=true&is_locked=true":     {"/is_locked": api.FieldCodeRepeated},
		"role=admin":                        {"/role": api.FieldCodeNotInEnum},
		"role=MANAGER,ADMIN":                {"/role": api.FieldCodeNotInEnum},
		"role=":                             {"/role": api.FieldCodeNotInEnum},
		"is_locked=yes":                     {"/is_locked": api.FieldCodeWrongType},
		"is_locked=":                        {"/is_locked": api.FieldCodeWrongType},
		"email_verified=null":               {"/email_verified": api.FieldCodeWrongType},
		"is_professional=2":                 {"/is_professional": api.FieldCodeWrongType},
		"email=":                            {"/email": api.FieldCodeTooShort},
		"nickname=":                         {"/nickname": api.FieldCodeTooShort},
		"cursor=":                           {"/cursor": api.FieldCodeTooShort},
		"nickname=a%00b":                    {"/nickname": api.FieldCodeInvalidCharacters},
		"nickname=%FF":                      {"/nickname": api.FieldCodeInvalidCharacters},
		"email=" + strings.Repeat("a", 255): {"/email": api.FieldCodeTooLong},
		"limit=0&role=x&is_locked=maybe":    {"/limit": api.FieldCodeTooSmall, "/role": api.FieldCodeNotInEnum, "/is_locked": api.FieldCodeWrongType},
		"skip=5&cursor=" + cursor:           {"/skip": api.FieldCodeMutuallyExclusive},
		"skip=0&cursor=" + cursor:           {"/skip": api.FieldCodeMutuallyExclusive},
	} {
		got := s.call(http.MethodGet, "/users?"+raw, manager.token, nil)
		problem := got.problem(t, api.ProblemCodeValidationFailed)
		codes := fieldCodes(problem)
		if got.status != 422 || len(codes) != len(want) {
			t.Errorf("%s: got %d %v, want %v", raw, got.status, codes, want)
		}
		for pointer, code := range want {
			if !slices.Contains(codes[pointer], code) {
				t.Errorf("%s: got %v, want %s at %s", raw, codes, code, pointer)
			}
		}
	}
}
