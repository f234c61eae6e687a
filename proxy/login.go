package proxy

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"unicode/utf8"

	"pgveil/audit"
	"pgveil/proxy/auth"
	"pgveil/proxy/session"
	"pgveil/proxy/transport"
	"pgveil/wire"
)

// handover is what a login leaves to the session.
type handover struct {
	client   net.Conn
	ahead    []byte // what the client sent behind its login
	upstream *upstreamSession
	binding  *Binding
	info     sessionInfo
	config   *settings
	pid      uint32        // of the client's cancel key
	target   *cancelTarget // what that stands for
}

// login takes the connection from its first byte to the point where the client
// is told that it may send statements. The result is nil after a CancelRequest.
// All of it happens within limits.login_timeout.
func (c *connection) login() (h *handover, err error) {
	ctx, cancel := context.WithTimeout(c.server.drain, c.settings.config.Limits.LoginTimeout)
	defer cancel()
	stop := interruptOnDone(ctx, c.raw)
	defer stop()
	start, err := c.negotiate(ctx)
	if err != nil || start == nil {
		return nil, err
	}
	n, limit := c.server.sessions.Add(1), int64(c.settings.config.Limits.MaxConnections)
	if n > limit {
		c.server.sessions.Add(-1)
		c.server.metrics.refused.Add(1)
		return nil, wire.TooManyConnections()
	}
	defer func() {
		if h == nil {
			c.server.sessions.Add(-1)
		}
	}()
	c.settings.upstream.spares.trim(limit - n)
	h, err = c.establish(ctx, start)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(ctx.Err(), err)
		}
		if h != nil {
			c.discard(h)
		}
		return nil, err
	}
	h.ahead = bytes.Clone(c.peer.rest())
	return h, nil
}

// discard undoes a login that came too late.
func (c *connection) discard(h *handover) {
	c.server.keys.remove(h.pid)
	if h.binding.Close != nil {
		h.binding.Close()
	}
}

// negotiate reads startup packets until the StartupMessage (PostgreSQL docs,
// section 55.2.1 and 55.2.10 to 55.2.11). The result is nil after a CancelRequest.
func (c *connection) negotiate(ctx context.Context) (*wire.Startup, error) {
	var askedTLS, askedGSS bool
	for first := true; ; first = false {
		p, err := c.peer.startup()
		if err != nil {
			return nil, err
		}
		switch p.Kind {
		case wire.DirectTLS:
			if !first {
				return nil, wire.ProtocolViolation("invalid length of startup packet")
			}
			askedTLS = true
			if err := c.directTLS(ctx); err != nil {
				return nil, err
			}
		case wire.SSLRequest:
			if askedTLS {
				return nil, wire.ProtocolViolation("second SSLRequest")
			}
			askedTLS = true
			if err := c.startTLS(ctx); err != nil {
				return nil, err
			}
		case wire.GSSENCRequest:
			if askedGSS || c.tls != nil {
				return nil, wire.ProtocolViolation("unexpected GSSENCRequest")
			}
			askedGSS = true
			if _, err := c.peer.Write([]byte{'N'}); err != nil {
				return nil, err
			}
		case wire.CancelRequest:
			c.cancel(ctx, p)
			return nil, nil
		case wire.StartupMessage:
			if p.Major != wire.ProtocolMajor {
				return nil, wire.UnsupportedProtocol(p.Major, p.Minor)
			}
			return p, nil
		default:
			return nil, wire.ProtocolViolation("unknown startup packet")
		}
	}
}

// local reports whether the client came over a Unix-domain socket, on which there is no TLS.
func (c *connection) local() bool { return c.raw.LocalAddr().Network() == "unix" }

// startTLS answers an SSLRequest.
func (c *connection) startTLS(ctx context.Context) error {
	config := c.settings.tls.config
	if config == nil || c.local() {
		_, err := c.peer.Write([]byte{'N'})
		return err
	}
	if _, err := c.peer.Write([]byte{'S'}); err != nil {
		return err
	}
	// The peer has read the request and not a byte more: what somebody put behind it in clear
	// goes into the handshake, which fails (CVE-2021-23222).
	return c.handshake(ctx, tls.Server(transport.NewSocket(c.raw), config))
}

