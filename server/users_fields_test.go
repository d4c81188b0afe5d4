package server_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/uuid"

	"usermanager/gen/query"
)

// protectedFields are columns that no body may set, with a value that would be worth setting.
var protectedFields = map[string]string{
	"id": `"01981d5c-7a00-7000-8000-000000000001"`, "role": `"ADMIN"`, "role_when_verified": `"ADMIN"`, "is_professional": `true`,
	"professional_status_updated_at": `"2020-01-01T00:00:00Z"`, "email": `"taken.over@example.com"`, "email_canonical": `"taken.over@example.com"`,
	"email_verified": `true`, "is_locked": `true`, "lock_reason": `"x"`, "failed_login_attempts": `0`, "last_login_at": `"2020-01-01T00:00:00Z"`,
	"created_at": `"2020-01-01T00:00:00Z"`, "updated_at": `"2020-01-01T00:00:00Z"`, "deleted_at": `null`, "version": `999`,
	"password": `"Analytic*9999"`, "hashed_password": `"$2b$12$abcdefghijklmnopqrstuv"`, "verification_token": `"x"`, "permissions": `["*"]`,
}

// fieldSpellings write a field into a body that is valid without it, in ways that a careless binder takes.
var fieldSpellings = map[string]func(base, field, value string) (body, query, contentType string){
	"exact": func(base, field, value string) (string, string, string) {
		return base + `, "` + field + `": ` + value + `}`, "", ""
	},
	"upper case": func(base, field, value string) (string, string, string) {
		return base + `, "` + strings.ToUpper(field) + `": ` + value + `}`, "", ""
	},
	"camel case": func(base, field, value string) (string, string, string) {
		return base + `, "` + camelCase(field) + `": ` + value + `}`, "", ""
	},
	"escaped": func(base, field, value string) (string, string, string) {
		return fmt.Sprintf(`%s, "\u%04x%s": %s}`, base, field[0], field[1:], value), "", ""
	},
	"duplicated": func(base, field, value string) (string, string, string) {
		return base + `, "` + field + `": ` + value + `, "` + field + `": ` + value + `}`, "", ""
	},
	"nested": func(base, field, value string) (string, string, string) {
		return base + `, "user": {"` + field + `": ` + value + `}}`, "", ""
	},
	"in the query": func(base, field, value string) (string, string, string) {
		return base + `}`, "?" + url.Values{field: {strings.Trim(value, `"`)}}.Encode(), ""
	},
	"in a form": func(_, field, value string) (string, string, string) {
		return url.Values{field: {strings.Trim(value, `"`)}, "bio": {"x"}}.Encode(), "", "application/x-www-form-urlencoded"
	},
}

func camelCase(field string) string {
	parts := strings.Split(field, "_")
	for i, part := range parts {
		runes := []rune(part)
		if i > 0 || len(parts) == 1 {
			runes[0] = unicode.ToUpper(runes[0])
		}
		parts[i] = string(runes)
	}
	return strings.Join(parts, "")
}

