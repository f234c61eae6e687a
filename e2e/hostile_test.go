package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/cmd/pgveil/clinic"
)

// length is a message's length in four bytes.
func length(n int) string { return string([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}) }

// packet is a startup packet with the right length.
func packet(body string) string { return length(len(body)+4) + body }

// badStarts are what is no startup, and the replies to it: the connection ends with them.
func badStarts() map[string]struct{ sent, want string } {
	const v3 = "\x00\x03\x00\x00"
	type c = struct{ sent, want string }
	return map[string]c{
		"length 0":                  {length(0), "E08P01"},
		"length 1":                  {length(1), "E08P01"},
		"length 3":                  {length(3), "E08P01"},
		"length 4":                  {length(4), "E08P01"},
		"length 7":                  {length(7) + "abc", "E08P01"},
		"length 10001":              {length(10001) + v3, "E08P01"},
		"length 1 GiB":              {length(1<<30) + v3, "E08P01"},
		"negative length":           {length(-1) + v3, "E08P01"},
		"no parameters":             {packet(v3), "E08P01"},
		"no user":                   {packet(v3 + "database\x00clinic\x00\x00"), "E08P01"},
		"empty user":                {packet(v3 + "user\x00\x00\x00"), "E08P01"},
		"no end":                    {packet(v3 + "user\x00bob\x00"), "E08P01"},
		"no value":                  {packet(v3 + "user\x00bob\x00database\x00"), "E08P01"},
		"name without end":          {packet(v3 + "user"), "E08P01"},
		"bytes behind the end":      {packet(v3 + "user\x00bob\x00\x00more"), "E08P01"},
		"protocol 2":                {packet("\x00\x02\x00\x00" + strings.Repeat("\x00", 292)), "E0A000"},
		"protocol 4":                {packet("\x00\x04\x00\x00user\x00bob\x00\x00"), "E0A000"},
		"unknown request":           {packet("\x04\xd2\x16\x33"), "E0A000"},
		"HTTP":                      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "E08P01"},
		"TLS without a request":     {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 600), ""},
		"cancel with a wrong key":   {packet("\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02"), ""},
		"cancel without a key":      {packet("\x04\xd2\x16\x2e"), "E08P01"},
		"cancel with a long key":    {packet("\x04\xd2\x16\x2e" + strings.Repeat("k", 1000)), "E08P01"},
		"message instead of SASL":   {packet(v3+"user\x00bob\x00\x00") + "Q" + packet("SELECT 1\x00"), "R E08P01"},
		"1 GiB instead of SASL":     {packet(v3+"user\x00bob\x00\x00") + "p" + length(1<<30), "R E08P01"},
		"length 0 instead of SASL":  {packet(v3+"user\x00bob\x00\x00") + "p" + length(0), "R E08P01"},
		"unknown mechanism":         {packet(v3+"user\x00bob\x00\x00") + "p" + packet("PLAIN\x00\x00\x00\x00\x00"), "R E08P01"},
		"no nonce":                  {packet(v3+"user\x00bob\x00\x00") + "p" + packet("SCRAM-SHA-256\x00\x00\x00\x00\x03n,,"), "R E08P01"},
		"a password in clear":       {packet(v3+"user\x00bob\x00\x00") + "p" + packet("bob-demo\x00"), "R E08P01"},
		"a nonce of its own choice": {packet(v3+"user\x00bob\x00\x00") + "p" + packet("SCRAM-SHA-256\x00\x00\x00\x00\x0en,,n=,r=abcdef") + "p" + packet("c=biws,r=abcdef,p=AAAA"), "R R E08P01"},
	}
}

// TestBadStarts: each ends its own connection, with an error that says so, and no other.
func TestBadStarts(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	bystander := p.connect(clinic.Developer)
	for name, c := range badStarts() {
		w := p.tcp(t)
		w.write([]byte(c.sent))
		got := w.rest()
		if script(got) != c.want {
			t.Errorf("%s: the answer is %q, want %q", name, script(got), c.want)
			continue
		}
		if len(got) > 0 {
			if e := got[len(got)-1]; e.field('S') != "FATAL" || e.field('M') == "" {
				t.Errorf("%s: the error is %q", name, e.body)
			}
		}
		if r := bystander.query(simple, "SELECT 1"); r.err != nil {
			t.Fatalf("%s: another session: %v", name, r.err)
		}
	}
	// The connection that is given up in the middle.
	for _, c := range badStarts() {
		for _, n := range []int{0, 3, len(c.sent) / 2} {
			w := p.tcp(t)
			w.write([]byte(c.sent[:min(n, len(c.sent))]))
			w.Close()
		}
	}
	for name, sent := range map[string]string{"nothing": "", "half a length": "\x00\x00", "half a packet": length(100) + "\x00\x03", "request alone": packet("\x04\xd2\x16\x2f")[:8]} {
		w := p.tcp(t)
		w.write([]byte(sent))
		if err := w.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var all bytes.Buffer
		if _, err := all.ReadFrom(w.Conn); err != nil || all.Len() > 0 && all.String() != "N" && all.Bytes()[0] != 'E' {
			t.Errorf("%s, then half-closed: %q, %v", name, all.Bytes(), err)
		}
	}
	if r := bystander.query(simple, "SELECT 1"); r.err != nil {
		t.Errorf("another session: %v", r.err)
	}
}

