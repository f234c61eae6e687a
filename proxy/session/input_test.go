package session

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgveil/masking"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// fakeUnmasker knows "tok:x" for x, and 1000 + n for n, positive or not.
type fakeUnmasker struct{}

func (fakeUnmasker) Unmask(dst, masked []byte, format int16, _ masking.Session) ([]byte, bool) {
	if v, ok := bytes.CutPrefix(masked, []byte("tok:")); ok {
		return append(dst, v...), true
	}
	var n int
	if _, err := fmt.Sscanf(string(masked), "%d", &n); err == nil && format == 0 {
		return fmt.Appendf(dst, "%d", n-1000), true
	}
	return dst, false
}

// maskedInputs has every literal and parameter of statements with the word mrn be one that goes back; in an
// update it has to.
func maskedInputs(v *Verdict, sql string) {
	at, from := 0, -1
	sqlparse.TokenSpans(sql, func(i int, s sqlparse.Span) bool {
		text := sql[s.Start:s.End]
		if text == ";" {
			at++
			return true
		}
		if at >= len(v.Statements) || !strings.Contains(v.Statements[at].Audit.Statement, "mrn") {
			return true
		}
		st := v.Statements[at]
		if st.Inputs == nil {
			st.Inputs = &Inputs{Key: "mrn"}
		}
		in := Input{First: i, Last: i, Verify: st.Tag == "UPDATE", Column: "t.mrn", Unmask: fakeUnmasker{}}
		if text == "-" {
			from = i
			return true
		}
		if from == i-1 && from >= 0 {
			in.First = from
		}
		switch c := text[0]; {
		case c == '\'', c == '$' && strings.HasPrefix(text, "$$"), c >= '0' && c <= '9', (c == 'E' || c == 'e') && strings.Contains(text, "'"):
			st.Inputs.Literals = append(st.Inputs.Literals, in)
		case c == '$':
			fmt.Sscanf(text, "$%d", &in.Param)
			st.Inputs.Params = append(st.Inputs.Params, in)
		}
		return true
	})
}

func revealVerdict(st *Statement, sql string) {
	st.Action, st.Answer, st.AnswerTag, st.Rows = Answer, "SELECT NULL", "SELECT 1", true
	var args []sqlparse.RevealArgument
	sqlparse.TokenSpans(sql, func(i int, s sqlparse.Span) bool {
		switch text := sql[s.Start:s.End]; text[0] {
		case '\'':
			args = append(args, sqlparse.RevealArgument{Token: i})
		case '$':
			args = append(args, sqlparse.RevealArgument{Param: int(text[1] - '0'), Token: -1})
		}
		return true
	})
	audit := st.Audit
	st.Reveal = &Reveal{Token: args[0], Reason: args[1], Open: func(_ time.Time, token, reason []byte) ([]byte, AuditInfo, *wire.Error) {
		info := audit
		info.Statement += " because " + string(reason)
		value, ok := bytes.CutPrefix(token, []byte("tok:"))
		if !ok {
			return nil, info, wire.RevealRefused()
		}
		return value, info, nil
	}}
}

// errorAt is an error of the server with a position.
func errorAt(position string) []byte {
	return join([]byte{'E'}, length(join([]byte("SERROR\x00VERROR\x00C42703\x00Mcolumn does not exist\x00"), []byte("P"+position+"\x00"), []byte("Fint.c\x00L1\x00Rf\x00\x00"))))
}