// directTLS takes a client that begins with the handshake. It has to name the
// protocol, so that no server of another one can be made to speak to it (ALPACA; PostgreSQL docs, section 55.2.10).
func (c *connection) directTLS(ctx context.Context) error {
	config := c.settings.tls.config
	if config == nil || c.local() {
		return &tlsFailure{errors.New("direct TLS, which tls.mode or the socket does not offer")}
	}
	t := tls.Server(transport.NewSocket(&prefixed{Conn: c.raw, prefix: bytes.Clone(c.peer.rest())}), config)
	if err := c.handshake(ctx, t); err != nil {
		return err
	}
	if t.ConnectionState().NegotiatedProtocol != alpn {
		return &tlsFailure{errors.New("direct TLS without the ALPN protocol " + alpn)}
	}
	return nil
}

func (c *connection) handshake(ctx context.Context, t *tls.Conn) error {
	if err := t.HandshakeContext(ctx); err != nil {
		return &tlsFailure{err}
	}
	c.tls = t
	c.peer = peer{Conn: t, exact: true}
	return nil
}

// tlsFailure is a broken handshake: nothing can be said to the client.
type tlsFailure struct{ err error }

func (e *tlsFailure) Error() string { return "TLS handshake: " + e.err.Error() }
func (e *tlsFailure) Unwrap() error { return e.err }

// establish authenticates the client, binds it to its role and logs in to the server.
func (c *connection) establish(ctx context.Context, start *wire.Startup) (*handover, error) {
	params, err := c.identify(start)
	if err != nil {
		return nil, err
	}
	if start.Minor > wire.ProtocolMinor || len(start.Options) > 0 {
		c.peer.out = wire.AppendNegotiateProtocolVersion(c.peer.out, min(start.Minor, wire.ProtocolMinor), start.Options)
	}
	c.peer.exact = false // what the client sends from here on is its own, whoever reads it
	server := c.settings.upstream.begin(ctx, c.info.User, c.opening(params))
	defer server.drop()
	who, keys, err := c.authenticate(ctx)
	if err != nil {
		return nil, err
	}
	if e := c.server.sinkError(); e != nil {
		return nil, e
	}
	binding, err := c.settings.directory.Bind(ctx, Login{
		Session: c.info.ID, Database: c.info.Database, User: c.info.User, UpstreamUser: who.upstreamUser,
	})
	if err != nil {
		if e := wireError(err); e != nil {
			return nil, e
		}
		return nil, wire.UpstreamUnreachable(fmt.Errorf("bind the user to a role: %w", err))
	}
	if binding == nil || binding.Judge == nil || binding.Role == "" {
		return nil, wire.InternalError(errors.New("the directory returned no role"))
	}
	h := &handover{binding: binding, config: c.settings}
	c.info.Role = binding.Role
	if c.bind(binding) {
		err = c.enter(ctx, h, server, start, params, who, keys)
	} else {
		err = wire.Shutdown()
	}
	if err != nil {
		if binding.Close != nil {
			binding.Close()
		}
		return nil, err
	}
	return h, nil
}

// identify checks the StartupMessage and returns its settings, without user and database.
func (c *connection) identify(start *wire.Startup) (params []wire.Param, err error) {
	c.info.User, c.info.Database = start.Get("user"), start.Get("database")
	c.info.Application = start.Get("application_name")
	if c.info.User == "" {
		return nil, wire.ProtocolViolation("no PostgreSQL user name specified in startup packet")
	}
	if c.info.Database == "" {
		c.info.Database = c.info.User
	}
	if t := c.settings.tls; t.required() && c.tls == nil && !c.local() {
		return nil, wire.TLSRequired()
	} else if t.config != nil && t.config.ClientCAs != nil && !c.local() && !certificateNames(c.tls.ConnectionState(), c.info.User) {
		return nil, wire.CertificateRequired(c.info.User)
	}
	for _, p := range start.Params {
		switch p.Name {
		case "user", "database":
		case "replication":
			if !isFalse(p.Value) {
				return nil, wire.ReplicationRefused()
			}
		default:
			params = append(params, p)
		}
	}
	return params, nil
}

