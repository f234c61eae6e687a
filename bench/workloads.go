package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"pgveil/wire"
)

// accounts is the number of rows of pgbench_accounts.
const accounts = 1_000_000

// workload is something that every target does.
type workload struct {
	name string
	unit string // of the figure
	// lower: a smaller figure is better
	lower bool
	// per names what the processor time is given for: microseconds per one of it.
	per string
	// synced: only pgveil with every record on disk before its result, besides the usual targets
	synced bool
	run    func(ctx context.Context, s *stage, t *target) (sample, error)
}

// sample is one figure, and how often the workload was done for it.
type sample struct {
	figure float64
	times  float64
}

// idleWorkload is the name of the memory figure, which is measured once.
const idleWorkload = "idle-memory"

var workloads = []workload{
	{name: "select-simple-1", unit: "/s", per: "statement", run: selectOnly("simple", 1)},
	{name: "select-simple-16", unit: "/s", per: "statement", run: selectOnly("simple", 16)},
	{name: "select-prepared-1", unit: "/s", per: "statement", run: selectOnly("prepared", 1)},
	{name: "select-prepared-16", unit: "/s", per: "statement", run: selectOnly("prepared", 16), synced: true},
	{name: "latency-one-row", unit: "µs p50", lower: true, per: "statement", run: latency("SELECT * FROM pgbench_accounts WHERE aid = $1", accounts)},
	{name: "latency-one-row-masked", unit: "µs p50", lower: true, per: "statement", run: latency("SELECT * FROM patients WHERE id = $1", 0)},
	{name: "rows-plain-text", unit: "rows/s", per: "1000 rows", run: bulk("plain", 0)},
	{name: "rows-plain-binary", unit: "rows/s", per: "1000 rows", run: bulk("plain", 1)},
	{name: "rows-half-masked-text", unit: "rows/s", per: "1000 rows", run: bulk("patients", 0)},
	{name: "rows-half-masked-binary", unit: "rows/s", per: "1000 rows", run: bulk("patients", 1)},
	{name: "connect", unit: "/s", per: "connection", run: connect},
	{name: "ad-hoc-8", unit: "/s", per: "statement", run: adHoc(8)},
}

var transactions = regexp.MustCompile(`number of transactions actually processed: (\d+)[^\n]*\n(?s:.*)tps = ([0-9.]+) \(without`)

