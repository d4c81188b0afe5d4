package main

import (
	"context"
	"encoding/json"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usermanager/server"
)

func (p process) keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keys", Short: "Show and change the keys that sign access tokens, and what SECRET_KEY seals",
		Long: "Works on the database alone, whether servers run or not; those that run follow within 30 seconds and\n" +
			"need no restart. A schedule (KEY_ROTATION) rotates without any of these commands.",
		RunE: needsSubcommand,
	}
	cmd.AddCommand(p.keysListCommand(), p.keysRotateCommand(), p.keysRetireCommand(), p.keysRewrapCommand())
	return cmd
}

// withKeys reads the settings that a command needs and hands it the keys of the database.
func (p process) withKeys(cmd *cobra.Command, do func(ctx context.Context, keys *server.Keys) error, needed ...string) error {
	l := p.load(cmd.Flags(), nil)
	l.require(append([]string{"DATABASE_URL"}, needed...)...)
	if err := l.err(); err != nil {
		return err
	}
	c := &l.config
	pool, err := openMigrated(cmd.Context(), c.DatabaseURL.reveal(), c.DatabaseMaxConnections)
	if err != nil {
		return err
	}
	defer pool.Close()
	options := server.Options{Pool: pool, AccessTTL: c.AccessTTL, KeyTimes: server.KeyTimes{Rotation: c.KeyRotation}}
	if c.SecretKey.reveal() != "" {
		if options.Secret, err = c.root(); err != nil {
			return fmt.Errorf("SECRET_KEY: %w", err)
		}
	}
	return do(cmd.Context(), server.NewKeys(options))
}

func (p process) keysListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the keys that are published, in the order in which they sign",
		Long: "A next key is published and signs later; the current one signs; a retired one signs no more and its\n" +
			"tokens are accepted until it leaves. Times are in UTC, and those that lie ahead are plans. Needs\n" +
			"DATABASE_URL.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withKeys(cmd, func(ctx context.Context, keys *server.Keys) error {
				infos, err := keys.List(ctx)
				if err != nil {
					return err
				}
				if asJSON {
					encoder := json.NewEncoder(p.stdout)
					encoder.SetIndent("", "  ")
					return encoder.Encode(infos)
				}
				return p.printKeys(infos)
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array for programs")
	return cmd
}

func (p process) printKeys(infos []server.KeyInfo) error {
	if len(infos) == 0 {
		_, err := fmt.Fprintln(p.stdout, "There are no keys yet: the first server that starts makes one.")
		return err
	}
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KID\tSTATE\tCREATED\tSIGNS FROM\tLEAVES")
	for _, key := range infos {
		leaves := "-"
		if key.LeavesAt != nil {
			leaves = utc(*key.LeavesAt)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", key.KID, key.State, utc(key.CreatedAt), utc(key.SignsFrom), leaves)
	}
	return table.Flush()
}

func (p process) keysRotateCommand() *cobra.Command {
	var now bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Let another key sign, without an outage",
		Long: "Publishes a next key and says when it takes over: late enough that everyone who reads the JWKS knows it\n" +
			"by then. The servers do the rest, and the key before stays accepted until its last token has expired. A\n" +
			"rotation that is under way is left as it is. Needs DATABASE_URL and SECRET_KEY.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withKeys(cmd, func(ctx context.Context, keys *server.Keys) error {
				if now {
					return p.rotateNow(ctx, keys)
				}
				return p.rotate(ctx, keys)
			}, "SECRET_KEY")
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "do not wait: new tokens are refused for a while where the keys were not read since")
	return cmd
}

func (p process) rotate(ctx context.Context, keys *server.Keys) error {
	rotation, err := keys.Begin(ctx)
	if err != nil {
		return err
	}
	switch {
	case !rotation.LeavesAt.IsZero():
		fmt.Fprintf(p.stdout, "Key %s has just taken over from %s: there was a rotation at the same time.\n", rotation.Next, rotation.Previous)
		return nil
	case rotation.Began:
		fmt.Fprintf(p.stdout, "Key %s is published.\n", rotation.Next)
	default:
		fmt.Fprintf(p.stdout, "A rotation is under way: key %s was published before.\n", rotation.Next)
	}
	fmt.Fprintf(p.stdout, "It signs from %s on, when a server runs; until then %s does.\n", utc(rotation.At), rotation.Previous)
	return nil
}

