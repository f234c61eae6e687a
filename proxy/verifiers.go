package proxy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/config"
	"pgveil/proxy/auth"
)

const (
	// verifierQuery finds the verifier of a user who may log in now. It is fully
	// qualified, and the comparison is of text: a longer name is not cut to a role's.
	verifierQuery = `SELECT a.rolname::pg_catalog.text, a.rolpassword
FROM pg_catalog.pg_authid AS a
WHERE a.rolname::pg_catalog.text OPERATOR(pg_catalog.=) $1::pg_catalog.text AND a.rolcanlogin
AND (a.rolvaliduntil IS NULL OR a.rolvaliduntil OPERATOR(pg_catalog.>) pg_catalog.now())`

	// iterationsQuery reads how many iterations the server gives new verifiers (a setting since PostgreSQL 16).
	iterationsQuery = `SELECT pg_catalog.current_setting('scram_iterations', true)`

	// verifierConns bounds the connections that read verifiers; logins beyond them wait.
	verifierConns = 4
	// verifierTimeout bounds one lookup, waiting and connecting included.
	verifierTimeout = 5 * time.Second
	// verifierIdle is how long an unused connection is kept; the next login closes it then.
	verifierIdle = time.Minute
)

// verifierSource reads SCRAM verifiers from the server as the catalog account.
type verifierSource struct {
	config *pgconn.Config
	query  string
	slots  chan struct{} // one token a connection in use

	mu     sync.Mutex
	idle   []idleConn // the most recently used last
	closed bool
}

type idleConn struct {
	*verifierConn
	since time.Time
}

type verifierConn struct {
	*pgconn.PgConn
	iterations int
}

func newVerifierSource(c *config.Config) (*verifierSource, error) {
	p, err := CatalogConfig(c, c.Auth.Database)
	if err != nil {
		return nil, err
	}
	query := c.Auth.Query
	if query == "" {
		query = verifierQuery
	}
	return &verifierSource{config: &p.Config, query: query, slots: make(chan struct{}, verifierConns)}, nil
}

// stored is what the server knows of a user.
type stored struct {
	verifier   auth.Verifier
	problem    string // for the log: why there is no verifier; "" when there is one
	iterations int    // of the server's new verifiers
}

// lookup reads a user's verifier. An error means that it could not be read; a user
// who may not log in is no error.
func (s *verifierSource) lookup(ctx context.Context, user string) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, verifierTimeout)
	defer cancel()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return stored{}, fmt.Errorf("read the verifier: no connection became free: %w", ctx.Err())
	}
	for {
		c, reused, err := s.connection(ctx)
		if err != nil {
			return stored{}, fmt.Errorf("connect as the catalog account: %w", err)
		}
		got, err := s.read(ctx, c, user)
		if err == nil {
			s.release(c)
			return got, nil
		}
		closeConn(c)
		var server *pgconn.PgError
		if reused && !errors.As(err, &server) && ctx.Err() == nil {
			continue // the server may have closed it while it was idle
		}
		if errors.As(err, &server) && server.Code == "42501" && s.query == verifierQuery {
			return stored{}, fmt.Errorf("the catalog account may not read pg_authid: grant it that, or set auth.query to a function that returns verifiers: %w", err)
		}
		return stored{}, fmt.Errorf("read the verifier: %w", err)
	}
}

// unreachable reports whether a lookup failed because the server cannot be reached or
// is not ready, and not for something that the operator has to mend.
func unreachable(err error) bool {
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return len(server.Code) == 5 && slices.Contains([]string{"08", "53", "57"}, server.Code[:2])
	}
	return errors.As(err, new(*pgconn.ConnectError)) || isNetError(err) || isEOF(err) || errors.Is(err, context.Canceled)
}

// connection returns an idle connection or a new one.
func (s *verifierSource) connection(ctx context.Context) (c *verifierConn, reused bool, err error) {
	s.mu.Lock()
	fresh := slices.IndexFunc(s.idle, func(i idleConn) bool { return time.Since(i.since) < verifierIdle })
	if fresh < 0 {
		fresh = len(s.idle)
	}
	old := slices.Clone(s.idle[:fresh])
	s.idle = slices.Delete(s.idle, 0, fresh)
	if n := len(s.idle); n > 0 {
		c = s.idle[n-1].verifierConn
		s.idle = s.idle[:n-1]
	}
	s.mu.Unlock()
	for _, o := range old {
		go closeConn(o.verifierConn)
	}
	if c != nil {
		return c, true, nil
	}
	p, err := pgconn.ConnectConfig(ctx, s.config)
	if err != nil {
		return nil, false, err
	}
	c = &verifierConn{PgConn: p, iterations: auth.DefaultIterations}
	// Invented verifiers must have the count that real ones have.
	r := p.ExecParams(ctx, iterationsQuery, nil, nil, nil, nil).Read()
	if r.Err != nil {
		closeConn(c)
		return nil, false, r.Err
	}
	if len(r.Rows) == 1 && r.Rows[0][0] != nil {
		if c.iterations, err = strconv.Atoi(string(r.Rows[0][0])); err != nil {
			closeConn(c)
			return nil, false, fmt.Errorf("scram_iterations: %w", err)
		}
	}
	return c, false, nil
}

func (s *verifierSource) read(ctx context.Context, c *verifierConn, user string) (stored, error) {
	// A context that can end would cost a goroutine, with its changes of threads.
	var r *pgconn.Result
	err := interruptible(ctx, c.Conn(), func() error {
		r = c.ExecParams(context.Background(), s.query, [][]byte{[]byte(user)}, nil, nil, nil).Read()
		return r.Err
	})
	if err != nil {
		return stored{}, err
	}
	got := stored{iterations: c.iterations}
	if len(r.Rows) == 0 {
		got.problem = "no such user, or one that may not log in"
		return got, nil
	}
	row := r.Rows[0]
	switch {
	case len(r.Rows) > 1:
		return stored{}, errors.New("auth.query returned more than one row")
	case len(row) != 2:
		return stored{}, fmt.Errorf("auth.query returned %d columns, not the user's name and its verifier", len(row))
	case row[0] == nil:
		got.problem = "no such user, or one that may not log in"
		return got, nil
	case string(row[0]) != user:
		return stored{}, errors.New("auth.query returned another user than it was asked for")
	case row[1] == nil:
		got.problem = "the user has no password"
		return got, nil
	}
	v, err := auth.ParseVerifier(string(row[1]))
	if err != nil {
		got.problem = "the stored password is " + err.Error()
		return got, nil
	}
	got.verifier = v
	return got, nil
}

func (s *verifierSource) release(c *verifierConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		go closeConn(c)
		return
	}
	s.idle = append(s.idle, idleConn{c, time.Now()})
}

// close ends the idle connections; those in use end when they are released.
func (s *verifierSource) close() {
	s.mu.Lock()
	idle := s.idle
	s.idle, s.closed = nil, true
	s.mu.Unlock()
	for _, c := range idle {
		closeConn(c.verifierConn)
	}
}

func closeConn(c *verifierConn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c.Close(ctx)
}
