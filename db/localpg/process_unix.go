//go:build unix && !linux

package localpg

import "syscall"

// process makes the child another user's and keeps the terminal's Ctrl-C from it: we stop it in order. Nothing
// ends it when we are killed; stopOrphan does at the next start.
func (a *account) process() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: a.credential()}
}
