package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// sample is what pgveil holds at one moment.
type sample struct {
	at                                   time.Duration
	memory                               int // KiB
	files, threads, goroutines, sessions int
}

func (s sample) String() string {
	return fmt.Sprintf("%d MiB, %d files, %d threads, %d goroutines, %d sessions", s.memory>>10, s.files, s.threads, s.goroutines, s.sessions)
}

// watch takes samples, and kills the server now and then.
type watch struct {
	*stage
	samples  []sample
	restarts int
}

func (w *watch) sample(at time.Duration) (s sample, err error) {
	s.at = at
	dir := fmt.Sprintf("/proc/%d/", w.pgveil.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "VmRSS:":
			s.memory, err = strconv.Atoi(f[1])
		case "Threads:":
			s.threads, err = strconv.Atoi(f[1])
		}
		if err != nil {
			return s, err
		}
	}
	files, err := os.ReadDir(dir + "fd")
	if err != nil {
		return s, err
	}
	s.files = len(files)
	if s.sessions, err = w.number("/metrics", "pgveil_sessions "); err != nil {
		return s, err
	}
	s.goroutines, err = w.number("/debug/pprof/goroutine?debug=1", "goroutine profile: total ")
	return s, err
}

// number is what stands behind a line's beginning on a page of the metrics listener.
func (w *watch) number(page, prefix string) (int, error) {
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d%s", w.monitor, page))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(io.LimitReader(r.Body, 1<<20))
	for lines.Scan() {
		if v, ok := strings.CutPrefix(lines.Text(), prefix); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, fmt.Errorf("%s has no line %q", page, prefix)
}

// run lasts as long as the soak.
func (w *watch) run(ctx context.Context, c *crowd) {
	begin, killed := time.Now(), time.Now()
	every := max(w.duration/180, time.Second)
	for time.Since(begin) < w.duration {
		select {
		case <-ctx.Done():
			return
		case err := <-w.ended:
			w.ended <- err
			c.fail(fmt.Sprintf("pgveil has ended: %v\n%s", err, w.log))
			return
		case <-time.After(every):
		}
		s, err := w.sample(time.Since(begin))
		if err != nil {
			c.fail("pgveil does not tell of itself: " + err.Error())
			continue
		}
		w.samples = append(w.samples, s)
		if len(w.samples)%18 == 1 {
			fmt.Printf("%6.0fs: %v; %d clients, %d statements, %d MB\n", s.at.Seconds(), s, c.open.Load(), c.statements.Load(), c.bytes.Load()>>20)
		}
		// Not at the end: the crowd is whole again in the last samples.
		if w.restart > 0 && time.Since(killed) > w.restart && s.at < w.duration*3/4 {
			w.server.Halt()
			time.Sleep(time.Second)
			if err := w.server.Resume(ctx); err != nil {
				c.fail("the server does not come back: " + err.Error())
				return
			}
			w.restarts++
			killed = time.Now()
		}
	}
}

// settle waits until nothing of the crowd is left in pgveil and in the server.
func (w *watch) settle(ctx context.Context, before sample) (s sample, err error) {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		if s, err = w.sample(0); err != nil {
			return s, err
		}
		if s.sessions == 0 && s.files <= before.files+8 && s.goroutines <= before.goroutines+8 {
			break
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("left behind: %v; idle before: %v", s, before)
		}
	}
	conn, err := w.server.Connect(ctx, database)
	if err != nil {
		return s, err
	}
	defer conn.Close(ctx)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(500 * time.Millisecond) {
		var left int
		if err := conn.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE usename IN ('ada', 'bob', 'carol')").Scan(&left); err != nil {
			return s, err
		}
		if left == 0 {
			return s, nil
		}
		if time.Now().After(deadline) {
			return s, fmt.Errorf("%d connections to the server are left behind", left)
		}
	}
}

// judge holds the last quarter of the samples against the second.
func (w *watch) judge(c *crowd) {
	fmt.Printf("%d ends of the server, %d samples\n", w.restarts, len(w.samples))
	n := len(w.samples)
	if n < 16 {
		return // too short to say
	}
	for _, m := range []struct {
		name  string
		of    func(sample) int
		slack int
	}{
		{"memory (KiB)", func(s sample) int { return s.memory }, 48 << 10},
		{"files", func(s sample) int { return s.files }, 40},
		{"threads", func(s sample) int { return s.threads }, 16},
		{"goroutines", func(s sample) int { return s.goroutines }, 40},
	} {
		median := func(part []sample) int {
			var v []int
			for _, s := range part {
				v = append(v, m.of(s))
			}
			slices.Sort(v)
			return v[len(v)/2]
		}
		early, late := median(w.samples[n/4:n/2]), median(w.samples[n-n/4:])
		fmt.Printf("%-14s median of the second quarter %d, of the last %d\n", m.name, early, late)
		if late > early*5/4+m.slack {
			c.fail(fmt.Sprintf("%s grows from %d to %d", m.name, early, late))
		}
	}
}