func bindWith(portal, stmt string, formats []byte, values ...[]byte) []byte {
	b := join([]byte(portal), []byte{0}, []byte(stmt), []byte{0, 0, byte(len(formats) / 2)}, formats, []byte{0, byte(len(values))})
	for _, v := range values {
		if v == nil {
			b = append(b, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		b = append(append(b, 0, 0, byte(len(v)>>8), byte(len(v))), v...)
	}
	return join([]byte{'B'}, length(append(b, 0, 0)))
}

func TestInputScripts(t *testing.T) {
	result := join(columns("ssn"), row("123"), tag("SELECT 1"), ready('I'))
	shown := join(columns("ssn"), row("***"), tag("SELECT 1"), ready('I'))
	notShown := func(position int) []byte {
		return wire.AppendErrorResponse(nil, notMasked(&Input{Column: "t.mrn"}, position))
	}
	const update = "update t set mrn = $1"
	forged := func(parts ...[]byte) []byte { return join(parts...) }
	for _, sc := range []script{
		{name: "literals", steps: steps(first(
			query("select ssn where mrn='tok:it''s' or x IN (1005,- 5,'x') or 'tok:a\\b'=mrn"),
			query("select ssn where mrn='it''s' or x IN (5,(-1005),'x') or  E'a\\\\b'=mrn")), []step{{server: result, toClient: shown}})},
		{name: "literals of other kinds", steps: steps(first(
			query("select ssn where mrn=E'tok:e' or mrn = $$tok:d'$$ or n =-1 or mrn='it''s'"),
			query("select ssn where mrn='e' or mrn = 'd''' or n =(-1001) or mrn='it''s'")), []step{{server: result, toClient: shown}})},
		{name: "of several statements", steps: steps(first(
			query("select ssn where city = 'tok:a'; select ssn where mrn = 'tok:b'"),
			query("select ssn where city = 'tok:a'; select ssn where mrn = 'b'")), []step{
			{server: join(columns("ssn"), row("123"), tag("SELECT 1"), columns("ssn"), row("123"), tag("SELECT 1"), ready('I')),
				toClient: join(columns("ssn"), row("***"), tag("SELECT 1"), columns("ssn"), row("***"), tag("SELECT 1"), ready('I'))}}),
			events: []string{"statement select ssn where city = 'tok:a' 1", "statement select ssn where mrn = 'tok:b' 1"}},
		{name: "decided by a job", slow: true, steps: steps(first(query("select ssn where mrn = 'tok:b'"), query("select ssn where mrn = 'b'")), []step{{server: result, toClient: shown}})},
		{name: "a position behind a literal", steps: steps(first(query("select ssn where 'ü' = mrn or mrn = 'tok:b' and no"), query("select ssn where 'ü' = mrn or mrn = 'b' and no")), []step{
			{server: join(errorAt("41"), ready('I')), toClient: join(errorAt("45"), ready('I'))}})},
		{name: "a position within a literal", steps: steps(first(query("select ssn where mrn = 'tok:abc'"), query("select ssn where mrn = 'abc'")), []step{
			{server: join(errorAt("26"), ready('I')), toClient: join(errorAt("24"), ready('I'))}})},
		{name: "a position before a literal", steps: steps(first(query("select ssn where mrn = 'tok:abc'"), query("select ssn where mrn = 'abc'")), []step{
			{server: join(errorAt("8"), ready('I')), toClient: join(errorAt("8"), ready('I'))}})},
		{name: "a position in a Parse", steps: steps(first(join(parse("", "select ssn where mrn = 'tok:b' and no"), syncMsg), join(parse("", "select ssn where mrn = 'b' and no"), syncMsg)), []step{
			{server: join(errorAt("31"), ready('I')), toClient: join(errorAt("35"), ready('I'))}})},
		{name: "declared types stay", steps: steps(first(
			join(wire.AppendParse(nil, "a", "select ssn where mrn = 'tok:b'", []uint32{25, 0}), syncMsg),
			join(wire.AppendParse(nil, "a", "select ssn where mrn = 'b'", []uint32{25, 0}), syncMsg)), []step{{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))}})},
		{name: "parameters", steps: steps(first(
			join(parse("", "select ssn where mrn = $1 or mrn = $2"), bindWith("", "", []byte{0, 0, 0, 1, 0, 0, 0, 0}, []byte("tok:a"), []byte("tok:bcd"), nil, []byte("tok:x")), describeP, execute("", 0), syncMsg),
			join(parse("", "select ssn where mrn = $1 or mrn = $2"), bindWith("", "", []byte{0, 0, 0, 1, 0, 0, 0, 0}, []byte("a"), []byte("bcd"), nil, []byte("tok:x")), describeP, execute("", 0), syncMsg)),
			[]step{{server: join(parsed, bound, result), toClient: join(parsed, bound, shown)}})},
		{name: "a value that was never shown, in a literal", steps: steps(first(query("update t set mrn = 'new'"), refusedQ), []step{
			{server: join(syntaxErr, ready('I')), toClient: join(notShown(20), ready('I'))},
			{client: query("update t set mrn = 'tok:a'"), toServer: query("update t set mrn = 'a'")},
			{server: join(tag("UPDATE 1"), ready('I')), toClient: join(tag("UPDATE 1"), ready('I'))}}),
			events: []string{"refusal update t set mrn = 'new' 0 22023", "statement update t set mrn = 'tok:a' 1"}},
		{name: "a value that was never shown, in a parameter", steps: steps(first(
			forged(parse("", update), bindWith("", "", nil, []byte("new")), execute("", 0), syncMsg),
			join(parse("", update), refusedUnknownPortal(), refusedUnknownPortal(), syncMsg)), []step{
			{server: join(parsed, syntaxErr, ready('I')), toClient: join(parsed, notShown(0), ready('I'))},
			{client: join(bindWith("", "", nil, []byte("tok:old")), execute("", 0), syncMsg), toServer: join(bindWith("", "", nil, []byte("old")), execute("", 0), syncMsg)},
			{server: join(bound, tag("UPDATE 1"), ready('I')), toClient: join(bound, tag("UPDATE 1"), ready('I'))}})},
		{name: "a failed Parse leaves the inputs of the old statement", steps: steps(
			first(join(parse("a", "select ssn where mrn = $1"), syncMsg), join(parse("a", "select ssn where mrn = $1"), syncMsg)), []step{
				{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))},
				{client: join(parse("a", "select ssn where city = $1"), syncMsg), toServer: join(parse("a", "select ssn where city = $1"), syncMsg)},
				{server: join(errorOf("42P05", "prepared statement already exists"), ready('I')), toClient: join(scrubbed("42P05", "prepared statement already exists"), ready('I'))},
				{client: join(bindWith("", "a", nil, []byte("tok:b")), describeP, execute("", 0), syncMsg), toServer: join(bindWith("", "a", nil, []byte("b")), describeP, execute("", 0), syncMsg)},
				{server: join(bound, result), toClient: join(bound, shown)},
			})},
		{name: "a definition changed: the server's text no longer fits", steps: steps(
			first(join(parse("a", "select ssn where mrn = 'tok:b'"), syncMsg), join(parse("a", "select ssn where mrn = 'b'"), syncMsg)), []step{
				{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))},
				{change: func(j *fakeJudge, _ *Session) { j.generation++; j.relent = true }},
				{client: join(bind("", "a"), execute("", 0), syncMsg), toServer: join(refusedUnknownPortal(), refusedUnknownPortal(), syncMsg)},
				{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.DefinitionChanged()), ready('I'))},
			})},
		{name: "clear: nothing is put back", clear: true, steps: []step{
			{client: query("select ssn where mrn = 'tok:b'"), toServer: query("select ssn where mrn = 'tok:b'")}, {server: result, toClient: result}}},
	} {
		t.Run(sc.name, sc.play)
	}
}

