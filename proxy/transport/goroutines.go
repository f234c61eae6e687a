package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"pgveil/audit"
	"pgveil/proxy/session"
	"pgveil/wire"
)

// The sizes of read buffers: a session starts with the small one and gets the
// large one when a read fills it.
const (
	smallBuffer = 4 << 10
	largeBuffer = 64 << 10
)

// carryGoroutines is Carry with two goroutines: one reads the client, the other the
// server.
func carryGoroutines(client, server net.Conn, s *session.Session, deps *Deps, done Done) Carried {
	c := &carrier{s: s, client: client, server: server, deps: deps}
	c.cond.L = &c.mu
	c.audited = c.auditDone
	var cancel context.CancelFunc
	c.jobs, cancel = context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.clientLoop()
	}()
	go func() {
		c.serverLoop()
		<-ended
		cancel()
		done(c.result(), c.left())
	}()
	return c
}

// Drain implements Carried, as Kill and Cut do.
func (c *carrier) Drain() { go c.do(func() { c.s.Drain(time.Now()) }) }

func (c *carrier) Kill(e *wire.Error) { go c.kill(e) }

func (c *carrier) Cut() {
	c.client.Close()
	c.server.Close()
}

// carrier carries one session.
//
// Locks: mu guards the session. writeClient and writeServer are held while bytes
// for that side are taken from the session and written, so that they leave in
// order; they are taken before mu, and never both.
type carrier struct {
	client, server net.Conn
	deps           *Deps
	jobs           context.Context
	audited        func(error)

	mu    sync.Mutex
	cond  sync.Cond // a side may have become readable, or the session is over
	s     *session.Session
	ended bool // the connections are closed, or about to be
	keeps bool // the session left the server's when it ended: its connection is not closed yet

	writeClient sync.Mutex
	spareClient []byte
	writeServer sync.Mutex
	spareServer []byte

	broken atomic.Pointer[error] // a panic: the session is not touched any more
	finish sync.Once
}

// buffers of the large size.
var buffers = sync.Pool{New: func() any { b := make([]byte, largeBuffer); return &b }}

func (c *carrier) clientLoop() {
	defer c.recovered()
	c.loop(c.client, (*session.Session).ReadClient, c.feedClient, c.clientEnded)
}

func (c *carrier) serverLoop() {
	defer c.recovered()
	c.loop(c.server, (*session.Session).ReadServer, c.feedServer, c.serverEnded)
}

// loop reads one side until it or the session ends.
func (c *carrier) loop(conn net.Conn, wanted func(*session.Session) bool, feed func([]byte), ended func(error)) {
	buf := make([]byte, smallBuffer)
	large := false
	for {
		if !c.await(wanted) {
			c.end()
			return
		}
		n, err := conn.Read(buf)
		if n > 0 {
			feed(buf[:n])
		}
		if err != nil {
			ended(err)
			break
		}
		if n == len(buf) && !large {
			p := buffers.Get().(*[]byte)
			defer buffers.Put(p)
			buf, large = *p, true
		}
	}
	// The side says no more; the session may have to wait for the other.
	for c.await(func(*session.Session) bool { return false }) {
	}
	c.end()
}

// await waits until the session wants to read. What it has to say meanwhile is
// written. It returns false when the session is over.
func (c *carrier) await(wanted func(*session.Session) bool) bool {
	for {
		c.mu.Lock()
		for {
			if c.over() {
				c.mu.Unlock()
				return false
			}
			if toClient, toServer := c.s.HasOutput(); toClient || toServer {
				break
			}
			if wanted(c.s) {
				c.mu.Unlock()
				return true
			}
			c.cond.Wait()
		}
		c.mu.Unlock()
		c.flush()
	}
}

// over reports whether the session has ended; mu is held.
func (c *carrier) over() bool {
	if c.ended || c.broken.Load() != nil {
		return true
	}
	done, _ := c.s.Done()
	return done
}

func (c *carrier) feedServer(b []byte) {
	if c.deps.Traffic != nil {
		c.deps.Traffic(0, len(b))
	}
	if c.feedServerLocked(b) != nil {
		c.clientGone()
	}
}

func (c *carrier) feedClient(b []byte) {
	if c.deps.Traffic != nil {
		c.deps.Traffic(len(b), 0)
	}
	if c.feedClientLocked(b) != nil {
		c.serverGone()
	}
}

func (c *carrier) feedServerLocked(b []byte) error {
	c.writeClient.Lock()
	defer c.writeClient.Unlock()
	buf, direct := c.take(true, func(now time.Time) { c.s.Server(now, b) })
	err := write(c.client, buf, direct)
	if buf != nil {
		c.spareClient = keep(buf)
	}
	return err
}

func (c *carrier) feedClientLocked(b []byte) error {
	c.writeServer.Lock()
	defer c.writeServer.Unlock()
	buf, direct := c.take(false, func(now time.Time) { c.s.Client(now, b) })
	err := write(c.server, buf, direct)
	if buf != nil {
		c.spareServer = keep(buf)
	}
	return err
}

// take has the session do something, if do is not nil, and takes what it then has for one side,
// whose write lock is held.
func (c *carrier) take(toClient bool, do func(now time.Time)) (buf, direct []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken.Load() != nil {
		return nil, nil
	}
	if do != nil {
		do(time.Now())
		c.after()
	} else {
		c.cond.Broadcast() // there is room for more
	}
	return c.takeLocked(toClient)
}

func (c *carrier) takeLocked(toClient bool) (buf, direct []byte) {
	if toClient {
		if buf, direct = c.s.TakeClient(c.spareClient); buf != nil {
			c.spareClient = nil
		}
		return buf, direct
	}
	if buf, direct = c.s.TakeServer(c.spareServer); buf != nil {
		c.spareServer = nil
	}
	return buf, direct
}

