package transport

import (
	"errors"
	"log"
	"net"
	"sync"

	"pgveil/proxy/session"
)

// runners are all transports of this machine.
var runners = sync.OnceValue(func() map[string]carry {
	all := map[string]carry{"goroutines": carryGoroutines}
	for _, poller := range pollers() {
		l, err := startLoop(poller)
		if err != nil {
			panic(err)
		}
		all[poller] = func(client, server net.Conn, s *session.Session, d *Deps, done Done) Carried {
			if c := l.carry(client, server, s, d, done); c != nil {
				return c
			}
			done(errors.New("not carried by a loop"), nil)
			return nothing{}
		}
	}
	return all
})

// pollers are those that loops can have here.
func pollers() []string {
	u, err := newUring()
	if err != nil {
		log.Printf("io_uring is not tested here: %v", err)
		return []string{"epoll"}
	}
	u.close()
	return []string{"epoll", "io_uring"}
}