func TestRevealScripts(t *testing.T) {
	null := join(columns("reveal"), wire.AppendDataRow(nil, nil), tag("SELECT 1"), ready('I'))
	shown := func(value string) []byte { return join(columns("reveal"), row(value), tag("SELECT 1"), ready('I')) }
	refused := wire.AppendErrorResponse(nil, wire.RevealRefused())
	const call = "select reveal('tok:value', 'why')"
	for _, clear := range []bool{false, true} {
		begin := func(client, toServer []byte) []step {
			if clear {
				return []step{{client: client, toServer: toServer}}
			}
			return first(client, toServer)
		}
		name := map[bool]string{false: "masked ", true: "clear "}[clear]
		for _, sc := range []script{
			{name: "simple", steps: steps(begin(query(call), query("SELECT NULL")), []step{{server: null, toClient: shown("value")},
				{client: query("show veil.role"), toServer: query("SELECT 'role'")},
				{server: join(columns("x"), row("role"), tag("SELECT 1"), ready('I')), toClient: join(columns("x"), row("role"), tag("SHOW"), ready('I'))}}),
				events: []string{"statement " + call + " because why 1", "statement show veil.role 1"}},
			{name: "recorded before", before: true, steps: steps(begin(query(call), query("SELECT NULL")), []step{{server: null, lazyAudit: true, toClient: shown("value")}})},
			{name: "refused", steps: steps(begin(query("select reveal('x', 'why')"), refusedQ), []step{{server: join(syntaxErr, ready('I')), toClient: join(refused, ready('I'))}}),
				events: []string{"refusal select reveal('x', 'why') because why 0 42501"}},
			{name: "parameters", steps: steps(begin(
				join(parse("r", "select reveal($1, $2)"), bindWith("", "r", nil, []byte("tok:one"), []byte("why")), describeP, execute("", 0), bindWith("", "r", []byte{0, 1}, []byte("tok:two"), []byte("why")), execute("", 0), syncMsg),
				join(parse("r", "SELECT NULL"), bindWith("", "r", nil, []byte("tok:one"), []byte("why")), describeP, execute("", 0), bindWith("", "r", []byte{0, 1}, []byte("tok:two"), []byte("why")), execute("", 0), syncMsg)),
				[]step{{server: join(parsed, bound, columns("reveal"), wire.AppendDataRow(nil, nil), tag("SELECT 1"), bound, wire.AppendDataRow(nil, nil), tag("SELECT 1"), ready('I')),
					toClient: join(parsed, bound, columns("reveal"), row("one"), tag("SELECT 1"), bound, row("two"), tag("SELECT 1"), ready('I'))}}),
				events: []string{"statement select reveal($1, $2) because why 1", "statement select reveal($1, $2) because why 1"}},
			{name: "refused in a pipeline", steps: steps(begin(
				join(parse("", "select reveal($1, 'why')"), bindWith("", "", nil, []byte("x")), execute("", 0), syncMsg),
				join(parse("", "SELECT NULL"), bindWith("", "", nil, []byte("x")), refusedUnknownPortal(), syncMsg)),
				[]step{{server: join(parsed, bound, syntaxErr, ready('I')), toClient: join(parsed, bound, refused, ready('I'))}})},
			{name: "an error in its place", steps: steps(begin(query(call), query("SELECT NULL")), []step{
				{server: join(errorOf("57014", "canceling statement due to user request"), ready('I')), toClient: join(scrubbed("57014", "canceling statement due to user request"), ready('I'))},
				{client: query("select city"), toServer: query("select city")},
				{server: join(columns("city"), row("Bonn"), tag("SELECT 1"), ready('I')), toClient: join(columns("city"), row("Bonn"), tag("SELECT 1"), ready('I'))}})},
		} {
			sc.clear = clear
			t.Run(name+sc.name, sc.play)
		}
	}
}

