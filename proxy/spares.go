package proxy

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pgveil/proxy/transport"
	"pgveil/wire"
)

// spares are the server's sessions that clients have left as they were after the login (see
// session.Session.Kept). The next login of the same user that asks for the same, and
// that would have made the same session, takes one over: that spares the server a new process.
type spares struct {
	timeout time.Duration // how long one waits, see upstream.server_idle_timeout
	reused  atomic.Int64  // how many were taken over

	mu     sync.Mutex
	idle   []*upstreamSession // the one left last at the end
	closed bool
	sweep  *time.Timer // closes those that nobody took
}

// spareLifetime is for how long after its login a session is handed on: what the server decides at logins
// (pg_hba.conf) applies to it no later.
const spareLifetime = 10 * time.Minute

// spareKey names what a login asks for; "" is a login that cannot be served by a spare.
func spareKey(user string, params []wire.Param) string {
	if params == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString(user)
	for _, p := range params {
		b.WriteByte(0)                         // neither names nor values have one: they are C strings on the wire
		b.WriteString(strings.ToLower(p.Name)) // see sameSettings
		b.WriteByte(0)
		b.WriteString(p.Value)
	}
	return b.String()
}

// take returns the spare of a key that was left last, nil when there is none.
func (p *spares) take(key string) *upstreamSession {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0 && key != ""; i-- {
		if s := p.idle[i]; s.serves == key {
			p.idle = slices.Delete(p.idle, i, i+1)
			return s
		}
	}
	return nil
}

// put keeps a session that a client has left while there are fewer than room.
func (p *spares) put(s *upstreamSession, room int64) {
	s.left = time.Now()
	p.keep(s, s.left.Sub(s.begun) < spareLifetime && p.len() < room)
}

// giveBack keeps one that was taken for a login that came to nothing.
func (p *spares) giveBack(s *upstreamSession) { p.keep(s, true) }

// keep keeps a session, or closes it.
func (p *spares) keep(s *upstreamSession, wanted bool) {
	p.mu.Lock()
	keep := wanted && !p.closed && s.serves != "" && time.Since(s.left) < p.timeout
	if keep {
		p.idle = append(p.idle, s)
		if p.sweep == nil {
			p.sweep = time.AfterFunc(p.timeout, p.expire)
		}
	}
	p.mu.Unlock()
	if !keep {
		s.close()
	}
}

// expire closes the spares that have waited for long enough.
func (p *spares) expire() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].left) >= p.timeout {
		n++
	}
	old := p.oldest(n)
	p.sweep = nil
	if len(p.idle) > 0 {
		p.sweep = time.AfterFunc(p.timeout-time.Since(p.idle[0].left), p.expire)
	}
	p.mu.Unlock()
	for _, s := range old {
		s.close()
	}
}

// oldest takes out the first n; p.mu is held.
func (p *spares) oldest(n int) []*upstreamSession {
	old := slices.Clone(p.idle[:n])
	p.idle = slices.Delete(p.idle, 0, n)
	return old
}

// trim closes the oldest spares until there are no more than room, and returns how many it closed.
func (p *spares) trim(room int64) int {
	p.mu.Lock()
	n := max(0, len(p.idle)-int(max(room, 0)))
	old := p.oldest(n)
	p.mu.Unlock()
	for _, s := range old {
		s.close()
	}
	return n
}

// close closes all spares, and keeps no more.
func (p *spares) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.trim(0)
}

func (p *spares) len() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(len(p.idle))
}

// fits reports whether a spare is what a login would get now.
func (s *upstreamSession) fits(key string, catalog uint64) bool {
	return s.serves == key && s.catalog == catalog && transport.Silent(s.conn)
}

// close ends the session in good order.
func (s *upstreamSession) close() {
	s.conn.SetDeadline(time.Now().Add(time.Second))
	s.conn.Write(wire.AppendEmpty(nil, wire.Terminate))
	s.conn.Close()
}
