package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"pgveil/wire"
)

// outcome is what all targets did in one workload.
type outcome struct {
	workload workload
	targets  []*target
	samples  map[*target][]sample
	cpu      map[*target]float64 // processor seconds, all rounds; absent when not known
}

// measure runs a workload on every target, in interleaved rounds.
func (s *stage) measure(ctx context.Context, w workload) (*outcome, error) {
	o := &outcome{workload: w, targets: slices.Clone(s.targets), samples: map[*target][]sample{}, cpu: map[*target]float64{}}
	if w.synced {
		o.targets = append(o.targets, s.synced)
	}
	for round := range s.options.rounds {
		for i := range o.targets {
			t := o.targets[(i+round)%len(o.targets)]
			if round == s.options.rounds-1 {
				s.recordProfile(t, w.name, max(1, int(s.options.duration/time.Second)))
			}
			before, known := processorTime(t.pid)
			x, err := w.run(ctx, s, t)
			if err != nil {
				return nil, fmt.Errorf("%s, %s: %w", w.name, t.name, err)
			}
			if after, ok := processorTime(t.pid); ok && known {
				o.cpu[t] += after - before
			}
			o.samples[t] = append(o.samples[t], x)
		}
	}
	return o, nil
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func (o *outcome) figure(t *target) float64 {
	var v []float64
	for _, x := range o.samples[t] {
		v = append(v, x.figure)
	}
	return median(v)
}

// ratio is t's to base's, over 1 when t is better; NaN without a base.
func (o *outcome) ratio(t, base *target) float64 {
	var v []float64
	for i, x := range o.samples[t] {
		if b := o.samples[base]; i < len(b) {
			r := x.figure / b[i].figure
			if o.workload.lower {
				r = 1 / r
			}
			v = append(v, r)
		}
	}
	return median(v)
}

// processor is the target's processor time per unit of work, in microseconds.
func (o *outcome) processor(t *target) float64 {
	cpu, ok := o.cpu[t]
	if !ok {
		return math.NaN()
	}
	var n float64
	for _, x := range o.samples[t] {
		n += x.times
	}
	return cpu * 1e6 / n
}

func (o *outcome) progress() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-26s", o.workload.name)
	for _, t := range o.targets {
		fmt.Fprintf(&b, "  %s %s", t.name, number(o.figure(t)))
	}
	return b.String()
}

// number prints three digits, "-" for what is not known.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

// printTable prints the comparison as a Markdown table.
func printTable(w io.Writer, s *stage, outcomes []*outcome) {
	if len(outcomes) == 0 {
		return
	}
	direct := s.targets[0]
	var bouncer *target
	for _, t := range s.targets {
		if t.name == "pgbouncer" {
			bouncer = t
		}
	}
	fmt.Fprintln(w, "| workload | target | figure | to direct | to pgbouncer | proxy's processor time |")
	fmt.Fprintln(w, "| --- | --- | --- | --- | --- | --- |")
	for _, o := range outcomes {
		for _, t := range o.targets {
			cpu := "-"
			if v := o.processor(t); !math.IsNaN(v) {
				cpu = number(v) + " µs/" + o.workload.per
			}
			fmt.Fprintf(w, "| %s | %s | %s %s | %s | %s | %s |\n", o.workload.name, t.name, number(o.figure(t)), o.workload.unit,
				number(o.ratio(t, direct)), number(o.ratio(t, bouncer)), cpu)
		}
	}
	fmt.Fprintln(w, "\nRatios above 1 are better, medians over the rounds.")
	for _, n := range s.notes {
		fmt.Fprintln(w, "Note:", n)
	}
}

// warmSessions come and go before memory is measured.
const warmSessions = 20

// printMemory prints how much each proxy grows by sessions that have served a
// statement and now wait.
func (s *stage) printMemory(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "Memory of %d idle sessions (growth of the resident memory per session):\n\n| target | KiB |\n| --- | --- |\n", s.options.idle)
	session := func(t *target) (*client, error) {
		c, err := dial(t.port)
		if err != nil {
			return nil, err
		}
		if _, err := c.query(wire.AppendQuery(nil, "SELECT * FROM patients WHERE id <= 3")); err != nil {
			c.close()
			return nil, err
		}
		return c, nil
	}
	for _, t := range s.targets {
		// What the first sessions make a process take once is not a session's.
		for range warmSessions {
			c, err := session(t)
			if err != nil {
				return err
			}
			c.close()
		}
		before, ok := memory(t.pid)
		if !ok {
			continue
		}
		var conns []*client
		for range s.options.idle {
			c, err := session(t)
			if err != nil {
				return err
			}
			defer c.close()
			conns = append(conns, c)
		}
		after, ok := memory(t.pid)
		if !ok {
			return fmt.Errorf("%s ended", t.name)
		}
		fmt.Fprintf(w, "| %s | %s |\n", t.name, number((after-before)/float64(len(conns))))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, c := range conns {
			c.close()
		}
	}
	fmt.Fprintln(w)
	return nil
}
