package localpg

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"syscall"
)

// The modes of pg_ctl stop: Windows has no signals.
const (
	fast      = "fast"
	immediate = "immediate"
)

func (c *Cluster) interrupt(mode string) {
	exec.Command(c.executable("pg_ctl"), "stop", "-D", c.folder.data(), "-m", mode, "-W").Run()
}

// process keeps the terminal's Ctrl-C from the child: we stop it in order.
func (a *account) process() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}

// There is no root on Windows, so no account and nothing to check.
func (a *account) passes(string) (bool, error)          { return true, nil }
func ownerOf(string) (uid, gid int, ok bool)            { return 0, 0, false }
func stopOrphan(ctx context.Context, data string) error { return nil }

var errLocked = errors.New("locked")

// lockFile opens the file for nobody else.
func lockFile(path string) (*os.File, error) {
	name, err := syscall.UTF16PtrFromString(path)
	if err != nil {
		return nil, err
	}
	const sharingViolation = syscall.Errno(32)
	handle, err := syscall.CreateFile(name, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil,
		syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, sharingViolation) {
		return nil, errLocked
	}
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return os.NewFile(uintptr(handle), path), nil
}

func unlockFile(file *os.File) { _ = file.Close() }
