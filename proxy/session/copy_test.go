package session

import (
	"bytes"
	"strings"
	"testing"

	"pgveil/masking"
	"pgveil/wire"
)

// copyVerdict is the fake judge's on COPY: the second of two columns of "ssn" is masked.
func copyVerdict(st *Statement, sql string, all bool) {
	if strings.Contains(sql, "from stdin") {
		st.CopyIn = true
		return
	}
	st.CopyOut = func(format, columns int, _ masking.Session) (*wire.CopyLayout, *wire.Error) {
		switch {
		case strings.Contains(sql, "fault") || columns > 16:
			return nil, wire.WitnessDisagrees("number of columns")
		case !strings.Contains(sql, "ssn") && !all:
			return nil, nil
		}
		l := &wire.CopyLayout{Delimiter: '\t', Null: `\N`, Cells: make([]wire.Cell, columns)}
		if format == 1 {
			l.Format = wire.CopyBinary
		}
		for i := range l.Cells {
			if i == 1 || all {
				l.Cells[i].Masker = starMask{}
			}
		}
		return l, nil
	}
}

func copyData(s string) []byte { return join([]byte{'d'}, length([]byte(s))) }

func copyFail(s string) []byte { return join([]byte{'f'}, length([]byte(s+"\x00"))) }

func TestCopyScripts(t *testing.T) {
	out := wire.AppendCopyResponse(nil, wire.CopyOutResponse, 0, 2)
	in := wire.AppendCopyResponse(nil, wire.CopyInResponse, 0, 2)
	done := wire.AppendEmpty(nil, wire.CopyDone)
	q, free := query("copy ssn to stdout"), query("copy t to stdout")
	from := query("copy t from stdin")
	sel := query("select city from t")
	selReply := join(columns("city"), row("Ulm"), tag("SELECT 1"), ready('I'))
	extended := join(parse("", "copy ssn to stdout"), bind("", ""), execute("", 0), syncMsg)
	extendedIn := join(parse("", "copy t from stdin"), bind("", ""), execute("", 0))
	violation := func(s string) []byte { return wire.AppendErrorResponse(nil, wire.ProtocolViolation(s)) }
	refused := wire.AppendErrorResponse(nil, wire.CopyRefused())
	undecided := wire.AppendErrorResponse(nil, wire.RowWithoutProgram(nil))

	for _, sc := range []script{
		{name: "copy out", steps: steps(first(q, q), []step{
			{server: join(out, copyData("1\t123\n"), copyData("2\t\\N\n"), done, tag("COPY 2"), ready('I')),
				toClient: join(out, copyData("1\t***\n"), copyData("2\t\\N\n"), done, tag("COPY 2"), ready('I'))},
			{client: sel, toServer: sel}, {server: selReply, toClient: selReply}}),
			events: []string{"statement copy ssn to stdout 2", "statement select city from t 1"}},
		{name: "copy out, rows across messages", before: true, steps: steps(first(q, q), []step{
			{server: join(out, copyData("1\t12"), copyData("3\n2\t45\n3"), copyData(""), copyData("\t6\n"), done, tag("COPY 3"), ready('I')),
				toClient: join(out, copyData("1\t***\n2\t**\n"), copyData("3\t*\n"), done, tag("COPY 3"), ready('I'))}})},
		{name: "copy out of nothing protected", steps: steps(first(free, free), []step{
			{server: join(out, copyData("1\t12"), copyData("3\n"), done, tag("COPY 1"), ready('I')),
				toClient: join(out, copyData("1\t12"), copyData("3\n"), done, tag("COPY 1"), ready('I'))}}),
			events: []string{"statement copy t to stdout 1"}},
		{name: "copy out, extended", steps: steps(first(extended, extended), []step{
			{server: join(parsed, bound, out, copyData("1\t123\n"), done, tag("COPY 1"), ready('I')),
				toClient: join(parsed, bound, out, copyData("1\t***\n"), done, tag("COPY 1"), ready('I'))}}),
			events: []string{"statement copy ssn to stdout 1"}},
		{name: "copy out fails half way", steps: steps(first(q, q), []step{
			{server: join(out, copyData("1\t123\n2\t4"), errorOf("22012", "division by zero"), ready('I')),
				toClient: join(out, copyData("1\t***\n"), scrubbed("22012", "division by zero"), ready('I'))},
			{client: sel, toServer: sel}, {server: selReply, toClient: selReply}}),
			events: []string{"statement copy ssn to stdout 1 22012", "statement select city from t 1"}},
		{name: "copy out, the witness disagrees", steps: steps(first(query("copy fault to stdout"), query("copy fault to stdout")), []step{
			{server: join(out, copyData("1\t123\n"), done, tag("COPY 1"), ready('I')),
				toClient: join(wire.AppendErrorResponse(nil, wire.WitnessDisagrees("number of columns")), ready('I'))},
			{client: sel, toServer: sel}, {server: selReply, toClient: selReply}}),
			events: []string{"statement copy fault to stdout 0 42501", "statement select city from t 1"}},
		{name: "copy out after a setting in the same string", steps: steps(first(query("set x to y; copy ssn to stdout"), query("set x to y; copy ssn to stdout")), []step{
			{server: join(tag("SET"), out, copyData("1\t123\n"), done, tag("COPY 1"), ready('I')),
				toClient: join(tag("SET"), wire.AppendErrorResponse(nil, wire.CopySettings()), ready('I'))}})},
		{name: "copy out with a row of another shape", steps: steps(first(q, q), []step{
			{server: join(out, copyData("1\t123\t4\n")), toClient: join(out, undecided), toServer: terminate}}), closed: "XX000"},
		{name: "copy out that ends within a row", steps: steps(first(q, q), []step{
			{server: join(out, copyData("1\t123"), done), toClient: join(out, undecided), toServer: terminate}}), closed: "XX000"},
		{name: "copy data before its response", steps: steps(first(q, q), []step{
			{server: copyData("1\t123\n"), toClient: refused, toServer: terminate}}), closed: "0A000"},
		{name: "copy data after its end", steps: steps(first(q, q), []step{
			{server: join(out, done, copyData("1\t123\n")), toClient: join(out, done, refused), toServer: terminate}}), closed: "0A000"},
		{name: "copy out of a statement that copies in", steps: steps(first(from, from), []step{
			{server: out, toClient: refused, toServer: terminate}}), closed: "0A000"},
		{name: "copy in of a statement that copies out", steps: steps(first(q, q), []step{
			{server: in, toClient: refused, toServer: terminate}}), closed: "0A000"},
		{name: "copy both", steps: steps(first(q, q), []step{
			{server: wire.AppendCopyResponse(nil, wire.CopyBothResponse, 0, 2), toClient: refused, toServer: terminate}}), closed: "0A000"},
		{name: "rows of a statement that copies", steps: steps(first(q, q), []step{
			{server: row("1"), toClient: undecided, toServer: terminate}}), closed: "XX000"},

		{name: "copy in", steps: steps(first(from, from), []step{
			{server: in, toClient: in},
			{client: join(copyData("1\tx\n"), copyData("2"), done, sel), toServer: join(copyData("1\tx\n"), copyData("2"), done, sel)},
			{server: join(tag("COPY 2"), ready('I'), selReply), toClient: join(tag("COPY 2"), ready('I'), selReply)}}),
			events: []string{"statement copy t from stdin 2", "statement select city from t 1"}},
		{name: "copy in, its data sent ahead", steps: steps(first(join(from, copyData("1"), done, sel), from), []step{
			{server: in, toClient: in, toServer: join(copyData("1"), done, sel)},
			{server: join(tag("COPY 1"), ready('I'), selReply), toClient: join(tag("COPY 1"), ready('I'), selReply)}})},
		{name: "copy in twice in a string", steps: steps(first(query("copy t from stdin; copy u from stdin"), query("copy t from stdin; copy u from stdin")), []step{
			{server: in, toClient: in},
			{client: join(copyData("1"), done, copyData("2"), done, sel), toServer: join(copyData("1"), done)},
			{server: join(tag("COPY 1"), in), toClient: join(tag("COPY 1"), in), toServer: join(copyData("2"), done, sel)},
			{server: join(tag("COPY 1"), ready('I'), selReply), toClient: join(tag("COPY 1"), ready('I'), selReply)}})},
		{name: "copy in, extended, a Sync in the copy is ignored", steps: steps(first(join(extendedIn, syncMsg), extendedIn), []step{
			{server: join(parsed, bound, in), toClient: join(parsed, bound, in)},
			{client: join(copyData("1"), flushMsg, done, syncMsg), toServer: join(copyData("1"), done, syncMsg)},
			{server: join(tag("COPY 1"), ready('I')), toClient: join(tag("COPY 1"), ready('I'))},
			{client: sel, toServer: sel}, {server: selReply, toClient: selReply}}),
			events: []string{"statement copy t from stdin 1", "statement select city from t 1"}},
		{name: "copy in, refused by the server, its data sent ahead", steps: steps(first(join(extendedIn, copyData("1"), done, syncMsg), extendedIn), []step{
			{server: join(parsed, bound, errorOf("42501", "permission denied")), toClient: join(parsed, bound, scrubbed("42501", "permission denied")), toServer: syncMsg},
			{server: ready('I'), toClient: ready('I')},
			{client: sel, toServer: sel}, {server: selReply, toClient: selReply}})},
		{name: "copy in fails half way", steps: steps(first(from, from), []step{
			{server: in, toClient: in},
			{client: copyData("1"), toServer: copyData("1")},
			{server: join(errorOf("22P02", "invalid input"), ready('I')), toClient: join(scrubbed("22P02", "invalid input"), ready('I'))},
			{client: join(copyData("2"), done, sel), toServer: sel},
			{server: selReply, toClient: selReply}}),
			events: []string{"statement copy t from stdin 0 22P02", "statement select city from t 1"}},
		{name: "copy in, the client fails it", steps: steps(first(from, from), []step{
			{server: in, toClient: in},
			{client: copyFail("123-45-6789"), toServer: copyFail("123-45-6789")},
			{server: join(errorOf("57014", "COPY from stdin failed: 123-45-6789"), ready('I')),
				toClient: join(scrubbed("57014", "COPY from stdin failed: ***"), ready('I'))}})},
		{name: "copy in, another message amid the data", steps: steps(first(from, from), []step{
			{server: in, toClient: in},
			{client: join(copyData("1"), sel), toServer: join(copyData("1"), terminate), toClient: violation("unexpected message type during COPY from stdin")}}), closed: "08P01"},
		{name: "copy in, the client goes away", steps: steps(first(from, from), []step{
			{server: in, toClient: in},
			{client: copyData("1"), toServer: copyData("1")},
			{clientEOF: true, toServer: terminate}}), closed: "-",
			events: []string{"statement copy t from stdin 0"}},
		{name: "copy in, the client is gone when it begins", steps: steps(first(from, from), []step{
			{clientEOF: true},
			{server: in, toClient: in, toServer: terminate}}), closed: "-"},
		{name: "copy in of a clear role, the client goes away", clear: true, steps: []step{
			{client: from, toServer: from}, {server: in, toClient: in},
			{client: copyData("1"), toServer: copyData("1")},
			{clientEOF: true, toServer: terminate}}, closed: "-"},
		{name: "copy in of a clear role, the client is gone when it begins", clear: true, steps: []step{
			{client: from, toServer: from},
			{clientEOF: true, toServer: terminate}, {server: in, toClient: in}}, closed: "-"},
		{name: "copy in of a clear role, the client goes away in half a message", clear: true, steps: []step{
			{client: from, toServer: from}, {server: in, toClient: in},
			{client: copyData("12345678")[:9], toServer: copyData("12345678")[:9]},
			{clientEOF: true}}, closed: "-"},
		{name: "copy in after a result that was refused", steps: steps(first(query("copy fault to stdout; copy t from stdin"), query("copy fault to stdout; copy t from stdin")), []step{
			{server: join(out, done, tag("COPY 0"), in), toClient: wire.AppendErrorResponse(nil, wire.WitnessDisagrees("number of columns")),
				toServer: copyFail("an earlier result was refused")},
			{server: join(errorOf("57014", "COPY from stdin failed"), ready('I')), toClient: ready('I')},
			{client: sel, toServer: sel}, {server: selReply, toClient: selReply}})},
		{name: "copy data that nobody asked for", steps: []step{{client: join(copyData("1"), done)},
			{client: sel, toServer: probeSync}, {server: join(probeReply("{public}"), ready('I')), toServer: sel}, {server: selReply, toClient: selReply}}},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.play(t) })
	}
}

// TestCopyInBackPressure: a server that does not take the data stops the reading of the client.
func TestCopyInBackPressure(t *testing.T) {
	s := New(Config{Judge: &fakeJudge{}, Parameters: []wire.Param{{Name: "standard_conforming_strings", Value: "on"}, {Name: "client_encoding", Value: "UTF8"}}})
	s.Client(epoch, query("copy t from stdin"))
	s.Server(epoch, join(probeReply("{public}"), ready('I')))
	if s.ReadClient() {
		t.Error("reads on while it is not known whether the server copies")
	}
	s.TakeServer(nil)
	s.Server(epoch, wire.AppendCopyResponse(nil, wire.CopyInResponse, 0, 1))
	chunk := copyData(strings.Repeat("x", 1<<16))
	n := 0
	for ; s.ReadClient() && n < 1<<30; n += len(chunk) {
		s.Client(epoch, bytes.Clone(chunk[:1000]))
		s.Client(epoch, bytes.Clone(chunk[1000:]))
	}
	if n > 2*highWater {
		t.Errorf("%d bytes are held for the server", n)
	}
	s.TakeServer(nil)
	if !s.ReadClient() {
		t.Error("does not read on when the server has taken the data")
	}
}
