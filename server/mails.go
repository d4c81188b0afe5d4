package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"usermanager/gen/query"
	"usermanager/server/mail"
)

// mailArgs is all that a job knows: the address, the link and the words are found out when it runs, so neither
// a dump nor a finished job holds a token.
type mailArgs struct {
	MailID uuid.UUID `json:"mail_id"`
}

func (mailArgs) Kind() string { return "mail" }

// InsertOpts keeps trying for days: see retryPolicy.
func (mailArgs) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: mailTries} }

// enqueueMail queues a mail in the transaction of the change that wants it: neither exists without the other.
func (s *Server) enqueueMail(ctx context.Context, q *query.Queries, tx pgx.Tx, params query.MailCreateParams) error {
	id, err := newID()
	if err != nil {
		return err
	}
	params.ID = id
	if _, err := q.MailCreate(ctx, params); err != nil {
		return fmt.Errorf("create mail: %w", err)
	}
	if _, err := s.jobs.InsertTx(ctx, tx, mailArgs{MailID: id}, nil); err != nil {
		return fmt.Errorf("enqueue mail: %w", err)
	}
	return nil
}

type mailWorker struct {
	river.WorkerDefaults[mailArgs]
	server *Server
}

// Work sends one mail. A mail that was sent and whose job did not end is sent again with the same Message-ID.
func (w *mailWorker) Work(ctx context.Context, job *river.Job[mailArgs]) error {
	s := w.server
	row, err := s.query.MailForSending(ctx, job.Args.MailID)
	if isNoRows(err) { // the account is gone; should it come back, no mail looks as if it were on its way
		return s.query.MailSetState(ctx, query.MailStateSkipped, job.Args.MailID)
	}
	if err != nil {
		return fmt.Errorf("load mail: %w", err)
	}
	if row.Mail.State == query.MailStateSent || row.Mail.State == query.MailStateSkipped {
		return nil
	}
	data, ttl, err := s.mailData(ctx, row)
	if errors.Is(err, errLinkDead) {
		return s.query.MailSetState(ctx, query.MailStateSkipped, row.Mail.ID)
	}
	if err != nil {
		return err
	}
	content, err := s.renderMail(mail.Kind(row.Mail.Kind), data)
	if err != nil {
		return s.endMail(ctx, row.Mail, fmt.Errorf("render mail: %w", err))
	}
	to := row.User.Email
	if row.Mail.Recipient != nil {
		to = *row.Mail.Recipient
	}
	err = s.Mail.Send(ctx, mail.Message{ID: row.Mail.ID, Kind: mail.Kind(row.Mail.Kind), To: to, Content: content})
	if _, isPermanent := errors.AsType[*mail.PermanentError](err); isPermanent {
		return s.endMail(ctx, row.Mail, err)
	}
	if err != nil {
		state := query.MailStateRetrying
		if job.Attempt >= job.MaxAttempts {
			state = query.MailStateFailed // that was the last try
		}
		if row.Mail.State != state { // once, not at each of hundreds of tries
			s.logUndelivered(ctx, row.Mail, state, err)
			err = errors.Join(err, s.query.MailSetState(context.WithoutCancel(ctx), state, row.Mail.ID))
		}
		return fmt.Errorf("send mail: %w", err)
	}
	return s.inTx(context.WithoutCancel(ctx), func(q *query.Queries, _ pgx.Tx) error {
		if row.Mail.TokenID != nil {
			if err := q.TokenDeliver(ctx, ttl.Seconds(), *row.Mail.TokenID); err != nil {
				return fmt.Errorf("start time to live: %w", err)
			}
		}
		return q.MailSetState(ctx, query.MailStateSent, row.Mail.ID)
	})
}

// renderMail renders one mail at a time: ten at once, when a mail server comes back, would keep requests waiting.
func (s *Server) renderMail(kind mail.Kind, data mail.Data) (mail.Content, error) {
	s.rendering.Lock()
	defer s.rendering.Unlock()
	return s.renderer.Render(kind, data)
}

// endMail gives a mail up that no other try would bring through (F-03).
func (s *Server) endMail(ctx context.Context, m query.Mail, cause error) error {
	s.logUndelivered(ctx, m, query.MailStateFailed, cause)
	if err := s.query.MailSetState(ctx, query.MailStateFailed, m.ID); err != nil {
		return fmt.Errorf("mark mail failed: %w", err)
	}
	return river.JobCancel(cause)
}

// logUndelivered tells the operator; the errors of package mail hold no addresses.
func (s *Server) logUndelivered(ctx context.Context, m query.Mail, state query.MailState, cause error) {
	s.Logger.LogAttrs(ctx, slog.LevelWarn, "mail not delivered", slog.String("mail_id", m.ID.String()),
		slog.String("kind", string(m.Kind)), slog.String("state", string(state)), slog.Any("error", cause))
}

var errLinkDead = errors.New("the mail's link is used, replaced or expired")

// mailData is what the mail says. Its token is derived again, so a retry mails the same link.
func (s *Server) mailData(ctx context.Context, row query.MailForSendingRow) (mail.Data, time.Duration, error) {
	user := row.User
	data := mail.Data{Nickname: user.Nickname, Locale: user.PreferredLanguage, At: row.Mail.CreatedAt}
	if user.FirstName != nil {
		data.Name = *user.FirstName
	}
	if row.Mail.Role != nil {
		data.Role = string(*row.Mail.Role)
	}
	if row.Mail.Kind == query.MailKindRegistrationAttempt || row.Mail.Kind == query.MailKindEmailChangeAttempt {
		data.Link = fillTemplate(s.Links[""].SignIn, "", cmp.Or(s.Product.URL, s.issuer()))
	}
	if row.Mail.Kind == query.MailKindSignInFailures || row.Mail.Kind == query.MailKindPasswordChanged {
		data.Link = s.changePasswordLink()
	}
	if row.Mail.TokenID == nil {
		return data, 0, nil
	}
	token, err := s.query.TokenByID(ctx, *row.Mail.TokenID)
	if isNoRows(err) {
		return data, 0, errLinkDead
	}
	if err != nil {
		return data, 0, fmt.Errorf("load token: %w", err)
	}
	kind := tokenKinds[token.Purpose]
	text, ok := s.Secret.MintTokenWithHash(token.Hash, kind.purpose, token.ID, token.UserID, token.Address)
	isDead := checkOpen(token) != nil || token.Email == nil && token.Address != user.EmailCanonical || !ok
	if isDead && row.Mail.Kind == query.MailKindEmailChanged {
		return data, 0, nil // without its link it is still news
	}
	if isDead {
		return data, 0, errLinkDead
	}
	data.Link, data.ExpiresIn = s.linkFor(token.Purpose, token.Client, text, user.ID), kind.ttl
	return data, kind.ttl, nil
}

// fillTemplate puts the token into an adopter's template; without one the built-in page serves.
func fillTemplate(template, token, builtIn string) string {
	if template == "" {
		return builtIn
	}
	return strings.ReplaceAll(template, "{token}", token)
}
