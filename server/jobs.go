package server

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivertype"

	"usermanager/gen/query"
)

const (
	jobWorkers = 10
	jobTimeout = time.Minute
	jobRescue  = 2 * time.Minute // a job whose worker was killed is taken up again (F-04)

	// A mail is tried every minute at the latest for six hours, then every ten minutes for four days.
	mailEagerTries = 370
	mailTries      = mailEagerTries + 4*24*6
	mailEagerPause = time.Minute
	mailLazyPause  = 10 * time.Minute

	cleanUpInterval = time.Hour
	restoreWindow   = 30 * 24 * time.Hour // a deleted account can be restored
	oldSession      = 30 * 24 * time.Hour
)

// newJobs prepares the job client. It inserts jobs at once; it works them from Serve on.
func (s *Server) newJobs() (*river.Client[pgx.Tx], error) {
	workers := river.NewWorkers()
	river.AddWorker(workers, &mailWorker{server: s})
	river.AddWorker(workers, &signInFailuresWorker{server: s})
	river.AddWorker(workers, &cleanUpWorker{server: s})
	return river.NewClient(riverpgxv5.New(s.Pool), &river.Config{
		Queues:               map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: jobWorkers}},
		Workers:              workers,
		FetchPollInterval:    s.PollInterval,
		JobTimeout:           jobTimeout,
		RescueStuckJobsAfter: jobRescue,
		RetryPolicy:          retryPolicy{},
		Logger:               slog.New(quietHandler{s.Logger.Handler()}),
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(cleanUpInterval),
			func() (river.JobArgs, *river.InsertOpts) { return cleanUpArgs{}, nil }, &river.PeriodicJobOpts{RunOnStart: true})},
	})
}

// retryPolicy tries again after 4, 8, 16 ... seconds, each minute for the first hours, then less often (F-01).
type retryPolicy struct{}

func (retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	pause := mailLazyPause
	if tries := len(job.Errors) + 1; tries <= mailEagerTries {
		pause = min(4*time.Second<<min(tries-1, 10), mailEagerPause)
	}
	return time.Now().Add(pause - pause/10*time.Duration(job.ID%10)/10) // spread, so that a queue does not come back all at once
}

// quietHandler passes warnings and errors of the job library on; its chatter is not ours.
type quietHandler struct{ slog.Handler }

func (h quietHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.Handler.Enabled(ctx, level)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs)}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}

// signInFailuresArgs asks whether the owner of an account is to be told that somebody keeps guessing. Unknown
// addresses queue one too, with an id that nobody has.
type signInFailuresArgs struct {
	UserID uuid.UUID `json:"user_id"`
}

func (signInFailuresArgs) Kind() string { return "sign_in_failures" }

func (s *Server) enqueueSignInFailures(ctx context.Context, tx pgx.Tx, userID uuid.UUID) error {
	if _, err := s.jobs.InsertTx(ctx, tx, signInFailuresArgs{UserID: userID}, nil); err != nil {
		return fmt.Errorf("enqueue job: %w", err)
	}
	return nil
}

type signInFailuresWorker struct {
	river.WorkerDefaults[signInFailuresArgs]
	server *Server
}

func (w *signInFailuresWorker) Work(ctx context.Context, job *river.Job[signInFailuresArgs]) error {
	return w.server.inTx(ctx, func(q *query.Queries, tx pgx.Tx) error {
		user, err := q.UserLock(ctx, job.Args.UserID)
		if isNoRows(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look user up: %w", err)
		}
		within, err := w.server.withinAll(ctx, q, user.EmailCanonical, limitSignInFailures)
		if err != nil || !within {
			return err
		}
		return w.server.enqueueMail(ctx, q, tx, query.MailCreateParams{UserID: user.ID, Kind: query.MailKindSignInFailures})
	})
}

type cleanUpArgs struct{}

func (cleanUpArgs) Kind() string { return "clean_up" }

func (cleanUpArgs) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: cleanUpInterval}}
}

type cleanUpWorker struct {
	river.WorkerDefaults[cleanUpArgs]
	server *Server
}

// Work erases what nobody needs any more. Nothing depends on when it runs: expiry is checked where it matters.
func (w *cleanUpWorker) Work(ctx context.Context, _ *river.Job[cleanUpArgs]) error {
	err := w.server.inTx(ctx, func(q *query.Queries, _ pgx.Tx) error {
		erased, err := q.UserEraseDeleted(ctx, restoreWindow.Seconds())
		if err != nil {
			return fmt.Errorf("erase deleted users: %w", err)
		}
		for _, id := range erased {
			if err := w.server.audit(ctx, q, auditEntry{action: query.AuditActionUserErased, subject: &id}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	q := w.server.query
	for name, erase := range map[string]func(context.Context) (int64, error){
		"sessions":       func(ctx context.Context) (int64, error) { return q.SessionEraseOld(ctx, oldSession.Seconds()) },
		"tokens":         q.TokenEraseOld,
		"mails":          q.MailEraseOld,
		"login failures": q.LoginFailureEraseOld,
		"rate counters":  q.RateEraseOld,
		"kept answers":   q.IdempotencyKeyEraseOld,
	} {
		if _, err := erase(ctx); err != nil {
			return fmt.Errorf("erase old %s: %w", name, err)
		}
	}
	return nil
}
