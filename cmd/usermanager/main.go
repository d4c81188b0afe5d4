// Command usermanager is the User Management System: `dev` for developers, `serve` for production, and the
// administration that needs no HTTP.
//
// main.go holds what all commands share, config*.go the settings, and every command is a file of its own.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func main() {
	// The first signal stops in order. It also gives the second one its usual effect: the end, at once.
	ctx, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, restore)
	os.Exit(run(ctx, thisProcess()))
}

// process is what commands use of the process around them. Tests run several in one.
type process struct {
	args   []string // without the program's name
	env    []string // NAME=value
	dir    string   // where usermanager.yaml is looked for
	data   string   // where `dev` keeps its data unless told otherwise
	cores  int
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	// askPassword prompts without echo; nil where no person sits.
	askPassword func(prompt string) (string, error)
}

func thisProcess() process {
	p := process{
		args: os.Args[1:], env: os.Environ(), dir: ".", cores: runtime.GOMAXPROCS(0),
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir() // a service user without a home
	}
	p.data = defaultDataDir(os.Geteuid(), cache)
	if input := int(os.Stdin.Fd()); term.IsTerminal(input) {
		p.askPassword = func(prompt string) (string, error) {
			fmt.Fprint(os.Stderr, prompt)
			password, err := term.ReadPassword(input)
			fmt.Fprintln(os.Stderr)
			return string(password), err
		}
	}
	return p
}

// run executes one command until it is done or ctx ends, and returns the exit code: 0, or 1 after an error,
// which it has printed.
func run(ctx context.Context, p process) int {
	root := p.rootCommand()
	root.SetArgs(p.args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(p.stderr, err)
		return 1
	}
	return 0
}

func (p process) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "usermanager",
		Short:         "Registration, e-mail verification, sign-in, roles and user administration over HTTP",
		SilenceErrors: true, // run prints them, once
		SilenceUsage:  true,
	}
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.PersistentFlags().String("config", "", "configuration `file` (default: "+defaultFile+" in the working directory)")
	root.AddCommand(
		p.serveCommand(), p.devCommand(), p.migrateCommand(), p.adminCommand(), p.keysCommand(),
		p.configCommand(), p.healthcheckCommand(), p.versionCommand(),
	)
	return root
}
