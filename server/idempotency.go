package server

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/secret"
)

// A request with an Idempotency-Key can be sent again when its answer was lost (I-24). An operation joins by
// declaring the header in openapi.yaml, by inTxOnce in the place of inTx, and by keepAnswer as the last thing that
// this transaction does. Operations that answer secrets must not join: what is kept is kept in the clear.

const (
	idempotencyHeader = "Idempotency-Key"
	idempotencyTTL    = 24 * time.Hour // a client that was offline over night still gets its answer

	purposeIdempotencyKey  secret.Purpose = "idempotency key"
	purposeIdempotencyBody secret.Purpose = "idempotency body"
)

// once is what makes two requests the same. Both are keyed hashes: keys may be guessable, and bodies hold passwords.
// Under another SECRET_KEY they are others: a repetition across its change is a new request.
type once struct {
	keyHash  []byte // of operation, caller and key: nobody meets another's answer
	bodyHash []byte
}

// answerOnce gives the answer of the first request to its repetition, before a limit counts or a password is hashed.
// Whether the caller may still do this was decided before.
func (s *Server) answerOnce(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		ctx := c.Request().Context()
		r, key := requestOf(ctx), c.Request().Header.Get(idempotencyHeader)
		if key == "" || r.operation == nil || r.operation.spec.Parameters.GetByInAndName("header", idempotencyHeader) == nil {
			return next(c)
		}
		body, _ := c.Request().Body.(validatedBody) // none: an operation without a body
		canonical, err := json.Marshal(body.value)  // sorts the keys
		if err != nil {
			return fmt.Errorf("encode body: %w", err)
		}
		caller := "anonymous"
		if r.actor != nil {
			caller = r.actor.ID.String()
		}
		r.once = &once{
			keyHash:  s.Secret.KeyedHash(purposeIdempotencyKey, strings.Join([]string{r.operation.id, caller, key}, " ")), // none of them has spaces
			bodyHash: s.Secret.KeyedHash(purposeIdempotencyBody, string(canonical)),
		}
		if err = r.once.findAnswer(ctx, s.query); err == nil {
			err = next(c)
		}
		if kept, ok := errors.AsType[*keptAnswer](err); ok {
			return kept.writeTo(c.Response())
		}
		return err
	}
}

// inTxOnce is inTx for what a repeated request must not do again. Only one of two that run at once gets in; who comes
// while it works is told so, who comes later gets its answer, wherever in the operation that may be: an answer that
// was kept travels as an error up to answerOnce. Nothing is claimed before the transaction, so that neither a slow
// hash nor a server that dies holds a claim, and another try after a deadlock claims and looks anew.
func (s *Server) inTxOnce(ctx context.Context, do func(q *query.Queries, tx pgx.Tx) error) error {
	o := requestOf(ctx).once
	if o == nil {
		return s.inTx(ctx, do)
	}
	return s.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		isFree, err := q.IdempotencyKeyClaim(ctx, o.keyHash)
		if err != nil {
			return fmt.Errorf("claim idempotency key: %w", err)
		}
		if !isFree {
			return fail(api.ProblemCodeRequestInProgress)
		}
		// A statement after the claim sees what the one before it committed.
		if err := o.findAnswer(ctx, q); err != nil {
			return err
		}
		return do(q, tx)
	})
}

// findAnswer returns a *keptAnswer if the request was answered before, and a refusal if that was another one.
func (o *once) findAnswer(ctx context.Context, q *query.Queries) error {
	row, err := q.IdempotencyKeyFind(ctx, o.keyHash)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find kept answer: %w", err)
	}
	if subtle.ConstantTimeCompare(row.BodyHash, o.bodyHash) != 1 {
		return fail(api.ProblemCodeIdempotencyKeyReused)
	}
	kept := &keptAnswer{status: int(row.Status)}
	kept.body.Write(row.Body)
	if err := json.Unmarshal(row.Header, &kept.header); err != nil {
		return fmt.Errorf("decode kept header: %w", err)
	}
	return kept
}

// keepAnswer keeps a success for repetitions of the request, in the transaction of what it answers for. The row goes
// with the user whom the answer is about; nil if it says nothing of anybody. write is the response's Visit method.
func (s *Server) keepAnswer(ctx context.Context, q *query.Queries, about *uuid.UUID, write func(http.ResponseWriter) error) error {
	o := requestOf(ctx).once
	if o == nil {
		return nil
	}
	answer := &keptAnswer{header: http.Header{}}
	if err := write(answer); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	header, err := json.Marshal(answer.header)
	if err != nil {
		return fmt.Errorf("encode header: %w", err)
	}
	rows, err := q.IdempotencyKeyKeep(ctx, query.IdempotencyKeyKeepParams{
		KeyHash: o.keyHash, BodyHash: o.bodyHash, UserID: about,
		Status: int32(answer.status), Header: header, Body: answer.body.Bytes(), TtlSeconds: idempotencyTTL.Seconds(),
	})
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	if rows == 0 {
		return fail(api.ProblemCodeRequestInProgress) // no claim was held: better nothing than twice
	}
	return nil
}

// keptAnswer is a response as it went over the wire, but for the headers that every answer gets anew.
type keptAnswer struct {
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *keptAnswer) Header() http.Header            { return a.header }
func (a *keptAnswer) WriteHeader(status int)         { a.status = status }
func (a *keptAnswer) Write(data []byte) (int, error) { return a.body.Write(data) }
func (a *keptAnswer) Error() string                  { return "answered before" }
func (a *keptAnswer) writeTo(w http.ResponseWriter) error {
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	_, err := w.Write(a.body.Bytes())
	return err
}
