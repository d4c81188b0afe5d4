package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"usermanager/gen/query"
	"usermanager/server"
	"usermanager/server/mail"
	"usermanager/server/secret"
)

func (p process) adminCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "admin", Short: "Administer accounts without HTTP", RunE: needsSubcommand}
	cmd.AddCommand(p.adminCreateCommand())
	return cmd
}

func (p process) adminCreateCommand() *cobra.Command {
	var email string
	var fromStdin bool
	cmd := &cobra.Command{
		Use:   "create --email ADDRESS",
		Short: "Make an administrator",
		Long: "Makes an administrator whose address counts as proven. The password is asked for without echo, or is\n" +
			"the first line of the input with --password-stdin; it is never an argument, because the process list\n" +
			"shows those. Needs DATABASE_URL and SECRET_KEY.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l := p.load(cmd.Flags(), nil)
			l.require("DATABASE_URL", "SECRET_KEY")
			if err := l.err(); err != nil {
				return err
			}
			password, err := p.password(fromStdin)
			if err != nil {
				return err
			}
			return p.createAdmin(cmd.Context(), l, email, password)
		},
	}
	cmd.Flags().StringVar(&email, "email", "", "the administrator's e-mail `address`")
	cmd.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from the first line of the input")
	cobra.CheckErr(cmd.MarkFlagRequired("email")) // fails for a flag that does not exist only
	return cmd
}

func (p process) createAdmin(ctx context.Context, l *loaded, email, password string) error {
	pool, err := openMigrated(ctx, l.config.DatabaseURL.reveal(), l.config.DatabaseMaxConnections)
	if err != nil {
		return err
	}
	defer pool.Close()
	// The jobs of a running server send mails; this inbox is for a server that never serves.
	unread, err := mail.OpenInbox("", l.config.MailFrom)
	if err != nil {
		return err
	}
	options, err := l.serverOptions(pool, slog.New(slog.DiscardHandler), unread)
	if err != nil {
		return err
	}
	srv, err := server.New(ctx, options)
	if err != nil {
		return err
	}
	user, err := srv.CreateAccount(ctx, server.NewAccount{
		Email: email, Password: password, Role: query.UserRoleADMIN, EmailVerified: true,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s is an administrator with the nickname %s.\n", user.Email, user.Nickname)
	return err
}

func (p process) password(fromStdin bool) (string, error) {
	if fromStdin {
		line, err := bufio.NewReader(io.LimitReader(p.stdin, secret.MaxPasswordBytes)).ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the password: %w", err)
		}
		line = strings.TrimRight(line, "\r\n") // other white space may be part of it
		if line == "" {
			return "", errors.New("the input has no password in its first line")
		}
		return line, nil
	}
	if p.askPassword == nil {
		return "", errors.New("there is no terminal to ask for the password: give it with --password-stdin")
	}
	first, err := p.askPassword("Password: ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	again, err := p.askPassword("Again: ")
	if err != nil {
		return "", fmt.Errorf("read the password: %w", err)
	}
	if first != again {
		return "", errors.New("the two passwords differ")
	}
	return first, nil
}
