package server_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server"
)

// tokenTraps is about mailed links and access tokens.
func tokenTraps() []trap {
	return []trap{
		{"a dump of the database opens no account", dumpOpensNothing},                    // T-21
		{"a mailed link expires a day after its delivery", linkExpires},
		{"no secret is compared byte by byte with ==", secretsAreComparedInConstantTime}, // H-14
		{"looking at a link consumes nothing", func(t *testing.T, s *system) {
			user := trapRegister(s, nil)
			link := trapLink(s, user)
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodGet} {
				got := s.call(method, "/verify-email/"+user.id.String()+"/"+link, "", nil, "Sec-Purpose", "prefetch")
				trapStatus(s, method, got, http.StatusOK)
			}
			if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND email_verified", user.id); n != 0 {
				t.Error("looking at the link verified the address")
			}
			got := s.call(http.MethodPost, "/verify-email/"+user.id.String()+"/"+link, "", nil)
			trapStatus(s, "the button", got, http.StatusOK)
		}},
		{"expired, used and wrong links are told apart", linksAreToldApart},
		{"a link works once", func(t *testing.T, s *system) {
			_, manager, _ := trapStaff(s)
			email := uniqueEmail()
			var invited api.User
			trapJSON(s, s.call(http.MethodPost, "/users", manager.token, map[string]any{"email": email}), http.StatusCreated, &invited)
			accept := func(password string) response {
				link := linkToken(t, s.mailTo(email, "invited"), "/invitations/")
				return s.call(http.MethodPost, "/invitations/accept", "", map[string]any{"token": link, "password": password})
			}
			trapStatus(s, "accept", accept(goodPassword), http.StatusOK)
			accept("Mallory*1843xyz").problem(t, api.ProblemCodeTokenUsed)
			trapStatus(s, "sign in", signInFrom(s, trapAddress(), email, goodPassword), http.StatusOK)
		}},
		{"a link of one person verifies nobody else", func(t *testing.T, s *system) {
			one, two := trapRegister(s, nil), trapRegister(s, nil)
			got := s.call(http.MethodPost, "/verify-email/"+two.id.String()+"/"+trapLink(s, one), "", nil)
			got.problem(t, api.ProblemCodeTokenInvalid)
			if n := s.count("SELECT count(*) FROM users WHERE id = ANY($1) AND email_verified", []any{one.id, two.id}); n != 0 {
				t.Errorf("%d of them are verified", n)
			}
		}},
		{"an access token says who, and nobody without the key can make one", tokensCannotBeForged}, // T-01, T-02, T-09
		{"an access token ends after a quarter of an hour", func(t *testing.T, s *system) { // T-06, T-30
			user := s.account(verifiedUser)
			var got api.TokenResponse
			trapJSON(s, signInFrom(s, trapAddress(), user.email, goodPassword), http.StatusOK, &got)
			claims := trapClaims(t, got.AccessToken)
			if lifetime := claims["exp"].(float64) - claims["iat"].(float64); lifetime != 900 || got.ExpiresIn != 900 {
				t.Errorf("it lives %v s and says %d s, want 900", lifetime, got.ExpiresIn)
			}
			s.exec("UPDATE sessions SET expires_at = now() WHERE user_id = $1", user.id)
			s.call(http.MethodGet, "/users/me", got.AccessToken, nil).problem(t, api.ProblemCodeInvalidAccessToken)
		}},
	}
}

func dumpOpensNothing(t *testing.T, _ *system) {
	s := newSystem(t)
	const password = "Canary*1843xyz"
	user := trapRegister(s, map[string]any{"password": password})
	link := trapLink(s, user)
	trapStatus(s, "verify", trapVerify(s, link), http.StatusOK)
	session := s.login(user.email, password)
	raw, err := base64.RawURLEncoding.DecodeString(link)
	if err != nil {
		t.Fatal(err)
	}
	s.idle() // so that finished jobs are there, too
	var tables []string
	s.scan("SELECT array_agg(tablename::text) FROM pg_tables WHERE schemaname = 'public'", nil, &tables)
	for name, secret := range map[string]string{
		"the password": password, "the mailed token": link, "its text": hex.EncodeToString([]byte(link)), "its secret half": hex.EncodeToString(raw[len(raw)-32:]),
		"the access token": session, "its signature": session[strings.LastIndexByte(session, '.')+1:],
	} {
		for _, table := range tables {
			if n := s.count("SELECT count(*) FROM "+table+" AS t WHERE strpos(t::text, $1) > 0", secret); n != 0 {
				t.Errorf("%s is in %d rows of %s", name, n, table)
			}
		}
	}
	if n := s.count("SELECT count(*) FROM passwords WHERE hash !~ '^[$]argon2id[$]v=19[$]m=[0-9]+,t=[0-9]+,p=[0-9]+[$]'"); n != 0 || len(tables) < 10 {
		t.Errorf("%d passwords are not argon2id; %d tables were searched", n, len(tables))
	}
}

func linkExpires(t *testing.T, s *system) {
	user := trapRegister(s, nil)
	link := trapLink(s, user)
	trapMails(s, user.id)
	if n := s.count("SELECT count(*) FROM one_time_tokens WHERE user_id = $1 AND expires_at = delivered_at + interval '1 day'", user.id); n != 1 {
		t.Error("it does not expire a day after its delivery")
	}
	s.exec("UPDATE one_time_tokens SET expires_at = now() WHERE user_id = $1", user.id)
	trapVerify(s, link).problem(t, api.ProblemCodeTokenExpired)
	if n := s.count("SELECT count(*) FROM users WHERE id = $1 AND role = 'ANONYMOUS' AND NOT email_verified", user.id); n != 1 {
		t.Error("an expired link verified the address")
	}
	// It is no dead end: the expired link itself gets a new one.
	trapStatus(s, "resend", s.call(http.MethodPost, "/verify-email/resend", "", map[string]any{"token": link}), http.StatusAccepted)
	s.eventually("the second mail", func() bool { return len(trapMails(s, user.id)) == 2 })
	trapStatus(s, "the new link", trapVerify(s, trapLink(s, user)), http.StatusOK)
}

