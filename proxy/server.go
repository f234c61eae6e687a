package proxy

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pgveil/audit"
	"pgveil/config"
	"pgveil/proxy/transport"
	"pgveil/wire"
)

// lastWords is how long sessions that are cut off have to tell their clients.
const lastWords = time.Second

// Deps is what a Server works with.
type Deps struct {
	Directory Directory
	Audit     AuditSink
	Log       *slog.Logger
}

// Server is a running proxy. Make one with New.
type Server struct {
	audit    AuditSink
	log      *slog.Logger
	secret   []byte // behind invented verifiers, when no file of the configuration gives one
	carrying transport.Deps

	settings atomic.Pointer[settings] // replaced as a whole by Reload
	keys     cancelKeys
	metrics  metrics
	lastID   atomic.Uint64
	open     atomic.Int64 // accepted connections
	sessions atomic.Int64 // connections past their startup packet

	drain   context.Context // ends when the shutdown begins: logins stop, sessions end when idle
	stop    context.CancelFunc
	running sync.WaitGroup // accept loops and connections

	mu        sync.Mutex
	started   bool
	stopping  bool
	listeners []net.Listener
	monitor   *monitor
	conns     map[*connection]struct{}
}

// settings is what follows from one configuration.
type settings struct {
	config    *config.Config
	directory Directory
	tls       *clientTLS
	upstream  *upstream
	verifiers *verifierSource
	accounts  *accounts
}

// New prepares a server. It reads the certificates, but neither listens nor connects yet.
func New(c *config.Config, d Deps) (*Server, error) {
	if d.Directory == nil || d.Audit == nil || d.Log == nil {
		return nil, errors.New("proxy: directory, audit log and logger are all needed")
	}
	secret := make([]byte, 32)
	rand.Read(secret)
	set, err := newSettings(c, d.Directory, secret)
	if err != nil {
		return nil, err
	}
	s := &Server{
		secret: secret,
		audit:  d.Audit,
		log:    d.Log,
		conns:  make(map[*connection]struct{}),
	}
	s.carrying = s.surroundings(c)
	s.drain, s.stop = context.WithCancel(context.Background())
	s.settings.Store(set)
	// Numbers of sessions do not repeat after a restart, and fit the 53 bits that JSON readers keep.
	s.lastID.Store(uint64(time.Now().Unix()) << 20)
	return s, nil
}

func newSettings(c *config.Config, d Directory, secret []byte) (*settings, error) {
	if !c.Valid() {
		return nil, errors.New("proxy: the configuration was not made by config.Load")
	}
	set := &settings{config: c, directory: d}
	var err error
	if set.tls, err = loadClientTLS(c.TLS); err != nil {
		return nil, err
	}
	if set.upstream, err = newUpstream(c.Upstream); err != nil {
		return nil, err
	}
	if set.accounts, err = newAccounts(c, secret); err != nil {
		return nil, err
	}
	if set.verifiers, err = newVerifierSource(c); err != nil {
		return nil, err
	}
	return set, nil
}

// Listen opens the configured addresses; Serve does it otherwise.
func (s *Server) Listen() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.started {
		return nil
	}
	kind, lacking := transport.Kind()
	if kind == "" {
		return lacking
	}
	if err := s.openListeners(s.settings.Load().config); err != nil {
		return err
	}
	s.started = true
	if s.log.Info("transport", "kind", kind); lacking != nil {
		s.log.Info("a faster transport cannot be had", "reason", lacking)
	}
	for _, l := range s.listeners {
		s.log.Info("listening", "address", l.Addr().String())
		s.running.Go(func() { s.accept(l) })
	}
	if s.monitor != nil {
		s.log.Info("metrics", "address", s.monitor.listener.Addr().String())
		s.monitor.start()
	}
	return nil
}

// Serve accepts clients until ctx ends, then shuts down as Shutdown does,
// within limits.shutdown_timeout; or until Shutdown is called.
func (s *Server) Serve(ctx context.Context) error {
	if err := s.Listen(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.settings.Load().config.Limits.ShutdownTimeout)
		defer cancel()
		if err := s.Shutdown(limit); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	case <-s.drain.Done():
		s.running.Wait()
	}
	return nil
}

// Addrs returns the addresses that clients can connect to.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []net.Addr
	for _, l := range s.listeners {
		out = append(out, l.Addr())
	}
	return out
}

// Reload puts a new configuration in force for new connections; present ones
// keep theirs, but end when their binding says that it does not hold any more.
// Listening addresses and the audit log stay as they are until the next start. On
// an error nothing has changed.
func (s *Server) Reload(c *config.Config, d Directory) error {
	err := s.reload(c, d)
	r := audit.Record{Event: audit.EventReload, Reason: "applied"}
	if err != nil {
		r.Reason = "refused: " + err.Error()
	}
	s.audit.Append(&r, nil)
	s.metrics.reload(err == nil)
	return err
}

func (s *Server) reload(c *config.Config, d Directory) error {
	if d == nil {
		return errors.New("proxy: a directory is needed")
	}
	set, err := newSettings(c, d, s.secret)
	if err != nil {
		return err
	}
	s.mu.Lock()
	if s.stopping {
		s.mu.Unlock()
		set.verifiers.close()
		return errors.New("proxy: shutting down")
	}
	old := s.settings.Swap(set)
	s.mu.Unlock()
	old.verifiers.close()
	old.upstream.spares.close()
	s.each((*connection).revokeInvalid)
	for name, changed := range map[string]bool{
		"listen":  !slices.Equal(old.config.Listen, c.Listen),
		"metrics": old.config.Metrics != c.Metrics,
		"audit":   old.config.Audit != c.Audit,
	} {
		if changed {
			s.log.Warn("a changed setting takes effect at the next start", "setting", name)
		}
	}
	return nil
}

// Shutdown stops listening, ends logins, and ends each session when it is idle.
// When ctx ends first, the sessions left are cut off and ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	first := !s.stopping
	s.stopping = true
	s.closeListeners()
	s.mu.Unlock()
	if first {
		s.log.Info("shutting down", "sessions", s.sessions.Load())
	}
	s.stop()
	s.settings.Load().upstream.spares.close()
	if first {
		s.each((*connection).drain)
	}
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.log.Warn("sessions are cut off at the end of the shutdown's time", "connections", s.each((*connection).terminate))
		select {
		case <-done:
		case <-time.After(lastWords):
			s.each((*connection).cut)
			<-done
		}
	}
	if first {
		s.settings.Load().verifiers.close()
		s.mu.Lock()
		if s.monitor != nil {
			s.monitor.close()
		}
		s.mu.Unlock()
		s.audit.Append(&audit.Record{Event: audit.EventShutdown}, nil)
	}
	return err
}

// each does something to every connection and returns their number.
func (s *Server) each(do func(*connection)) int {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		do(c)
	}
	return len(conns)
}

// sinkError is the error of a broken audit log as clients see it, nil when it works.
func (s *Server) sinkError() *wire.Error {
	if err := s.audit.Err(); err != nil {
		return wire.AuditUnavailable(err).AsFatal()
	}
	return nil
}
