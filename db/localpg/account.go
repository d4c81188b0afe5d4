package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// account is the user that PostgreSQL runs as. A nil account is the user that we are.
type account struct {
	name     string
	uid, gid int
}

// unprivileged is nil unless this process is root, as whom PostgreSQL would refuse to run.
func unprivileged() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	return lookUp("postgres", "nobody")
}

func lookUp(names ...string) (*account, error) {
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uidErr := strconv.Atoi(u.Uid)
		gid, gidErr := strconv.Atoi(u.Gid)
		if uidErr == nil && gidErr == nil && uid != 0 {
			return &account{name: name, uid: uid, gid: gid}, nil
		}
	}
	return nil, fmt.Errorf("PostgreSQL cannot run as root and there is no user %s to run it: "+
		"create one, or start this as another user", strings.Join(names, " or "))
}

// give makes path the account's own.
func (a *account) give(path string) error {
	if a == nil {
		return nil
	}
	if err := os.Chown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("give the PostgreSQL folder to the user %s: %w", a.name, err)
	}
	return nil
}

// canEnter checks that the account can reach dir: every folder on the way must let it pass.
func (a *account) canEnter(dir string) error {
	if a == nil {
		return nil
	}
	for parent := dir; ; parent = filepath.Dir(parent) {
		passable, err := a.passes(parent)
		if err != nil {
			return fmt.Errorf("check the way to %s: %w", dir, err)
		}
		if !passable {
			return fmt.Errorf("PostgreSQL runs as the user %s, who cannot enter %s on the way to %s: "+
				"choose a place that is open to everyone, for example below /var/lib", a.name, parent, dir)
		}
		if parent == filepath.Dir(parent) {
			return nil
		}
	}
}

// command prepares a program of PostgreSQL. It gets none of our environment but what programs need to run, so
// that no PG* variable redirects it and no secret of ours reaches another user's process.
func (a *account) command(program string, args []string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = filepath.VolumeName(program) + string(filepath.Separator) // ours may be closed to the account
	cmd.SysProcAttr = a.process()
	cmd.Env = []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "TZ", "TMPDIR", "TEMP", "TMP", "SystemRoot", "LD_LIBRARY_PATH"} {
		if value, set := os.LookupEnv(name); set {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	return cmd
}

// run runs a program to its end. What it printed becomes the error.
func (a *account) run(ctx context.Context, program string, args []string) error {
	var out strings.Builder
	cmd := a.command(program, args)
	cmd.Stdout, cmd.Stderr = &out, &out
	done, err := launch(cmd)
	if err == nil {
		select {
		case <-done:
		case <-ctx.Done():
			cmd.Process.Kill()
			<-done
			err = context.Cause(ctx)
		}
	}
	if err == nil && !cmd.ProcessState.Success() {
		err = errors.New(strings.TrimSpace(out.String()))
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", filepath.Base(program), err)
	}
	return nil
}

// launch starts a process and closes the channel when it has ended. Linux sends the death signal when the
// *thread* that forked ends, so one goroutine keeps its thread for as long as the process lives.
func launch(cmd *exec.Cmd) (<-chan struct{}, error) {
	done := make(chan struct{})
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // the exit status stays in cmd.ProcessState
		}
	}()
	return done, <-started
}