// TestClientPosition: a place in the server's text is found in the client's.
func TestClientPosition(t *testing.T) {
	edits := []edit{{at: 4, was: 3, now: 5}, {at: 10, was: 6, now: 1}}
	// client: abcd[123]hij[123456]qr, server: abcd[12345]hij[1]qr
	for server, want := range map[int]int{1: 1, 4: 4, 5: 5, 9: 5, 10: 8, 12: 10, 13: 11, 14: 17, 15: 18} {
		if got := clientPosition(edits, server); got != want {
			t.Errorf("position %d: %d, want %d", server, got, want)
		}
	}
}

// FuzzPutBack: every literal that goes back reads as its value, what stands between stays, and positions agree.
func FuzzPutBack(f *testing.F) {
	f.Add("select 'tok:a' = mrn, -5, $$tok:x$$, E'tok:''b'")
	f.Add("mrn in ('tok:a\\b','ü',1005)")
	f.Fuzz(func(t *testing.T, sql string) {
		v := &Verdict{Statements: []*Statement{{Audit: AuditInfo{Statement: "mrn"}}}}
		maskedInputs(v, sql)
		literals := v.literals()
		if len(literals) == 0 {
			return
		}
		s := New(Config{Parameters: []wire.Param{{Name: "client_encoding", Value: "UTF8"}}})
		out, edits, refusal := s.putBack([]byte(sql), literals)
		if refusal != nil {
			return
		}
		shift := 0
		for _, e := range edits {
			shift += e.now - e.was
		}
		if got, want := len([]rune(string(out))), len([]rune(sql))+shift; got != want {
			t.Fatalf("%q: %d characters, want %d", out, got, want)
		}
		if got := clientPosition(edits, len([]rune(string(out)))+1); got != len([]rune(sql))+1 {
			t.Fatalf("%q: the end is at %d of %q", out, got, sql)
		}
	})
}
