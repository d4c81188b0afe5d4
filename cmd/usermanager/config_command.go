package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (p process) configCommand() *cobra.Command {
	var markdown bool
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Show every setting, where it comes from, and what is wrong",
		Long: "Shows each setting's value, its source and its default, as serve would read them here and now.\n" +
			"Secrets are hidden. The exit code is 1 when a setting is refused.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if markdown {
				return printMarkdown(p.stdout)
			}
			l := p.load(cmd.Flags(), nil)
			if err := l.print(p.stdout); err != nil {
				return err
			}
			if err := l.err(); err != nil {
				return err
			}
			l.requireForServe()
			if len(l.problems) > 0 {
				fmt.Fprintf(p.stdout, "\nserve would refuse to start:\n%v\n", l.err())
			}
			return nil
		},
	}
	addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&markdown, "markdown", false, "print the README's table of settings")
	return cmd
}

func (l *loaded) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE\tDEFAULT")
	for _, r := range l.rows {
		value := r.value
		switch {
		case r.source == "":
			value = "-"
		case r.secret:
			value = "(hidden)"
		}
		value = strings.Join(strings.Fields(value), " ") // a tab or line break would move columns
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", r.name, value, firstSet(r.source, "-"), firstSet(r.shown, r.preset, "-"))
	}
	return table.Flush()
}

// printMarkdown prints what the README has between its settings markers.
func printMarkdown(out io.Writer) error {
	var b strings.Builder
	b.WriteString("| Setting | Default | Flag | Meaning |\n|---|---|---|---|\n")
	code := func(text string) string {
		if text == "" {
			return ""
		}
		return "`" + text + "`"
	}
	for _, s := range allSettings() {
		name, flag, preset := code(s.name), "", code(s.preset)
		if s.secret {
			name += ", " + code(s.name+"_FILE")
		}
		if s.flag != "" {
			flag = code("--" + s.flag)
		}
		if s.shown != "" {
			preset = s.shown
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", name, preset, flag, strings.ReplaceAll(s.about, "|", `\|`))
	}
	_, err := io.WriteString(out, b.String())
	return err
}