func linksAreToldApart(t *testing.T, s *system) {
	used, expired := trapRegister(s, nil), trapRegister(s, nil)
	usedLink, expiredLink := trapLink(s, used), trapLink(s, expired)
	trapStatus(s, "first use", trapVerify(s, usedLink), http.StatusOK)
	trapStatus(s, "a double click", trapVerify(s, usedLink), http.StatusOK)
	s.exec("UPDATE one_time_tokens SET used_at = now() - interval '11 minutes' WHERE user_id = $1", used.id)
	trapMails(s, expired.id)
	s.exec("UPDATE one_time_tokens SET expires_at = now() WHERE user_id = $1", expired.id)
	for link, want := range map[string]api.ProblemCode{
		usedLink: api.ProblemCodeTokenUsed, expiredLink: api.ProblemCodeTokenExpired,
		"wrong": api.ProblemCodeTokenInvalid, usedLink + "A": api.ProblemCodeTokenInvalid, "": api.ProblemCodeTokenInvalid,
	} {
		trapVerify(s, link).problem(t, want)
	}
}

func tokensCannotBeForged(t *testing.T, s *system) {
	user := s.account(verifiedUser)
	admin := s.account(server.NewAccount{Role: query.UserRoleADMIN, EmailVerified: true})
	var got api.TokenResponse
	trapJSON(s, signInFrom(s, trapAddress(), user.email, goodPassword), http.StatusOK, &got)
	claims := trapClaims(t, got.AccessToken)
	if claims["sub"] != user.id.String() || strings.Contains(fmt.Sprint(claims), user.email) {
		t.Errorf("got claims %v, want the id and no address", claims)
	}
	parts := strings.Split(got.AccessToken, ".")
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	asAdmin := base64.RawURLEncoding.EncodeToString([]byte(strings.ReplaceAll(string(payload), user.id.String(), admin.id.String())))
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"at+jwt"}`))
	hs256 := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"at+jwt"}`))
	for name, forged := range map[string]string{
		"another subject": parts[0] + "." + asAdmin + "." + parts[2], "no algorithm": none + "." + asAdmin + ".",
		"HS256": hs256 + "." + asAdmin + "." + parts[2], "no signature": parts[0] + "." + parts[1] + ".",
	} {
		answer := s.call(http.MethodGet, "/users", forged, nil)
		answer.problem(t, api.ProblemCodeInvalidAccessToken)
		if challenge := answer.header.Get("WWW-Authenticate"); !strings.Contains(challenge, "invalid_token") {
			t.Errorf("%s: challenge %q", name, challenge)
		}
	}
}

// trapClaims reads a token without checking it.
func trapClaims(t *testing.T, accessToken string) map[string]any {
	t.Helper()
	return tokenPart(t, accessToken, 1)
}

// secretsAreComparedInConstantTime reads the sources, because a comparison that takes a revealing time answers right.
func secretsAreComparedInConstantTime(t *testing.T, _ *system) {
	secretName := regexp.MustCompile(`(?i)(token|hash|mac|secret|password|signature|tag|sum|key)s?$`)
	innocent := []string{ // language tags, a piece of JSON, two places of one key, two forms of what somebody typed, a public ETag
		"held == d.etag", "tag == language.Und", "tag != anyLanguage", "token != json.Delim('{')", "mine == key", "normalised != password",
	}
	found := 0
	for _, pattern := range []string{"*.go", "secret/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			for _, comparison := range trapComparisons(t, name, secretName) {
				found++
				if !slices.Contains(innocent, comparison) {
					t.Errorf("%s compares a secret: %s", name, comparison)
				}
			}
		}
	}
	if found < len(innocent) {
		t.Errorf("%d comparisons were found, want at least those that are known", found)
	}
}

// trapComparisons are the comparisons of a file whose left or right side has such a name. Being empty or nil is no
// secret, and neither is a code.
func trapComparisons(t *testing.T, file string, name *regexp.Regexp) []string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	calls := []string{"bytes.Equal", "bytes.Compare", "slices.Equal", "slices.Compare", "strings.Compare", "strings.EqualFold"}
	ast.Inspect(parsed, func(n ast.Node) bool {
		call, isCall := n.(*ast.CallExpr)
		if isCall && len(call.Args) == 2 && slices.Contains(calls, types.ExprString(call.Fun)) &&
			(name.MatchString(types.ExprString(call.Args[0])) || name.MatchString(types.ExprString(call.Args[1]))) {
			found = append(found, types.ExprString(call))
		}
		comparison, ok := n.(*ast.BinaryExpr)
		if !ok || comparison.Op != token.EQL && comparison.Op != token.NEQ {
			return true
		}
		left, right := types.ExprString(comparison.X), types.ExprString(comparison.Y)
		_, isLiteral := comparison.Y.(*ast.BasicLit)
		isInnocent := isLiteral || right == "nil" || strings.Contains(right, "ProblemCode") || strings.Contains(left+right, "urpose")
		if !isInnocent && (name.MatchString(left) || name.MatchString(right)) {
			found = append(found, types.ExprString(comparison))
		}
		return true
	})
	return found
}
