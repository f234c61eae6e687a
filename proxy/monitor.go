package proxy

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"sort"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pgveil/audit"
	"pgveil/config"
	"pgveil/wire"
)

// metrics counts what /metrics shows. All of it is since the start.
type metrics struct {
	logins       atomic.Int64
	refused      atomic.Int64 // over max_connections
	cancels      atomic.Int64
	badCancels   atomic.Int64
	acceptErrors atomic.Int64
	panics       atomic.Int64
	reloadsOK    atomic.Int64
	reloadsBad   atomic.Int64
	auditErrors  atomic.Int64 // logins and sessions that ended because nothing could be recorded
	passed       atomic.Int64 // statements by verdict
	masked       atomic.Int64
	refusals     atomic.Int64
	undecided    atomic.Int64
	rows         atomic.Int64
	bytes        atomic.Int64 // of results, as sent to clients
	received     atomic.Int64 // bytes of sessions from clients
	returned     atomic.Int64 // bytes of sessions from the server

	mu     sync.Mutex
	failed map[string]int64 // failed logins by SQLSTATE
	errors map[string]int64 // failed or refused statements by SQLSTATE
}

// meteredSink counts what it passes on to the audit log.
type meteredSink struct {
	AuditSink
	metrics *metrics
}

// Append counts the record and passes it on.
func (s *meteredSink) Append(r *audit.Record, done func(error)) {
	s.metrics.record(r)
	s.AuditSink.Append(r, done)
}

func (m *metrics) record(r *audit.Record) {
	switch r.Event {
	case audit.EventStatement, audit.EventRefusal:
		switch r.Verdict {
		case "pass":
			m.passed.Add(1)
		case "mask":
			m.masked.Add(1)
		case "refuse":
			m.refusals.Add(1)
		default:
			m.undecided.Add(1)
		}
	case audit.EventStatementEnd:
	default:
		return
	}
	m.rows.Add(r.Rows)
	m.bytes.Add(r.Bytes)
	if r.SQLState != "" && r.SQLState != "00000" {
		m.count(&m.errors, r.SQLState)
	}
}

// maxLabels bounds the label values of a metric: a server can invent SQLSTATEs.
const maxLabels = 200

func (m *metrics) count(labels *map[string]int64, label string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if *labels == nil {
		*labels = make(map[string]int64)
	}
	if _, ok := (*labels)[label]; !ok && len(*labels) >= maxLabels {
		label = "other"
	}
	(*labels)[label]++
}

func (m *metrics) failedLogin(sqlstate string) { m.count(&m.failed, sqlstate) }

// ended counts what ended a login or a session.
func (m *metrics) ended(e *wire.Error) {
	switch e.Name {
	case wire.AuditUnavailable(nil).Name:
		m.auditErrors.Add(1)
	case wire.InternalError(nil).Name:
		m.panics.Add(1)
	}
}

func (m *metrics) reload(ok bool) {
	if ok {
		m.reloadsOK.Add(1)
	} else {
		m.reloadsBad.Add(1)
	}
}

// write prints the metrics in Prometheus' text format, version 0.0.4.
func (m *metrics) write(w io.Writer, connections, sessions int64, p *spares, auditUp bool) {
	one := func(name, kind, help string, value int64) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", name, help, name, kind, name, value)
	}
	many := func(name, help, label string, values map[string]int64) {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s counter\n", name, help, name)
		keys := make([]string, 0, len(values))
		for k := range values {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			fmt.Fprintf(w, "%s{%s=\"%s\"} %d\n", name, label, labelEscaper.Replace(k), values[k])
		}
	}
	up := int64(0)
	if auditUp {
		up = 1
	}
	one("pgveil_connections", "gauge", "Open client connections.", connections)
	one("pgveil_sessions", "gauge", "Client connections past their startup packet.", sessions)
	one("pgveil_server_spares", "gauge", "Server sessions that wait for the next login.", p.len())
	one("pgveil_server_spares_used_total", "counter", "Logins that took one over, since the configuration was loaded.", p.reused.Load())
	one("pgveil_logins_total", "counter", "Successful logins.", m.logins.Load())
	one("pgveil_connections_refused_total", "counter", "Connections over limits.max_connections.", m.refused.Load())
	one("pgveil_cancels_total", "counter", "Cancel requests forwarded.", m.cancels.Load())
	one("pgveil_cancels_rejected_total", "counter", "Cancel requests whose key was wrong.", m.badCancels.Load())
	one("pgveil_accept_errors_total", "counter", "Failed accepts.", m.acceptErrors.Load())
	one("pgveil_panics_total", "counter", "Logins and sessions ended by a defect.", m.panics.Load())
	one("pgveil_audit_up", "gauge", "1 while audit records can be written.", up)
	one("pgveil_audit_errors_total", "counter", "Logins and sessions ended because nothing could be recorded.", m.auditErrors.Load())
	one("pgveil_rows_total", "counter", "Rows sent to clients.", m.rows.Load())
	one("pgveil_result_bytes_total", "counter", "Bytes of results sent to clients.", m.bytes.Load())
	one("pgveil_client_received_bytes_total", "counter", "Bytes received from clients in sessions.", m.received.Load())
	one("pgveil_server_received_bytes_total", "counter", "Bytes received from the server in sessions.", m.returned.Load())
	m.mu.Lock()
	defer m.mu.Unlock()
	many("pgveil_statements_total", "Statements by verdict.", "verdict", map[string]int64{
		"pass": m.passed.Load(), "mask": m.masked.Load(), "refuse": m.refusals.Load(), "undecided": m.undecided.Load()})
	many("pgveil_statement_errors_total", "Failed and refused statements by SQLSTATE.", "sqlstate", m.errors)
	many("pgveil_logins_failed_total", "Failed logins by SQLSTATE.", "sqlstate", m.failed)
	many("pgveil_reloads_total", "Configuration reloads by result.", "result",
		map[string]int64{"applied": m.reloadsOK.Load(), "refused": m.reloadsBad.Load()})
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// monitor serves /metrics, /healthz, /readyz and, when configured, /debug/pprof/.
type monitor struct {
	listener net.Listener
	http     *http.Server
}

func newMonitor(s *Server, c config.Metrics) (*monitor, error) {
	l, err := net.Listen(c.Listen.Network(), c.Listen.String())
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.metrics.write(w, s.open.Load(), s.sessions.Load(), &s.settings.Load().upstream.spares, s.audit.Err() == nil)
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, "ok\n")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if reason := s.unready(r.Context()); reason != "" {
			http.Error(w, reason, http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
	})
	limit := 10 * time.Second
	if c.Profiles {
		limit = 10 * time.Minute // a profile is written when its time is over
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return &monitor{listener: l, http: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second,
		WriteTimeout: limit, IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}}, nil
}

func (m *monitor) start() { go m.http.Serve(m.listener) }

func (m *monitor) close() { m.http.Close() }

// unready says why clients would not be served now, "" when they would.
func (s *Server) unready(ctx context.Context) string {
	if s.drain.Err() != nil {
		return "shutting down"
	}
	if s.audit.Err() != nil {
		return "the audit log cannot be written"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	// A connection that sends nothing leaves no line in the server's log.
	var d net.Dialer
	a := s.settings.Load().upstream.address
	c, err := d.DialContext(ctx, a.Network(), a.String())
	if err != nil {
		return "the database server cannot be reached"
	}
	c.Close()
	return ""
}
