package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"usermanager/gen/api"
)

// refreshCookieName has the prefix with which browsers take the cookie from this host only, over HTTPS and for
// every path (RFC 6265bis, 4.1.3.2).
const refreshCookieName = "__Host-refresh_token"

// cookieOperations are those that read or set the cookie, so that browsers may send it to them.
var cookieOperations = []string{"/sessions", "/sessions/refresh", "/logout"}

// refreshCookie is the header that keeps the refresh token where no script reads it. It goes with the browser's
// window, unless the user wants to be remembered.
func refreshCookie(o openedSession, isRemembered bool) *string {
	seconds := 0 // until the window is closed
	if isRemembered {
		seconds = int(time.Until(o.idleExpiresAt).Seconds())
	}
	return cookieHeader(o.refreshToken, seconds)
}

func noRefreshCookie() *string { return cookieHeader("", -1) }

func cookieHeader(value string, seconds int) *string {
	text := (&http.Cookie{
		Name: refreshCookieName, Value: value, MaxAge: seconds, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	}).String()
	return &text
}

// cookieOf is the refresh token in the request's cookie, or "".
func cookieOf(ctx context.Context) string {
	r := requestOf(ctx).http
	if r == nil {
		return ""
	}
	cookie, err := r.Cookie(refreshCookieName)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// bearerOf is the token in Authorization, or "".
func bearerOf(ctx context.Context) string {
	r := requestOf(ctx).http
	if r == nil {
		return ""
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// requireSameSite refuses pages that neither this origin nor a configured one served, where a browser adds the
// cookie by itself (T-41). Clients that are no browsers send none of the headers that it looks at.
func (s *Server) requireSameSite(ctx context.Context) error {
	r := requestOf(ctx).http
	if s.isAllowedOrigin(r.Header.Get("Origin")) {
		return nil
	}
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return &Problem{Code: api.ProblemCodeCrossOriginRefused, cause: err}
	}
	return nil
}

// isAllowedOrigin says whether pages of an origin may read answers, and use the cookie: the origin of PUBLIC_URL,
// which a proxy may hide behind another Host, and the configured ones.
func (s *Server) isAllowedOrigin(origin string) bool {
	return origin == s.PublicURL.Scheme+"://"+s.PublicURL.Host || slices.Contains(s.CORSOrigins, origin) ||
		s.CORSLocalhost && isLocalhost(origin)
}
