package transport

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"pgveil/audit"
	"pgveil/proxy/session"
	"pgveil/wire"
)

// The sides of a session.
const (
	clientSide = iota
	serverSide
)

// polled is a session that a loop carries. All of it belongs to the loop.
type polled struct {
	l          *loop
	slot       uint32
	generation uint32

	s       *session.Session
	deps    Deps
	ctx     context.Context
	jobs    context.Context // of decisions; nil before the first
	cancel  context.CancelFunc
	audited func(error)
	side    [2]socket

	state    state
	deadline time.Time // while in loop.timed
	lingered int
	result   error         // once over
	over     chan struct{} // closed at the end
}

// socket is one of a session's connections.
type socket struct {
	fd       int
	interest uint32 // events that are waited for; 0: not registered
	out      []byte // could not be written yet
	ended    bool   // no more will be read
	broken   bool   // nothing can be written any more
}

type state uint8

const (
	running   state = iota
	ending          // the session is over: its last bytes are written
	lingering       // the client gets to see them
	closed
)

// runPolled is Run on a loop. It reports false, and has done nothing, when it
// cannot carry these connections: those of TLS, or when there are no descriptors left.
func runPolled(ctx context.Context, client, server net.Conn, s *session.Session, deps Deps) (error, bool) {
	if !plain(client) || !plain(server) {
		return nil, false
	}
	l, err := someLoop()
	if err != nil {
		return nil, false
	}
	c := &polled{l: l, s: s, deps: deps, ctx: ctx, over: make(chan struct{})}
	if c.side[clientSide].fd, err = duplicate(client); err != nil {
		return nil, false
	}
	if c.side[serverSide].fd, err = duplicate(server); err != nil {
		unix.Close(c.side[clientSide].fd)
		return nil, false
	}
	// The runtime's own poller lets go of them.
	client.Close()
	server.Close()
	c.audited = func(err error) { l.post(post{to: c, kind: postAudited, err: err}) }
	l.post(post{to: c, kind: postBegin})
	defer context.AfterFunc(ctx, func() { l.post(post{to: c, kind: postDrain}) })()
	if deps.Kill != nil {
		defer context.AfterFunc(deps.Kill, func() { l.post(post{to: c, kind: postKill, kill: killCause(deps.Kill)}) })()
	}
	<-c.over
	return c.result, true
}

// plain reports whether a connection is a socket and nothing else.
func plain(c net.Conn) bool {
	switch c.(type) {
	case *net.TCPConn, *net.UnixConn:
		return true
	}
	return false
}

