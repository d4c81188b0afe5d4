//go:build unix

package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The postmaster's own signals: "Shutting Down the Server" in the PostgreSQL manual.
const (
	fast      = syscall.SIGINT
	immediate = syscall.SIGQUIT
)

func (c *Cluster) interrupt(signal syscall.Signal) {
	c.cmd.Process.Signal(signal)
}

func (a *account) credential() *syscall.Credential {
	if a == nil {
		return nil
	}
	return &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
}

// passes tells from the permission bits whether the account may go through dir.
func (a *account) passes(dir string) (bool, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return false, err
	}
	execute := os.FileMode(0o001)
	switch stat, known := info.Sys().(*syscall.Stat_t); {
	case known && int(stat.Uid) == a.uid:
		execute = 0o100
	case known && int(stat.Gid) == a.gid:
		execute = 0o010
	}
	return info.Mode()&execute != 0, nil
}

func ownerOf(path string) (uid, gid int, ok bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, 0, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return int(stat.Uid), int(stat.Gid), true
}

var errLocked = errors.New("locked")

func lockFile(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return file, nil
	}
	file.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	return nil, err
}

// unlockFile does not leave it to Close: a process that another goroutine starts at this moment has a copy of
// the file until its exec, and flock(2) keeps a lock as long as there is a copy.
func unlockFile(file *os.File) {
	_ = syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
	_ = file.Close()
}

// stopOrphan makes way for a start after this folder's last process died by surprise. The caller has the
// folder's lock, so a server that still runs there has nobody, and a process that has the number in
// postmaster.pid without being that server only got the number after it: PostgreSQL itself cannot know and
// would refuse to start. Numbers are soon given again where every container counts from 1.
func stopOrphan(ctx context.Context, data string) error {
	path := filepath.Join(data, "postmaster.pid")
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	first, _, _ := strings.Cut(string(content), "\n")
	pid, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil || pid <= 1 {
		return nil
	}
	if syscall.Kill(pid, 0) == syscall.ESRCH {
		return nil // PostgreSQL sees that for itself
	}
	command, running := commandLine(pid)
	if !running || !bytes.Contains(command, []byte(data)) {
		return os.Remove(path)
	}

	syscall.Kill(pid, fast)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for running {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the PostgreSQL that a killed process left behind: %w", context.Cause(ctx))
		}
		_, running = commandLine(pid)
	}
	return nil
}

// commandLine is how a process was called; not running when it has ended, waited for or not.
func commandLine(pid int) (command []byte, running bool) {
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		command, err = exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output() // no /proc on a Mac
	}
	return command, err == nil && len(bytes.TrimSpace(command)) > 0
}
