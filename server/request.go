package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// request is what operations ask about the request beyond its parameters.
type request struct {
	id        string // X-Request-Id, made here: a client's own could be anything
	address   netip.Addr
	userAgent string
	http      *http.Request // its cookie and origin; nil outside of HTTP
	operation *operation    // nil outside of the contract
	actor     *actor        // nil when nobody is signed in
	once      *once         // nil without an Idempotency-Key
}

type requestKey struct{}

// requestTimeout bounds a request whose database hangs (F-13): it is answered 503 by then.
const requestTimeout = 5 * time.Second

// requestOf returns the request of a context; outside of HTTP (jobs, the command line) an empty one.
func requestOf(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

func (r *request) operationID() string {
	if r.operation == nil {
		return ""
	}
	return r.operation.id
}

// source is whom limits count: the client's address, of IPv6 the /64 that one customer gets.
func (r *request) source() string {
	if r.address.Is6() {
		return netip.PrefixFrom(r.address, 64).Masked().String()
	}
	return r.address.String()
}

// withRequest gives the request its id and logs it once it is answered: the route's template, never the
// path or the query, which may hold tokens.
func (s *Server) withRequest(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("make request id: %w", err)
		}
		r := &request{id: id.String(), address: clientAddress(c.Request(), s.TrustedProxies), userAgent: cleanUserAgent(c.Request().UserAgent()), http: c.Request()}
		ctx, cancel := context.WithTimeout(context.WithValue(c.Request().Context(), requestKey{}, r), requestTimeout)
		defer cancel()
		c.SetRequest(c.Request().WithContext(ctx))
		c.Response().Header().Set(echo.HeaderXRequestID, r.id)
		if err := next(c); err != nil {
			c.Error(err)
		}
		s.Logger.LogAttrs(c.Request().Context(), slog.LevelInfo, "request",
			slog.String("request_id", r.id),
			slog.String("method", c.Request().Method),
			slog.String("route", c.Path()),
			slog.String("operation", r.operationID()),
			slog.Int("status", c.Response().Status),
			slog.Duration("took", time.Since(began)))
		return nil
	}
}

// recoverPanic answers 500 and keeps the process alive (H-16).
func (s *Server) recoverPanic(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
					panic(v)
				}
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
			}
		}()
		return next(c)
	}
}

// clientAddress is the peer, or the right-most hop of X-Forwarded-For that is not a trusted proxy when the
// peer is one. Every other header is ignored, and so is garbage.
func clientAddress(r *http.Request, trusted []netip.Prefix) netip.Addr {
	address := parseHop(r.RemoteAddr)
	isTrusted := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if !isTrusted(address) {
		return address
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		next := parseHop(strings.TrimSpace(hop))
		if !next.IsValid() {
			return address
		}
		address = next
		if !isTrusted(address) {
			return address
		}
	}
	return address
}

func parseHop(hop string) netip.Addr {
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	address, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return address.Unmap().WithZone("")
}
