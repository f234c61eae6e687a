package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/config"
	"pgveil/proxy/auth"
	"pgveil/proxy/transport"
	"pgveil/wire"
)

// maxLoginMessage bounds a message of the server during the login, in bytes.
const maxLoginMessage = 1 << 20

// upstream is the server as configured at one time.
type upstream struct {
	address config.Address
	tls     *tls.Config // nil: none
	direct  bool        // the connection begins with the TLS handshake
	minor   uint16      // of the newest protocol version to ask for
	addHost bool        // application_name gets the client's address
	asks    methods
	spares  spares
}

func newUpstream(c config.Upstream) (*upstream, error) {
	t, err := serverTLS(c)
	if err != nil {
		return nil, err
	}
	u := &upstream{spares: spares{timeout: c.ServerIdleTimeout}, address: c.Address(), tls: t, direct: c.SSLNegotiation == config.SSLNegotiationDirect, addHost: c.ApplicationNameAddHost}
	if c.MaxProtocolVersion == config.Protocol32 {
		u.minor = 2
	}
	return u, nil
}

// dial connects, with TLS when configured. The error is for logs.
func (u *upstream) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, u.address.Network(), u.address.String())
	if err != nil {
		return nil, err
	}
	if u.tls == nil {
		return c, nil
	}
	t, err := u.startTLS(ctx, c)
	if err != nil {
		c.Close()
		return nil, err
	}
	return t, nil
}

func (u *upstream) startTLS(ctx context.Context, c net.Conn) (net.Conn, error) {
	stop := interruptOnDone(ctx, c)
	defer stop()
	if !u.direct {
		if err := requestTLS(c); err != nil {
			return nil, err
		}
	}
	t := tls.Client(transport.NewSocket(c), u.tls)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return t, nil
}

// requestTLS sends an SSLRequest and wants to be answered S.
func requestTLS(c net.Conn) error {
	if _, err := c.Write(wire.AppendSSLRequest(nil)); err != nil {
		return err
	}
	// One byte and no more: what follows it in clear belongs to nobody.
	var answer [1]byte
	if _, err := io.ReadFull(c, answer[:]); err != nil {
		return fmt.Errorf("answer to SSLRequest: %w", err)
	}
	if answer[0] != 'S' {
		// Not even an error message is believed here: nobody has proved to be the server.
		return errors.New("the server does not support TLS, which upstream.sslmode demands")
	}
	return nil
}

// interruptible runs f, whose reads and writes of c fail when ctx ends. When that has
// happened it returns an error, even if f did not see it.
func interruptible(ctx context.Context, c net.Conn, f func() error) error {
	stop := interruptOnDone(ctx, c)
	err := f()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	return err
}

// interruptOnDone makes reads and writes of c fail when ctx ends. Call stop
// before c is handed on; it returns false when that has happened already.
func interruptOnDone(ctx context.Context, c net.Conn) (stop func() bool) {
	fired := make(chan struct{})
	cancel := context.AfterFunc(ctx, func() {
		c.SetDeadline(time.Unix(1, 0))
		close(fired)
	})
	return sync.OnceValue(func() bool {
		if cancel() {
			return true
		}
		<-fired // so that a later deadline is not overwritten
		return false
	})
}

// upstreamSession is a connection that is logged in to the server and idle.
type upstreamSession struct {
	conn   net.Conn
	pid    uint32
	key    []byte
	status []wire.Param // ParameterStatus, in the server's order

	greeting []byte // ParameterStatus and NoticeResponse messages, as they came
	extra    []byte // read after ReadyForQuery

	serves  string    // key of a login that could be served by this session, see spareKey; "": none
	catalog uint64    // as in Binding
	begun   time.Time // the login
	left    time.Time // by the latest client
}

// serverLogin is the client's side of one login.
type serverLogin struct {
	peer
	minor       uint16 // of the protocol version asked for, then of the one agreed on
	user        string
	credentials auth.Credentials
	hasPassword bool // the password is configured: md5 and, under TLS, cleartext are possible
	scram       *auth.Client
	early       bool         // the client has not yet proved who it is
	challenge   []byte       // what ask left to be answered: server-first-message
	challenged  time.Time    // when it came
	other       bool         // the server lets the user in without SCRAM
	params      []wire.Param // of the StartupMessage
	session     *upstreamSession
	settled     bool // the protocol version is
	proven      bool // AuthenticationOk was seen
	greeted     int  // bytes of greeting and status
}

// start sends the StartupMessage.
func (l *serverLogin) start(params []wire.Param) error {
	l.params, l.session = params, &upstreamSession{conn: l.Conn}
	l.out = wire.AppendStartup(l.out, l.minor, params)
	return l.flush()
}

// ask begins the login and goes on until the server wants a proof: nothing happens in the
// user's name. The error is errOtherMethod when the server asks for another or none.
func (l *serverLogin) ask(params []wire.Param) error {
	l.early = true
	err := l.start(params)
	for err == nil && l.challenge == nil {
		_, err = l.step()
	}
	l.early = false
	return err
}

