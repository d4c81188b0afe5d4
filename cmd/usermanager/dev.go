package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"usermanager/db"
	"usermanager/db/localpg"
	"usermanager/server"
	"usermanager/server/mail"
)

// devPresets are the defaults that differ from those of serve.
func devPresets() map[string]string {
	return map[string]string{
		"LISTEN_ADDR": "localhost:8080",
		"MAIL_FROM":   "User Management System <noreply@example.com>",
		"LOG_FORMAT":  "text",
		"DRAIN_DELAY": "0s",
	}
}

// databaseName is the database of dev's own cluster.
const databaseName = "usermanager"

// stopTimeout bounds the stop of dev's own cluster: the whole of a Ctrl-C takes less than five seconds.
const stopTimeout = 4 * time.Second

type devOptions struct {
	dataDir string
	seed    int
	reset   bool
}

func (p process) devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: database, server, inbox, sample accounts",
		Long: "Needs nothing: it runs a private PostgreSQL from local binaries (or DATABASE_URL if that is set), keeps\n" +
			"mails in an inbox page, and makes an account of each role. Data stay in --data-dir. Every setting of\n" +
			"serve works here too. It listens on this machine only.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := p.load(cmd.Flags(), devPresets())
			l.checkForDev(o)
			if err := l.err(); err != nil {
				return err
			}
			d := &dev{process: p, loaded: l, started: time.Now(), logger: l.config.logger(p.stderr)}
			err := d.run(cmd.Context(), o)
			if err != nil && cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // Ctrl-C while it started
			}
			return err
		},
	}
	addFlags(cmd.Flags())
	cmd.PersistentFlags().StringVar(&o.dataDir, "data-dir", p.data, "`folder` for database, mails and keys")
	cmd.Flags().IntVar(&o.seed, "seed", 0, "have this many `users` of every state besides; adds what is missing")
	cmd.Flags().BoolVar(&o.reset, "reset", false, "begin anew: delete everything in the data folder first")
	cmd.AddCommand(p.devTokenCommand(&o.dataDir))
	return cmd
}

// checkForDev refuses what would be dangerous or wrong on a developer's machine.
func (l *loaded) checkForDev(o devOptions) {
	host, _, _ := net.SplitHostPort(l.config.ListenAddr)
	if ip, err := netip.ParseAddr(host); l.config.ListenAddr != "" && host != "localhost" && (err != nil || !ip.IsLoopback()) {
		l.refusef("dev has known passwords, so it listens on this machine only: set LISTEN_ADDR or --listen to localhost:8080 or 127.0.0.1:8080.")
	}
	if o.reset && l.isSet("DATABASE_URL") {
		l.refusef("--reset deletes dev's own database only: unset DATABASE_URL, or empty that database yourself.")
	}
	if o.seed < 0 || o.seed > maxSeed {
		l.refusef("--seed must be from 0 to %d.", maxSeed)
	}
}

// dev is one run of the command.
type dev struct {
	process
	*loaded
	started time.Time
	logger  *slog.Logger
	folder  *dataDir
	cluster *localpg.Cluster // nil with a DATABASE_URL
}

func (d *dev) run(ctx context.Context, o devOptions) (err error) {
	listener, err := listen(ctx, d.config.ListenAddr)
	if err != nil {
		return err
	}
	defer listener.Close() // Serve does it too; before that, errors leave nothing behind

	if d.folder, err = openDataDir(o.dataDir); err != nil {
		return err
	}
	defer d.folder.close()
	if o.reset {
		if err := d.folder.reset(ctx); err != nil {
			return err
		}
	}
	if d.isDefault("PUBLIC_URL") {
		d.config.PublicURL = baseURL(d.config.ListenAddr, listener.Addr())
		d.config.ProductURL = firstSet(d.valueOf("PRODUCT_URL"), d.config.PublicURL.String())
	}

	databaseURL, err := d.startDatabase(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stopDatabase(ctx)) }()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	d.watchDatabase(cancel)
	if _, err := db.Migrate(ctx, databaseURL); err != nil {
		return err
	}
	pool, err := openPool(ctx, databaseURL, d.config.DatabaseMaxConnections)
	if err != nil {
		return err
	}
	defer pool.Close()
	srv, err := d.newServer(ctx, pool)
	if err != nil {
		return err
	}
	if err := d.folder.writeState(devState{DatabaseURL: databaseURL, PublicURL: d.config.PublicURL.String()}); err != nil {
		return err
	}
	if err := d.fill(ctx, srv, pool, o.seed); err != nil {
		return err
	}
	d.announce(databaseURL)
	err = srv.Serve(ctx, listener, d.config.DrainDelay)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause // the database's end, which made Serve stop
	}
	return err
}

