//go:build unix && !linux

package cluster

import "syscall"

// attributes keep a terminal's Ctrl-C away from the server: its own process group.
// Only Linux ends the server when this process is killed.
func attributes(a account) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: a.credential()}
}