// run goes through the login, or through what ask has left of it.
func (l *serverLogin) run(params []wire.Param) (*upstreamSession, error) {
	var done bool
	var err error
	if l.challenge != nil {
		err = l.prove(l.challenge)
	} else {
		err = l.start(params)
	}
	for err == nil && !done {
		done, err = l.step()
	}
	if err != nil {
		return nil, err
	}
	return l.session, nil
}

// step deals with one message. It is done at ReadyForQuery.
func (l *serverLogin) step() (done bool, err error) {
	typ, body, err := l.message(maxLoginMessage)
	if err != nil {
		return false, err
	}
	switch typ {
	case wire.ErrorResponse:
		e, err := wire.ParseError(body)
		if err != nil {
			return false, wire.UpstreamProtocolViolation(err)
		}
		return false, e.AsFatal()
	case wire.NoticeResponse:
		// A collation's changed version, what a login trigger says.
		return false, l.greet(typ, body)
	case wire.NegotiateProtocolVersion:
		if err := l.negotiated(body); err != nil {
			return false, wire.UpstreamProtocolViolation(err)
		}
		return false, nil
	case wire.Authentication:
		l.settled = true
		if l.proven {
			return false, wire.UpstreamProtocolViolation(errors.New("authentication request after AuthenticationOk"))
		}
		return false, l.authenticate(body)
	case wire.ParameterStatus, wire.BackendKeyData, wire.ReadyForQuery:
		if !l.proven {
			return false, wire.UpstreamProtocolViolation(fmt.Errorf("message %q before AuthenticationOk", typ))
		}
		return l.settle(typ, body)
	}
	return false, wire.UpstreamProtocolViolation(fmt.Errorf("message type %d during the login", typ))
}

// negotiated takes the server's word for the protocol version. It may only be
// an older one, said once, before anything else (PostgreSQL docs, section 55.2.1).
func (l *serverLogin) negotiated(body []byte) error {
	version, options, err := wire.ParseNegotiateProtocolVersion(body)
	switch {
	case err != nil:
		return err
	case l.settled, len(options) > 0:
		return errors.New("NegotiateProtocolVersion that answers nothing")
	case version>>16 != wire.ProtocolMajor && version != 0 || uint16(version) > l.minor:
		return errors.New("the server wants a protocol version that was not offered")
	}
	l.settled, l.minor = true, uint16(version)
	return nil
}

// greet keeps a message for the client.
func (l *serverLogin) greet(typ byte, body []byte) error {
	if l.greeted += wire.HeaderSize + len(body); l.greeted > maxLoginMessage {
		return wire.UpstreamProtocolViolation(errors.New("the server says too much during the login"))
	}
	l.session.greeting = wire.AppendMessage(l.session.greeting, typ, body)
	return nil
}

// settle takes the messages between AuthenticationOk and ReadyForQuery.
func (l *serverLogin) settle(typ byte, body []byte) (done bool, err error) {
	s := l.session
	const maxStatuses = 200 // PostgreSQL reports some fifteen
	switch typ {
	case wire.ParameterStatus:
		name, value, err := wire.ParseParameterStatus(body)
		if err != nil {
			return false, wire.UpstreamProtocolViolation(err)
		}
		if len(s.status) == maxStatuses {
			return false, wire.UpstreamProtocolViolation(errors.New("too many ParameterStatus messages"))
		}
		s.status = append(s.status, wire.Param{Name: string(name), Value: string(value)})
		return false, l.greet(typ, body)
	case wire.BackendKeyData:
		pid, key, err := wire.ParseBackendKeyData(body)
		if err != nil {
			return false, wire.UpstreamProtocolViolation(err)
		}
		s.pid, s.key = pid, append([]byte(nil), key...)
	case wire.ReadyForQuery:
		if status, err := wire.ParseReadyForQuery(body); err != nil || status != 'I' {
			return false, wire.UpstreamProtocolViolation(errors.New("the session does not begin idle"))
		}
		s.extra = append([]byte(nil), l.rest()...)
		return true, nil
	}
	return false, nil
}

