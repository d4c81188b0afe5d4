package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"usermanager/db"
	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

// maxAccessTTL is what production allows: an access token opens no more than this after a lost device.
const maxAccessTTL = 15 * time.Minute

func (p process) serveCommand() *cobra.Command {
	var migrate bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the server for production",
		Long: "Runs the server until SIGTERM or SIGINT; then /readyz answers 503 for DRAIN_DELAY, requests under way\n" +
			"finish, and jobs stop. A second signal ends it at once. `usermanager config` lists the settings.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := p.load(cmd.Flags(), nil)
			l.requireForServe()
			if err := l.err(); err != nil {
				return err
			}
			err := l.serve(cmd.Context(), l.config.logger(p.stderr), migrate)
			if err != nil && cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // stopped while it started
			}
			return err
		},
	}
	addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&migrate, "migrate", false, "bring the database's schema up to date first")
	return cmd
}

// requireForServe refuses what production must not start with or without.
func (l *loaded) requireForServe() {
	l.require("DATABASE_URL", "SECRET_KEY", "SMTP_URL", "MAIL_FROM")
	if l.config.AccessTTL > maxAccessTTL {
		l.refusef("ACCESS_TTL must not be longer than %s in production.", maxAccessTTL)
	}
}

func (l *loaded) serve(ctx context.Context, logger *slog.Logger, migrate bool) error {
	c := &l.config
	if migrate {
		applied, err := db.Migrate(ctx, c.DatabaseURL.reveal())
		if err != nil {
			return err
		}
		logger.InfoContext(ctx, "schema is up to date", "applied", applied)
	}
	pool, err := openMigrated(ctx, c.DatabaseURL.reveal(), c.DatabaseMaxConnections)
	if err != nil {
		return err
	}
	defer pool.Close()
	options, err := l.serverOptions(pool, logger, mail.NewSMTP(c.SMTP, c.MailFrom))
	if err != nil {
		return err
	}
	srv, err := server.New(ctx, options)
	if err != nil {
		return err
	}
	if err := l.bootstrap(ctx, srv, logger); err != nil {
		return err
	}
	listener, err := listen(ctx, c.ListenAddr)
	if err != nil {
		return err
	}
	contract, err := contractVersion()
	if err != nil {
		return err
	}
	logger.InfoContext(ctx, "ready", "address", listener.Addr().String(), "public_url", c.PublicURL.String(),
		"version", buildVersion(), "contract", contract)
	return srv.Serve(ctx, listener, c.DrainDelay)
}

// bootstrap makes the administrator of the BOOTSTRAP_* settings where there is none.
func (l *loaded) bootstrap(ctx context.Context, srv *server.Server, logger *slog.Logger) error {
	c := &l.config
	if c.BootstrapAdminEmail == "" {
		return nil
	}
	created, err := srv.BootstrapAdmin(ctx, c.BootstrapAdminEmail, c.BootstrapAdminPassword.reveal())
	if err != nil {
		return fmt.Errorf("make the administrator of BOOTSTRAP_ADMIN_EMAIL: %w", err)
	}
	if created {
		logger.InfoContext(ctx, "administrator created; remove BOOTSTRAP_ADMIN_PASSWORD")
	}
	return nil
}

// serverOptions are what the settings say, for the commands that need a server or a part of one.
func (l *loaded) serverOptions(pool *pgxpool.Pool, logger *slog.Logger, sender mail.Sender) (server.Options, error) {
	c := &l.config
	root, err := c.root()
	if err != nil {
		return server.Options{}, fmt.Errorf("SECRET_KEY: %w", err)
	}
	hasher, err := secret.NewHasher(secret.HasherOptions{})
	if err != nil {
		return server.Options{}, fmt.Errorf("prepare password hashing: %w", err)
	}
	return server.Options{
		Pool: pool, Secret: root, Mail: sender, Logger: logger,
		PublicURL: c.PublicURL,
		Product: mail.Product{
			Name: c.ProductName, URL: c.ProductURL, LogoURL: c.ProductLogoURL, SupportEmail: c.SupportEmail,
		},
		Links: l.links, Docs: c.Docs, Version: buildVersion(),
		RegistrationOpen: c.RegistrationOpen, RegistrationConceal: c.RegistrationConceal,
		RegistrationLimit: c.RegistrationLimit,
		PasswordPolicy:    c.PasswordPolicy, Hasher: hasher,
		LoginAttempts: c.MaxLoginAttempts, LoginWait: c.LoginWait, AccessTTL: c.AccessTTL,
		SessionIdle: c.SessionIdle, SessionIdleRemembered: c.SessionIdleRemembered, SessionMax: c.SessionMax, RefreshGrace: c.RefreshGrace,
		KeyTimes:    server.KeyTimes{Rotation: c.KeyRotation},
		CORSOrigins: c.CORSOrigins, TrustedProxies: c.TrustedProxies,
	}, nil
}

func listen(ctx context.Context, addr string) (net.Listener, error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if cause, ok := errors.AsType[*os.SyscallError](err); ok {
		err = cause.Err // the rest repeats the address
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w; choose another address with --listen", addr, err)
	}
	return listener, nil
}

func (c *config) logger(out io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogJSON {
		return slog.New(slog.NewJSONHandler(out, options))
	}
	return slog.New(slog.NewTextHandler(out, options))
}
