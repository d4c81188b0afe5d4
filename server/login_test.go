package server_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

func TestLoginOpensASessionOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newSystem(t, behindLoopbackProxy)
	user := s.account(verifiedUser)
	version := s.count("SELECT version FROM users WHERE id = $1", user.id)
	var sessions []string
	for range 2 { // T-37: a second sign-in adopts nothing of the first
		header := []string{"X-Forwarded-For", "2001:db8::7", "User-Agent", strings.Repeat("ü", 300)}
		if len(sessions) > 0 {
			header = append(header, "Cookie", "session="+sessions[0]+"; sid="+sessions[0])
		}
		got := signInAttempt(s, user.email, goodPassword, header...)
		var body api.TokenResponse
		if err := json.Unmarshal(got.body, &body); err != nil || got.status != http.StatusOK {
			t.Fatalf("got %d %s, want a token", got.status, got.body)
		}
		if body.TokenType != api.TokenTypeBearer || body.ExpiresIn != 900 || body.Scope != "profile:read profile:write sessions:own tokens:introspect" {
			t.Errorf("got %s, want a bearer token of 900 seconds with the scopes of the role", got.body)
		}
		if cache := got.header.Get("Cache-Control"); cache != "no-store" { // T-42
			t.Errorf("got Cache-Control %q, want no-store", cache)
		}
		header0, claims := tokenPart(t, body.AccessToken, 0), tokenPart(t, body.AccessToken, 1)
		if header0["alg"] != "ES256" || header0["typ"] != "at+jwt" || header0["kid"] == "" {
			t.Errorf("got header %v, want an ES256 at+jwt with a kid", header0)
		}
		if claims["sub"] != user.id.String() || claims["iss"] != s.url || claims["aud"] != s.url || claims["exp"].(float64)-claims["iat"].(float64) != 900 {
			t.Errorf("got claims %v, want those of %s for 900 seconds", claims, user.id)
		}
		sessions = append(sessions, claims["sid"].(string))
	}
	if sessions[0] == sessions[1] {
		t.Errorf("got session %s twice", sessions[0])
	}
	var address, agent string
	var lives, rests time.Duration
	var isOpen bool
	s.scan("SELECT host(address), user_agent, expires_at - created_at, idle_expires_at - created_at, ended_at IS NULL FROM sessions WHERE id = $1 AND user_id = $2",
		[]any{sessions[1], user.id}, &address, &agent, &lives, &rests, &isOpen)
	if address != "2001:db8::7" || agent != strings.Repeat("ü", 255) || lives != 90*24*time.Hour || rests != 24*time.Hour || !isOpen {
		t.Errorf("got a session of %s, %d characters of user agent, %s, %s at rest, open %v", address, len([]rune(agent)), lives, rests, isOpen)
	}
	if got := s.count("SELECT login_count FROM login_facts WHERE user_id = $1 AND last_login_at > now() - interval '1 minute'", user.id); got != 2 {
		t.Errorf("got login count %d, want 2", got)
	}
	if got := s.count("SELECT version FROM users WHERE id = $1", user.id); got != version {
		t.Errorf("a sign-in moved the version from %d to %d", version, got)
	}
}

//
func TestLoginAnswersEveryFailureAlike(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 1000 })
	known := s.account(verifiedUser)
	unverified := s.account(server.NewAccount{Role: query.UserRoleMANAGER})
	locked := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "abuse"})
	deleted := s.account(verifiedUser)
	s.exec("UPDATE users SET deleted_at = now() WHERE id = $1", deleted.id)
	invited := s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED})
	s.exec("DELETE FROM passwords WHERE user_id = $1", invited.id)
	const wrong = "Wrong*1843xyz"
	states := map[string][2]string{
		"an unknown address":                    {"nobody@example.com", wrong},
		"no address at all":                     {"not an address", wrong},
		"an empty user name":                    {"", wrong},
		"a wrong password":                      {known.email, wrong},
		"the password in another case":          {known.email, strings.ToUpper(goodPassword)},
		"an empty password":                     {known.email, ""},
		"unverified, wrong password":            {unverified.email, wrong},
		"locked, wrong password":                {locked.email, wrong},
		"deleted, right password":               {deleted.email, goodPassword},
		"invited, no password yet":              {invited.email, ""},
		"a password that nobody could have":     {known.email, strings.Repeat("x", 1024)},
		"unknown, a password nobody could have": {"nobody@example.com", strings.Repeat("x", 1024)},
	}
	want := maskedAnswer(signInAttempt(s, "nobody.else@example.com", wrong))
	for name, try := range states {
		for range 4 { // fewer than fifty in all: one source may not fail more often
			got := signInAttempt(s, try[0], try[1])
			got.problem(t, api.ProblemCodeInvalidCredentials)
			if got.status != http.StatusUnauthorized || maskedAnswer(got) != want {
				t.Errorf("%s: got %s\nwant %s", name, maskedAnswer(got), want)
			}
		}
	}
	if got := s.count("SELECT count(*) FROM sessions"); got != 0 {
		t.Errorf("got %d sessions, want none", got)
	}
}

