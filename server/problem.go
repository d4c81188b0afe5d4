package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/labstack/echo/v4"

	"usermanager/gen/api"
	"usermanager/server/secret"
)

// Problem is a refusal: what the caller is told (RFC 9457), and nothing else. Its cause is logged only.
type Problem struct {
	Code        api.ProblemCode
	Detail      string           // a sentence for a person; default: the code's
	Errors      []api.FieldError // the broken fields
	Suggestions []string
	RetryAfter  time.Duration // for 429 and 503
	cause       error
}

// Error is the sentence that the caller reads, with the broken fields; never a submitted value.
func (p *Problem) Error() string {
	text := []string{p.sentence()}
	for _, e := range p.Errors {
		text = append(text, strings.TrimPrefix(e.Pointer, "/")+": "+e.Detail)
	}
	return strings.Join(text, " ")
}

func (p *Problem) Unwrap() error { return p.cause }

func (p *Problem) sentence() string {
	if p.Detail != "" {
		return p.Detail
	}
	return problemKinds[p.Code].detail
}

// fail refuses with the code's own sentence.
func fail(code api.ProblemCode) *Problem { return &Problem{Code: code} }

type problemKind struct {
	status int
	title  string
	detail string
}

// problemKinds gives each code of the contract its one status, its title and what to do next.
var problemKinds = map[api.ProblemCode]problemKind{
	api.ProblemCodeMalformedRequest:       {400, "Malformed request", "The body cannot be read. Check its syntax, and for keys that stand twice."},
	api.ProblemCodeInvalidCursor:          {400, "Invalid cursor", "This cursor does not belong to this list. Start again from the first page."},
	api.ProblemCodeAuthenticationRequired: {401, "Authentication required", "Sign in and send the token in the Authorization header."},
	api.ProblemCodeInvalidAccessToken:     {401, "Invalid access token", "This token is not valid any more. Sign in again."},
	api.ProblemCodeInvalidCredentials:     {401, "Invalid credentials", "The e-mail address or the password is wrong."},
	api.ProblemCodeInvalidRefreshToken:    {401, "Invalid refresh token", "This session has ended. Sign in again."},
	api.ProblemCodeMissingPermission:      {403, "Missing permission", "Your role does not permit this."},
	api.ProblemCodeRankTooLow:             {403, "Rank too low", "This account is not below your rank. Ask an administrator."},
	api.ProblemCodeEmailNotVerified:       {403, "E-mail not verified", "Open the link that was mailed to you, or ask for a new one."},
	api.ProblemCodeAccountLocked:          {403, "Account locked", "This account is locked. Write to support."},
	api.ProblemCodeCrossOriginRefused:     {403, "Cross-origin request refused", "Send this from a page of the same site, or keep the token yourself instead of in a cookie."},
	api.ProblemCodeRegistrationClosed:     {403, "Registration closed", "This service opens accounts by invitation only."},
	api.ProblemCodeNotFound:               {404, "Not found", "There is nothing at this address."},
	api.ProblemCodeMethodNotAllowed:       {405, "Method not allowed", "Use one of the methods in the Allow header."},
	api.ProblemCodeEmailTaken:             {409, "E-mail taken", "An account with this e-mail address exists. Sign in, or use another address."},
	api.ProblemCodeNicknameTaken:          {409, "Nickname taken", "This nickname is taken. Take one of the suggestions."},
	api.ProblemCodeLastAdmin:              {409, "Last administrator", "This is the last administrator. Make someone else one first."},
	api.ProblemCodeOwnAccount:             {409, "Own account", "This cannot be done to your own account. Ask another administrator."},
	api.ProblemCodeAlreadyVerified:        {409, "Already verified", "This account has proven its address. Nothing is left to accept."},
	api.ProblemCodeRequestInProgress:      {409, "Request in progress", "The same request is still being worked on. Send it again in a moment."},
	api.ProblemCodeTokenExpired:           {410, "Token expired", "This link has expired. Ask for a new one."},
	api.ProblemCodeTokenUsed:              {410, "Token used", "This link has been used or replaced by a newer one."},
	api.ProblemCodeVersionConflict:        {412, "Version conflict", "Someone else changed this in the meantime. Read it again and repeat your change."},
	api.ProblemCodePayloadTooLarge:        {413, "Payload too large", "The body is larger than 64 KiB."},
	api.ProblemCodeURITooLong:             {414, "URI too long", "The address of the request is longer than 8 KiB."},
	api.ProblemCodeUnsupportedMediaType:   {415, "Unsupported media type", "Send the body in the documented media type, uncompressed."},
	api.ProblemCodeValidationFailed:       {422, "Validation failed", "Some fields are not as they should be; errors lists each of them."},
	api.ProblemCodeTokenInvalid:           {422, "Token invalid", "This link is not valid. Copy the whole link from the mail."},
	api.ProblemCodeIdempotencyKeyReused:   {422, "Idempotency key reused", "Another body was sent with this Idempotency-Key. Make a new key for a new request."},
	api.ProblemCodeVersionRequired:        {428, "Version required", "Send the ETag that you read as If-Match."},
	api.ProblemCodeTooManyAttempts:        {429, "Too many attempts", "Too many failed sign-ins. Wait, then try again."},
	api.ProblemCodeTooManyRequests:        {429, "Too many requests", "Too many requests of this kind. Wait, then try again."},
	api.ProblemCodeInternalError:          {500, "Internal error", "Something went wrong on our side. Report the request_id if it stays."},
	api.ProblemCodeServerBusy:             {503, "Server busy", "Too many sign-ins at the moment. Try again in a moment."},
	api.ProblemCodeDatabaseUnavailable:    {503, "Database unavailable", "The service cannot reach its database. Try again in a moment."},
	api.ProblemCodeSchemaOutdated:         {503, "Schema outdated", "The database has to be migrated."},
	api.ProblemCodeShuttingDown:           {503, "Shutting down", "This server is shutting down. Try again."},
}