// startDatabase returns the URL of DATABASE_URL, or of a cluster of its own.
func (d *dev) startDatabase(ctx context.Context) (string, error) {
	if given := d.config.DatabaseURL.reveal(); given != "" {
		return given, nil
	}
	var err error
	d.cluster, err = localpg.Start(ctx, localpg.Options{
		Dir: d.folder.postgres(), Durable: true, Database: databaseName, Download: true,
		// Connections of the pool, of a migration, of `dev token`, and of whoever looks around.
		Settings: map[string]string{"max_connections": fmt.Sprint(d.config.DatabaseMaxConnections + 30)},
	})
	if err != nil {
		return "", err
	}
	return d.cluster.URL(databaseName), nil
}

// stopDatabase runs when ctx has ended already.
func (d *dev) stopDatabase(ctx context.Context) error {
	if d.cluster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	return d.cluster.Stop(ctx)
}

// watchDatabase stops everything when the cluster ends by itself.
func (d *dev) watchDatabase(stop context.CancelCauseFunc) {
	if d.cluster == nil {
		return
	}
	go func() {
		<-d.cluster.Done()
		stop(fmt.Errorf("PostgreSQL has ended unexpectedly, see the log in %s", d.folder.postgres()))
	}()
}

func (d *dev) newServer(ctx context.Context, pool *pgxpool.Pool) (*server.Server, error) {
	if !d.isSet("SECRET_KEY") {
		key, err := d.folder.secretKey()
		if err != nil {
			return nil, err
		}
		d.config.SecretKey = hide(key)
	}
	inbox, err := mail.OpenInbox(d.folder.inbox(), d.config.MailFrom)
	if err != nil {
		return nil, err
	}
	var sender mail.Sender = inbox
	if d.config.SMTP != nil {
		sender = relayed{smtp: mail.NewSMTP(d.config.SMTP, d.config.MailFrom), inbox: inbox}
	}
	options, err := d.serverOptions(pool, d.logger, sender)
	if err != nil {
		return nil, err
	}
	options.Inbox = inbox
	options.CORSLocalhost = true
	return server.New(ctx, options)
}

// relayed is a Sender that delivers mails and shows them in the inbox as well.
type relayed struct {
	smtp  *mail.SMTP
	inbox *mail.Inbox
}

// Send asks the mail server first: the inbox shows what was delivered, once, however often that was tried.
func (r relayed) Send(ctx context.Context, m mail.Message) error {
	if err := r.smtp.Send(ctx, m); err != nil {
		return err
	}
	return r.inbox.Send(ctx, m)
}

// fill makes the accounts that are missing.
func (d *dev) fill(ctx context.Context, srv *server.Server, pool *pgxpool.Pool, seed int) error {
	if err := d.bootstrap(ctx, srv, d.logger); err != nil {
		return err
	}
	if err := makeDevAccounts(ctx, srv, pool); err != nil {
		return err
	}
	added, err := seedUsers(ctx, pool, seed)
	if added > 0 {
		d.logger.InfoContext(ctx, "users added", "count", added)
	}
	return err
}

// announce prints where everything is. The URL of a private cluster is shown with its password, which opens
// nothing but that; the one of DATABASE_URL is not.
func (d *dev) announce(databaseURL string) {
	base := d.config.PublicURL.String()
	if d.cluster == nil {
		databaseURL = "as DATABASE_URL says"
	}
	fmt.Fprintf(d.stdout, "Ready in %.1f s\n\n", time.Since(d.started).Seconds())
	for _, line := range [][2]string{
		{"API", base}, {"Docs", base + "/docs"}, {"Spec", base + "/openapi.yaml"}, {"Inbox", base + "/dev/inbox"},
		{"Database", databaseURL}, {"Data", d.folder.path},
	} {
		fmt.Fprintf(d.stdout, "  %-9s %s\n", line[0], line[1])
	}
	fmt.Fprintf(d.stdout, "\nAccounts, with the password %s\n\n", devPassword)
	for _, account := range devAccounts() {
		fmt.Fprintf(d.stdout, "  %-9s %s\n", account.name, account.email)
	}
	command := "usermanager dev token admin"
	if d.folder.path != d.data {
		command += " --data-dir " + d.folder.path
	}
	fmt.Fprintf(d.stdout, "\n`%s` prints a bearer token. Ctrl-C stops everything.\n", command)
}

// valueOf is what somebody set a setting that is not secret to.
func (l *loaded) valueOf(name string) string {
	for _, r := range l.rows {
		if r.name == name {
			return r.value
		}
	}
	return ""
}

// baseURL is how this machine reaches the listener: by the name that it was given, on the port that it got.
func baseURL(asked string, got net.Addr) *url.URL {
	host, _, _ := net.SplitHostPort(asked)
	_, port, _ := net.SplitHostPort(got.String())
	return &url.URL{Scheme: "http", Host: net.JoinHostPort(host, port)}
}
