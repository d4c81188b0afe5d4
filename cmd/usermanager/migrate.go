package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"usermanager/db"
)

func (p process) migrateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Change the database's schema, or show what it has", RunE: needsSubcommand}
	add := func(use, short string, do func(ctx context.Context, out io.Writer, url string) error) {
		cmd.AddCommand(&cobra.Command{
			Use: use, Short: short, Args: cobra.NoArgs,
			RunE: func(cmd *cobra.Command, _ []string) error {
				l := p.load(cmd.Flags(), nil)
				l.require("DATABASE_URL")
				if err := l.err(); err != nil {
					return err
				}
				return do(cmd.Context(), p.stdout, l.config.DatabaseURL.reveal())
			},
		})
	}
	add("up", "Apply every step that the database lacks, and print them", migrateUp)
	add("down", "Undo the newest step", migrateDown)
	add("status", "List the steps and when they were applied", migrateStatus)
	return cmd
}

func migrateUp(ctx context.Context, out io.Writer, url string) error {
	before, err := db.Status(ctx, url)
	if err != nil {
		return err
	}
	applied, migrateErr := db.Migrate(ctx, url)
	if applied == 0 && migrateErr == nil {
		fmt.Fprintln(out, "The schema is up to date.")
		return nil
	}
	// What was applied is worth knowing after an error most of all.
	after, err := db.Status(ctx, url)
	if err == nil {
		pending := map[int64]bool{}
		for _, step := range before {
			pending[step.Version] = step.AppliedAt.IsZero()
		}
		for _, step := range after {
			if pending[step.Version] && !step.AppliedAt.IsZero() {
				fmt.Fprintf(out, "applied %d %s\n", step.Version, step.Name)
			}
		}
	}
	if migrateErr != nil {
		return migrateErr
	}
	return err
}

func migrateDown(ctx context.Context, out io.Writer, url string) error {
	at, err := db.MigrateDown(ctx, url)
	if err == nil {
		fmt.Fprintf(out, "The schema is at version %d.\n", at)
	}
	return err
}

func migrateStatus(ctx context.Context, out io.Writer, url string) error {
	steps, err := db.Status(ctx, url)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "VERSION\tNAME\tAPPLIED")
	for _, step := range steps {
		applied := "pending"
		if !step.AppliedAt.IsZero() {
			applied = step.AppliedAt.UTC().Format(time.RFC3339)
		}
		name := step.Name
		if name == "" {
			name = "(made by a newer version)"
		}
		fmt.Fprintf(table, "%d\t%s\t%s\n", step.Version, name, applied)
	}
	return table.Flush()
}

// needsSubcommand refuses a group of commands without one, or with one that it does not have: a misspelt
// `migrate upp && deploy` must not deploy.
func needsSubcommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unknown command %q for %q; see `%s --help`", args[0], cmd.CommandPath(), cmd.CommandPath())
	}
	return fmt.Errorf("%q needs a command; see `%s --help`", cmd.CommandPath(), cmd.CommandPath())
}
