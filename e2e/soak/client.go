package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// scanned is a connection all of whose incoming bytes are looked at, and counted.
type scanned struct {
	net.Conn
	crowd *crowd
	look  func(p []byte) []string // nil for a role that sees everything
	last  string                  // the statement sent last
}

func (c *scanned) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.crowd.bytes.Add(int64(n))
	if c.look != nil {
		for _, v := range c.look(p[:n]) {
			c.crowd.fail(fmt.Sprintf("a masked session gets %s after %q", v, c.last))
		}
	}
	return n, err
}

// client is one session.
type client struct {
	*crowd
	*rand.Rand
	conn   *scanned
	in     *bufio.Reader
	out    []byte
	pid    uint32
	secret []byte
	status byte // of the last ReadyForQuery
}

// connect logs in.
func (c *crowd) connect(r *rand.Rand, u clinic.User) (*client, error) {
	cfg, err := pgconn.ParseConfig(c.dsn(u))
	if err != nil {
		return nil, err
	}
	cl := &client{crowd: c, Rand: r}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		cl.conn = &scanned{Conn: nc, crowd: c, last: "login"}
		if u != clinic.Clinician {
			cl.conn.look = c.canaries.Stream().Write
		}
		return cl.conn, nil
	}
	cfg.Fallbacks = nil
	ctx, cancel := context.WithTimeout(context.Background(), c.stuck)
	defer cancel()
	pc, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	// A read of pgconn's own may still be under way in the background, when its writes were slow.
	if err := pc.SyncConn(ctx); err != nil {
		return nil, err
	}
	h, err := pc.Hijack()
	if err != nil {
		return nil, err
	}
	cl.in, cl.pid, cl.secret, cl.status = bufio.NewReader(h.Conn), h.PID, h.SecretKey, h.TxStatus
	return cl, nil
}

var errStuck = errors.New("no reply")

// message is what matters of one message of the server.
type message struct {
	typ  byte
	code string // SQLSTATE of an error
}

// read reads one message and throws its body away, except of errors.
func (c *client) read() (m message, err error) {
	var head [5]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return m, err
	}
	n := int(binary.BigEndian.Uint32(head[1:])) - 4
	if n < 0 || n > 1<<30 {
		return m, fmt.Errorf("length %d of message %q", n, head[0])
	}
	m.typ = head[0]
	switch m.typ {
	case 'E', 'Z':
		body := make([]byte, n)
		if _, err := io.ReadFull(c.in, body); err != nil {
			return m, err
		}
		if m.typ == 'Z' && n == 1 {
			c.status = body[0]
			return m, nil
		}
		var e pgproto3.ErrorResponse
		if err := e.Decode(body); err != nil {
			return m, err
		}
		m.code = e.Code
		c.saw(e.Code, e.Severity, e.Message, c.conn.last)
		return m, nil
	}
	_, err = c.in.Discard(n)
	return m, err
}

// until reads up to a message of the type, which has to come in time.
func (c *client) until(typ byte) (last message, err error) {
	for {
		c.conn.SetReadDeadline(time.Now().Add(c.stuck))
		m, err := c.read()
		if err != nil {
			var n net.Error
			if errors.As(err, &n) && n.Timeout() {
				c.fail(fmt.Sprintf("stuck: %v has no %q within %v after %q; see %s", c.conn.LocalAddr(), typ, c.stuck, c.conn.last, c.evidence()))
				err = errStuck
			}
			return m, err
		}
		if m.typ == typ {
			return m, nil
		}
	}
}

// send writes messages.
func (c *client) send(sql string, messages ...pgproto3.FrontendMessage) error {
	c.conn.last = sql
	c.statements.Add(1)
	c.out = c.out[:0]
	var err error
	for _, m := range messages {
		if c.out, err = m.Encode(c.out); err != nil {
			return err
		}
	}
	c.conn.SetWriteDeadline(time.Now().Add(c.stuck))
	_, err = c.conn.Write(c.out)
	return err
}

// ask sends messages and reads up to ReadyForQuery, as often as one is due.
func (c *client) ask(sql string, messages ...pgproto3.FrontendMessage) error {
	if err := c.send(sql, messages...); err != nil {
		return err
	}
	for _, m := range messages {
		switch m.(type) {
		case *pgproto3.Query, *pgproto3.Sync:
			if _, err := c.until('Z'); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *client) query(sql string) error { return c.ask(sql, &pgproto3.Query{String: sql}) }

// queries runs several statements.
func (c *client) queries(all ...string) error {
	for _, sql := range all {
		if err := c.query(sql); err != nil {
			return err
		}
	}
	return nil
}

// leave ends the session in good order.
func (c *client) leave() {
	c.send("Terminate", &pgproto3.Terminate{})
	c.conn.Close()
}

// vanish ends it with a reset, whatever is under way.
func (c *client) vanish() {
	c.conn.Conn.(*net.TCPConn).SetLinger(0)
	c.conn.Close()
}

// cancel asks for the end of what the session runs, over a connection of its own.
func (c *client) cancel() {
	nc, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", c.port), c.stuck)
	if err != nil {
		return
	}
	defer nc.Close()
	b, err := (&pgproto3.CancelRequest{ProcessID: c.pid, SecretKey: c.secret}).Encode(nil)
	if err == nil {
		nc.Write(b)
	}
}

// errGone is the end of a client that left in the middle.
var errGone = errors.New("the client has gone")