// TestBadMessages: messages that lie, in a session.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	bystander := p.connect(clinic.Developer)
	for name, sent := range map[string]string{
		"Query without end":           "Q" + packet("SELECT 1"),
		"Query with two ends":         "Q" + packet("SELECT 1\x00SELECT ssn FROM patients\x00"),
		"empty Query":                 "Q" + packet(""),
		"Parse without types":         "P" + packet("a\x00SELECT 1\x00"),
		"Parse of more types":         "P" + packet("a\x00SELECT 1\x00\x00\x02\x00\x00\x00\x17"),
		"Parse of 65535 types":        "P" + packet("a\x00SELECT 1\x00\xff\xff"),
		"Bind cut off":                "B" + packet("\x00a\x00\x00\x01"),
		"Bind of a huge value":        "B" + packet("\x00a\x00\x00\x00\x00\x01\x7f\xff\xff\xffx\x00\x00"),
		"Bind of a negative value":    "B" + packet("\x00a\x00\x00\x00\x00\x01\x80\x00\x00\x00\x00\x00"),
		"Bind with bytes behind":      "B" + packet("\x00a\x00\x00\x00\x00\x00\x00\x00more"),
		"Bind in an unknown format":   "B" + packet("\x00a\x00\x00\x00\x00\x00\x00\x01\x00\x07"),
		"Bind of 1 GiB":               "B" + length(1<<30) + "\x00a\x00",
		"Describe of nothing":         "D" + packet("S"),
		"Describe of an unknown kind": "D" + packet("X\x00"),
		"Close of an unknown kind":    "C" + packet("?\x00"),
		"Execute cut off":             "E" + packet("\x00\x00\x00"),
		"Sync with a body":            "S" + packet("xx"),
		"Flush with a body":           "H" + packet("xx"),
		"Describe of 1 GiB":           "D" + length(1<<30),
		"Sync of 1 GiB":               "S" + length(1<<30),
		"a message of the server":     "D" + length(1<<20),
		"length 1":                    "Q" + length(1),
		"unknown type":                "~" + packet("x"),
		"startup packet in a session": packet("\x00\x03\x00\x00user\x00ada\x00\x00"),
		"a password in a session":     "p" + packet("x\x00"),
		"function call":               "F" + packet("\x00\x00\x05\x25"),
		"function call of 1 GiB":      "F" + length(1<<30),
		"text":                        "SELECT 1;\r\n\r\n\r\n\r\n",
		"zeros":                       strings.Repeat("\x00", 100),
	} {
		t.Run(name, func(t *testing.T) {
			w := p.wire(clinic.Developer)
			w.t = t
			w.write([]byte(sent))
			got := w.rest()
			if len(got) == 0 || got[len(got)-1].typ != 'E' || got[len(got)-1].field('S') != "FATAL" {
				t.Errorf("the answer is %q, want a FATAL error", script(got))
			}
			if r := bystander.query(simple, "SELECT 1"); r.err != nil {
				t.Fatalf("another session: %v", r.err)
			}
		})
	}
	// What streams by may be large, for it is never held.
	for _, c := range []struct{ head, want string }{{"Q", "E54000 ZI"}, {"P", "E54000 ZI"}} {
		w := p.wire(clinic.Developer)
		const size = 32 << 20
		w.write([]byte(c.head + length(size+4)))
		chunk := bytes.Repeat([]byte("SELECT 1 "), 1<<17)
		for left := size; left > 0; left -= len(chunk) {
			w.write(chunk[:min(left, len(chunk))])
		}
		w.send(sync_)
		got := w.until('Z')
		if c.head == "Q" {
			w.until('Z')
		}
		if script(got) != c.want {
			t.Errorf("32 MiB of %s: %q", c.head, script(got))
		}
		if got := script(w.ask(query("SELECT 1"))); got != "T D C(SELECT 1) ZI" {
			t.Errorf("after 32 MiB of %s: %q", c.head, got)
		}
	}
}

// dribble sends every byte by itself.
type dribble struct{ net.Conn }