// authenticate answers one Authentication message.
func (l *serverLogin) authenticate(body []byte) error {
	code, data, err := wire.ParseAuthentication(body)
	if err != nil {
		return wire.UpstreamProtocolViolation(err)
	}
	if l.scram != nil && !l.scram.Done() && code != wire.AuthSASLContinue && code != wire.AuthSASLFinal {
		return wire.UpstreamProtocolViolation(errors.New("the server left the SCRAM exchange before proving itself"))
	}
	switch code {
	case wire.AuthSASL, wire.AuthSASLContinue, wire.AuthSASLFinal:
	default:
		if l.scram == nil {
			l.other = true
		}
		if l.early {
			return errOtherMethod
		}
	}
	switch code {
	case wire.AuthOK:
		l.proven = true
		return nil
	case wire.AuthCleartext:
		if _, tls := l.Conn.(*tls.Conn); !l.hasPassword || !tls {
			return errors.New("the server asks for a password in clear text: that needs upstream_password and upstream.sslmode; set scram-sha-256 in pg_hba.conf")
		}
		l.out = wire.AppendPassword(l.out, l.credentials.Password)
	case wire.AuthMD5:
		if !l.hasPassword {
			return errors.New("the server asks for an MD5 password: set scram-sha-256 in pg_hba.conf, or upstream_password for the user")
		}
		if len(data) != 4 {
			return wire.UpstreamProtocolViolation(errors.New("MD5 salt is not of 4 bytes"))
		}
		l.out = wire.AppendPassword(l.out, auth.MD5Response(l.user, l.credentials.Password, [4]byte(data)))
	case wire.AuthSASL:
		if l.scram != nil {
			return wire.UpstreamProtocolViolation(errors.New("a second SASL exchange"))
		}
		mechanisms, err := wire.ParseSASLMechanisms(data)
		if err != nil {
			return wire.UpstreamProtocolViolation(err)
		}
		l.scram = auth.NewClient(mechanisms, endPoint(l.Conn))
		mechanism, first, err := l.scram.First()
		if err != nil {
			return err
		}
		l.out = wire.AppendSASLInitialResponse(l.out, mechanism, first)
	case wire.AuthSASLContinue, wire.AuthSASLFinal:
		if l.scram == nil {
			return wire.UpstreamProtocolViolation(errors.New("SASL data without an exchange"))
		}
		if code == wire.AuthSASLFinal {
			if err := l.scram.Finish(data); err != nil {
				return fmt.Errorf("SCRAM login to the server: %w", err)
			}
			return nil
		}
		if l.early {
			l.challenge, l.challenged = bytes.Clone(data), time.Now()
			return nil
		}
		return l.prove(data)
	default:
		return fmt.Errorf("the server asks for authentication method %d, which is not supported: set scram-sha-256 in pg_hba.conf", code)
	}
	return l.flush()
}

// prove answers server-first-message.
func (l *serverLogin) prove(challenge []byte) error {
	if !l.hasPassword && l.credentials.Keys == nil {
		return errors.New("the server asks for a password and none is configured")
	}
	final, err := l.scram.Final(challenge, l.credentials)
	if err != nil {
		return fmt.Errorf("SCRAM login to the server: %w", err)
	}
	l.out = wire.AppendSASLResponse(l.out, final)
	return l.flush()
}

// cancel forwards a CancelRequest over the same kind of connection and waits until the server has taken it.
func (u *upstream) cancel(ctx context.Context, pid uint32, key []byte) error {
	c, err := u.dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer interruptOnDone(ctx, c)()
	if _, err := c.Write(wire.AppendCancelRequest(nil, pid, key)); err != nil {
		return err
	}
	// The server closes the connection when it has sent the signal.
	var b [1]byte
	if _, err := c.Read(b[:]); err != nil && !errors.Is(err, io.EOF) && ctx.Err() != nil {
		return err
	}
	return nil
}

// CatalogConfig returns the connection settings of the catalog account for a
// database: its address and TLS are those of every connection to the server,
// names resolve in pg_catalog alone, and a password never leaves in clear text without TLS.
func CatalogConfig(c *config.Config, database string) (*pgx.ConnConfig, error) {
	t, err := serverTLS(c.Upstream)
	if err != nil {
		return nil, err
	}
	// ParseConfig is the only way to a usable config. It reads libpq's environment
	// variables: each of them is overwritten, here or below.
	p, err := pgx.ParseConfig("host=localhost port=5432 user=postgres dbname=postgres password=none passfile='' " +
		"sslmode=disable sslrootcert='' sslcert='' sslkey='' sslcertmode=allow sslnegotiation=postgres channel_binding=prefer require_auth='' " +
		"target_session_attrs=any min_protocol_version=3.0 max_protocol_version=3.0 connect_timeout=0")
	if err != nil {
		return nil, fmt.Errorf("prepare the catalog account's connection: %w", err)
	}
	a := c.Upstream.Address()
	p.Host, p.Port, p.Database = a.Host, uint16(a.Port), database
	p.User, p.Password = c.Catalog.User, c.Catalog.Password.Value()
	p.TLSConfig, p.Fallbacks = t, nil
	p.RequireAuth = "scram-sha-256,md5,none"
	if t != nil {
		p.RequireAuth += ",password"
	}
	p.RuntimeParams = map[string]string{
		"application_name": "pgveil", "client_encoding": "UTF8", "standard_conforming_strings": "on", "DateStyle": "ISO",
	}
	// Not a startup parameter: it would hide the server's default path, which is what sessions start with.
	p.AfterConnect = func(ctx context.Context, c *pgconn.PgConn) error {
		return c.Exec(ctx, "SET search_path = pg_catalog").Close()
	}
	if t != nil {
		p.SSLNegotiation = c.Upstream.SSLNegotiation
	}
	p.ConnectTimeout = catalogConnectTimeout
	return p, nil
}

// catalogConnectTimeout bounds a connection attempt of the catalog account.
const catalogConnectTimeout = 10 * time.Second
