package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// withAuthorization asks for the own profile with exactly these Authorization headers.
func withAuthorization(s *system, values ...string) response {
	s.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.url+"/users/me", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header["Authorization"] = values
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var body json.RawMessage
	if err := json.NewDecoder(resp.Body).Decode(&body); err != nil {
		s.t.Fatal(err)
	}
	return response{status: resp.StatusCode, header: resp.Header, body: body}
}

// T-12: RFC 6750, 2.1 and 3.
func TestTokensTravelInTheHeaderOnly(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	token := s.signedIn(query.UserRoleAUTHENTICATED).token
	const none, refused = `Bearer realm="usermanager"`, `Bearer realm="usermanager", error="invalid_token"`
	for name, c := range map[string]struct {
		headers   []string
		status    int
		challenge string
	}{
		"the documented form":    {[]string{"Bearer " + token}, 200, ""},
		"lower case":             {[]string{"bearer " + token}, 200, ""}, // RFC 9110, 11.1: schemes have no case
		"upper case":             {[]string{"BEARER " + token}, 200, ""},
		"none":                   {nil, 401, none},
		"two headers":            {[]string{"Bearer " + token, "Bearer " + token}, 401, refused},
		"two different headers":  {[]string{"Basic eDp5", "Bearer " + token}, 401, refused},
		"two in one":             {[]string{"Bearer " + token + ", Bearer " + token}, 401, refused},
		"two blanks":             {[]string{"Bearer  " + token}, 401, refused},
		"a tab":                  {[]string{"Bearer\t" + token}, 401, none},
		"no scheme":              {[]string{token}, 401, none},
		"no token":               {[]string{"Bearer"}, 401, refused},
		"an empty one":           {[]string{""}, 401, none},
		"Basic":                  {[]string{"Basic " + token}, 401, none},
		"another scheme":         {[]string{"Token " + token}, 401, none},
		"a quoted token":         {[]string{`Bearer "` + token + `"`}, 401, refused},
		"padding":                {[]string{"Bearer " + token + "="}, 401, refused},
		"something at its end":   {[]string{"Bearer " + token + " x"}, 401, refused},
		"the longest of headers": {[]string{"Bearer " + strings.Repeat("x", 12_000)}, 401, refused},
	} {
		got := withAuthorization(s, c.headers...)
		if got.status != c.status || got.header.Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: got %d %q, want %d %q", name, got.status, got.header.Get("WWW-Authenticate"), c.status, c.challenge)
		}
	}
	for name, got := range map[string]response{
		"query":  s.call(http.MethodGet, "/users/me?access_token="+token, "", nil),
		"cookie": s.call(http.MethodGet, "/users/me", "", nil, "Cookie", "access_token="+token),
		"body":   s.call(http.MethodPatch, "/users/me", "", map[string]any{"bio": "x", "access_token": token}),
		"other":  s.call(http.MethodGet, "/users/me", "", nil, "X-Access-Token", token, "Proxy-Authorization", "Bearer "+token),
	} {
		got.problem(t, api.ProblemCodeAuthenticationRequired)
		if got.header.Get("WWW-Authenticate") != none {
			t.Errorf("%s: got %q, want %q", name, got.header.Get("WWW-Authenticate"), none)
		}
	}
	if strings.Contains(s.logs.String(), token) {
		t.Error("the log holds a token")
	}
}

// Z-08: what staff or the owner decide holds at the next request, whatever the token says.
func TestEndedAccessIsRefusedAtTheNextRequest(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	other := newSystemOn(t, s.pool, func(o *server.Options) { o.PublicURL = parsedURL(t, s.url) }) // and on every server
	admin := s.signedIn(query.UserRoleADMIN)
	byID := func(path string) func(account) {
		return func(a account) {
			s.call(http.MethodPost, "/users/"+a.id.String()+path, admin.token, map[string]any{"reason": "abuse"})
		}
	}
	for name, end := range map[string]func(account){
		"locked":  byID("/lock"),
		"deleted": func(a account) { s.call(http.MethodDelete, "/users/"+a.id.String(), admin.token, nil, "If-Match", "*") },
		"e-mail corrected": func(a account) {
			s.call(http.MethodPatch, "/users/"+a.id.String(), admin.token, map[string]any{"email": uniqueEmail()}, "If-Match", "*")
		},
		"session ended":   func(a account) { s.exec("UPDATE sessions SET ended_at = now() WHERE user_id = $1", a.id) },
		"session expired": func(a account) { s.exec("UPDATE sessions SET expires_at = now() WHERE user_id = $1", a.id) },
		"session erased":  func(a account) { s.exec("DELETE FROM sessions WHERE user_id = $1", a.id) },
		"unverified": func(a account) {
			s.exec("UPDATE users SET email_verified = false, role = 'ANONYMOUS' WHERE id = $1", a.id)
		},
		"someone else's session": func(a account) { s.exec("UPDATE sessions SET user_id = $2 WHERE user_id = $1", a.id, admin.id) },
	} {
		user := s.signedIn(query.UserRoleMANAGER)
		for _, server := range []*system{s, other} {
			if got := server.call(http.MethodGet, "/users/me", user.token, nil); got.status != http.StatusOK {
				t.Fatalf("%s, before: got %d %s", name, got.status, got.body)
			}
		}
		end(user)
		for _, server := range []*system{s, other} {
			for _, path := range []string{"/users/me", "/users"} {
				got := server.call(http.MethodGet, path, user.token, nil)
				got.problem(t, api.ProblemCodeInvalidAccessToken)
				if got.status != http.StatusUnauthorized {
					t.Errorf("%s: got %d, want 401", name, got.status)
				}
			}
		}
	}
}

