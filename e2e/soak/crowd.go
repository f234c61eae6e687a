package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// crowd is all clients, and what they have seen.
type crowd struct {
	*stage
	over                                        atomic.Bool
	clients                                     sync.WaitGroup
	open, logins, statements, bytes, interrupts atomic.Int64

	mu       sync.Mutex
	states   map[string]int // SQLSTATEs
	failures []string
}

func newCrowd(s *stage) *crowd { return &crowd{stage: s, states: map[string]int{}} }

// start begins all clients. Each comes and goes until end.
func (c *crowd) start(ctx context.Context) {
	for i := range c.sessions {
		r := rand.New(rand.NewPCG(c.seed, uint64(i)))
		c.clients.Go(func() {
			for !c.over.Load() && ctx.Err() == nil {
				c.visit(r)
				c.think(r)
			}
		})
	}
}

func (c *crowd) end() { c.over.Store(true) }

// wait waits for the end of all clients, for so long at most.
func (c *crowd) wait(limit time.Duration) bool {
	done := make(chan struct{})
	go func() {
		c.clients.Wait()
		close(done)
	}()
	select {
	case <-done:
		return true
	case <-time.After(limit):
		return false
	}
}

// visit is one session, from its login to its end.
func (c *crowd) visit(r *rand.Rand) {
	user := clinic.Developer
	if r.IntN(5) == 0 {
		user = clinic.Clinician
	}
	if r.IntN(40) == 0 {
		user.Password = "wrong"
	}
	cl, err := c.connect(r, user)
	if err != nil {
		var e *pgconn.PgError
		if errors.As(err, &e) {
			c.saw(e.Code, e.Severity, e.Message, "login")
		}
		return
	}
	c.logins.Add(1)
	c.open.Add(1)
	defer c.open.Add(-1)
	defer cl.conn.Close()
	for range 5 + r.IntN(60) {
		if c.over.Load() {
			break
		}
		kind := kinds[r.IntN(len(kinds))]
		if err := kind(cl); err != nil {
			c.interrupts.Add(1)
			return // the server was killed, or the client itself has gone
		}
		if cl.status != 'I' {
			if err := cl.query("ROLLBACK"); err != nil {
				return
			}
		}
		c.think(r)
	}
	cl.leave()
}

func (c *crowd) think(r *rand.Rand) {
	time.Sleep(time.Duration(float64(c.pause) * min(r.ExpFloat64(), 10)))
}

// expected are the SQLSTATEs that belong to what the clients do, and to a server that is killed.
var expected = map[string]bool{
	"42501": true, "25P02": true, "22012": true, "42601": true, "42P01": true, "42703": true, "34000": true, "26000": true, "42P05": true,
	"22P02": true, "57014": true, "57P01": true, "57P02": true, "57P03": true, "08006": true, "08001": true, "28P01": true, "40P01": true,
	"42883": true, "24000": true, "25P01": true, "0A000": true, "53300": true, "55P03": true, "22004": true,
	// Nothing can be decided while the catalog cannot be read: the server is down.
	"58000": true,
}

// saw takes an error of the server or of pgveil.
func (c *crowd) saw(code, severity, message, after string) {
	c.mu.Lock()
	c.states[code]++
	c.mu.Unlock()
	if !expected[code] {
		c.fail(fmt.Sprintf("unexpected %s %s %q after %q", severity, code, message, after))
	}
}

// fail notes what should not be.
func (c *crowd) fail(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failures) < 100 && !slices.Contains(c.failures, what) {
		c.failures = append(c.failures, what)
		fmt.Println("FAIL:", what)
	}
}

// report is the end: an error when something failed.
func (c *crowd) report() error {
	if d := c.log.defects(); d != "" {
		c.fail("pgveil's log tells of a panic: " + d)
	}
	var states []string
	for _, code := range slices.Sorted(maps.Keys(c.states)) {
		states = append(states, fmt.Sprintf("%s %d", code, c.states[code]))
	}
	fmt.Printf("%d logins, %d statements, %d MB received, %d sessions cut short\nSQLSTATEs: %s\n",
		c.logins.Load(), c.statements.Load(), c.bytes.Load()>>20, c.interrupts.Load(), strings.Join(states, ", "))
	if c.statements.Load() < int64(c.sessions) || c.logins.Load() < int64(c.sessions) {
		c.fail("next to nothing was done")
	}
	if len(c.failures) > 0 {
		return fmt.Errorf("%d findings", len(c.failures))
	}
	fmt.Println("no leak, nothing stuck, nothing grew")
	return nil
}