// constraintProblems turns the names of db/migrations into codes: the database decides, this only translates.
var constraintProblems = map[string]api.ProblemCode{
	"users_email_key":    api.ProblemCodeEmailTaken,
	"users_nickname_key": api.ProblemCodeNicknameTaken,
	"users_last_admin":   api.ProblemCodeLastAdmin,
}

// asProblem finds the refusal in an error. What nobody foresaw is internal_error and says nothing.
func asProblem(err error) *Problem {
	if problem, ok := errors.AsType[*Problem](err); ok {
		return problem
	}
	if busy, ok := errors.AsType[*secret.BusyError](err); ok {
		return &Problem{Code: api.ProblemCodeServerBusy, RetryAfter: busy.RetryAfter, cause: err}
	}
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && constraintProblems[pgErr.ConstraintName] != "" {
		return &Problem{Code: constraintProblems[pgErr.ConstraintName], cause: err}
	}
	if isDatabaseUnavailable(err) {
		return &Problem{Code: api.ProblemCodeDatabaseUnavailable, RetryAfter: time.Second, cause: err}
	}
	if httpErr, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch httpErr.Code {
		case http.StatusNotFound:
			return fail(api.ProblemCodeNotFound)
		case http.StatusMethodNotAllowed:
			return fail(api.ProblemCodeMethodNotAllowed)
		}
	}
	return &Problem{Code: api.ProblemCodeInternalError, cause: err}
}

// isDatabaseUnavailable says whether the same request may succeed when the database is itself again.
func isDatabaseUnavailable(err error) bool {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch pgErr.Code {
		case "25006", // read_only_sql_transaction: a standby was promoted elsewhere
			"40001", "40P01", // serialization failure, deadlock: retried before, see inTx
			"55P03", "57014": // lock not available, statement time-out
			return true
		}
		switch pgErr.Code[:2] {
		case "08", "53", "57": // connection exceptions, insufficient resources, operator intervention
			return true
		}
		return false
	}
	_, isConnect := errors.AsType[*pgconn.ConnectError](err)
	_, isNet := errors.AsType[net.Error](err)
	return isConnect || isNet || pgconn.Timeout(err) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) // the client has left: hardly anybody reads this
}

const maxFieldErrors = 200 // of the contract: only a client that makes keys up breaks more rules

// writeProblem is the one place where a refusal becomes a response.
func (s *Server) writeProblem(err error, c echo.Context) {
	if c.Response().Committed {
		return // the client went away in the middle of a response, or the handler had answered
	}
	p := asProblem(err)
	kind := problemKinds[p.Code]
	r := requestOf(c.Request().Context())
	hasLeft := errors.Is(c.Request().Context().Err(), context.Canceled)
	if kind.status >= http.StatusInternalServerError && p.cause != nil && !hasLeft {
		s.Logger.LogAttrs(c.Request().Context(), slog.LevelError, "request failed",
			slog.String("request_id", r.id), slog.String("code", string(p.Code)), slog.Any("error", p.cause))
	}
	body := api.LoginProblem{
		Type:        "urn:usermanager:problem:" + string(p.Code),
		Title:       kind.title,
		Status:      int32(kind.status),
		Detail:      p.sentence(),
		Instance:    "urn:uuid:" + r.id,
		Code:        p.Code,
		RequestID:   r.id,
		Suggestions: append([]string{}, p.Suggestions...),
		Errors:      append([]api.FieldError{}, p.Errors[:min(len(p.Errors), maxFieldErrors)]...),
	}
	header := c.Response().Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	if kind.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge(p.Code))
	}
	if kind.status == http.StatusTooManyRequests || kind.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(p.RetryAfter.Seconds())))))
	}
	c.Response().WriteHeader(kind.status)
	var value any = problemOf(body)
	if r.operationID() == "login" {
		body.Error = oauthError(p.Code)
		value = body
	}
	if err := json.NewEncoder(c.Response()).Encode(value); err != nil {
		s.Logger.LogAttrs(c.Request().Context(), slog.LevelDebug, "write problem", slog.String("request_id", r.id), slog.Any("error", err))
	}
}

// problemOf is the body without the member that only sign-in has.
func problemOf(b api.LoginProblem) api.Problem {
	return api.Problem{
		Type: b.Type, Title: b.Title, Status: b.Status, Detail: b.Detail, Instance: b.Instance, Code: b.Code,
		RequestID: b.RequestID, Suggestions: b.Suggestions, Errors: b.Errors,
	}
}

// challenge is RFC 6750, 3: an error only when a token was sent.
func challenge(code api.ProblemCode) string {
	if code == api.ProblemCodeInvalidAccessToken {
		return `Bearer realm="usermanager", error="invalid_token"`
	}
	return `Bearer realm="usermanager"`
}

// oauthError is what RFC 6749, 5.2 calls a refusal of the token endpoint.
func oauthError(code api.ProblemCode) string {
	switch code {
	case api.ProblemCodeInvalidCredentials, api.ProblemCodeEmailNotVerified, api.ProblemCodeAccountLocked,
		api.ProblemCodeTooManyAttempts:
		return "invalid_grant"
	case api.ProblemCodeServerBusy, api.ProblemCodeDatabaseUnavailable:
		return "temporarily_unavailable"
	case api.ProblemCodeInternalError:
		return "server_error"
	default:
		return "invalid_request"
	}
}
