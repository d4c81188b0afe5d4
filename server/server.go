// Package server answers the operations of openapi.yaml. Read this file first, then contract.go, which holds
// every request to the contract; each other file is one capability.
package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/labstack/echo/v4"
	"github.com/riverqueue/river"

	"usermanager/gen/api"
	"usermanager/gen/query"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

// Options is what a server needs. New fills the fields that say so with their default.
type Options struct {
	Pool   *pgxpool.Pool // on a migrated database
	Secret *secret.Root
	Mail   mail.Sender
	Logger *slog.Logger // default: slog.Default()

	PublicURL *url.URL     // where clients reach this server: links and the tokens' issuer
	Product   mail.Product // appears in mails and pages
	// Links are the templates of mailed links by the name that a request gives as client; "" is for requests
	// that name none. An empty template means the built-in page.
	Links   map[string]LinkTemplates
	Docs    bool   // serve /docs
	Version string // of this build, for the start-up log

	RegistrationOpen    bool
	RegistrationConceal bool // answer 202 alike for known and unknown addresses
	RegistrationLimit   int  // registrations an hour from one source; default 1000

	PasswordPolicy secret.Policy // default secret.PolicyComposition
	Hasher         *secret.Hasher
	LoginAttempts  int           // failures before the first wait; default 5
	LoginWait      time.Duration // the first wait; default one minute
	AccessTTL      time.Duration // default 15 minutes, at most that outside of tests and dev
	KeyTimes       KeyTimes      // when signing keys follow one another; by default only when an operator says so

	SessionIdle           time.Duration // how long a session may rest; default 24 hours
	SessionIdleRemembered time.Duration // the same for who wants to be remembered; default 30 days
	SessionMax            time.Duration // how long a session lives at most; default 90 days
	RefreshGrace          time.Duration // how long a lost answer to a refresh can be asked for again; default 2 minutes

	CORSOrigins    []string       // exact origins
	CORSLocalhost  bool           // and any port of localhost
	TrustedProxies []netip.Prefix // whose X-Forwarded-For is believed

	Inbox *mail.Inbox // development only: shown at /dev/inbox

	PollInterval time.Duration // how often jobs are looked for when no notification comes; default 1 s
}

// LinkTemplates are where mailed links lead: any absolute URL, custom schemes and fragments included, with
// {token} where the token goes.
type LinkTemplates struct {
	VerifyEmail string
	Invitation  string
	SignIn      string // without a token: where someone goes who has an account already
}

// Server implements the operations. It is safe for concurrent use; nothing that another server on the same
// database needs lives in it.
type Server struct {
	Options
	query     *query.Queries
	echo      *echo.Echo
	contract  *contract
	published documents
	keys      *Keys
	verifier  *secret.Verifier
	renderer  *mail.Renderer
	rendering sync.Mutex
	pages     pages
	jobs      *river.Client[pgx.Tx]
	ready     readiness
	draining  atomic.Bool
}

// New checks the secret key against the database, makes the first signing key if there is none, and
// prepares every route. It starts nothing: see Serve.
func New(ctx context.Context, opts Options) (*Server, error) {
	if opts.Pool == nil || opts.Secret == nil || opts.Mail == nil || opts.Hasher == nil || opts.PublicURL == nil {
		return nil, errors.New("server: Pool, Secret, Mail, Hasher and PublicURL are required")
	}
	s := &Server{Options: opts, query: query.New(opts.Pool)}
	s.setDefaults()
	s.keys = NewKeys(s.Options)
	s.keys.by = "system"
	if err := s.checkSecretKey(ctx); err != nil {
		return nil, err
	}
	if err := s.loadSigningKeys(ctx); err != nil {
		return nil, err
	}
	var err error
	if s.renderer, err = mail.NewRenderer(s.Product); err != nil {
		return nil, fmt.Errorf("prepare mails: %w", err)
	}
	if s.pages, err = newPages(s.Product); err != nil {
		return nil, err
	}
	if s.contract, err = newContract(); err != nil {
		return nil, err
	}
	if s.published, err = newDocuments(); err != nil {
		return nil, err
	}
	if s.jobs, err = s.newJobs(); err != nil {
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	s.echo = s.routes()
	return s, nil
}

func (s *Server) setDefaults() {
	if s.Logger == nil {
		s.Logger = slog.Default()
	}
	if s.RegistrationLimit == 0 {
		s.RegistrationLimit = 1000
	}
	if s.PasswordPolicy == "" {
		s.PasswordPolicy = secret.PolicyComposition
	}
	if s.LoginAttempts == 0 {
		s.LoginAttempts = 5
	}
	if s.LoginWait == 0 {
		s.LoginWait = time.Minute
	}
	if s.AccessTTL == 0 {
		s.AccessTTL = 15 * time.Minute
	}
	s.SessionIdle = cmp.Or(s.SessionIdle, 24*time.Hour)
	s.SessionIdleRemembered = cmp.Or(s.SessionIdleRemembered, 30*24*time.Hour)
	s.SessionMax = cmp.Or(s.SessionMax, 90*24*time.Hour)
	s.RefreshGrace = cmp.Or(s.RefreshGrace, 2*time.Minute)
	if s.PollInterval == 0 {
		s.PollInterval = time.Second
	}
}

// Handler serves every route, without jobs: mails wait in the database until some server runs Serve.
func (s *Server) Handler() http.Handler { return s.echo }

// routes builds the one middleware chain. From outside to inside: request id and log, panics, headers of every
// answer, CORS, paths with a trailing slash, then the record of what was denied, the contract around each operation,
// and the answers that repeated requests get again.
func (s *Server) routes() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.writeProblem
	e.Pre(s.withRequest, s.recoverPanic, s.secureHeaders, s.cors, acceptTrailingSlash)
	e.Use(s.auditDenied, s.enforceContract, s.answerOnce)
	api.RegisterHandlers(withHead{e}, api.NewStrictHandler(s, nil))
	s.docsRoutes(e)
	if s.Inbox != nil {
		s.inboxRoutes(e)
	}
	return e
}
