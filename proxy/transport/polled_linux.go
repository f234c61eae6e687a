package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
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
	deps    *Deps
	done    Done
	jobs    context.Context // of decisions; nil before the first
	cancel  context.CancelFunc
	audited func(error)
	side    [2]socket

	state    state
	waits    bool      // the client waits for something: it is in loop.waiting
	held     bool      // something waits for a write to be over
	deadline time.Time // while in loop.timed
	lingered int
}

// socket is one of a session's connections.
type socket struct {
	fd       int
	out      []byte // not written yet
	sending  bool   // the ring writes what out begins with
	readable bool   // there may be something to read
	hungUp   bool   // the end is behind it, so that it has to be read to the end
	listed   bool   // in loop.again
	ended    bool   // no more will be read
	broken   bool   // nothing can be written any more

	tls    *tls.Conn // nil: none
	memory *Socket   // under tls
	end    error     // how it ended, when TLS said so together with data that came before
}

type state uint8

const (
	running   state = iota
	ending          // the session is over: its last bytes are written
	lingering       // the client gets to see them
	closed
)

// carryPolled is Carry on a loop. It returns nil, and has done nothing, when it
// cannot carry these connections: those that are no sockets, or when there are no
// descriptors left. The error is why there is no loop.
func carryPolled(client, server net.Conn, s *session.Session, deps *Deps, done Done) (Carried, error) {
	l, err := someLoop()
	if err != nil {
		return nil, err
	}
	return l.carry(client, server, s, deps, done), nil
}

// carry is carryPolled on this loop.
func (l *loop) carry(client, server net.Conn, s *session.Session, deps *Deps, done Done) Carried {
	c := &polled{l: l, s: s, deps: deps, done: done}
	if !c.side[clientSide].own(client) {
		return nil
	}
	if !c.side[serverSide].own(server) {
		unix.Close(c.side[clientSide].fd)
		return nil
	}
	c.side[clientSide].take()
	c.side[serverSide].take()
	// The runtime's own poller lets go of them.
	below(client).Close()
	below(server).Close()
	c.audited = func(err error) { l.post(post{to: c, kind: postAudited, err: err}) }
	l.post(post{to: c, kind: postBegin})
	return c
}

// Drain implements Carried, as Kill and Cut do.
func (c *polled) Drain() { c.l.post(post{to: c, kind: postDrain}) }

func (c *polled) Kill(e *wire.Error) { c.l.post(post{to: c, kind: postKill, kill: e}) }

func (c *polled) Cut() { c.l.post(post{to: c, kind: postCut}) }

// own gives a side its own descriptor of a connection, if that is a socket or TLS
// over one.
func (s *socket) own(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		if s.memory, ok = t.NetConn().(*Socket); !ok {
			return false
		}
		s.tls = t
	}
	switch c = below(c); c.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return false
	}
	var err error
	s.fd, err = duplicate(c)
	return err == nil
}