// Z-03: 8 writers x 20 fields x 8 spellings. What is not in the contract is refused, or ignored in the query, and
// no protected column moves.
func TestNoBodySetsAProtectedField(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, manager := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleMANAGER)
	user, target := s.signedIn(query.UserRoleAUTHENTICATED), s.signedIn(query.UserRoleAUTHENTICATED)
	ids := []uuid.UUID{admin.id, manager.id, user.id, target.id}
	protected := func() (sum string) {
		s.scan(`SELECT md5(string_agg(concat_ws('/', u.id, u.email, u.email_canonical, u.nickname, u.role, u.role_when_verified, u.email_verified,
			u.is_professional, u.professional_status_updated_at, u.is_locked, u.lock_reason, u.created_at, u.deleted_at, p.hash, f.last_login_at), ',' ORDER BY u.id))
			FROM users AS u JOIN passwords AS p ON p.user_id = u.id JOIN login_facts AS f ON f.user_id = u.id WHERE u.id = ANY($1)`, []any{ids}, &sum)
		return sum
	}
	before, cells := protected(), 0
	for _, writer := range []struct {
		name, method, path, token string
		isOpening                 bool // makes an account
		allowed                   []string
	}{
		{"a user's own profile", "PATCH", "/users/me", user.token, false, nil},
		{"a manager's own profile", "PATCH", "/users/me", manager.token, false, nil},
		{"an admin's own profile", "PATCH", "/users/me", admin.token, false, nil},
		{"a manager's edit", "PATCH", "/users/" + target.id.String(), manager.token, false, []string{"email"}},
		{"an admin's edit", "PATCH", "/users/" + target.id.String(), admin.token, false, []string{"email"}},
		{"a manager's invitation", "POST", "/users", manager.token, true, []string{"email"}},
		{"an admin's invitation", "POST", "/users", admin.token, true, []string{"email", "role"}},
		{"a registration", "POST", "/register", "", true, []string{"email", "password"}},
	} {
		for field, value := range protectedFields {
			for spelling, write := range fieldSpellings {
				isAllowed := slices.Contains(writer.allowed, field)
				if isAllowed && (spelling == "exact" || spelling == "escaped") {
					continue // the contract has this field here
				}
				base := `{"bio": "x"`
				if writer.isOpening {
					base += `, "email": "` + uniqueEmail() + `"`
				}
				if writer.path == "/register" {
					base += `, "password": "` + goodPassword + `"`
				}
				body, values, contentType := write(base, field, value)
				header := []string{"If-Match", "*"}
				if contentType != "" {
					header = append(header, "Content-Type", contentType)
				}
				got := s.call(writer.method, writer.path+values, writer.token, body, header...)
				cells++
				if isIgnored := values != ""; got.status >= 500 || isIgnored != (got.status < 300) {
					t.Errorf("%s, %s %s: got %d %s", writer.name, field, spelling, got.status, got.body)
				}
			}
			if after := protected(); after != before {
				t.Fatalf("%s, %s: a protected column moved", writer.name, field)
			}
		}
	}
	if cells < 1000 {
		t.Errorf("got %d cells, want the whole matrix", cells)
	}
	made := s.count("SELECT count(*) FROM users WHERE NOT id = ANY($1)", ids)
	if want := 3 * len(protectedFields); made != want {
		t.Errorf("got %d new accounts, want the %d of the ignored queries", made, want)
	}
	if n := s.count(`SELECT count(*) FROM users WHERE NOT id = ANY($1) AND (role <> 'ANONYMOUS' OR role_when_verified <> 'AUTHENTICATED' OR email_verified
		OR is_professional OR is_locked OR version <> 1 OR created_at < now() - interval '1 hour' OR email LIKE 'taken%' OR deleted_at IS NOT NULL)`, ids); n != 0 {
		t.Errorf("got %d new accounts with more than they asked for by the contract", n)
	}
}

// Z-04, A-08: accounts, and how many there are, are the business of staff.
func TestOnlyStaffSeeOthers(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user, other := s.signedIn(query.UserRoleAUTHENTICATED), s.signedIn(query.UserRoleAUTHENTICATED)
	for _, path := range []string{"/users", "/users?email=" + other.email, "/users/" + other.id.String(), "/users/" + user.id.String(), "/users?limit=0"} {
		got := s.call(http.MethodGet, path, user.token, nil)
		got.problem(t, "missing_permission")
		if strings.Contains(string(got.body), other.email) || strings.Contains(string(got.body), "total") {
			t.Errorf("GET %s tells %s", path, got.body)
		}
	}
	if n := s.count("SELECT count(*) FROM audit WHERE action = 'permission_denied' AND actor_id = $1", user.id); n != 5 { // H-12
		t.Errorf("got %d audit rows, want one for each refusal", n)
	}
}
