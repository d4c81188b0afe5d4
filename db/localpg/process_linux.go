package localpg

import "syscall"

// process makes the child another user's, keeps the terminal's Ctrl-C from it (we stop it in order), and has
// the kernel send it PostgreSQL's fast shutdown when we die without having done so.
func (a *account) process() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: a.credential(), Pdeathsig: fast}
}
