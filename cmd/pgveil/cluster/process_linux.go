package cluster

import "syscall"

// attributes keep a terminal's Ctrl-C away from the server (its own process
// group) and have the kernel end it when this process dies without a goodbye.
// SIGQUIT is PostgreSQL's immediate shutdown: all its processes end.
func attributes(a account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGQUIT, Credential: a.credential()}
}