func (d dribble) Write(b []byte) (int, error) {
	for i := range b {
		if _, err := d.Conn.Write(b[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// TestSlowClient: a client whose bytes come one by one, from the first of its login, gets the same answers.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		cfg, err := pgconn.ParseConfig(p.dsn(u))
		if err != nil {
			t.Fatal(err)
		}
		slow := &rawConn{}
		dial := cfg.DialFunc
		cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			slow.recorder = &recorder{Conn: dribble{c}}
			return slow.recorder, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		if slow.PgConn, err = pgconn.ConnectConfig(ctx, cfg); err != nil {
			t.Fatal(err)
		}
		defer slow.PgConn.Close(ctx)
		quick := p.connect(u)
		slow.received()
		for _, m := range modes {
			for _, sql := range []string{"SELECT patient_id, ssn, birth_date FROM patients ORDER BY patient_id", "SELECT 1/0", refused, "", "SELECT 'ü'"} {
				got, want := slow.query(m, sql), quick.query(m, sql)
				if fmt.Sprint(text(got), got.tag, sqlState(got.err)) != fmt.Sprint(text(want), want.tag, sqlState(want.err)) {
					t.Errorf("%s, %s: %s: %d rows %v, quickly %d rows %v", u.Name, m, sql, len(got.rows), got.err, len(want.rows), want.err)
				}
			}
		}
		if leaks := s.find(slow.received(), ""); u == clinic.Developer && len(leaks) > 0 {
			t.Errorf("leaks %s", leaks)
		}
	}
}

// TestHalfClosed: a client that has said all and listens on gets its answers.
func TestHalfClosed(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	for _, u := range []clinic.User{clinic.Clinician, clinic.Developer} {
		w := p.wire(u)
		w.send(append(wholeExtended("SELECT ssn FROM patients ORDER BY patient_id"), sync_, query("SELECT 'last'"))...)
		if err := w.recorder.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := script(w.rest()); got != fmt.Sprintf("1 2 T D C(SELECT %d) ZI T D C(SELECT 1) ZI", patients) {
			t.Errorf("%s: %q", u.Name, got)
		}
		// In the middle of a message nothing runs.
		w = p.wire(u)
		w.write(encode(t, query("DELETE FROM patients"))[:10])
		if err := w.recorder.Conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := w.rest(); len(only(got, 'C')) > 0 {
			t.Errorf("%s: half a message runs: %q", u.Name, script(got))
		}
	}
}

// usage is what a process holds.
type usage struct{ rss, threads, files int }

func (p *pgveil) usage() usage {
	p.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		p.t.Fatal(err)
	}
	number := func(name string) int {
		_, rest, _ := strings.Cut(string(status), name+":")
		n, err := strconv.Atoi(strings.Fields(rest)[0])
		if err != nil {
			p.t.Fatal(err)
		}
		return n
	}
	files, err := os.ReadDir(dir + "fd")
	if err != nil {
		p.t.Fatal(err)
	}
	return usage{number("VmRSS"), number("Threads"), len(files)}
}

// TestNothingGrows: hundreds of bad connections leave nothing behind, and lengths that lie take no memory.
func TestNothingGrows(t *testing.T) {
	t.Parallel()
	p := start(t, server, func(y string) string { return y + fmt.Sprintf("metrics: {listen: 127.0.0.1:%d}\n", freePort(t)) })
	bystander := p.connect(clinic.Developer)
	startup := string(startupOf(t, "user", clinic.Developer.Name, "database", database))
	bad := func(n int) {
		var wg sync.WaitGroup
		for worker := range 4 {
			wg.Go(func() {
				i := worker
				for i < n {
					for _, c := range badStarts() {
						if i += 4; i >= n {
							break
						}
						nc, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", p.port))
						if err != nil {
							t.Error(err)
							return
						}
						w := newWireConn(t, nc)
						w.Conn.Write([]byte(c.sent)) // it may have been refused already
						if i%3 > 0 {
							w.rest()
						}
						w.Close()
					}
				}
			})
		}
		wg.Wait()
	}
	settled := func(want usage) usage {
		var u usage
		// The connections that verifiers are read over stay open for a while.
		p.eventually("the connections are closed", func() bool { u = p.usage(); return u.files <= want.files+8 })
		return u
	}
	idle := p.usage()
	bad(500)
	first := settled(idle)
	bad(1000)
	second := settled(idle)
	if second.rss > first.rss*3/2 || second.threads > 2*first.threads+4 {
		t.Errorf("after 500 bad connections %+v, after 1000 more %+v", first, second)
	}
	// Sessions and logins that announce 1 GiB each.
	var open []*wireConn
	for i := range 50 {
		w := p.wire(clinic.Developer)
		w.write([]byte([]string{"Q", "P"}[i%2] + length(1<<30) + "SELECT 1"))
		open = append(open, w)
		w = p.tcp(t)
		w.write([]byte(startup))
		w.until('R')
		w.write([]byte("p" + length(1<<30)))
		open = append(open, w)
	}
	if u := p.usage(); u.rss > second.rss+200<<10 { // kB
		t.Errorf("with 100 connections that announce 1 GiB each %+v, before %+v", u, second)
	}
	for _, w := range open {
		w.Close()
	}
	settled(idle)
	if r := bystander.query(extendedBinary, "SELECT ssn FROM patients"); len(r.rows) != patients {
		t.Errorf("another session: %d rows, %v", len(r.rows), r.err)
	}
	if strings.Contains(p.log.String(), "panic") {
		t.Error("a connection ended by a panic")
	}
}