// the right password proves that the caller may know.
func TestLoginTellsTheRightPasswordWhyItIsNotEnough(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	cases := map[string]struct {
		account server.NewAccount
		code    api.ProblemCode
	}{
		"unverified": {server.NewAccount{Role: query.UserRoleAUTHENTICATED}, api.ProblemCodeEmailNotVerified},
		"locked":     {server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "abuse"}, api.ProblemCodeAccountLocked},
		"both":       {server.NewAccount{Role: query.UserRoleAUTHENTICATED, LockReason: "abuse"}, api.ProblemCodeEmailNotVerified},
	}
	for name, c := range cases {
		user := s.account(c.account)
		got := signInAttempt(s, user.email, goodPassword)
		if got.status != http.StatusForbidden {
			t.Errorf("%s: got status %d, want 403", name, got.status)
		}
		got.problem(t, c.code)
		if strings.Contains(string(got.body), "abuse") {
			t.Errorf("%s: the answer repeats the reason of the lock: %s", name, got.body)
		}
		// H-12: whoever holds the password of a shut account leaves a trace.
		if n := s.count("SELECT count(*) FROM audit WHERE subject_id = $1 AND action = 'login_refused' AND new->>'code' = $2", user.id, c.code); n != 1 {
			t.Errorf("%s: got %d audit rows of the refusal, want 1", name, n)
		}
	}
	if got := s.count("SELECT count(*) FROM sessions"); got != 0 {
		t.Errorf("got %d sessions, want none", got)
	}
}

// whatever spelling finds the account, and the answer does not depend on it.
func TestLoginFindsAnAddressInEverySpelling(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	s.account(server.NewAccount{Email: "Ada.Lovelace+x@Example.com", Role: query.UserRoleAUTHENTICATED, EmailVerified: true})
	for _, spelling := range []string{"ada.lovelace+x@example.com", "ADA.LOVELACE+X@EXAMPLE.COM", " Ada.Lovelace+x@example.com\u00A0"} {
		if got := signInAttempt(s, spelling, goodPassword); got.status != http.StatusOK {
			t.Errorf("%q: got %d %s, want 200", spelling, got.status, got.body)
		}
	}
	for _, other := range []string{"adalovelace+x@example.com", "ada.lovelace@example.com"} { // dots and tags are kept apart
		signInAttempt(s, other, goodPassword).problem(t, api.ProblemCodeInvalidCredentials)
	}
}