func (p process) rotateNow(ctx context.Context, keys *server.Keys) error {
	rotation, err := keys.TakeOver(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Key %s signs now instead of %s, whose tokens are accepted until %s.\n",
		rotation.Next, rotation.Previous, utc(rotation.LeavesAt))
	p.warnOfTheUnread(keys)
	return nil
}

// warnOfTheUnread says what a takeover without a wait breaks.
func (p process) warnOfTheUnread(keys *server.Keys) {
	fmt.Fprintf(p.stderr, "Warning: new tokens are refused by other servers for up to %.0f seconds, and by services that check tokens\n"+
		"with the JWKS for up to %.0f minutes more, until they have read the keys again.\n", keys.Times().Reload.Seconds(), server.JWKSCacheTime.Minutes())
}

func (p process) keysRetireCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "retire KID",
		Short: "Refuse a key's tokens from now on, for a key that somebody else may have",
		Long: "Erases the key: within a minute every server refuses its tokens, and whoever has one signs in again or\n" +
			"refreshes. If it was the current key another one takes over at once. Use `keys rotate` for everything\n" +
			"that is no emergency. A KID that begins with - goes after --. Needs DATABASE_URL and SECRET_KEY.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.withKeys(cmd, func(ctx context.Context, keys *server.Keys) error {
				return p.retire(ctx, keys, args[0])
			}, "SECRET_KEY")
		},
	}
}

func (p process) retire(ctx context.Context, keys *server.Keys, kid string) error {
	successor, err := keys.Retire(ctx, kid)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Key %s is retired: every server that runs refuses its tokens within a minute.\n"+
		"Services that check tokens with the JWKS believe it for up to %.0f minutes more.\n", kid, server.JWKSCacheTime.Minutes())
	if successor != "" {
		fmt.Fprintf(p.stdout, "Key %s signs now.\n", successor)
		p.warnOfTheUnread(keys)
	}
	return nil
}

func (p process) keysRewrapCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap",
		Short: "Seal everything under the new SECRET_KEY, so that the previous one can go",
		Long: "Run it once every server has the new SECRET_KEY, and the old one as SECRET_KEY_PREVIOUS. Servers work on\n" +
			"meanwhile. It says what was handed out under the old key and until when that needs it; run it again at\n" +
			"any time to see how much is left. Needs DATABASE_URL, SECRET_KEY and SECRET_KEY_PREVIOUS.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return p.withKeys(cmd, p.rewrap, "SECRET_KEY", "SECRET_KEY_PREVIOUS")
		},
	}
}

func (p process) rewrap(ctx context.Context, keys *server.Keys) error {
	done, err := keys.Rewrap(ctx)
	if err != nil {
		return err
	}
	if done.SigningKeys == 0 && !done.CheckValue {
		fmt.Fprintln(p.stdout, "Everything is sealed under SECRET_KEY already.")
	} else {
		check := "the check value was already"
		if done.CheckValue {
			check = "so is the check value"
		}
		fmt.Fprintf(p.stdout, "Sealed anew under SECRET_KEY: %s; %s.\n", counted(done.SigningKeys, "signing key"), check)
	}
	fmt.Fprint(p.stdout, "Nothing that is stored needs SECRET_KEY_PREVIOUS any more. What was handed out under it and still does:\n")
	table := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	row := func(what string, o server.Outstanding, unit, otherwise string) {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", what, counted(o.Count, unit), untilOr(o, otherwise))
	}
	row("mailed links", done.Links, "link", "none is open")
	row("refresh tokens", done.Sessions, "session", "none is left")
	fmt.Fprint(table, "  cursors\tpages of lists\tfor as long as somebody turns them; a list then begins anew\n")
	return table.Flush()
}

func untilOr(o server.Outstanding, otherwise string) string {
	if o.Count == 0 {
		return otherwise
	}
	return "until " + utc(o.Until) + " at the latest"
}

func counted(n int, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

func utc(t time.Time) string { return t.UTC().Format(time.RFC3339) }