// take makes TLS read and write in memory.
func (s *socket) take() {
	if s.memory != nil {
		s.memory.taken = true
	}
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
	now := c.l.now
	switch p.kind {
	case postBegin:
		c.l.add(c)
		c.l.lookOut(c.deps.BusyPoll)
		for side := range c.side {
			if err := c.l.poller.add(c.side[side].fd, c.key(side)); err != nil {
				c.end(wire.InternalError(err))
				return
			}
		}
		for side := range c.side {
			if c.side[side].tls != nil && c.state == running { // it may have read more than the login
				c.receive(side, nil, nil)
			}
		}
		c.lend()
	case postBroken:
		c.end(p.err)
		return
	case postCut:
		c.end(c.reason())
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

func (c *polled) key(side int) key { return makeKey(c.generation, c.slot, side) }

// ready deals with an event of one side's socket.
func (c *polled) ready(e *event) {
	defer c.recovered()
	side := e.key.side()
	s := &c.side[side]
	if s.fd < 0 {
		return
	}
	if e.mask&^unix.EPOLLOUT != 0 {
		s.readable = true
		s.hungUp = s.hungUp || e.mask&^(unix.EPOLLOUT|unix.EPOLLIN) != 0
	}
	if e.mask&^unix.EPOLLIN != 0 && len(s.out) > 0 && !s.sending {
		c.writeOn(side)
		c.after()
	}
	if !s.listed { // or it is read in this turn anyway
		c.read(side)
	}
}

// readOn reads from a side that had more to give than one turn takes.
func (c *polled) readOn(side int) {
	defer c.recovered()
	c.side[side].listed = false
	c.read(side)
}

// read reads from a side what one turn takes, if it has something and that is wanted.
func (c *polled) read(side int) {
	if !c.side[side].readable || !c.wanted(side) {
		return
	}
	if c.state == lingering {
		c.linger()
	} else {
		c.receiveOnce(side)
	}
	if c.state != closed {
		c.watch(side)
	}
}

// wanted reports whether a side is to be read: the session can take more, and what
// it made of the last has been written.
func (c *polled) wanted(side int) bool {
	if c.state != running {
		return c.state == lingering && side == clientSide
	}
	return c.side[side].end == nil && c.takes(side)
}

// takes is wanted of a side whose end the session may have yet to hear of.
func (c *polled) takes(side int) bool {
	if c.side[side].ended || len(c.side[1-side].out) > 0 || c.side[side].tls != nil && len(c.side[side].out) > keyUpdates {
		return false
	}
	if side == clientSide {
		return c.s.ReadClient()
	}
	return c.s.ReadServer()
}

// receiveOnce has the session deal with one read.
func (c *polled) receiveOnce(side int) {
	s := &c.side[side]
	n, errno := readFrom(s.fd, c.l.buf)
	s.readable = errno == 0 && (n == len(c.l.buf) || s.hungUp)
	c.l.last = side
	var err error
	switch {
	case errno == unix.EAGAIN:
		return
	case errno != 0:
		err = errno
	case n == 0:
		err = io.EOF
	}
	c.receive(side, c.l.buf[:n], err)
}

// receive deals with what a side's socket gave, and with err if that is how it ended.
func (c *polled) receive(side int, b []byte, err error) {
	if c.side[side].tls != nil {
		b, err = c.decrypt(side, b, err)
	}
	c.lend()
	c.feed(side, b, err)
	c.after()
}

// feed gives the session what a side sent, and how that ended.
func (c *polled) feed(side int, b []byte, err error) {
	now := c.l.now
	if len(b) > 0 {
		if side == clientSide {
			if c.deps.Traffic != nil {
				c.deps.Traffic(len(b), 0)
			}
			c.s.Client(now, b)
		} else {
			if c.deps.Traffic != nil {
				c.deps.Traffic(0, len(b))
			}
			c.s.Server(now, b)
		}
	}
	if err == nil {
		return
	}
	if len(b) > 0 && !c.takes(side) && (err == io.EOF || side == serverSide) {
		c.side[side].end = err // behind what the session has yet to deal with
		return
	}
	c.side[side].ended = true
	switch {
	case err == io.EOF && side == clientSide:
		c.s.ClientEOF(now)
	case err == io.EOF:
		c.s.ServerEOF(now, nil)
	case side == clientSide:
		c.s.ClientLost(now)
	default:
		c.s.ServerEOF(now, err)
	}
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
	c.held = false
	c.flush(clientSide)
	c.flush(serverSide)
	if q, ok := c.s.Job(); ok && c.state == running {
		c.decide(q)
	}
	if c.s.HasRecords() {
		c.s.Records(c.record)
	}
	c.reclaim()
	c.count()
	if over, _ := c.s.Done(); over && c.state == running {
		c.state = ending
		c.time(time.Now().Add(lastWrite))
	}
	c.settle()
}

// count keeps the loop's count of the clients that wait.
func (c *polled) count() {
	waits := c.state == running && c.s.Busy()
	switch {
	case waits && !c.waits:
		c.l.waiting++
	case !waits && c.waits:
		c.l.waiting--
	}
	c.waits = waits
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
		c.held = true
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
	case s.tls != nil && len(buf) == 0:
		c.encrypt(side, direct)
	case s.tls != nil:
		buf = append(buf, direct...)
		c.encrypt(side, buf)
	case len(buf) == 0 && len(direct) > sendSize:
		c.writeShared(side, direct)
	default:
		if buf == nil {
			buf = c.l.borrow()
		}
		c.send(side, append(buf, direct...))
		return
	}
	c.l.giveBack(buf)
}

// send writes b, which is the socket's from now on. What is short the ring writes at
// the end of a busy turn, if it can.
func (c *polled) send(side int, b []byte) {
	s := &c.side[side]
	if ring := c.l.ring; ring != nil && c.l.busy && len(b) <= sendSize && ring.send(s.fd, b) {
		s.out, s.sending = b, true
		c.l.sending = append(c.l.sending, sending{c: c, side: side, b: b})
		return
	}
	s.out = b
	c.writeOn(side)
	if len(s.out) == 0 {
		c.l.giveBack(b)
	}
}

// sent takes the result of a write by the ring: the number of bytes of b, or an
// error number below 0.
func (c *polled) sent(side int, b []byte, n int) {
	defer c.recovered()
	s := &c.side[side]
	if s.fd < 0 {
		c.l.giveBack(b)
		return
	}
	s.sending = false
	switch {
	case s.broken:
		c.l.giveBack(b)
	case n < 0 && unix.Errno(-n) != unix.EAGAIN:
		c.cannotWrite(side)
	case n == len(s.out):
		s.out = nil
		c.l.giveBack(b)
	default: // it fell short, or more has come behind it
		s.out = s.out[max(n, 0):]
		c.writeOn(side)
	}
	if c.held || s.broken || c.state != running {
		c.after()
		return
	}
	c.watch(clientSide)
	c.watch(serverSide)
}

// writeShared writes b, of which what remains must not stay where it is.
func (c *polled) writeShared(side int, b []byte) {
	s := &c.side[side]
	if n := c.write(side, b); n < len(b) && !s.broken {
		s.out = slices.Clone(b[n:])
		c.awaitSpace(side)
	}
}

// writeOn writes what it can of what is waiting.
func (c *polled) writeOn(side int) {
	s := &c.side[side]
	n := c.write(side, s.out)
	if s.broken {
		return
	}
	if s.out = s.out[n:]; len(s.out) > 0 {
		c.awaitSpace(side)
	}
}

// write writes what it can and returns how much. An error breaks the socket.
func (c *polled) write(side int, b []byte) int {
	n, errno := writeTo(c.side[side].fd, b)
	if errno != 0 && errno != unix.EAGAIN {
		c.cannotWrite(side)
	}
	return n
}

// awaitSpace has what is left written when that can be.
func (c *polled) awaitSpace(side int) {
	if err := c.l.poller.awaitSpace(c.side[side].fd, c.key(side)); err != nil {
		c.cannotWrite(side)
	}
}

func (c *polled) cannotWrite(side int) {
	s := &c.side[side]
	if s.broken {
		return
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
}

// decide has a decision made on another goroutine.
func (c *polled) decide(q session.Query) {
	if c.jobs == nil {
		c.jobs, c.cancel = context.WithCancel(context.Background())
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
	if c.state == ending && c.written() {
		if !c.s.Kept() {
			c.closeEncrypted(serverSide)
		}
		c.closeEncrypted(clientSide)
		if c.written() {
			c.leave()
		}
	}
	if c.state == closed {
		return
	}
	for side := range c.side {
		s := &c.side[side]
		if s.end == nil || c.state != running {
			continue
		}
		if !c.takes(side) {
			c.held = true
			continue
		}
		err := s.end
		s.end = nil
		c.lend()
		c.feed(side, nil, err)
		c.after()
		return
	}
	c.watch(clientSide)
	c.watch(serverSide)
}

func (c *polled) written() bool {
	return len(c.side[clientSide].out)+len(c.side[serverSide].out) == 0
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
	client.readable = true // it may have been told while nobody wanted to know
	c.closeSide(serverSide)
	c.time(time.Now().Add(lingerTime))
}

func (c *polled) linger() {
	s := &c.side[clientSide]
	n, errno := readFrom(s.fd, c.l.buf)
	s.readable = errno == 0
	if errno == unix.EAGAIN {
		return
	}
	c.lingered += n
	if n <= 0 || c.lingered > lingerSize {
		c.end(c.reason())
	}
}

// watch has a side read in the next turn, if it has more to give and that is wanted.
// One that has not is heard of when it has.
func (c *polled) watch(side int) {
	if s := &c.side[side]; s.readable && !s.listed && s.fd >= 0 && c.wanted(side) {
		s.listed = true
		c.l.again = append(c.l.again, c.key(side))
	}
}

func (c *polled) closeSide(side int) {
	if s := &c.side[side]; s.fd >= 0 {
		c.l.unwatch(s.fd, c.key(side))
		unix.Close(s.fd)
		s.fd, s.out, s.sending = -1, nil, false
	}
}

// usable reports whether somebody else can go on with a socket.
func (s *socket) usable() bool {
	return s.fd >= 0 && !s.broken && !s.ended && s.end == nil && len(s.out) == 0
}

// leave takes a socket off the loop.
func (s *socket) leave(l *loop, k key) *socket {
	l.unwatch(s.fd, k)
	left := &socket{fd: s.fd, tls: s.tls, memory: s.memory}
	s.fd = -1
	return left
}

// conn makes a connection again of what was left, nil of nothing.
func (s *socket) conn() net.Conn {
	if s == nil {
		return nil
	}
	f := os.NewFile(uintptr(s.fd), "")
	defer f.Close()
	c, err := net.FileConn(f)
	switch {
	case err != nil:
		return nil
	case s.tls != nil:
		*s.memory = Socket{Conn: c}
		return s.tls
	}
	return c
}

// end closes everything, but leaves the server's connection if somebody can go on with it.
func (c *polled) end(result error) {
	if c.state == closed {
		return
	}
	c.state = closed
	c.count()
	var left *socket
	if s := &c.side[serverSide]; result == nil && c.s.Kept() && s.usable() {
		left = s.leave(c.l, c.key(serverSide))
	}
	c.closeSide(clientSide)
	c.closeSide(serverSide)
	c.l.remove(c)
	if c.cancel != nil {
		c.cancel()
	}
	go func() { c.done(result, left.conn()) }()
}

// recovered turns a panic into the end of this session.
func (c *polled) recovered() {
	if p := recover(); p != nil {
		c.end(panicked(p))
	}
}