func TestLoginReadsAForm(t *testing.T) {
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	good := "username=" + user.email + "&password=Analytic*1843"
	type fields map[string][]api.FieldCode
	cases := map[string]struct {
		body   string
		header []string
		status int
		code   api.ProblemCode
		fields fields
	}{
		"user name and password":      {body: good, status: 200},
		"grant_type password":         {body: good + "&grant_type=password", status: 200},
		"an empty grant_type":         {body: good + "&grant_type=", status: 200},
		"what standard clients add":   {body: good + "&scope=users%3Aread&client_id=x&client_secret=y", status: 200},
		"a Basic header is ignored":   {body: good, header: []string{"Authorization", "Basic eDp5"}, status: 200},
		"a dead bearer is ignored":    {body: good, header: []string{"Authorization", "Bearer dead"}, status: 200},
		"charset utf-8":               {body: good, header: []string{"Content-Type", formType + "; charset=UTF-8"}, status: 200},
		"another grant":               {body: good + "&grant_type=client_credentials", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/grant_type": {"invalid_format"}}},
		"refresh_token":               {body: good + "&grant_type=refresh_token", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/grant_type": {"invalid_format"}}},
		"no password":                 {body: "username=" + user.email, status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/password": {"required"}}},
		"no user name":                {body: "password=x", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/username": {"required"}}},
		"nothing":                     {body: "", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/username": {"required"}, "/password": {"required"}}},
		"an unknown field":            {body: good + "&role=ADMIN", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/role": {"unknown_field"}}},
		"a password twice":            {body: good + "&password=x", status: 400, code: api.ProblemCodeMalformedRequest, fields: fields{"/password": {"duplicate_key"}}},
		"a user name twice":           {body: good + "&username=x", status: 400, code: api.ProblemCodeMalformedRequest, fields: fields{"/username": {"duplicate_key"}}},
		"a broken escape":             {body: good + "%zz", status: 400, code: api.ProblemCodeMalformedRequest, fields: fields{"": {"malformed"}}},
		"a semicolon":                 {body: good + ";x", status: 400, code: api.ProblemCodeMalformedRequest, fields: fields{"": {"malformed"}}},
		"bytes that are not UTF-8":    {body: "username=%ff&password=x", status: 400, code: api.ProblemCodeMalformedRequest, fields: fields{"/username": {"invalid_characters"}}},
		"raw bytes not UTF-8":         {body: "username=\xff&password=x", status: 400, code: api.ProblemCodeMalformedRequest, fields: fields{"": {"malformed"}}},
		"NUL in the user name":        {body: "username=a%00b&password=x", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/username": {"invalid_characters"}}},
		"NUL in the password":         {body: "username=a&password=x%00y", status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/password": {"invalid_characters"}}},
		"JSON":                        {body: `{"username":"a","password":"b"}`, header: []string{"Content-Type", "application/json"}, status: 415, code: api.ProblemCodeUnsupportedMediaType},
		"multipart":                   {body: good, header: []string{"Content-Type", "multipart/form-data; boundary=x"}, status: 415, code: api.ProblemCodeUnsupportedMediaType},
		"no media type":               {body: good, header: []string{"Content-Type", ""}, status: 415, code: api.ProblemCodeUnsupportedMediaType},
		"compressed":                  {body: good, header: []string{"Content-Encoding", "gzip"}, status: 415, code: api.ProblemCodeUnsupportedMediaType},
		"more than anyone needs":      {body: good + "&scope=" + strings.Repeat("x", 70_000), status: 413, code: api.ProblemCodePayloadTooLarge},
		"a user name without end":     {body: "password=x&username=" + strings.Repeat("x", 1025), status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/username": {"too_long"}}},
		"a password nobody could set": {body: "username=x&password=" + strings.Repeat("x", 1025), status: 422, code: api.ProblemCodeValidationFailed, fields: fields{"/password": {"too_long"}}},
	}
	for name, c := range cases {
		got := s.call(http.MethodPost, "/login", "", c.body, append([]string{"Content-Type", formType}, c.header...)...)
		if got.status != c.status {
			t.Errorf("%s: got %d %s, want %d", name, got.status, got.body, c.status)
			continue
		}
		if c.code == "" {
			mustSignIn(t, got)
			continue
		}
		codes := fieldCodes(got.problem(t, c.code))
		for pointer, want := range c.fields {
			slices.Sort(codes[pointer])
			if slices.Sort(want); !slices.Equal(codes[pointer], want) {
				t.Errorf("%s: got %s %v, want %v", name, pointer, codes[pointer], want)
			}
		}
		if len(codes) != len(c.fields) {
			t.Errorf("%s: got errors %v, want %v", name, codes, c.fields)
		}
		if !strings.Contains(string(got.body), `"error":"invalid_request"`) { // RFC 6749, 5.2
			t.Errorf("%s: got %s, want the error invalid_request", name, got.body)
		}
	}
	if got := signInAttempt(s, user.email, goodPassword); got.status != http.StatusOK {
		t.Errorf("after all of these: got %d, want 200: none of them was a failed sign-in", got.status)
	}
}

// RFC 6749, 5.2: OAuth2 clients read the member error.
func TestLoginRefusalsCarryTheErrorOfOAuth2(t *testing.T) {
	t.Parallel()
	s := newSystem(t, func(o *server.Options) { o.LoginAttempts = 1 })
	user, locked := s.account(verifiedUser), s.account(server.NewAccount{Role: query.UserRoleAUTHENTICATED, EmailVerified: true, LockReason: "x"})
	oauthError := func(got response, status int, want string) {
		t.Helper()
		var body map[string]any
		if err := json.Unmarshal(got.body, &body); err != nil || got.status != status || body["error"] != want {
			t.Errorf("got %d %s, want %d with the error %s", got.status, got.body, status, want)
		}
	}
	oauthError(signInAttempt(s, locked.email, goodPassword), http.StatusForbidden, "invalid_grant")
	got := signInAttempt(s, user.email, "wrong")
	oauthError(got, http.StatusUnauthorized, "invalid_grant")
	if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="usermanager"` { // no token was refused
		t.Errorf("got challenge %q", challenge)
	}
	oauthError(signInAttempt(s, user.email, "wrong"), http.StatusTooManyRequests, "invalid_grant")
	s.exec("ALTER TABLE login_failures RENAME TO gone")
	oauthError(signInAttempt(s, user.email, "wrong"), http.StatusInternalServerError, "server_error")
	if problem := s.call(http.MethodGet, "/users/me", "", nil); strings.Contains(string(problem.body), `"error":`) {
		t.Errorf("another operation has the member, too: %s", problem.body)
	}
}

// Z-08: what changes between the check of the password and the session counts.
func TestLoginOpensNoSessionForAnAccountThatIsBeingShut(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"locked":  "UPDATE users SET is_locked = true WHERE id = $1",
		"deleted": "UPDATE users SET deleted_at = now() WHERE id = $1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSystem(t)
			user := s.account(verifiedUser)
			tx, err := s.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), statement, user.id); err != nil {
				t.Fatal(err)
			}
			answer := make(chan response, 1)
			go func() { answer <- signInAttempt(s, user.email, goodPassword) }()
			waitForLockedQuery(s, 1)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := <-answer; got.status != http.StatusUnauthorized {
				t.Errorf("got %d %s, want 401", got.status, got.body)
			}
			if got := s.count("SELECT count(*) FROM sessions"); got != 0 {
				t.Errorf("got %d sessions, want none", got)
			}
		})
	}
}
