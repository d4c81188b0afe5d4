package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func staffPatch(s *system, token string, id uuid.UUID, body any, ifMatch string) response {
	s.t.Helper()
	return s.call(http.MethodPatch, "/users/"+id.String(), token, body, "If-Match", ifMatch)
}

// staffProfileFields are the fields that a PATCH may clear, with two values for each.
var staffProfileFields = map[string][2]string{
	"first_name":           {"Ada", "Augusta"},
	"last_name":            {"Lovelace", "Byron"},
	"bio":                  {"One line", "Two\nlines"},
	"profile_picture_url":  {"https://pictures.example.com/a.png", "http://pictures.example.com/b.png"},
	"linkedin_profile_url": {"https://www.linkedin.com/in/ada", "https://linkedin.com/in/augusta"},
	"github_profile_url":   {"https://github.com/ada", "https://gist.github.com/augusta"},
}

// staffFieldOf reads one field of a JSON object; nil is null.
func staffFieldOf(t testing.TB, body []byte, name string) any {
	t.Helper()
	var fields map[string]any
	if err := json.Unmarshal(body, &fields); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return fields[name]
}

// The same rules for staff and for the own profile.
func TestAPatchTellsAbsentNullAndValueApart(t *testing.T) { //nolint:tparallel // the cases edit one user in turn
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for _, tc := range []struct{ path, token string }{{"/users/" + user.id.String(), admin.token}, {"/users/me", user.token}} {
		for name, values := range staffProfileFields {
			t.Run(tc.path[:8]+" "+name, func(t *testing.T) {
				patch := func(body string) response {
					got := s.call(http.MethodPatch, tc.path, tc.token, body, "If-Match", "*")
					if got.status != http.StatusOK {
						t.Fatalf("PATCH %s: got %d %s", body, got.status, got.body)
					}
					if version := staffFieldOf(t, got.body, "version"); got.header.Get("ETag") != fmt.Sprintf(`"%v"`, version) {
						t.Errorf("got ETag %s of version %v", got.header.Get("ETag"), version)
					}
					return got
				}
				first, second := mustJSON(t, values[0]), mustJSON(t, values[1])
				if got := staffFieldOf(t, patch(`{"`+name+`": `+first+`}`).body, name); got != values[0] {
					t.Errorf("a value: got %v, want %q", got, values[0])
				}
				if got := staffFieldOf(t, patch(`{"preferred_language": "de"}`).body, name); got != values[0] {
					t.Errorf("absent: got %v, want %q as before", got, values[0])
				}
				if got := staffFieldOf(t, patch(`{"`+name+`": `+second+`}`).body, name); got != values[1] {
					t.Errorf("another value: got %v, want %q", got, values[1])
				}
				if got := staffFieldOf(t, patch(`{"`+name+`": null}`).body, name); got != nil {
					t.Errorf("null: got %v, want it cleared", got)
				}
			})
		}
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestAPatchThatCannotBeAppliedNamesItsFieldsAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for name, tc := range map[string]struct {
		body    string
		pointer string
		code    api.FieldCode
		isStaff bool // a field of staff only
	}{
		"nothing at all":         {`{}`, "", api.FieldCodeTooFewFields, false},
		"null nickname":          {`{"nickname": null}`, "/nickname", api.FieldCodeNullNotAllowed, false},
		"null language":          {`{"preferred_language": null}`, "/preferred_language", api.FieldCodeNullNotAllowed, false},
		"null address":           {`{"email": null}`, "/email", api.FieldCodeNullNotAllowed, true},
		"not an address":         {`{"email": "somebody"}`, "/email", api.FieldCodeInvalidEmail, true},
		"empty nickname":         {`{"nickname": ""}`, "/nickname", api.FieldCodeInvalidNickname, false},
		"reserved nickname":      {`{"nickname": "Admin"}`, "/nickname", api.FieldCodeReserved, false},
		"nickname and line feed": {`{"nickname": "abc\n"}`, "/nickname", api.FieldCodeInvalidCharacters, false},
		"empty name is no null":  {`{"first_name": ""}`, "/first_name", api.FieldCodeTooShort, false},
		"blank name":             {`{"last_name": "   "}`, "/last_name", api.FieldCodeRequired, false},
		"a number":               {`{"bio": 1}`, "/bio", api.FieldCodeWrongType, false},
		"an object":              {`{"bio": {"set": "x"}}`, "/bio", api.FieldCodeWrongType, false},
		"a foreign host":         {`{"github_profile_url": "https://github.com.evil.example.com/ada"}`, "/github_profile_url", api.FieldCodeHostNotAllowed, false},
		"no language":            {`{"preferred_language": "x!"}`, "/preferred_language", api.FieldCodeInvalidLanguage, false},
		"an unknown field":       {`{"favourite_colour": "blue"}`, "/favourite_colour", api.FieldCodeUnknownField, false},
		"wrong beside right":     {`{"first_name": "Ada", "nickname": "a"}`, "/nickname", api.FieldCodeInvalidNickname, false},
	} {
		targets := [][2]string{{"/users/" + user.id.String(), admin.token}}
		if !tc.isStaff {
			targets = append(targets, [2]string{"/users/me", user.token})
		}
		for _, target := range targets {
			got := s.call(http.MethodPatch, target[0], target[1], tc.body, "If-Match", "*")
			codes := fieldCodes(got.problem(t, api.ProblemCodeValidationFailed))
			if len(codes) != 1 || len(codes[tc.pointer]) != 1 || codes[tc.pointer][0] != tc.code {
				t.Errorf("%s at %s: got %v, want %s at %q", name, target[0], codes, tc.code, tc.pointer)
			}
		}
	}
	if after, _ := staffGet(s, admin.token, user.id); after.Version != 2 || !after.FirstName.IsNull() {
		t.Errorf("got %+v, want the account as it was", after)
	}
	for _, body := range []string{`[]`, `null`, `"x"`, `{"bio": "a", "bio": "b"}`, `{"bio": "\ud800"}`, `{"bio": "a"} {}`, `{"bio":`, ``} {
		if got := staffPatch(s, admin.token, user.id, body, "*"); got.status != http.StatusBadRequest {
			t.Errorf("%s: got %d, want 400", body, got.status)
		}
	}
}

// RFC 9110, 13.1.1: strong comparison, lists, and * for whatever is there.
func TestStaffEditTheVersionThatTheyHaveRead(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.account(server.NewAccount{})
	for name, tc := range map[string]struct {
		tag  string // <tag> is the current one
		code api.ProblemCode
	}{
		"the current tag":       {`<tag>`, ""},
		"any":                   {`*`, ""},
		"any, with blanks":      {` * `, ""},
		"a list with the tag":   {`"999", <tag> , "1000"`, ""},
		"a list without blanks": {`"999",<tag>`, ""},
		"a stale tag":           {`"0"`, api.ProblemCodeVersionConflict},
		"a list of stale tags":  {`"0", "999"`, api.ProblemCodeVersionConflict},
		"a weak tag":            {`W/<tag>`, api.ProblemCodeVersionConflict},
		"no quotes":             {`1`, api.ProblemCodeVersionConflict},
		"not a tag at all":      {`x y z`, api.ProblemCodeVersionConflict},
		"a quoted star":         {`"*"`, api.ProblemCodeVersionConflict},
	} {
		_, tag := staffGet(s, admin.token, user.id)
		ifMatch := strings.ReplaceAll(tc.tag, "<tag>", tag)
		got := staffPatch(s, admin.token, user.id, map[string]string{"bio": name}, ifMatch)
		after, _ := staffGet(s, admin.token, user.id)
		isApplied := !after.Bio.IsNull() && after.Bio.MustGet() == name
		if tc.code != "" {
			got.problem(t, tc.code)
		}
		if isApplied != (tc.code == "") || (got.status == http.StatusOK) != isApplied {
			t.Errorf("%s (%s): got %d and applied %t", name, ifMatch, got.status, isApplied)
		}
	}
	s.call(http.MethodPatch, "/users/"+user.id.String(), admin.token, map[string]string{"bio": "x"}).problem(t, api.ProblemCodeVersionRequired)
	s.call(http.MethodDelete, "/users/"+user.id.String(), admin.token, nil).problem(t, api.ProblemCodeVersionRequired)
	s.call(http.MethodDelete, "/users/"+user.id.String(), admin.token, nil, "If-Match", `"0"`).problem(t, api.ProblemCodeVersionConflict)
	_, tag := staffGet(s, admin.token, user.id)
	if got := s.call(http.MethodDelete, "/users/"+user.id.String(), admin.token, nil, "If-Match", tag); got.status != http.StatusNoContent {
		t.Errorf("got %d, want 204 with the current tag", got.status)
	}
}

// RFC 9110, 5.3: a list may come in several lines. An empty one matches nothing.
func TestIfMatchMayComeInSeveralLinesAndEmpty(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	send := func(path, token string, tags ...string) int {
		return staffRepeatHeader(s, http.MethodPatch, path, token, `{"bio": "x"}`, "If-Match", tags)
	}
	staff, own := "/users/"+user.id.String(), "/users/me"
	_, tag := staffGet(s, admin.token, user.id)
	if got := send(staff, admin.token, `"0"`, tag); got != http.StatusOK {
		t.Errorf("staff, the current tag in the second line: got %d, want 200", got)
	}
	if got := send(staff, admin.token, `"0"`, `"999"`); got != http.StatusPreconditionFailed {
		t.Errorf("staff, stale tags in two lines: got %d, want 412", got)
	}
	if got := send(own, user.token, `"0"`, `"999"`); got != http.StatusPreconditionFailed {
		t.Errorf("own profile, stale tags in two lines: got %d, want 412", got)
	}
	for path, token := range map[string]string{staff: admin.token, own: user.token} {
		if got := send(path, token, ""); got < 400 || got >= 500 {
			t.Errorf("%s with an empty If-Match: got %d, want it refused", path[:8], got)
		}
	}
	if got := staffRepeatHeader(s, http.MethodPost, "/users", admin.token, `{"email": "`+uniqueEmail()+`"}`, "Accept-Language", []string{"de", "en"}); got != http.StatusCreated {
		t.Errorf("Accept-Language in two lines: got %d, want 201", got)
	}
	if got := staffRepeatHeader(s, http.MethodPost, "/users", admin.token, `{"email": "`+uniqueEmail()+`"}`, "Accept-Language", []string{""}); got != http.StatusCreated {
		t.Errorf("an empty Accept-Language: got %d, want 201", got)
	}
}

// staffRepeatHeader sends a header in as many lines as there are values.
func staffRepeatHeader(s *system, method, path, token, body, name string, values []string) int {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, readerOf(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header[name] = values
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// Z-14: everybody who is told 412 reads again and repeats, and then no edit is lost.
func TestConcurrentEditsOfDifferentFieldsAllSurvive(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.account(server.NewAccount{})
	_, first := staffGet(s, admin.token, user.id)
	var wait sync.WaitGroup
	var mu sync.Mutex
	conflicts := 0
	for name, values := range staffProfileFields {
		wait.Go(func() {
			for tag := first; ; _, tag = staffGet(s, admin.token, user.id) { // all of them have read the same version
				got := staffPatch(s, admin.token, user.id, map[string]string{name: values[0]}, tag)
				if got.status == http.StatusOK {
					return
				}
				if got.status != http.StatusPreconditionFailed {
					t.Errorf("%s: got %d %s, want 200 or 412", name, got.status, got.body)
					return
				}
				mu.Lock()
				conflicts++
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	got := s.call(http.MethodGet, "/users/"+user.id.String(), admin.token, nil)
	for name, values := range staffProfileFields {
		if value := staffFieldOf(t, got.body, name); value != values[0] {
			t.Errorf("%s: got %v, want %q", name, value, values[0])
		}
	}
	if conflicts < len(staffProfileFields)-1 {
		t.Errorf("got %d conflicts, want one at least for everyone but the first", conflicts)
	}
	if version := staffFieldOf(t, got.body, "version"); version != float64(1+len(staffProfileFields)) {
		t.Errorf("got version %v, want one step for each edit", version)
	}
}

// the replaced system answered 200 with the old row.
func TestAnUpdateToATakenNameIsAConflictAndChangesNothing(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin := s.signedIn(query.UserRoleADMIN)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	s.account(server.NewAccount{Email: "Taken@example.com", Nickname: "Taken"})
	row := func() (text string) {
		s.scan("SELECT u::text FROM users AS u WHERE id = $1", []any{user.id}, &text)
		return text
	}
	before := row()
	for name, tc := range map[string]struct {
		path, token, body, pointer string
		code                       api.ProblemCode
	}{
		"address":      {"/users/" + user.id.String(), admin.token, `{"email": "tAKEN@EXAMPLE.com", "bio": "x"}`, "/email", api.ProblemCodeEmailTaken},
		"nickname":     {"/users/" + user.id.String(), admin.token, `{"nickname": "tAKEN", "bio": "x"}`, "/nickname", api.ProblemCodeNicknameTaken},
		"own nickname": {"/users/me", user.token, `{"nickname": "TAKEN", "bio": "x"}`, "/nickname", api.ProblemCodeNicknameTaken},
	} {
		got := s.call(http.MethodPatch, tc.path, tc.token, tc.body, "If-Match", "*")
		problem := got.problem(t, tc.code)
		if codes := fieldCodes(problem)[tc.pointer]; got.status != 409 || len(codes) != 1 || codes[0] != api.FieldCodeTaken {
			t.Errorf("%s: got %d %v, want 409 and taken at %s", name, got.status, problem.Errors, tc.pointer)
		}
		if (len(problem.Suggestions) == 3) != (tc.pointer == "/nickname") {
			t.Errorf("%s: got suggestions %v", name, problem.Suggestions)
		}
		if after := row(); after != before {
			t.Errorf("%s: the row changed\nfrom %s\nto   %s", name, before, after)
		}
	}
	if n := s.count("SELECT count(*) FROM sessions WHERE user_id = $1 AND ended_at IS NULL", user.id); n != 1 {
		t.Errorf("got %d open sessions, want the one from before", n)
	}
	got := staffPatch(s, admin.token, user.id, map[string]string{"nickname": "X" + user.nickname[1:]}, "*")
	again := staffPatch(s, admin.token, user.id, map[string]string{"nickname": "x" + user.nickname[1:]}, "*")
	if got.status != 200 || again.status != 200 {
		t.Errorf("got %d and %d, want the own nickname free in another case", got.status, again.status)
	}
}
