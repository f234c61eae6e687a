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
	spares *spares
	spare  *upstreamSession // what was found instead
	key    string           // of the spare that would do
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
// proof, if the server is one that asks for SCRAM. If there is a spare session for the login, nothing is dialled.
func (u *upstream) begin(ctx context.Context, user string, params []wire.Param) *dialling {
	ctx, cancel := context.WithCancel(ctx)
	d := &dialling{spares: &u.spares, key: spareKey(user, params), cancel: cancel, result: make(chan dialled, 1)}
	if d.spare = u.spares.take(d.key); d.spare != nil {
		return d
	}
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
	switch {
	case d.spare != nil:
		d.spares.giveBack(d.spare)
		return
	case d.taken:
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

// request is what a client asks of the server at its login.
type request struct {
	user        string // who it is on this side
	account     string // who it is there
	params      []wire.Param
	credentials auth.Credentials
	hasPassword bool   // see serverLogin
	catalog     uint64 // as in Binding
}

// login logs in over a connection, or takes over the spare session that was found instead. An error is a *wire.Error: the
// server's own, as it is, or one that tells the client nothing of the inside.
func (u *upstream) login(ctx context.Context, d *dialling, r *request) (*upstreamSession, error) {
	key, spare := spareKey(r.user, r.params), d.spare
	d.spare = nil
	open := d.take
	for ; spare != nil; spare = u.spares.take(d.key) {
		if spare.fits(key, r.catalog) {
			u.spares.reused.Add(1)
			return spare, nil
		}
		spare.close() // as will be the others that are of the same time
		open = func() (*serverLogin, error) { return u.connect(ctx) }
	}
	l, err := open()
	s, err := u.run(ctx, l, err, r)
	for range crowdedTries {
		if e := wireError(err); e == nil || e.Code != tooManyConnections || u.spares.trim(0) == 0 {
			break
		}
		// There may be room now, when the processes of the spares have ended.
		time.Sleep(crowdedWait)
		l, err = u.connect(ctx)
		s, err = u.run(ctx, l, err, r)
	}
	if err == nil && r.catalog != 0 && key == d.key && u.spares.timeout > 0 {
		s.serves, s.catalog, s.begun = key, r.catalog, time.Now()
	}
	return s, err
}

// When the server has no room for another session, although there were spares.
const (
	tooManyConnections = "53300"
	crowdedTries       = 3
	crowdedWait        = 50 * time.Millisecond
)

// run goes through the login over what was dialled, if it was.
func (u *upstream) run(ctx context.Context, l *serverLogin, err error, r *request) (*upstreamSession, error) {
	if err == nil && l.challenge != nil && (time.Since(l.challenged) > challengeAge || !sameSettings(l.params, r.params)) {
		l.Close()
		l, err = u.connect(ctx)
	}
	if err == nil {
		l.user, l.credentials, l.hasPassword = r.account, r.credentials, r.hasPassword
		var s *upstreamSession
		err = interruptible(ctx, l.Conn, func() (err error) {
			s, err = l.run(r.params)
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
