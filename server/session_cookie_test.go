package server_test

import (
	"net/http"
	"strings"
	"testing"

	"usermanager/gen/api"
	"usermanager/server"
)

// cookieSet is the cookie of an answer, or nil.
func cookieSet(t testing.TB, got response) *http.Cookie {
	t.Helper()
	cookies := (&http.Response{Header: got.header}).Cookies()
	if len(cookies) == 0 {
		return nil
	}
	if len(cookies) > 1 {
		t.Fatalf("got %d cookies, want one", len(cookies))
	}
	return cookies[0]
}

func TestTheCookieIsForThisHostAndForNoScript(t *testing.T) { // T-40
	t.Parallel()
	s := newSystem(t)
	user := s.account(verifiedUser)
	for _, remember := range []bool{false, true} {
		got, tokens := openSessionAs(s, user.email, map[string]any{"cookie": true, "remember": remember})
		cookie := cookieSet(t, got)
		if cookie == nil || cookie.Name != "__Host-refresh_token" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode ||
			cookie.Path != "/" || cookie.Domain != "" || len(cookie.Raw) > 4096 {
			t.Fatalf("got %v", cookie)
		}
		if !tokens.RefreshToken.IsNull() || strings.Contains(string(got.body), cookie.Value) {
			t.Errorf("the body holds the refresh token, too: %s", got.body)
		}
		if isKept := cookie.MaxAge > 0; isKept != remember || remember && cookie.MaxAge > 30*24*3600 {
			t.Errorf("remember %t: kept for %d s", remember, cookie.MaxAge)
		}
		next := s.call(http.MethodPost, "/sessions/refresh", "", map[string]any{}, "Cookie", cookie.Name+"="+cookie.Value)
		renewed := cookieSet(t, next)
		if next.status != http.StatusOK || renewed == nil || renewed.Value == cookie.Value || !tokensOf(t, next).RefreshToken.IsNull() {
			t.Fatalf("refresh: got %d %s and %v", next.status, next.body, renewed)
		}
		if (renewed.MaxAge > 0) != remember {
			t.Errorf("remember %t: renewed for %d s", remember, renewed.MaxAge)
		}
		gone := s.call(http.MethodPost, "/logout", "", map[string]any{}, "Cookie", renewed.Name+"="+renewed.Value)
		removed := cookieSet(t, gone)
		if gone.status != http.StatusNoContent || removed == nil || removed.MaxAge >= 0 || removed.Value != "" || removed.Name != cookie.Name ||
			!removed.Secure || !removed.HttpOnly || removed.SameSite != http.SameSiteStrictMode || removed.Path != "/" {
			t.Errorf("logout: got %d and %v", gone.status, removed)
		}
		if isAlive(s, tokensOf(t, next).AccessToken) {
			t.Error("alive after the logout")
		}
	}
}

func TestWithoutAskingNoCookieIsSetAndNoneIsAdopted(t *testing.T) { // T-37
	t.Parallel()
	s := newSystem(t)
	ada, bob := s.account(verifiedUser), s.account(verifiedUser)
	planted, _ := openSessionAs(s, ada.email, map[string]any{"cookie": true})
	cookie := cookieSet(t, planted)
	got, tokens := openSessionAs(s, bob.email, nil, "Cookie", cookie.Name+"="+cookie.Value)
	if cookieSet(t, got) != nil || tokens.RefreshToken.IsNull() {
		t.Errorf("got %v", got.header)
	}
	over, _ := openSessionAs(s, bob.email, map[string]any{"cookie": true}, "Cookie", cookie.Name+"="+cookie.Value)
	if replaced := cookieSet(t, over); replaced == nil || replaced.Value == cookie.Value {
		t.Error("signing in on top of another's cookie keeps it")
	}
	s.call(http.MethodPost, "/sessions/refresh", "", map[string]any{}).problem(t, api.ProblemCodeInvalidRefreshToken)
	// A token in the body goes before the cookie, which then is left alone.
	both := s.call(http.MethodPost, "/sessions/refresh", "", map[string]any{"refresh_token": tokens.RefreshToken.MustGet()}, "Cookie", cookie.Name+"="+cookie.Value)
	if both.status != http.StatusOK || cookieSet(t, both) != nil || tokensOf(t, both).RefreshToken.IsNull() {
		t.Errorf("got %d %s", both.status, both.body)
	}
}

// Content types that a form can send never reach an operation, and of what a script can send the cookie works for
// this site and the configured origins only.
func TestPagesOfOtherSitesCannotUseTheCookie(t *testing.T) { // T-41
	t.Parallel()
	const app = "https://app.test"
	s := newSystem(t, func(o *server.Options) { o.CORSOrigins = []string{app} })
	user := s.account(verifiedUser)
	opened, _ := openSessionAs(s, user.email, map[string]any{"cookie": true})
	cookie := cookieSet(t, opened)
	site := map[bool]string{true: "same-origin", false: "cross-site"}
	for origin, isOwn := range map[string]bool{
		"": true, s.url: true, app: true, "https://evil.test": false, "null": false, "https://app.test.evil": false, "http://app.test": false,
		"https://evilapp.test": false,
	} {
		for _, contentType := range []string{"application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""} {
			for _, withCookie := range []bool{true, false} {
				header := []string{"Content-Type", contentType}
				if origin != "" {
					header = append(header, "Origin", origin, "Sec-Fetch-Site", site[isOwn && origin != app])
				}
				if withCookie {
					header = append(header, "Cookie", cookie.Name+"="+cookie.Value)
				}
				got := s.call(http.MethodPost, "/sessions/refresh", "", `{}`, header...)
				want := map[bool]api.ProblemCode{true: "", false: api.ProblemCodeCrossOriginRefused}[isOwn]
				if !withCookie {
					want = api.ProblemCodeInvalidRefreshToken
				}
				if contentType != "application/json" {
					want = api.ProblemCodeUnsupportedMediaType
				}
				if want != "" {
					got.problem(t, want)
					continue
				}
				if renewed := cookieSet(t, got); got.status == http.StatusOK && renewed != nil {
					cookie = renewed
					continue
				}
				t.Errorf("%s from %q with a cookie: got %d %s", contentType, origin, got.status, got.body)
			}
		}
	}
	evil := []string{"Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"}
	s.call(http.MethodPost, "/logout", "", map[string]any{}, append(evil, "Cookie", cookie.Name+"="+cookie.Value)...).problem(t, api.ProblemCodeCrossOriginRefused)
	s.call(http.MethodPost, "/logout", "", nil, append(evil, "Cookie", cookie.Name+"="+cookie.Value)...).problem(t, api.ProblemCodeCrossOriginRefused)
	s.call(http.MethodPost, "/sessions", "", map[string]any{"identifier": user.email, "password": goodPassword, "cookie": true}, evil...).
		problem(t, api.ProblemCodeCrossOriginRefused)
	if got := s.call(http.MethodPost, "/sessions/refresh", "", map[string]any{}, "Cookie", cookie.Name+"="+cookie.Value); got.status != http.StatusOK {
		t.Errorf("the session did not survive: got %d %s", got.status, got.body)
	}
	// Tokens that a page keeps itself are nobody's to send but its own.
	if got := s.call(http.MethodPost, "/sessions", "", map[string]any{"identifier": user.email, "password": goodPassword}, evil...); got.status != http.StatusCreated {
		t.Errorf("without the cookie: got %d %s", got.status, got.body)
	}
}