// Z-08, T-37: an unlock and a restore revive nothing.
func TestEndedSessionsStayEnded(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	path := "/users/" + user.id.String()
	for _, step := range []struct{ method, path string }{{http.MethodPost, "/lock"}, {http.MethodPost, "/unlock"}, {http.MethodDelete, ""}, {http.MethodPost, "/restore"}} {
		var body any
		if step.path == "/lock" {
			body = map[string]any{"reason": "x"}
		}
		if got := s.call(step.method, path+step.path, admin.token, body, "If-Match", "*"); got.status >= 300 {
			t.Fatalf("%s %s: got %d %s", step.method, step.path, got.status, got.body)
		}
		s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
	}
	token := s.login(user.email, goodPassword)
	if got := s.call(http.MethodGet, "/users/me", token, nil); got.status != http.StatusOK {
		t.Errorf("after a new sign-in: got %d", got.status)
	}
	s.call(http.MethodGet, "/users/me", user.token, nil).problem(t, api.ProblemCodeInvalidAccessToken)
}

// Z-10: the role in the token is for information.
func TestRolesAreThoseOfTheAccountNotOfTheToken(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.signedIn(query.UserRoleAUTHENTICATED)
	for _, c := range []struct {
		role   string
		status int
	}{{"AUTHENTICATED", 403}, {"MANAGER", 200}, {"ADMIN", 200}, {"AUTHENTICATED", 403}} {
		if got := s.call(http.MethodPut, "/users/"+user.id.String()+"/role", admin.token, map[string]any{"role": c.role}); got.status != http.StatusOK {
			t.Fatalf("got %d %s", got.status, got.body)
		}
		if got := s.call(http.MethodGet, "/users", user.token, nil); got.status != c.status {
			t.Errorf("%s: got %d, want %d with the token of an AUTHENTICATED", c.role, got.status, c.status)
		}
	}
}

// A read is not a write: the session's time stamp moves once in five minutes.
func TestLastSeenMovesAtMostEveryFiveMinutes(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.signedIn(query.UserRoleAUTHENTICATED)
	row := func() (version string) {
		s.scan("SELECT xmin::text || ctid::text FROM sessions WHERE user_id = $1", []any{user.id}, &version)
		return version
	}
	for _, c := range []struct {
		age   string
		moves bool
	}{{"0", false}, {"4 minutes 50 seconds", false}, {"5 minutes 1 second", true}, {"20 hours", true}} {
		s.exec("UPDATE sessions SET last_seen_at = now() - $1::text::interval WHERE user_id = $2", c.age, user.id)
		before := row()
		atOnce(10, 5, func(int) {
			if got := s.call(http.MethodGet, "/users/me", user.token, nil); got.status != http.StatusOK {
				t.Errorf("got %d, want 200", got.status)
			}
		})
		if moved := row() != before; moved != c.moves {
			t.Errorf("last seen %s ago: moved %v, want %v", c.age, moved, c.moves)
		}
		isRecent := s.count("SELECT count(*) FROM sessions WHERE user_id = $1 AND last_seen_at > now() - interval '1 minute'", user.id)
		if (isRecent == 1) != (c.moves || c.age == "0") {
			t.Errorf("last seen %s ago: recent %d", c.age, isRecent)
		}
	}
}

// T-42: of every operation that asks who is calling, whatever it answers.
func TestAuthenticatedAnswersAreNotStored(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	admin, user := s.signedIn(query.UserRoleADMIN), s.account(verifiedUser)
	asked := 0
	for path, item := range closedSpec().Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security != nil && len(*op.Security) == 0 {
				continue
			}
			asked++
			var body any
			if op.RequestBody != nil {
				body = map[string]any{}
			}
			for _, token := range []string{admin.token, "dead", ""} {
				for _, id := range []string{user.id.String(), uuid.NewString()} {
					got := s.call(method, strings.ReplaceAll(path, "{user_id}", id), token, body)
					if cache := got.header.Get("Cache-Control"); cache != "no-store" {
						t.Errorf("%s answered %d with Cache-Control %q, want no-store", op.OperationID, got.status, cache)
					}
				}
			}
		}
	}
	if asked < 12 {
		t.Errorf("asked %d operations, want all that need a token", asked)
	}
}
