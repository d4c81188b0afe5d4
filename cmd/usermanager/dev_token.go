package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	"usermanager/server"
	"usermanager/server/mail"
)

func (p process) devTokenCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use:   "token admin|manager|user|EMAIL",
		Short: "Print a bearer token for an account of the dev that runs",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			l := p.load(cmd.Flags(), devPresets())
			if err := l.err(); err != nil {
				return err
			}
			token, err := l.devToken(cmd.Context(), *path, args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(p.stdout, token)
			return err
		},
	}
}

// devToken opens a session in the database of the dev that runs on the folder, whose address and issuer it
// takes from there. A dev with a SECRET_KEY of its own needs the same one here.
func (l *loaded) devToken(ctx context.Context, path, account string) (string, error) {
	state, err := runningState(path)
	if err != nil {
		return "", err
	}
	if l.config.PublicURL, err = url.Parse(state.PublicURL); err != nil {
		return "", fmt.Errorf("read the state of dev: %w", err)
	}
	if !l.isSet("SECRET_KEY") {
		folder := dataDir{path: path}
		key, err := folder.secretKey()
		if err != nil {
			return "", err
		}
		l.config.SecretKey = hide(key)
	}
	pool, err := openPool(ctx, state.DatabaseURL, l.config.DatabaseMaxConnections)
	if err != nil {
		return "", err
	}
	defer pool.Close()
	unread, err := mail.OpenInbox("", l.config.MailFrom)
	if err != nil {
		return "", err
	}
	options, err := l.serverOptions(pool, slog.New(slog.DiscardHandler), unread)
	if err != nil {
		return "", err
	}
	srv, err := server.New(ctx, options)
	if err != nil {
		return "", err
	}
	return srv.AccessToken(ctx, emailOf(account))
}

// emailOf turns the short name of an account that every dev has into its address.
func emailOf(account string) string {
	for _, known := range devAccounts() {
		if strings.EqualFold(account, known.name) {
			return known.email
		}
	}
	return account
}