// isFalse reports whether the server would read a boolean parameter as false (PostgreSQL source, parse_bool).
func isFalse(s string) bool {
	s = strings.ToLower(s)
	return s == "0" || len(s) >= 1 && strings.HasPrefix("false", s) || len(s) >= 1 && strings.HasPrefix("no", s) ||
		len(s) >= 2 && strings.HasPrefix("off", s)
}

// authenticate runs SCRAM with the client. The keys are those that the client proved to have.
// SASLFinal stays in the output, to leave together with what follows it.
func (c *connection) authenticate(ctx context.Context) (candidate, auth.Keys, error) {
	fail := func(err error) (candidate, auth.Keys, error) { return candidate{}, auth.Keys{}, err }
	var binding []byte
	if c.tls != nil {
		binding = c.settings.tls.binding
	}
	// The client works out its answer while the verifier is looked up.
	c.peer.out = wire.AppendAuthenticationSASL(c.peer.out, auth.Mechanisms(binding)...)
	if err := c.peer.flush(); err != nil {
		return fail(err)
	}
	who, err := c.settings.find(ctx, c.info.User)
	if err != nil {
		if unreachable(err) {
			return fail(wire.UpstreamUnreachable(err))
		}
		return fail(wire.VerifierUnreadable(err))
	}
	x := auth.NewServer(who.verifier, who.doomed, binding)
	body, err := c.saslResponse()
	if err != nil {
		return fail(err)
	}
	mechanism, data, err := wire.ParseSASLInitialResponse(body)
	if err != nil {
		return fail(wire.ProtocolViolation("invalid SASLInitialResponse").WithInternal(err))
	}
	reply, err := x.First(mechanism, data)
	if err != nil {
		return fail(c.saslError(who, err))
	}
	c.peer.out = wire.AppendAuthentication(c.peer.out, wire.AuthSASLContinue, reply)
	if body, err = c.saslResponse(); err != nil {
		return fail(err)
	}
	if reply, err = x.Final(body); err != nil {
		return fail(c.saslError(who, err))
	}
	keys, ok := x.Keys()
	if !ok {
		return fail(wire.InternalError(errors.New("SCRAM succeeded without keys")))
	}
	c.peer.out = wire.AppendAuthentication(c.peer.out, wire.AuthSASLFinal, reply)
	return who, keys, nil
}

// saslResponse sends what is pending and reads the client's answer.
func (c *connection) saslResponse() ([]byte, error) {
	if err := c.peer.flush(); err != nil {
		return nil, err
	}
	typ, body, err := c.peer.message(wire.MaxSmallMessage)
	switch {
	case isNetError(err) || isEOF(err):
		return nil, err
	case err != nil:
		return nil, wire.ProtocolViolation("invalid message during authentication").WithInternal(err)
	case typ != wire.Password:
		return nil, wire.ProtocolViolation("expected SASL response")
	}
	return body, nil
}

func (c *connection) saslError(who candidate, err error) error {
	var e *auth.Error
	if errors.As(err, &e) {
		w := wire.ProtocolViolation(e.Message)
		w.Code, w.Detail = e.Code, e.Detail
		return w
	}
	why := who.problem
	if why == "" {
		why = "the password is wrong"
	}
	return wire.PasswordFailed(c.info.User).WithInternal(errors.New(why))
}

// startupParams are the contents of the StartupMessage to the server.
func (c *connection) startupParams(user string, params []wire.Param) []wire.Param {
	if c.settings.upstream.addHost {
		params = addHost(params, c.info.Client)
	}
	return append([]wire.Param{{Name: "user", Value: user}, {Name: "database", Value: c.info.Database}}, params...)
}

// opening is what the StartupMessage will be whatever the client's role: with it the login to the server begins
// while the client proves who it is. It is nil when that depends on the role.
func (c *connection) opening(params []wire.Param) []wire.Param {
	masked, err := maskedSettings(params)
	if err != nil || !sameSettings(masked, params) || !utf8.ValidString(c.info.User) {
		return nil
	}
	return c.startupParams(c.settings.accounts.upstreamUser(c.info.User), masked)
}

