package session

import (
	"context"
	"testing"

	"pgveil/audit"
	"pgveil/masking"
	"pgveil/wire"
)

// fixedJudge has one verdict for everything.
type fixedJudge struct{ v *Verdict }

func (j fixedJudge) Lookup(Query) (*Verdict, bool)                   { return j.v, true }
func (j fixedJudge) Decide(context.Context, Query) (*Verdict, error) { return j.v, nil }
func (fixedJudge) Current(*Verdict) bool                             { return true }
func (fixedJudge) Changed()                                          {}

// bench plays an exchange over and over: what the client sends, what the server answers.
func bench(b *testing.B, clear bool, client, server []byte, setup ...[]byte) {
	st := &Statement{Action: Mask, Tag: "SELECT", Rows: true}
	st.Seal()
	if !clear {
		rw := wire.NewRowRewriter([]wire.Cell{{Masker: starMask{}}, {}})
		st.Compile = func([]wire.Field, masking.Session) (*wire.RowRewriter, *wire.Error) { return rw, nil }
	}
	s := New(Config{Judge: fixedJudge{&Verdict{Statements: []*Statement{st}}}, Clear: clear, BeforeResult: true,
		Parameters: []wire.Param{{Name: "standard_conforming_strings", Value: "on"}, {Name: "client_encoding", Value: "UTF8"}}})
	var spareC, spareS []byte
	out := 0
	yield := func(_ *audit.Record, wait bool) {
		if wait {
			out++
		}
	}
	exchange := func(client, server []byte) int {
		s.Client(epoch, client)
		if buf, _ := s.TakeServer(spareS); buf != nil {
			spareS = buf
		}
		s.Server(epoch, server)
		for out = 0; s.HasRecords(); {
			s.Records(yield)
		}
		for ; out > 0; out-- {
			s.AuditDone(epoch, nil)
		}
		if buf, _ := s.TakeServer(spareS); buf != nil {
			spareS = buf
		}
		buf, direct := s.TakeClient(spareC)
		if buf != nil {
			spareC = buf
		}
		return len(buf) + len(direct)
	}
	for i := 0; i+1 < len(setup); i += 2 {
		exchange(setup[i], setup[i+1])
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(client) + len(server)))
	for b.Loop() {
		if exchange(client, server) == 0 {
			done, reason := s.Done()
			b.Fatal("nothing came out", done, reason)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "exchanges/s")
}

func BenchmarkSimple(b *testing.B) {
	q := query("select ssn, city from patients where id = 1")
	r := join(columns("ssn", "city"), row("123-45-6789", "Bonn"), tag("SELECT 1"), ready('I'))
	b.Run("clear", func(b *testing.B) { bench(b, true, q, r) })
	b.Run("masked", func(b *testing.B) { bench(b, false, q, r, q, join(probeReply("{public}"), ready('I')), nil, r) })
}

func BenchmarkPrepared(b *testing.B) {
	p := join(parse("s", "select ssn, city from patients where id = $1"), syncMsg)
	q := join(bind("", "s"), describeP, execute("", 0), syncMsg)
	r := join(bound, columns("ssn", "city"), row("123-45-6789", "Bonn"), tag("SELECT 1"), ready('I'))
	b.Run("clear", func(b *testing.B) { bench(b, true, q, r, p, join(parsed, ready('I'))) })
	b.Run("masked", func(b *testing.B) {
		bench(b, false, q, r, p, join(probeReply("{public}"), ready('I')), nil, join(parsed, ready('I')))
	})
}

// BenchmarkRows is a chunk of 64 KiB of rows.
func BenchmarkRows(b *testing.B) {
	q := query("select ssn, city from patients")
	var r []byte
	r = append(r, columns("ssn", "city")...)
	for len(r) < 64<<10 {
		r = append(r, row("123-45-6789", "a city with a name of some length, as rows are wide")...)
	}
	r = append(r, join(tag("SELECT 9"), ready('I'))...)
	b.Run("clear", func(b *testing.B) { bench(b, true, q, r) })
	b.Run("masked", func(b *testing.B) { bench(b, false, q, r, q, join(probeReply("{public}"), ready('I')), nil, r) })
}

// BenchmarkPutBack rewrites a statement with a token in a literal, and a Bind with one in a parameter.
func BenchmarkPutBack(b *testing.B) {
	s := New(Config{Parameters: []wire.Param{{Name: "client_encoding", Value: "UTF8"}}})
	sql := []byte("SELECT id, tier, city FROM person WHERE tier = 'gold' AND mrn = 'tok:MRN-000123' AND active ORDER BY id LIMIT 10")
	v := &Verdict{Statements: []*Statement{{Audit: AuditInfo{Statement: "mrn"}}}}
	maskedInputs(v, string(sql))
	literals := v.literals()[1:2]
	b.Run("literal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, edits, refusal := s.putBack(sql, literals); refusal != nil || len(edits) != 1 {
				b.Fatal(refusal)
			}
		}
	})
	msg, err := wire.ParseBind(bindWith("", "", nil, []byte("tok:MRN-000123"), []byte("10"))[wire.HeaderSize:])
	if err != nil {
		b.Fatal(err)
	}
	params := []Input{{Param: 1, Unmask: fakeUnmasker{}}}
	var out []byte
	b.Run("parameter", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if out, _ = s.putBackParams(out[:0], &msg, params); len(out) == 0 {
				b.Fatal("nothing")
			}
		}
	})
}
