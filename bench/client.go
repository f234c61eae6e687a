package main

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"pgveil/proxy/auth"
	"pgveil/wire"
)

// stepLimit bounds the wait for one reply; it never decides a figure.
const stepLimit = 2 * time.Minute

// client is a connection that costs as little as a client can: it counts
// messages in one buffer and looks into none.
type client struct {
	conn        net.Conn
	buf         []byte
	read, write int // of buf
}

// dial opens a session over TCP as the measuring account.
func dial(port int) (*client, error) {
	conn, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), stepLimit)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, buf: make([]byte, 256<<10)}
	if err := c.login(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) login() error {
	packet := []byte{0, 0, 0, 0, 0, 3, 0, 0}
	for _, s := range []string{"user", account, "database", database, "application_name", "bench"} {
		packet = append(append(packet, s...), 0)
	}
	packet = append(packet, 0)
	packet[2], packet[3] = byte(len(packet)>>8), byte(len(packet))
	if err := c.send(packet); err != nil {
		return err
	}
	var scram *auth.Client
	for {
		typ, body, err := c.message()
		if err != nil {
			return err
		}
		switch typ {
		case wire.ReadyForQuery:
			return nil
		case wire.ErrorResponse:
			return serverError(body)
		case wire.Authentication:
			code, data, err := wire.ParseAuthentication(body)
			if err != nil {
				return err
			}
			if scram, err = c.authenticate(scram, code, data); err != nil {
				return err
			}
		}
	}
}

// The codes of Authentication messages (PostgreSQL docs, section 55.7).
const (
	authenticationOK           = 0
	authenticationSASL         = 10
	authenticationSASLContinue = 11
	authenticationSASLFinal    = 12
)

func (c *client) authenticate(scram *auth.Client, code uint32, data []byte) (*auth.Client, error) {
	switch code {
	case authenticationOK:
		return scram, nil
	case authenticationSASL:
		mechanisms, err := wire.ParseSASLMechanisms(data)
		if err != nil {
			return nil, err
		}
		scram = auth.NewClient(mechanisms, nil)
		mechanism, first, err := scram.First()
		if err != nil {
			return nil, err
		}
		return scram, c.send(wire.AppendSASLInitialResponse(nil, mechanism, first))
	case authenticationSASLContinue:
		final, err := scram.Final(data, auth.Credentials{Password: password})
		if err != nil {
			return nil, err
		}
		return scram, c.send(wire.AppendSASLResponse(nil, final))
	case authenticationSASLFinal:
		return scram, scram.Finish(data)
	}
	return nil, fmt.Errorf("authentication method %d was not expected", code)
}

func serverError(body []byte) error {
	e, err := wire.ParseError(body)
	if err != nil {
		return err
	}
	return e
}

func (c *client) send(b []byte) error {
	c.conn.SetDeadline(time.Now().Add(stepLimit))
	_, err := c.conn.Write(b)
	return err
}

func (c *client) fill() error {
	if c.read == c.write {
		c.read, c.write = 0, 0
	} else if c.write == len(c.buf) {
		c.write = copy(c.buf, c.buf[c.read:c.write])
		c.read = 0
		if c.write == len(c.buf) {
			return errors.New("a message does not fit the client's buffer")
		}
	}
	n, err := c.conn.Read(c.buf[c.write:])
	c.write += n
	if n > 0 {
		return nil
	}
	return err
}

// message reads one message; its body is valid until the next.
func (c *client) message() (typ byte, body []byte, err error) {
	for {
		b := c.buf[c.read:c.write]
		typ, size, ok, err := wire.BackendHeader(b)
		if err != nil {
			return 0, nil, err
		}
		if ok && len(b) >= size {
			c.read += size
			return typ, b[wire.HeaderSize:size], nil
		}
		if err := c.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// query sends messages that end in one ReadyForQuery and counts the rows that come.
func (c *client) query(messages []byte) (rows int, err error) {
	if err := c.send(messages); err != nil {
		return 0, err
	}
	return c.ready()
}

func (c *client) ready() (rows int, err error) {
	var failed error
	for {
		typ, body, err := c.message()
		if err != nil {
			return rows, err
		}
		switch typ {
		case wire.DataRow:
			rows++
		case wire.ErrorResponse:
			failed = serverError(body)
		case wire.ReadyForQuery:
			return rows, failed
		}
	}
}

func (c *client) close() error {
	c.send(wire.AppendEmpty(nil, wire.Terminate)) // the server may have gone first
	return c.conn.Close()
}
