// Command soak runs many sessions of all kinds through one pgveil for a long time, while clients disappear in the
// middle of rows and the server is killed and started again. It looks for protected values in every byte that
// masked sessions get, for sessions that are stuck, and for memory, files, threads and goroutines that grow. It
// starts everything itself, on 127.0.0.1, and removes it again. It exits with 1 when it found something.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	duration time.Duration
	sessions int
	restart  time.Duration // between two ends of the server; 0: never
	pause    time.Duration // mean time that a client thinks
	patients int           // of the clinic
	stuck    time.Duration // a reply that takes longer is missing
	seed     uint64
	binary   string
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", 2*time.Minute, "how long")
	flag.IntVar(&o.sessions, "sessions", 200, "sessions at one time")
	flag.DurationVar(&o.restart, "restart", 3*time.Minute, "time between two ends of the server; 0 for none")
	flag.DurationVar(&o.pause, "pause", 300*time.Millisecond, "mean time that a client thinks between two statements")
	flag.IntVar(&o.patients, "patients", 500, "size of the clinic")
	flag.DurationVar(&o.stuck, "stuck", 2*time.Minute, "a session whose next reply takes longer is stuck")
	flag.Uint64Var(&o.seed, "seed", 1, "of the clients' choices")
	flag.StringVar(&o.binary, "binary", "", "a pgveil `program` to try; without it one is built from this tree")
	flag.Parse()
	if o.duration <= 0 || o.sessions < 1 || o.patients < 1 || o.stuck <= 0 || o.pause < 0 || o.restart < 0 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "soak: -duration, -sessions, -patients and -stuck must be positive, and there are no arguments")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) (err error) {
	st, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.close()) }()
	fmt.Printf("PostgreSQL %d, %d sessions for %v, the server ends every %v\n", st.server.Version(), o.sessions, o.duration, o.restart)
	w := &watch{stage: st}
	before, err := w.sample(0)
	if err != nil {
		return err
	}
	fmt.Println("idle:   ", before)

	crowd := newCrowd(st)
	crowd.start(ctx)
	w.run(ctx, crowd)
	crowd.end()
	// Whoever is still at work now has a bounded time left: every reply has.
	if !crowd.wait(2*o.stuck + 30*time.Second) {
		crowd.fail("clients do not come to their end")
	}
	after, err := w.settle(ctx, before)
	if err != nil {
		crowd.fail(err.Error())
	}
	fmt.Println("after:  ", after)
	w.judge(crowd)
	if err := st.stop(); err != nil {
		crowd.fail(err.Error())
	}
	return crowd.report()
}
