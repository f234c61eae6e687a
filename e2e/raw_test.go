package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// wait bounds every step of a test that talks to a server; it never decides a verdict.
const wait = 60 * time.Second

// recorder keeps every byte that the server side of a connection sends.
type recorder struct {
	net.Conn
	mu  sync.Mutex
	buf bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.mu.Lock()
	r.buf.Write(p[:n])
	r.mu.Unlock()
	return n, err
}

// received returns what has come in since the last call.
func (r *recorder) received() []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := bytes.Clone(r.buf.Bytes())
	r.buf.Reset()
	return b
}

// rawConn is a connection whose raw bytes can be looked at.
type rawConn struct {
	*pgconn.PgConn
	*recorder
	notices []*pgconn.Notice
}

func dialRaw(dsn string) (*rawConn, error) {
	cfg, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	c := &rawConn{}
	dial := cfg.DialFunc
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c.recorder = &recorder{Conn: nc}
		return c.recorder, nil
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { c.notices = append(c.notices, n) }
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	c.PgConn, err = pgconn.ConnectConfig(ctx, cfg)
	return c, err
}

func mustDial(t testing.TB, dsn string) *rawConn {
	t.Helper()
	c, err := dialRaw(dsn)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	t.Cleanup(func() { c.PgConn.Close(context.Background()) })
	return c
}

// mode is a way to run a statement.
type mode string

const (
	simple         mode = "simple"
	extendedText   mode = "extended text"
	extendedBinary mode = "extended binary"
)

var modes = []mode{simple, extendedText, extendedBinary}

// result is a statement's rows as they came over the wire.
type result struct {
	rows [][][]byte
	tag  string
	err  error
}

// query runs one statement in the given mode. params are text; the simple protocol takes none.
func (c *rawConn) query(m mode, sql string, params ...string) result {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if m == simple {
		if len(params) > 0 {
			return result{err: fmt.Errorf("the simple protocol has no parameters")}
		}
		rs, err := c.PgConn.Exec(ctx, sql).ReadAll()
		if err != nil {
			return result{err: err}
		}
		if len(rs) == 0 {
			return result{}
		}
		last := rs[len(rs)-1]
		return result{rows: last.Rows, tag: last.CommandTag.String(), err: last.Err}
	}
	formats := []int16{0}
	if m == extendedBinary {
		formats[0] = 1
	}
	values := make([][]byte, len(params))
	for i, p := range params {
		values[i] = []byte(p)
	}
	r := c.PgConn.ExecParams(ctx, sql, values, nil, nil, formats).Read()
	return result{rows: r.Rows, tag: r.CommandTag.String(), err: r.Err}
}
