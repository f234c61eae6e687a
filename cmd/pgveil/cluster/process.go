package cluster

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// How long Stop waits for each kind of shutdown before it uses the next.
const (
	fastWait      = 20 * time.Second
	immediateWait = 10 * time.Second
)

// process is a running child.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended, valid after done
}

// spawn starts cmd and watches it. The goroutine keeps its thread for the child's
// life: the kernel's "parent died" signal is tied to the thread that forked.
func spawn(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// end shuts the server down: fast, then immediate, then by force. It returns when
// the process is gone.
func (p *process) end() {
	for _, step := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, fastWait}, {syscall.SIGQUIT, immediateWait}} {
		if p.signal(step.signal, step.wait) {
			return
		}
	}
	p.signal(syscall.SIGKILL, 0)
	<-p.done
}

// signal sends a signal and says whether the process ended within wait.
func (p *process) signal(s syscall.Signal, wait time.Duration) bool {
	// An error means that it has just ended by itself.
	_ = p.cmd.Process.Signal(s)
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-p.done:
		return true
	case <-t.C:
		return false
	}
}

// environment is this process's without what would steer PostgreSQL's programs
// (PGDATA, PGHOST …) and with untranslated messages.
func environment() []string {
	var env []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "PG") && !strings.HasPrefix(name, "LC_") && name != "LANG" && name != "LANGUAGE" {
			env = append(env, kv)
		}
	}
	return append(env, "LC_ALL=C")
}
