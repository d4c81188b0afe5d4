package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"usermanager/db/dbtest"
	"usermanager/gen/spec"
)

// actAsProgram makes the test binary be the program, for tests of signals and exit codes.
const actAsProgram = "USERMANAGER_TEST_ACT_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(actAsProgram) != "" {
		main()
	}
	dbtest.Main(m)
}

// patience is for what takes a moment; a test that needs it all has failed.
const patience = time.Minute

// goodKey passes every check of a SECRET_KEY.
const goodKey = "Yk4XU0mJ1tUvM0Y2n9oQ7m0p3sVhR5xZ8cLwK6dE2gA="

// outcome is what a command left.
type outcome struct {
	code           int
	stdout, stderr string
}

// runCommand executes the program in this process, with no environment, no files and no terminal but those
// that change gives it.
func runCommand(t *testing.T, change func(*process), args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	p := process{
		args: args, dir: t.TempDir(), data: filepath.Join(t.TempDir(), "dev"), cores: 2,
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
	}
	if change != nil {
		change(&p)
	}
	code := run(ctx, p)
	return outcome{code: code, stdout: stdout.String(), stderr: stderr.String()}
}

func withEnv(env ...string) func(*process) {
	return func(p *process) { p.env = env }
}

// reachableDir is a folder that PostgreSQL can enter when root runs the tests; those of t.TempDir are closed.
func reachableDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "usermanager-cmd-") //nolint:usetesting // the reason for this function
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// output collects what a running command prints and lets a test wait for a part of it.
type output struct {
	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // closed at the next write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(b)
	close(o.changed)
	o.changed = make(chan struct{})
	return len(b), nil
}

func (o *output) read() (string, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String(), o.changed
}

func (o *output) String() string {
	text, _ := o.read()
	return text
}

// wait returns the submatches of the pattern once it is there, or nil when done is closed or time is up.
func (o *output) wait(pattern string, done <-chan struct{}) []string {
	timeout := time.After(patience)
	expression := regexp.MustCompile(pattern)
	for {
		text, changed := o.read()
		if match := expression.FindStringSubmatch(text); match != nil {
			return match
		}
		select {
		case <-changed:
		case <-done:
			return expression.FindStringSubmatch(o.String())
		case <-timeout:
			return nil
		}
	}
}

func TestAnUnknownCommandOrFlagIsAnErrorOfOneLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"sevre"}, {"serve", "--prot", "1"}, {"version", "extra"}, {"dev", "token"}} {
		got := runCommand(t, nil, args...)
		if lines := strings.Count(got.stderr, "\n"); got.code != 1 || lines < 1 || lines > 5 {
			t.Errorf("%v: exit code %d with\n%s", args, got.code, got.stderr)
		}
	}
}

func TestHelpNamesEveryCommand(t *testing.T) {
	t.Parallel()
	got := runCommand(t, nil)
	for _, command := range []string{"serve", "dev", "migrate", "admin", "keys", "config", "version", "healthcheck"} {
		if !strings.Contains(got.stdout, "\n  "+command) {
			t.Errorf("help does not name %s:\n%s", command, got.stdout)
		}
	}
	if got.code != 0 {
		t.Errorf("exit code %d, want 0", got.code)
	}
}

func TestVersionSaysWhatWasBuilt(t *testing.T) {
	t.Parallel()
	got := runCommand(t, nil, "version")
	match := regexp.MustCompile(`^usermanager \S+ \(go\S+ \w+/\w+\), contract (\S+)\n$`).FindStringSubmatch(got.stdout)
	if got.code != 0 || match == nil {
		t.Fatalf("exit code %d with %q", got.code, got.stdout)
	}
	if !regexp.MustCompile(`(?m)^  version: ` + regexp.QuoteMeta(match[1]) + `$`).Match(spec.YAML) {
		t.Errorf("contract %s is not info.version of openapi.yaml", match[1])
	}
}

func TestAReleaseIsTheOneThatItsContractNames(t *testing.T) {
	t.Parallel()
	for build, isRefused := range map[string]bool{
		"v1.2.3": false, "1.2.3": false, "v1.2.4": true, "1.3.3": true, "v11.2.3": true,
		"dev": false, "(devel)": false, "v1.2.2-5-gabcdef0": false, "v1.2.4-dirty": false, "v1.2.4-0.20260101000000-abcdef012345": false, "abcdef0": false,
	} {
		if err := checkRelease(build, "1.2.3"); (err != nil) != isRefused {
			t.Errorf("a build %s of contract 1.2.3: got %v, want refused %t", build, err, isRefused)
		}
	}
}

// program is the binary itself, in a process of its own.
type program struct {
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{} // closed when it has ended
}

func startProgram(t *testing.T, env []string, args ...string) *program {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &program{cmd: exec.Command(self, args...), stdout: newOutput(), stderr: newOutput(), done: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	p.cmd.Env = append([]string{actAsProgram + "=1", "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
	})
	return p
}

// ended waits for the end and returns the exit code, -1 after a signal.
func (p *program) ended(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		t.Fatalf("still running after %s:\n%s%s", patience, p.stdout, p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

func TestTheProgramReadsItsArgumentsAndEnvironment(t *testing.T) {
	t.Parallel()
	p := startProgram(t, []string{"PRODUCT_NAME=Acme"}, "config")
	if code := p.ended(t); code != 0 || p.stdout.wait(`PRODUCT_NAME +Acme +environment`, p.done) == nil {
		t.Errorf("exit code %d with\n%s%s", code, p.stdout, p.stderr)
	}
	p = startProgram(t, nil, "serve")
	if code := p.ended(t); code != 1 {
		t.Errorf("serve without settings: exit code %d, want 1", code)
	}
}

func TestASecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	// F-30. The delay before a stop is the longest that is allowed, so only the second signal can end it.
	p := startProgram(t, serveEnv(dbtest.URL(t), "DRAIN_DELAY=5m", "LISTEN_ADDR=127.0.0.1:0"), "serve")
	if p.stderr.wait(`"msg":"ready"`, p.done) == nil {
		t.Fatalf("not ready:\n%s", p.stderr)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	again := time.NewTicker(50 * time.Millisecond) // a signal is lost while the first is being handled
	defer again.Stop()
	for timeout := time.After(patience); ; {
		select {
		case <-p.done:
			if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
				t.Errorf("ended with %s, want the signal's usual effect", p.cmd.ProcessState)
			}
			return
		case <-again.C:
			p.cmd.Process.Signal(syscall.SIGTERM)
		case <-timeout:
			t.Fatal("a second signal does not end it")
		}
	}
}

func TestThisProcessPassesOnWhatItHas(t *testing.T) {
	t.Parallel()
	p := thisProcess()
	if p.cores < 1 || len(p.env) == 0 || !filepath.IsAbs(p.data) || p.dir != "." {
		t.Errorf("got %d cores, %d variables, data in %q, directory %q", p.cores, len(p.env), p.data, p.dir)
	}
	for _, stream := range []any{p.stdin, p.stdout, p.stderr} {
		if _, ok := stream.(*os.File); !ok {
			t.Errorf("a stream is a %T, want the process's own", stream)
		}
	}
}

// brokenReader is an input that breaks off.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("input broke") }

var _ io.Reader = brokenReader{}
