package e2e

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// message is a message of the server, as it came.
type message struct {
	typ  byte
	body []byte
}

// field is a field of an error or a notice; "" when it is not there.
func (m message) field(code byte) string {
	for _, f := range bytes.Split(m.body, []byte{0}) {
		if len(f) > 0 && f[0] == code {
			return string(f[1:])
		}
	}
	return ""
}

// String is the message's type with what matters of it for the order of replies: the SQLSTATE of
// an error, the tag of a command, the state of the transaction.
func (m message) String() string {
	switch m.typ {
	case 'E':
		return "E" + m.field('C')
	case 'C':
		return "C(" + strings.TrimSuffix(string(m.body), "\x00") + ")"
	case 'Z':
		return "Z" + string(m.body)
	}
	return string(m.typ)
}

// cells are the values of a DataRow, nil for NULL.
func (m message) cells(t testing.TB) [][]byte {
	t.Helper()
	var r pgproto3.DataRow
	if m.typ != 'D' {
		t.Fatalf("message %s is no row", m)
	}
	if err := r.Decode(m.body); err != nil {
		t.Fatal(err)
	}
	return r.Values
}

// script writes messages as words; rows in a row as one D.
func script(messages []message) string {
	var words []string
	for i, m := range messages {
		if m.typ == 'D' && i > 0 && messages[i-1].typ == 'D' {
			continue
		}
		words = append(words, m.String())
	}
	return strings.Join(words, " ")
}

// only returns the messages of one type.
func only(messages []message, typ byte) []message {
	var out []message
	for _, m := range messages {
		if m.typ == typ {
			out = append(out, m)
		}
	}
	return out
}

// column is the values of one column of all rows, as text.
func column(t testing.TB, messages []message, i int) []string {
	t.Helper()
	var out []string
	for _, m := range only(messages, 'D') {
		out = append(out, string(m.cells(t)[i]))
	}
	return out
}

// wireConn speaks the protocol message by message.
type wireConn struct {
	t testing.TB
	*recorder
	in *bufio.Reader
}

// newWireConn is the client's side of a connection that is not logged in.
func newWireConn(t testing.TB, c net.Conn) *wireConn {
	w := &wireConn{t: t, recorder: &recorder{Conn: c}}
	w.in = bufio.NewReader(w.recorder)
	t.Cleanup(func() { w.Close() })
	return w
}

// onWire takes a connection over after its login.
func onWire(t testing.TB, c *rawConn) *wireConn {
	t.Helper()
	// A read of pgconn's own may still be under way in the background, when its writes were slow.
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if err := c.SyncConn(ctx); err != nil {
		t.Fatal(err)
	}
	h, err := c.Hijack()
	if err != nil {
		t.Fatal(err)
	}
	w := &wireConn{t: t, recorder: c.recorder, in: bufio.NewReader(h.Conn)}
	t.Cleanup(func() { w.Close() })
	w.received()
	return w
}

// wire opens a connection of u through the proxy.
func (p *pgveil) wire(u clinic.User) *wireConn {
	p.t.Helper()
	return onWire(p.t, p.connect(u))
}

// tcp opens a connection to the proxy without a byte of a login.
func (p *pgveil) tcp(t testing.TB) *wireConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", p.port), wait)
	if err != nil {
		t.Fatal(err)
	}
	w := newWireConn(t, c)
	w.SetDeadline(time.Now().Add(wait))
	return w
}

// encode is the bytes of messages.
func encode(t testing.TB, messages ...pgproto3.FrontendMessage) []byte {
	t.Helper()
	var b []byte
	var err error
	for _, m := range messages {
		if b, err = m.Encode(b); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func (w *wireConn) send(messages ...pgproto3.FrontendMessage) {
	w.t.Helper()
	w.write(encode(w.t, messages...))
}

func (w *wireConn) write(b []byte) {
	w.t.Helper()
	w.SetDeadline(time.Now().Add(wait))
	if _, err := w.Conn.Write(b); err != nil {
		w.t.Fatalf("send: %v", err)
	}
}

// next reads one message.
func (w *wireConn) next() (message, error) {
	w.SetDeadline(time.Now().Add(wait))
	var head [5]byte
	if _, err := io.ReadFull(w.in, head[:]); err != nil {
		return message{}, err
	}
	m := message{typ: head[0], body: make([]byte, int(head[1])<<24|int(head[2])<<16|int(head[3])<<8|int(head[4])-4)}
	_, err := io.ReadFull(w.in, m.body)
	return m, err
}

// until reads messages until one is of the given type, that one included.
func (w *wireConn) until(typ byte) []message {
	w.t.Helper()
	var out []message
	for {
		m, err := w.next()
		if err != nil {
			w.t.Fatalf("after %s: %v", script(out), err)
		}
		if out = append(out, m); m.typ == typ {
			return out
		}
	}
}

// rest reads messages until the server closes the connection.
func (w *wireConn) rest() []message {
	w.t.Helper()
	var out []message
	for {
		m, err := w.next()
		if err != nil {
			if n, ok := err.(net.Error); ok && n.Timeout() {
				w.t.Fatalf("after %q the connection is not closed", script(out))
			}
			return out
		}
		out = append(out, m)
	}
}

// ask sends messages and reads the replies to them: up to one ReadyForQuery for each Sync, Query and
// FunctionCall among them.
func (w *wireConn) ask(messages ...pgproto3.FrontendMessage) []message {
	w.t.Helper()
	w.send(messages...)
	var out []message
	for _, m := range messages {
		switch m.(type) {
		case *pgproto3.Sync, *pgproto3.Query, *pgproto3.FunctionCall:
			out = append(out, w.until('Z')...)
		}
	}
	return out
}

// Short names for what tests send.

func query(sql string) *pgproto3.Query { return &pgproto3.Query{String: sql} }

func parse(name, sql string) *pgproto3.Parse { return &pgproto3.Parse{Name: name, Query: sql} }

func bind(portal, statement string, formats ...int16) *pgproto3.Bind {
	return &pgproto3.Bind{DestinationPortal: portal, PreparedStatement: statement, ResultFormatCodes: formats}
}

// bindTo binds text parameters.
func bindTo(portal, statement string, params ...string) *pgproto3.Bind {
	b := bind(portal, statement)
	for _, p := range params {
		b.Parameters = append(b.Parameters, []byte(p))
	}
	return b
}

func execute(portal string, rows uint32) *pgproto3.Execute {
	return &pgproto3.Execute{Portal: portal, MaxRows: rows}
}

func describe(object byte, name string) *pgproto3.Describe {
	return &pgproto3.Describe{ObjectType: object, Name: name}
}

func closeObject(object byte, name string) *pgproto3.Close {
	return &pgproto3.Close{ObjectType: object, Name: name}
}

var (
	sync_ = &pgproto3.Sync{}
	flush = &pgproto3.Flush{}
)

// wholeExtended is a statement from Parse to Execute, unnamed.
func wholeExtended(sql string, formats ...int16) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{parse("", sql), bind("", "", formats...), describe('P', ""), execute("", 0)}
}

// together joins lists of messages.
func together(lists ...[]pgproto3.FrontendMessage) []pgproto3.FrontendMessage {
	var out []pgproto3.FrontendMessage
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

// list is a list of messages.
func list(m ...pgproto3.FrontendMessage) []pgproto3.FrontendMessage { return m }
