package session

import (
	"bytes"
	"context"
	"encoding/binary"
	"testing"

	"pgveil/audit"
	"pgveil/masking"
	"pgveil/wire"
)

// strictJudge lets everything run and masks every cell.
type strictJudge struct{ fakeJudge }

func (j *strictJudge) Lookup(q Query) (*Verdict, bool) {
	if len(q.SQL)%3 == 0 {
		return nil, false
	}
	v, err := j.Decide(context.Background(), q)
	return v, err == nil
}

func (j *strictJudge) Decide(ctx context.Context, q Query) (*Verdict, error) {
	v, err := j.fakeJudge.Decide(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, st := range v.Statements {
		if st.Action == Answer {
			st.Action = Refuse // an answer's rows are constants, and pass
		}
		if st.CopyOut != nil {
			copyVerdict(st, "", true)
		}
		if st.Compile != nil {
			st.Compile = func(fields []wire.Field, _ masking.Session) (*wire.RowRewriter, *wire.Error) {
				cells := make([]wire.Cell, len(fields))
				for i := range cells {
					cells[i].Masker = starMask{}
				}
				return wire.NewRowRewriter(cells), nil
			}
		}
	}
	return v, nil
}

// clientParts and serverParts are what a fuzzed exchange is made of.
var clientParts = [][]byte{
	query("select ssn"), query("select a; select b"), query("set search_path to x"), query("select secret"), query("begin"), query(""),
	parse("", "select ssn"), parse("a", "select ssn"), parse("a", "set search_path to y"), bind("", ""), bind("p", "a"), bind("", "a"),
	wire.AppendDescribe(nil, 'S', "a"), describeP, wire.AppendDescribe(nil, 'P', "p"), execute("", 0), execute("p", 1),
	wire.AppendClose(nil, 'S', "a"), wire.AppendClose(nil, 'P', "p"), syncMsg, syncMsg, flushMsg,
	{'c', 0, 0, 0, 4}, {'d', 0, 0, 0, 5, 1}, query("copy t to stdout"), query("copy t from stdin; copy t to stdout; select ssn"),
	join(parse("", "copy t to stdout"), bind("", ""), execute("", 0)), join(parse("", "copy t from stdin"), bind("", ""), execute("", 0)),
	copyFail("x"), query("select lasting"), terminate,
}

var serverParts = [][]byte{
	parsed, bound, closedMsg, noData, suspended, columns("ssn"), columns("ssn", "city"), row("canary"), row("canary", "canary"), tag("SELECT 1"), tag("SET"),
	ready('I'), ready('T'), ready('E'), errorOf("42601", "syntax error at or near \"canary\""), notice("22012", "canary canary"), status("TimeZone", "UTC"),
	status("x", "canary"), notification("c", "canary"), probeReply("{public}"), join(probeReply("{public}"), ready('I')),
	{'t', 0, 0, 0, 6, 0, 0}, {'I', 0, 0, 0, 4}, {'G', 0, 0, 0, 7, 0, 0, 0}, {'H', 0, 0, 0, 7, 0, 0, 0},
	join([]byte{'d'}, length([]byte("canary"))), wire.AppendCopyResponse(nil, wire.CopyOutResponse, 0, 2),
	wire.AppendCopyResponse(nil, wire.CopyInResponse, 0, 1), wire.AppendCopyResponse(nil, wire.CopyOutResponse, 1, 1), copyData("canary\tcanary\nca"), copyData("nary\tcanary\n"),
	{'c', 0, 0, 0, 4}, tag("COPY 1"),
	join(parsed, bound, columns("ssn"), row("canary"), tag("SELECT 1"), ready('I')),
	join(columns("ssn"), row("canary"), tag("SELECT 1"), ready('I')),
}

// FuzzMasked feeds a masked session anything: the first bytes choose messages,
// what is behind 0xff goes in raw. No cell comes out as it was, what comes out
// is well formed, and nothing grows without bound.
func FuzzMasked(f *testing.F) {
	f.Add([]byte{0, 0x80 + 20, 0x80 + 27}, []byte(nil))
	f.Add([]byte{6, 9, 15, 19, 0x80 + 20, 0x80 + 26}, []byte(nil))
	f.Add([]byte{7, 10, 16, 16, 19, 0x80 + 20, 0x80, 0x81, 0x80 + 5, 0x80 + 7, 0x80 + 4, 0x80 + 7, 0x80 + 9, 0x80 + 11}, []byte(nil))
	f.Add([]byte{0, 0x80 + 20, 0x80 + 34, 30}, []byte(nil))
	f.Add([]byte{6, 0x80 + 20, 19, 0x80, 0x80 + 11, 30, 0x80 + 9, 0x80 + 11}, []byte(nil))
	f.Add([]byte{0xff, 0, 0x80 + 27}, []byte("Dcanary"))
	f.Fuzz(func(t *testing.T, ops, raw []byte) {
		if len(ops) > 200 {
			return
		}
		s := New(Config{Judge: &strictJudge{}, Keep: true, BeforeResult: len(ops)%2 == 0, MaxRowBytes: 1 << 12, MaxStatementBytes: 1 << 10, MaxMessageBytes: 1 << 12,
			MaxStatements: 4, Parameters: []wire.Param{{Name: "standard_conforming_strings", Value: "on"}, {Name: "client_encoding", Value: "UTF8"}}})
		var out, toServer []byte
		settle := func() {
			for range 100 {
				if q, ok := s.Job(); ok {
					v, err := s.Judge().Decide(context.Background(), q)
					s.Decided(epoch, v, err)
				}
				waits := 0
				s.Records(func(_ *audit.Record, wait bool) {
					if wait {
						waits++
					}
				})
				for range waits {
					s.AuditDone(epoch, nil)
				}
				buf, direct := s.TakeClient(nil)
				out = append(append(out, buf...), direct...)
				buf2, direct2 := s.TakeServer(nil)
				toServer = append(append(toServer, buf2...), direct2...)
				if waits == 0 && len(buf)+len(direct) == 0 {
					return
				}
			}
			t.Fatal("the session does not come to rest")
		}
		for _, op := range ops {
			switch i := int(op & 0x7f); {
			case op == 0xff:
				s.Server(epoch, bytes.Clone(raw))
			case op == 0x7f:
				s.Client(epoch, bytes.Clone(raw))
			case op >= 0x80:
				s.Server(epoch, bytes.Clone(serverParts[i%len(serverParts)]))
			default:
				s.Client(epoch, bytes.Clone(clientParts[i%len(clientParts)]))
			}
			settle()
			if n := len(s.client.buf) + len(s.server.buf) + len(s.q.e)*64; n > 1<<20 {
				t.Fatalf("%d bytes are held", n)
			}
		}
		if s.Kept() {
			checkTraces(t, toServer)
		}
		for b := out; len(b) > 0; {
			typ, size, ok, err := wire.BackendHeader(b)
			if err != nil || !ok || size > len(b) {
				t.Fatalf("not a message: %q", b)
			}
			if typ == wire.DataRow {
				for cells := b[wire.HeaderSize+2 : size]; len(cells) > 0; {
					n := int(int32(binary.BigEndian.Uint32(cells)))
					cells = cells[4:]
					if n > 0 {
						if len(bytes.Trim(cells[:n], "*")) > 0 {
							t.Fatalf("a cell came through: %q", cells[:n])
						}
						cells = cells[n:]
					}
				}
			}
			if bytes.Contains(b[:size], []byte("canary")) && !bytes.Contains(raw, []byte("canary")) {
				t.Fatalf("came through: %q", b[:size])
			}
			b = b[size:]
		}
	})
}

// checkTraces looks at what was sent to the server in a session that is kept.
func checkTraces(t *testing.T, b []byte) {
	prepared, set := false, false
	for len(b) > 0 {
		typ, size, ok, err := wire.FrontendHeader(b)
		if err != nil || !ok || size > len(b) {
			t.Fatalf("not a message: %q", b)
		}
		sql, name := []byte(nil), []byte(nil)
		switch typ {
		case wire.Query:
			sql, err = wire.QueryText(b[wire.HeaderSize:size])
			prepared = prepared && !bytes.HasSuffix(sql, []byte(dropPrepared))
			set = set && !bytes.HasPrefix(sql, []byte(takeBack))
		case wire.Parse:
			var m wire.ParseMessage
			m, err = wire.ParseParse(b[wire.HeaderSize:size])
			sql, name = m.SQL, m.Name
			prepared = prepared || string(name) != probeName
		case wire.Terminate, wire.CopyData, wire.CopyDone, wire.CopyFail, wire.FunctionCall:
			t.Fatalf("kept after message type %q", typ)
		}
		for stmt := range bytes.SplitSeq(sql, []byte(";")) {
			word, _, _ := bytes.Cut(bytes.ToUpper(bytes.TrimSpace(stmt)), []byte(" "))
			switch string(word) {
			case "", "SELECT", "BEGIN":
			case "SET":
				set = true
			default:
				if s := string(sql); s != dropPrepared && s != takeBack && s != takeBack+";"+dropPrepared && s != refusedText {
					t.Fatalf("kept after %q", sql)
				}
			}
			if bytes.Contains(stmt, []byte("lasting")) {
				t.Fatalf("kept after %q", sql)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
		b = b[size:]
	}
	if prepared || set {
		t.Fatalf("kept with a prepared statement: %v, a setting: %v", prepared, set)
	}
}

// FuzzCuts feeds a clear session the same bytes in one piece and cut: what comes
// out is the same.
func FuzzCuts(f *testing.F) {
	f.Add(join(query("select 1"), parse("", "select 1"), bind("", ""), execute("", 0), syncMsg), join(columns("a"), row("1"), tag("SELECT 1"), ready('I')), uint8(3))
	f.Add([]byte("Q\x00\x00\x00\x02"), []byte{'D', 0xff, 0xff, 0xff, 0xff}, uint8(1))
	f.Fuzz(func(t *testing.T, client, server []byte, at uint8) {
		run := func(step int) (string, string, bool) {
			s := New(Config{Judge: &fakeJudge{}, Clear: true, Keep: true, MaxRowBytes: 1 << 12})
			var toClient, toServer []byte
			take := func() {
				buf, direct := s.TakeClient(nil)
				toClient = append(append(toClient, buf...), direct...)
				buf, direct = s.TakeServer(nil)
				toServer = append(append(toServer, buf...), direct...)
			}
			for b := client; len(b) > 0; {
				n := min(step, len(b))
				s.Client(epoch, bytes.Clone(b[:n]))
				b = b[n:]
				take()
			}
			for b := server; len(b) > 0; {
				n := min(step, len(b))
				s.Server(epoch, bytes.Clone(b[:n]))
				b = b[n:]
				take()
			}
			return string(toClient), string(toServer), s.Kept()
		}
		c1, s1, k1 := run(1 << 20)
		c2, s2, k2 := run(1 + int(at))
		if done := c1 != c2 || s1 != s2 || k1 != k2; done {
			t.Fatalf("in one piece\n%q\n%q\nin pieces of %d\n%q\n%q", c1, s1, 1+int(at), c2, s2)
		}
	})
}
