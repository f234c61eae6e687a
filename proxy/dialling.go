package proxy

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"pgveil/proxy/auth"
	"pgveil/wire"
)

// dialling is a connection to the server that is being made, and a login over it that may have
// begun.
type dialling struct {
	cancel context.CancelFunc
	result chan dialled
	taken  bool
}

type dialled struct {
	*serverLogin
	err error
}

// begin dials in the background: the server gets its process ready while the client
// proves who it is. With params, which are those of a StartupMessage, the login begins, too, as far as it needs no
// proof, if the server is one that asks for SCRAM.
func (u *upstream) begin(ctx context.Context, params []wire.Param) *dialling {
	ctx, cancel := context.WithCancel(ctx)
	d := &dialling{cancel: cancel, result: make(chan dialled, 1)}
	go func() {
		l, err := u.open(ctx, params)
		d.result <- dialled{l, err}
	}()
	return d
}

// open dials and, with params, begins the login.
func (u *upstream) open(ctx context.Context, params []wire.Param) (*serverLogin, error) {
	l, err := u.connect(ctx)
	if err != nil || params == nil || !u.asks.onlySCRAM() {
		return l, err
	}
	err = interruptible(ctx, l.Conn, func() error { return l.ask(params) })
	if err == nil {
		return l, nil
	}
	l.Close()
	if errors.Is(err, errOtherMethod) {
		u.asks.learn(l)
		return u.connect(ctx)
	}
	return nil, err
}

// connect dials for a login.
func (u *upstream) connect(ctx context.Context) (*serverLogin, error) {
	conn, err := u.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &serverLogin{peer: peer{Conn: conn}, minor: u.minor}, nil
}

// take waits for the connection.
func (d *dialling) take() (*serverLogin, error) {
	r := <-d.result
	d.taken = true
	return r.serverLogin, r.err
}

// drop closes the connection, unless it has been taken.
func (d *dialling) drop() {
	d.cancel()
	if d.taken {
		return
	}
	go func() {
		if r := <-d.result; r.err == nil {
			r.Close()
		}
	}()
}

// challengeAge is how long the server's challenge is good for: it is checked against the password as it was at that
// time. A login that takes longer begins anew at the server.
const challengeAge = time.Second

// login logs in over a connection as the credentials' owner. An error is a *wire.Error: the
// server's own, as it is, or one that tells the client nothing of the inside.
func (u *upstream) login(ctx context.Context, d *dialling, params []wire.Param, user string, c auth.Credentials, known bool) (*upstreamSession, error) {
	l, err := d.take()
	if err == nil && l.challenge != nil && (time.Since(l.challenged) > challengeAge || !sameSettings(l.params, params)) {
		l.Close()
		l, err = u.connect(ctx)
	}
	if err == nil {
		l.user, l.credentials, l.hasPassword = user, c, known
		var s *upstreamSession
		err = interruptible(ctx, l.Conn, func() (err error) {
			s, err = l.run(params)
			return err
		})
		u.asks.learn(l)
		if err == nil {
			return s, nil
		}
		l.Close()
	}
	if e := wireError(err); e != nil {
		return nil, e
	}
	return nil, wire.UpstreamUnreachable(err)
}

// sameSettings reports whether two StartupMessages mean the same: the names of settings have no case.
func sameSettings(a, b []wire.Param) bool {
	return slices.EqualFunc(a, b, func(p, q wire.Param) bool {
		return strings.EqualFold(p.Name, q.Name) && p.Value == q.Value
	})
}

// methods remembers how a server lets users in. Before a client has proved who it is, logins
// only begin where SCRAM stands between their beginning and their end: a server that trusts, for one user or
// all, would make a session of the StartupMessage alone.
type methods struct {
	scram atomic.Bool // a login was let in with it
	other atomic.Bool // a login was let in, or to be let in, without
}

func (m *methods) onlySCRAM() bool { return m.scram.Load() && !m.other.Load() }

// learn looks at a login that has ended, well or not.
func (m *methods) learn(l *serverLogin) {
	switch {
	case l.other:
		m.other.Store(true)
	case l.scram != nil && l.scram.Done():
		m.scram.Store(true)
	}
}

// errOtherMethod ends a login that began early: the server asks for something else than SCRAM, or for nothing.
var errOtherMethod = errors.New("the server does not ask for SCRAM")