// selectOnly is pgbench's built-in select-only script.
func selectOnly(mode string, clients int) func(context.Context, *stage, *target) (sample, error) {
	return func(ctx context.Context, s *stage, t *target) (sample, error) {
		seconds := max(1, int(s.options.duration.Round(time.Second)/time.Second)) // pgbench counts whole seconds
		cmd := exec.CommandContext(ctx, s.pgbench, s.pgbenchArguments(t.port, "-S", "-n", "-M", mode,
			"-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)), "-T", strconv.Itoa(seconds))...)
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return sample{}, fmt.Errorf("pgbench: %w: %s", err, out)
		}
		m := transactions.FindSubmatch(out)
		if m == nil {
			return sample{}, fmt.Errorf("pgbench said something else: %s", out)
		}
		n, err1 := strconv.ParseFloat(string(m[1]), 64)
		rate, err2 := strconv.ParseFloat(string(m[2]), 64)
		return sample{rate, n}, errors.Join(err1, err2)
	}
}

// latency is the median time of a prepared statement that returns one row. Without
// keys the table is one of the wide ones.
func latency(sql string, keys int) func(context.Context, *stage, *target) (sample, error) {
	return func(ctx context.Context, s *stage, t *target) (sample, error) {
		c, err := dial(t.port)
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		if _, err := c.query(wire.AppendEmpty(wire.AppendParse(nil, "s", sql, nil), wire.Sync)); err != nil {
			return sample{}, err
		}
		if keys == 0 {
			keys = s.options.rows
		}
		var took []float64
		var message []byte
		r := rand.New(rand.NewPCG(1, 2))
		for end := time.Now().Add(s.options.duration); ; {
			message = appendBind(message[:0], "s", strconv.Itoa(1+r.IntN(keys)), 0)
			message = wire.AppendEmpty(wire.AppendExecute(message, "", 0), wire.Sync)
			begin := time.Now()
			rows, err := c.query(message)
			now := time.Now()
			if err != nil || rows != 1 {
				return sample{}, fmt.Errorf("%d rows, not one: %w", rows, err)
			}
			took = append(took, float64(now.Sub(begin).Nanoseconds())/1000)
			if now.After(end) || ctx.Err() != nil {
				break
			}
		}
		slices.Sort(took)
		return sample{took[len(took)/2], float64(len(took))}, ctx.Err()
	}
}

// appendBind appends a Bind of the unnamed portal with one text parameter, or none for "".
func appendBind(dst []byte, statement, param string, format byte) []byte {
	at := len(dst)
	dst = append(dst, wire.Bind, 0, 0, 0, 0, 0)
	dst = append(append(dst, statement...), 0)
	dst = append(dst, 0, 0) // parameters are text
	if param == "" {
		dst = append(dst, 0, 0)
	} else {
		dst = append(dst, 0, 1, 0, 0, 0, byte(len(param)))
		dst = append(dst, param...)
	}
	dst = append(dst, 0, 1, 0, format)
	n := len(dst) - at - 1
	dst[at+3], dst[at+4] = byte(n>>8), byte(n)
	return dst
}

// bulk reads a wide table as a whole, again and again for the length of a sample.
func bulk(table string, format byte) func(context.Context, *stage, *target) (sample, error) {
	return func(ctx context.Context, s *stage, t *target) (sample, error) {
		c, err := dial(t.port)
		if err != nil {
			return sample{}, err
		}
		defer c.close()
		sql := "SELECT * FROM " + table
		var message []byte
		if format == 0 {
			message = wire.AppendQuery(nil, sql)
		} else {
			message = appendBind(wire.AppendParse(nil, "", sql, nil), "", "", format)
			message = wire.AppendExecute(wire.AppendDescribe(message, 'P', ""), "", 0)
			message = wire.AppendEmpty(message, wire.Sync)
		}
		total := 0
		begin := time.Now()
		for {
			rows, err := c.query(message)
			if err != nil || rows != s.options.rows {
				return sample{}, fmt.Errorf("%d rows, not %d: %w", rows, s.options.rows, err)
			}
			total += rows
			took := time.Since(begin)
			if took >= s.options.duration || ctx.Err() != nil {
				return sample{float64(total) / took.Seconds(), float64(total) / 1000}, ctx.Err()
			}
		}
	}
}

// connect logs in, asks for one row and leaves.
func connect(ctx context.Context, s *stage, t *target) (sample, error) {
	message := wire.AppendQuery(nil, "SELECT 1")
	begin := time.Now()
	for n := 1.0; ; n++ {
		c, err := dial(t.port)
		if err != nil {
			return sample{}, err
		}
		rows, err := c.query(message)
		c.close()
		if err != nil || rows != 1 {
			return sample{}, fmt.Errorf("%d rows, not one: %w", rows, err)
		}
		took := time.Since(begin)
		if took >= s.options.duration || ctx.Err() != nil {
			return sample{n / took.Seconds(), n}, ctx.Err()
		}
	}
}

// adHoc sends joins whose literals all differ, as query strings.
func adHoc(clients int) func(context.Context, *stage, *target) (sample, error) {
	var seed atomic.Uint64
	return func(ctx context.Context, s *stage, t *target) (sample, error) {
		conns := make([]*client, clients)
		for i := range conns {
			c, err := dial(t.port)
			if err != nil {
				return sample{}, err
			}
			defer c.close()
			conns[i] = c
		}
		var done atomic.Int64
		errs := make([]error, clients)
		begin := time.Now()
		end := begin.Add(s.options.duration)
		var all sync.WaitGroup
		for i, c := range conns {
			r := rand.New(rand.NewPCG(seed.Add(1), 7))
			all.Go(func() {
				for time.Now().Before(end) && ctx.Err() == nil && errs[i] == nil {
					_, errs[i] = c.query(wire.AppendQuery(nil, adHocText(r, s.options.rows)))
					done.Add(1)
				}
			})
		}
		all.Wait()
		n := float64(done.Load())
		return sample{n / time.Since(begin).Seconds(), n}, errors.Join(append(errs, ctx.Err())...)
	}
}

func adHocText(r *rand.Rand, rows int) string {
	id := 1 + r.IntN(rows)
	return fmt.Sprintf(`SELECT a.aid, a.abalance + %d AS balance, b.bbalance, p.mrn, p.last_name, p.email, 'batch %d' AS label
FROM pgbench_accounts a JOIN pgbench_branches b ON b.bid = a.bid JOIN patients p ON p.id = a.aid
WHERE a.aid BETWEEN %d AND %d AND a.abalance > -%d AND p.id <> %d`,
		r.IntN(1<<20), r.Uint64(), id, id+2, 1_000_000+r.IntN(1<<20), -r.IntN(1<<20))
}
