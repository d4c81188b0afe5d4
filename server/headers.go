package server

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"usermanager/gen/api"
)

// secureHeaders stand on every answer, 404 and panics included (H-06). Pages replace the policy by their own.
func (s *Server) secureHeaders(next echo.HandlerFunc) echo.HandlerFunc {
	isHTTPS := s.PublicURL.Scheme == "https"
	return func(c echo.Context) error {
		header := c.Response().Header()
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		header.Set("Referrer-Policy", "no-referrer") // the links of mails hold tokens
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Cache-Control", "no-store")
		if isHTTPS {
			header.Set("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
		}
		c.Response().Before(func() {
			if header.Get("Content-Type") == "application/json" {
				header.Set("Content-Type", "application/json; charset=utf-8")
			}
		})
		return next(c)
	}
}

// cors answers browsers of the configured origins, exactly those (H-07), and exposes the headers that
// clients of the contract read. Tokens travel in a header, so no origin needs credentials, but at the operations
// that keep the refresh token in a cookie.
func (s *Server) cors(next echo.HandlerFunc) echo.HandlerFunc {
	config := middleware.CORSConfig{
		AllowOriginFunc: func(origin string) (bool, error) { return s.isAllowedOrigin(origin), nil },
		AllowMethods:    []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete},
		AllowHeaders:    []string{"Authorization", "Content-Type", "If-Match", "Accept-Language", idempotencyHeader},
		ExposeHeaders: []string{"ETag", "Location", "Link", "Retry-After",
			"WWW-Authenticate", "X-Request-Id", "Content-Disposition"},
		MaxAge: corsMaxAge,
	}
	toConfigured := middleware.CORSWithConfig(config)(next)
	config.AllowCredentials = true
	withCookie := middleware.CORSWithConfig(config)(next)
	toAll := corsOfDocuments(next)
	return func(c echo.Context) error {
		switch path := strings.TrimSuffix(c.Request().URL.Path, "/"); {
		case path == "/openapi.yaml", path == "/openapi.json":
			return toAll(c)
		case slices.Contains(cookieOperations, path):
			return withCookie(c)
		}
		return toConfigured(c)
	}
}

const corsMaxAge = 600 // seconds for which a browser remembers a preflight

// corsOfDocuments lets pages of every origin read the contract, because documentation tools elsewhere load it. It
// is the same for everyone and needs no token, and so whatever headers a tool adds change nothing.
func corsOfDocuments(next echo.HandlerFunc) echo.HandlerFunc {
	return middleware.CORSWithConfig(middleware.CORSConfig{
		AllowOrigins:  []string{"*"},
		AllowMethods:  []string{http.MethodGet, http.MethodHead},
		AllowHeaders:  []string{"*"},
		ExposeHeaders: []string{"ETag", "X-Request-Id"},
		MaxAge:        corsMaxAge,
	})(next)
}

// isLocalhost says whether an origin is a development server on this machine.
func isLocalhost(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" || origin != u.Scheme+"://"+u.Host {
		return false
	}
	switch u.Hostname() {
	case "localhost", "127.0.0.1", "::1":
		return true
	}
	return false
}

// acceptTrailingSlash serves /users/ as /users without a redirect. It changes the URL in place, because Echo
// routes by the request that it was given.
func acceptTrailingSlash(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		u := c.Request().URL
		isFile := strings.HasPrefix(u.Path, "/docs/") && u.Path != "/docs/"
		if len(u.Path) > 1 && !strings.HasSuffix(u.Path, "//") && !isFile {
			u.Path = strings.TrimSuffix(u.Path, "/")
			u.RawPath = strings.TrimSuffix(u.RawPath, "/")
		}
		return next(c)
	}
}

// withHead registers HEAD beside every GET: the same answer, whose body net/http leaves out (RFC 9110, 9.3.2).
type withHead struct{ api.EchoRouter }

func (r withHead) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	r.HEAD(path, h, m...)
	return r.EchoRouter.GET(path, h, m...)
}