// enter logs in to the server and tells the client that it is in.
func (c *connection) enter(ctx context.Context, h *handover, server *dialling, start *wire.Startup, params []wire.Param, who candidate, keys auth.Keys) (err error) {
	if !h.binding.Clear {
		if params, err = maskedSettings(params); err != nil {
			return err
		}
	}
	credentials := auth.Credentials{Password: who.password}
	if who.password == "" {
		credentials.Keys = &keys
	}
	up, err := c.settings.upstream.login(ctx, server, &request{
		user: c.info.User, account: who.upstreamUser, params: c.startupParams(who.upstreamUser, params),
		credentials: credentials, hasPassword: who.password != "", catalog: h.binding.CatalogVersion,
	})
	if err != nil {
		return c.upstreamError(h, who, err)
	}
	c.owns(up.conn)
	h.client, h.upstream, h.info = c.peer.Conn, up, c.info

	length := cancelKeyShort
	if start.Minor >= 2 {
		length = cancelKeyLong
	}
	h.target = &cancelTarget{upstream: c.settings.upstream, pid: up.pid, key: up.key, session: c.info}
	pid, key := c.server.keys.add(length, h.target)
	h.pid = pid
	r := c.info.record(audit.EventLogin)
	c.server.audit.Append(&r, nil)
	out := wire.AppendAuthentication(c.peer.out, wire.AuthOK, nil)
	if h.binding.Clear {
		out = append(out, up.greeting...)
	} else {
		// Nobody can say for whom a login trigger's notice was meant.
		for _, p := range up.status {
			if session.Reported(p.Name) {
				out = wire.AppendParameterStatus(out, p.Name, p.Value)
			}
		}
	}
	if up.serves == "" {
		up.greeting = nil
	}
	out = wire.AppendBackendKeyData(out, pid, key)
	c.peer.out = wire.AppendReadyForQuery(out, 'I')
	if err := c.peer.flush(); err != nil {
		c.server.keys.remove(pid)
		return err
	}
	c.server.metrics.logins.Add(1)
	c.server.log.Info("login", "session", &c.info, "role", c.info.Role)
	return nil
}

// upstreamError is what the client gets to see of a failed login to the server:
// the server's own words, but to a masked role only where they are its own
// and not those of a login trigger. That a mapped account's login fails is the
// operator's business: the client does not know that account.
func (c *connection) upstreamError(h *handover, who candidate, err error) error {
	e := wireError(err)
	if e == nil || e.Name != "" {
		return err
	}
	if who.mapped && strings.HasPrefix(e.Code, "28") {
		return wire.UpstreamUnreachable(fmt.Errorf("login of the account that the user is mapped to: %w", e))
	}
	if h.binding.Clear {
		return err
	}
	if len(e.Code) == 5 && slices.Contains(loginErrorClasses, e.Code[:2]) || e.Code == "42501" || e.Code == "42704" || e.Code == "22023" {
		return err
	}
	w := wire.UpstreamUnreachable(fmt.Errorf("the server refused the login with SQLSTATE %s", e.Code))
	w.Code = e.Code
	return w
}

// loginErrorClasses are the SQLSTATE classes of the server's own refusals of a
// login: authorization, catalog name, resources, operator intervention, object state.
var loginErrorClasses = []string{"08", "28", "3D", "53", "55", "57"}

// cancel carries a CancelRequest out. The client gets no answer, whatever happens.
func (c *connection) cancel(ctx context.Context, p *wire.Startup) {
	t := c.server.keys.find(p.PID, p.Key)
	if t == nil {
		c.server.metrics.badCancels.Add(1)
		c.server.log.Info("cancel request with a wrong key", "client", c.info.Client)
		return
	}
	c.server.metrics.cancels.Add(1)
	r := t.session.record(audit.EventCancel)
	r.Client = c.info.Client
	err := t.upstream.cancel(ctx, t.pid, t.key)
	if err != nil {
		r.Reason = "the request did not reach the server"
		c.server.log.Warn("cancel request not delivered", "session", &t.session, "error", err)
	}
	c.server.audit.Append(&r, nil)
}