// duplicate returns a descriptor of its own for a connection. It does not block,
// as Go's do not.
func duplicate(c net.Conn) (fd int, err error) {
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var dupErr error
	err = raw.Control(func(f uintptr) { fd, dupErr = unix.FcntlInt(f, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, dupErr)
}

// posted does what another goroutine asked for.
func (c *polled) posted(p *post) {
	if c.state == closed {
		return
	}
	defer c.recovered()
	now := time.Now()
	switch p.kind {
	case postBegin:
		c.l.add(c)
	case postBroken:
		c.end(p.err)
		return
	default:
		c.lend()
		switch p.kind {
		case postDecided:
			c.s.Decided(now, p.verdict, p.err)
		case postAudited:
			c.s.AuditDone(now, p.err)
		case postDrain:
			c.s.Drain(now)
		case postKill:
			c.s.Kill(now, p.kill)
		}
	}
	c.after()
	if limit := now.Add(killWrite); p.kind == postKill && c.state == ending && c.deadline.After(limit) {
		c.deadline = limit
	}
}

// ready deals with the events of one side's socket.
func (c *polled) ready(side int, events uint32) {
	defer c.recovered()
	s := &c.side[side]
	if events&^unix.EPOLLIN != 0 && len(s.out) > 0 {
		if n := c.write(side, s.out); n < len(s.out) {
			s.out = s.out[n:]
		} else {
			s.out = nil
		}
		c.after()
		if c.state == closed {
			return
		}
	}
	if events&^unix.EPOLLOUT == 0 {
		return
	}
	switch {
	case c.state == lingering:
		c.linger()
	case c.state == running && c.wanted(side):
		c.read(side)
	default:
		c.watch(side, true)
	}
}

// wanted reports whether a side is to be read: the session can take more, and what
// it made of the last has been written.
func (c *polled) wanted(side int) bool {
	if c.side[side].ended || len(c.side[1-side].out) > 0 {
		return false
	}
	if side == clientSide {
		return c.s.ReadClient()
	}
	return c.s.ReadServer()
}

func (c *polled) read(side int) {
	s := &c.side[side]
	n, errno := readFrom(s.fd, c.l.buf)
	if errno == unix.EAGAIN {
		return
	}
	now := time.Now()
	c.lend()
	b := c.l.buf[:n]
	s.ended = n == 0
	switch {
	case errno != 0 && side == clientSide:
		c.s.ClientLost(now)
	case errno != 0:
		c.s.ServerEOF(now, errno)
	case n == 0 && side == clientSide:
		c.s.ClientEOF(now)
	case n == 0:
		c.s.ServerEOF(now, nil)
	case side == clientSide:
		if c.deps.Traffic != nil {
			c.deps.Traffic(n, 0)
		}
		c.s.Client(now, b)
	default:
		if c.deps.Traffic != nil {
			c.deps.Traffic(0, n)
		}
		c.s.Server(now, b)
	}
	c.after()
}

// lend gives the session the loop's buffers for what it is about to say.
func (c *polled) lend() { c.s.Lend(c.l.borrow(), c.l.borrow()) }

// reclaim takes back what was lent.
func (c *polled) reclaim() {
	toClient, toServer := c.s.Reclaim()
	c.l.giveBack(toClient)
	c.l.giveBack(toServer)
}

// after carries out what the session has asked for.
func (c *polled) after() {
	if c.state == closed {
		return
	}
	c.flush(clientSide)
	c.flush(serverSide)
	if q, ok := c.s.Job(); ok && c.state == running {
		c.decide(q)
	}
	if c.s.HasRecords() {
		c.s.Records(c.record)
	}
	c.reclaim()
	if over, _ := c.s.Done(); over && c.state == running {
		c.state = ending
		c.time(time.Now().Add(lastWrite))
	}
	c.settle()
}

func (c *polled) record(r *audit.Record, wait bool) {
	if wait {
		c.deps.Audit.Append(r, c.audited)
	} else {
		c.deps.Audit.Append(r, nil)
	}
}

// flush writes what the session has for a side, as far as that goes.
func (c *polled) flush(side int) {
	s := &c.side[side]
	if len(s.out) > 0 || s.fd < 0 {
		return
	}
	var buf, direct []byte
	if side == clientSide {
		buf, direct = c.s.TakeClient(nil)
	} else {
		buf, direct = c.s.TakeServer(nil)
	}
	switch {
	case s.broken || len(buf)+len(direct) == 0:
	case len(buf) == 0:
		// What remains of it must not stay in the loop's read buffer.
		if n := c.write(side, direct); n < len(direct) && !s.broken {
			s.out = append([]byte(nil), direct[n:]...)
		}
	default:
		buf = append(buf, direct...)
		if n := c.write(side, buf); n < len(buf) && !s.broken {
			s.out = buf[n:]
			return
		}
	}
	c.l.giveBack(buf)
}

// write writes what it can and returns how much. An error breaks the socket.
func (c *polled) write(side int, b []byte) int {
	s := &c.side[side]
	n, errno := writeTo(s.fd, b)
	if errno == 0 || errno == unix.EAGAIN {
		return n
	}
	s.broken, s.out = true, nil
	switch {
	case c.state != running:
	case side == clientSide:
		c.s.ClientLost(time.Now())
	default:
		// The server's last words say more than the failure to write to it.
		c.time(time.Now().Add(lastWrite))
	}
	return n
}

// decide has a decision made on another goroutine.
func (c *polled) decide(q session.Query) {
	if c.jobs == nil {
		c.jobs, c.cancel = context.WithCancel(context.WithoutCancel(c.ctx))
	}
	ctx, judge, l := c.jobs, c.s.Judge(), c.l
	go func() {
		defer func() {
			if p := recover(); p != nil {
				l.post(post{to: c, kind: postBroken, err: panicked(p)})
			}
		}()
		v, err := judge.Decide(ctx, q)
		l.post(post{to: c, kind: postDecided, verdict: v, err: err})
	}()
}

// time sets when expired is called, if nothing happens before.
func (c *polled) time(limit time.Time) {
	c.deadline = limit
	c.l.timed[c] = struct{}{}
}

func (c *polled) expired() {
	defer c.recovered()
	delete(c.l.timed, c)
	if c.state == running {
		c.lend()
		c.s.ServerEOF(time.Now(), errServerSilent)
		c.after()
		return
	}
	c.end(c.reason())
}

var errServerSilent = errors.New("the server cannot be written to and says nothing")

func (c *polled) reason() error {
	if _, reason := c.s.Done(); reason != nil {
		return reason
	}
	return nil
}

// settle goes on with the end of a session, or waits for what it now needs.
func (c *polled) settle() {
	if c.state == ending && len(c.side[clientSide].out)+len(c.side[serverSide].out) == 0 {
		c.leave()
	}
	if c.state == closed {
		return
	}
	c.watch(clientSide, false)
	if c.state != closed {
		c.watch(serverSide, false)
	}
}

// leave closes the server's connection, and the client's when it needs no time to
// read why the session ended.
func (c *polled) leave() {
	client := &c.side[clientSide]
	reason := c.reason()
	// Closing while the client still sends would reset the connection, and the
	// client might never see the error.
	if reason == nil || client.broken || unix.Shutdown(client.fd, unix.SHUT_WR) != nil {
		c.end(reason)
		return
	}
	c.state = lingering
	c.closeSide(serverSide)
	c.time(time.Now().Add(lingerTime))
}

func (c *polled) linger() {
	n, errno := readFrom(c.side[clientSide].fd, c.l.buf)
	if errno == unix.EAGAIN {
		return
	}
	c.lingered += n
	if n <= 0 || c.lingered > lingerSize {
		c.end(c.reason())
	}
}

// watch waits for the events of a side that matter now. Reading is only switched
// off when that is certain to spare an event: most pauses are over sooner.
func (c *polled) watch(side int, certain bool) {
	s := &c.side[side]
	if s.fd < 0 {
		return
	}
	var events uint32
	if len(s.out) > 0 {
		events |= unix.EPOLLOUT
	}
	if c.state == lingering && side == clientSide || c.state == running && c.wanted(side) {
		events |= unix.EPOLLIN
	}
	if !certain && events|unix.EPOLLIN == s.interest {
		return
	}
	if err := c.l.register(c, side, events); err != nil {
		c.end(wire.InternalError(err))
	}
}

func (c *polled) closeSide(side int) {
	if s := &c.side[side]; s.fd >= 0 {
		unix.Close(s.fd) // which takes it out of epoll
		s.fd, s.interest, s.out = -1, 0, nil
	}
}

// end closes everything.
func (c *polled) end(result error) {
	if c.state == closed {
		return
	}
	c.state = closed
	c.closeSide(clientSide)
	c.closeSide(serverSide)
	c.l.remove(c)
	if c.cancel != nil {
		c.cancel()
	}
	c.result = result
	close(c.over)
}

// recovered turns a panic into the end of this session.
func (c *polled) recovered() {
	if p := recover(); p != nil {
		c.end(panicked(p))
	}
}