// after carries out what the session has asked for; mu is held.
func (c *carrier) after() {
	if q, ok := c.s.Job(); ok {
		go c.decide(q)
	}
	if c.s.HasRecords() {
		c.s.Records(func(r *audit.Record, wait bool) {
			if wait {
				c.deps.Audit.Append(r, c.audited)
			} else {
				c.deps.Audit.Append(r, nil)
			}
		})
	}
	c.cond.Broadcast()
}

// do has the session do something, not on its read loops.
func (c *carrier) do(f func()) {
	defer c.recovered()
	c.locked(f)
	c.flush()
	c.mu.Lock()
	over := c.over()
	c.mu.Unlock()
	if over {
		c.end() // both loops may be reading, and would not see it
	}
}

func (c *carrier) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken.Load() == nil {
		f()
		c.after()
	}
}

// auditDone is called by the audit log, which must not wait: the read loops,
// one of which is awake for it, write what has become free.
func (c *carrier) auditDone(err error) {
	defer c.recovered()
	c.locked(func() { c.s.AuditDone(time.Now(), err) })
}

func (c *carrier) decide(q session.Query) {
	defer c.recovered()
	v, err := c.s.Judge().Decide(c.jobs, q)
	c.do(func() { c.s.Decided(time.Now(), v, err) })
}

// flush writes what the session has for either side.
func (c *carrier) flush() {
	if c.flushSide(&c.writeClient, c.client, true, &c.spareClient) != nil {
		c.clientGone()
	}
	if c.flushSide(&c.writeServer, c.server, false, &c.spareServer) != nil {
		c.serverGone()
	}
}

func (c *carrier) flushSide(lock *sync.Mutex, conn net.Conn, toClient bool, spare *[]byte) error {
	lock.Lock()
	defer lock.Unlock()
	buf, direct := c.take(toClient, nil)
	err := write(conn, buf, direct)
	if buf != nil {
		*spare = keep(buf)
	}
	return err
}

func keep(buf []byte) []byte {
	if cap(buf) > largeBuffer {
		return nil
	}
	return buf[:0]
}

func write(conn net.Conn, buf, direct []byte) error {
	if len(buf) > 0 {
		if _, err := conn.Write(buf); err != nil {
			return err
		}
	}
	if len(direct) > 0 {
		if _, err := conn.Write(direct); err != nil {
			return err
		}
	}
	return nil
}

func (c *carrier) clientEnded(err error) {
	if errors.Is(err, io.EOF) {
		c.do(func() { c.s.ClientEOF(time.Now()) })
		return
	}
	c.clientGone()
}

func (c *carrier) serverEnded(err error) {
	c.mu.Lock()
	keeps := c.keeps
	c.mu.Unlock()
	if keeps && errors.Is(err, os.ErrDeadlineExceeded) {
		return
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	c.do(func() { c.s.ServerEOF(time.Now(), err) })
}

// clientGone ends a session whose client cannot be reached.
func (c *carrier) clientGone() { c.locked(func() { c.s.ClientLost(time.Now()) }) }

// serverGone waits a little for the server's last words, which say more than the
// failure to write to it.
func (c *carrier) serverGone() { c.server.SetReadDeadline(time.Now().Add(lastWrite)) }

// kill ends the session now, also when a write to it hangs.
func (c *carrier) kill(e *wire.Error) {
	defer c.recovered()
	c.locked(func() { c.s.Kill(time.Now(), e) })
	c.end()
}

// end writes the last bytes and closes both connections.
func (c *carrier) end() {
	c.finish.Do(func() {
		deadline := time.Now().Add(lastWrite)
		c.client.SetWriteDeadline(deadline)
		c.server.SetWriteDeadline(deadline)
		c.mu.Lock()
		linger := false
		if c.broken.Load() == nil {
			_, reason := c.s.Done()
			linger = reason != nil
			c.keeps = c.s.Kept()
		}
		keeps := c.keeps
		c.mu.Unlock()
		c.flush()
		if keeps {
			c.server.SetDeadline(time.Unix(1, 0)) // the read under way ends
		} else {
			c.server.Close()
		}
		if half, ok := c.client.(interface{ CloseWrite() error }); ok && linger {
			// Closing while the client still sends would reset the connection, and the
			// client might never see the error.
			half.CloseWrite()
			c.client.SetReadDeadline(time.Now().Add(lingerTime))
			io.Copy(io.Discard, io.LimitReader(c.client, lingerSize))
		}
		c.client.Close()
		c.mu.Lock()
		c.ended = true
		c.cond.Broadcast()
		c.mu.Unlock()
	})
}

func (c *carrier) result() error {
	if e := c.broken.Load(); e != nil {
		return *e
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, reason := c.s.Done(); reason != nil {
		return reason
	}
	return nil
}

// left gives the server's connection if the session, which is over, has left it; it is not read or written any more.
func (c *carrier) left() net.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.keeps:
	case c.broken.Load() == nil && c.s.Kept() && c.server.SetDeadline(time.Time{}) == nil:
		return c.server
	default:
		c.server.Close()
	}
	return nil
}

// recovered turns a panic into the end of this session.
func (c *carrier) recovered() {
	p := recover()
	if p == nil {
		return
	}
	err := panicked(p)
	c.broken.CompareAndSwap(nil, &err)
	c.client.Close()
	c.server.Close()
	c.mu.Lock()
	c.cond.Broadcast()
	c.mu.Unlock()
}

// panicked is what is told of a panic: its value may hold what the session was
// working on, its type does not.
func panicked(p any) error {
	return wire.InternalError(fmt.Errorf("panic (%T)\n%s", p, debug.Stack()))
}
