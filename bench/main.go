// Command bench compares whole systems in one run: PostgreSQL reached directly, through
// pgbouncer, and through pgveil as a role that sees everything and as one that sees
// half of a table masked. It starts everything itself and removes it again.
//
// Every workload is run by each target in turn, in several rounds whose order rotates;
// a ratio is the median over the rounds of one target's figure to another's of the same
// round, so that what disturbs the machine disturbs both.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	duration time.Duration // of a sample
	rounds   int
	rows     int            // in each wide table
	idle     int            // sessions of the memory figure
	only     *regexp.Regexp // workloads to run
	profiles string         // folder for CPU profiles; "" = none
	binary   string         // a pgveil to measure in place of one built from this tree
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", time.Second, "length of a sample")
	flag.IntVar(&o.rounds, "rounds", 3, "rounds; a figure is the median over them")
	flag.IntVar(&o.rows, "rows", 200_000, "rows of the wide tables")
	flag.IntVar(&o.idle, "idle", 200, "sessions of the memory figure")
	only := flag.String("run", "", "`regexp` of the workloads to run")
	flag.StringVar(&o.profiles, "profiles", "", "`folder` to write a CPU profile of pgveil to for each workload and role")
	flag.StringVar(&o.binary, "binary", "", "a pgveil `program` to measure; without it one is built from this tree")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err != nil {
		fail(err)
	}
	if o.rounds < 1 || o.rows < 1 || o.idle < 1 || o.duration <= 0 || flag.NArg() > 0 {
		fail(fmt.Errorf("-duration, -rounds, -rows and -idle must be positive, and there are no arguments"))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

func run(ctx context.Context, o options) (err error) {
	stage := &stage{options: o}
	defer func() {
		if e := stage.close(); err == nil {
			err = e
		}
	}()
	if err := stage.open(ctx); err != nil {
		return err
	}
	fmt.Printf("PostgreSQL %d, %s, %d processors; %d rounds of %v, %d rows; audit durability async unless the workload says otherwise\n\n",
		stage.server.Version(), runtime.Version(), runtime.NumCPU(), o.rounds, o.duration, o.rows)
	if o.only.MatchString(idleWorkload) {
		// First: later the processes keep what the workloads made them take.
		if err := stage.printMemory(ctx, os.Stdout); err != nil {
			return err
		}
	}
	var done []*outcome
	for _, w := range workloads {
		if !o.only.MatchString(w.name) {
			continue
		}
		out, err := stage.measure(ctx, w)
		if err != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, out.progress())
		done = append(done, out)
	}
	printTable(os.Stdout, stage, done)
	return nil
}
