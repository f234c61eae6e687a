package session

import (
	"errors"
	"strings"
	"testing"

	"pgveil/audit"
	"pgveil/wire"
)

// first has the client's first bytes cause the probe, and the probe's end the
// client's message go out.
func first(client, toServer []byte) []step {
	return []step{
		{client: client, toServer: probeSync},
		{server: join(probeReply("{pg_catalog,public}"), ready('I')), toServer: toServer},
	}
}

func steps(parts ...[]step) []step {
	var all []step
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestScripts(t *testing.T) {
	q := query("select ssn, city from patients")
	result := join(columns("ssn", "city"), row("123-45-6789", "Bonn"), row("987", "Ulm"), tag("SELECT 2"), ready('I'))
	one := join(columns("?column?"), row("1"), tag("SELECT 1"), ready('I'))
	masked := join(columns("ssn", "city"), row("***********", "Bonn"), row("***", "Ulm"), tag("SELECT 2"), ready('I'))
	extended := join(parse("", "select ssn from patients"), bind("", ""), describeP, execute("", 0), syncMsg)
	extendedResult := join(parsed, bound, columns("ssn"), row("123"), tag("SELECT 1"), ready('I'))
	extendedMasked := join(parsed, bound, columns("ssn"), row("***"), tag("SELECT 1"), ready('I'))
	undescribed := join(parse("", "select ssn from patients"), bind("", ""), execute("", 0), syncMsg)
	undescribedSent := join(parse("", "select ssn from patients"), bind("", ""), describeP, execute("", 0), syncMsg)
	undescribedReply := join(parsed, bound, columns("ssn"), row("123"), tag("SELECT 1"), ready('I'))
	undescribedShown := join(parsed, bound, row("***"), tag("SELECT 1"), ready('I'))
	copyIn := join([]byte{'G'}, length([]byte{0, 0, 0}))
	copyData := copyData("a\tb\n")
	copyDone := wire.AppendEmpty(nil, wire.CopyDone)

	for _, sc := range []script{
		{name: "clear simple", clear: true, steps: []step{
			{client: q, toServer: q}, {server: result, toClient: result}},
			events: []string{"statement select ssn, city from patients 2"}},
		{name: "clear, decided by a job", clear: true, slow: true, steps: []step{
			{client: q, toServer: q}, {server: result, toClient: result}}},
		{name: "clear extended", clear: true, steps: []step{
			{client: extended, toServer: extended}, {server: extendedResult, toClient: extendedResult}},
			events: []string{"statement select ssn from patients 1"}},
		{name: "clear copy in, pipelined", clear: true, steps: []step{
			{client: join(parse("", "copy t from stdin"), bind("", ""), execute("", 0), copyData, copyDone, syncMsg),
				toServer: join(parse("", "copy t from stdin"), bind("", ""), execute("", 0), copyData, copyDone, syncMsg)},
			{server: join(parsed, bound, copyIn, tag("COPY 1"), ready('I')), toClient: join(parsed, bound, copyIn, tag("COPY 1"), ready('I'))},
			{client: q, toServer: q}, {server: result, toClient: result}},
			events: []string{"statement copy t from stdin 1", "statement select ssn, city from patients 2"}},
		{name: "clear copy in, a Sync in the copy is ignored", clear: true, steps: []step{
			{client: join(parse("", "copy t from stdin"), bind("", ""), execute("", 0), syncMsg),
				toServer: join(parse("", "copy t from stdin"), bind("", ""), execute("", 0), syncMsg)},
			{server: join(parsed, bound, copyIn), toClient: join(parsed, bound, copyIn)},
			{client: join(copyData, syncMsg, copyDone, syncMsg), toServer: join(copyData, syncMsg, copyDone, syncMsg)},
			{server: join(tag("COPY 1"), ready('I')), toClient: join(tag("COPY 1"), ready('I'))},
			{client: q, toServer: q}, {server: result, toClient: result}},
			events: []string{"statement copy t from stdin 1", "statement select ssn, city from patients 2"}},
		{name: "clear copy out", clear: true, steps: []step{
			{client: query("copy t to stdout"), toServer: query("copy t to stdout")},
			{server: join([]byte{'H'}, length([]byte{0, 0, 0}), copyData, copyDone, tag("COPY 1"), ready('I')),
				toClient: join([]byte{'H'}, length([]byte{0, 0, 0}), copyData, copyDone, tag("COPY 1"), ready('I'))}}},
		{name: "clear statement too long to examine streams", clear: true, cfg: func(c *Config) { c.MaxStatementBytes = 8 }, steps: []step{
			{client: q, toServer: q}, {server: result, toClient: result}},
			events: []string{"statement " + unexamined.Statement + " 2"},
			check: func(t *testing.T, _ *Session, j *fakeJudge) {
				if j.changed == 0 {
					t.Error("an unexamined statement may change definitions: the judge was not told")
				}
			}},
		{name: "clear when the judge is broken", clear: true, slow: true, steps: []step{
			{change: func(j *fakeJudge, _ *Session) { j.broken = errors.New("no catalog") }},
			{client: q, toServer: q}, {server: result, toClient: result}}},
		{name: "clear answer", clear: true, steps: []step{
			{client: query("show veil.role"), toServer: query("SELECT 'role'")},
			{server: join(columns("x"), row("role"), tag("SELECT 1"), ready('I')), toClient: join(columns("x"), row("role"), tag("SHOW"), ready('I'))}}},

		{name: "masked simple", steps: steps(first(q, q), []step{{server: result, toClient: masked}}),
			events: []string{"statement select ssn, city from patients 2"}},
		{name: "masked, decided by a job", slow: true, steps: steps(first(q, q), []step{{server: result, toClient: masked}})},
		{name: "masked, recorded before the result", before: true, steps: steps(first(q, q), []step{
			{server: result, lazyAudit: true, toClient: masked}})},
		{name: "masked extended", before: true, steps: steps(first(extended, extended), []step{{server: extendedResult, toClient: extendedMasked}})},
		{name: "masked, never described", steps: steps(first(undescribed, undescribedSent), []step{{server: undescribedReply, toClient: undescribedShown}})},
		{name: "masked, nothing protected", steps: steps(first(query("select city from t"), query("select city from t")), []step{
			{server: join(columns("city"), row("Bonn"), tag("SELECT 1"), ready('I')), toClient: join(columns("city"), row("Bonn"), tag("SELECT 1"), ready('I'))}})},
		{name: "masked pipeline of queries", steps: steps(first(join(q, q), join(q, q)), []step{{server: join(result, result), toClient: join(masked, masked)}})},
		{name: "masked multi-statement", steps: steps(first(query("select ssn; select city"), query("select ssn; select city")), []step{
			{server: join(columns("ssn"), row("123"), tag("SELECT 1"), columns("city"), row("Bonn"), tag("SELECT 1"), ready('I')),
				toClient: join(columns("ssn"), row("***"), tag("SELECT 1"), columns("city"), row("Bonn"), tag("SELECT 1"), ready('I'))}}),
			events: []string{"statement select ssn 1", "statement select city 1"}},
		{name: "masked refusal", steps: steps(first(query("select secret"), refusedQ), []step{
			{server: join(syntaxErr, ready('I')), toClient: join(refusedErr, ready('I'))},
			{client: q, toServer: q}, {server: result, toClient: masked}}),
			events: []string{"refusal select secret 0 42501", "statement select ssn, city from patients 2"}},
		{name: "masked refusal in a pipeline", before: true, steps: steps(
			first(join(parse("a", "select secret"), bind("", "a"), execute("", 0), syncMsg, q), join(parse("a", refusedText), bind("", "a"),
				refusedUnknownPortal(), syncMsg, q)),
			[]step{{server: join(syntaxErr, ready('I'), result), toClient: join(refusedErr, ready('I'), masked)}})},
		{name: "masked: a failed Parse leaves the old statement", steps: steps(
			first(join(parse("a", "select ssn"), syncMsg), join(parse("a", "select ssn"), syncMsg)),
			[]step{
				{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))},
				{client: join(parse("a", "select city"), syncMsg), toServer: join(parse("a", "select city"), syncMsg)},
				{server: join(errorOf("42P05", "prepared statement already exists"), ready('I')),
					toClient: join(scrubbed("42P05", "prepared statement already exists"), ready('I'))},
				{client: join(bind("", "a"), describeP, execute("", 0), syncMsg), toServer: join(bind("", "a"), describeP, execute("", 0), syncMsg)},
				{server: join(bound, columns("ssn"), row("123"), tag("SELECT 1"), ready('I')), toClient: join(bound, columns("ssn"), row("***"), tag("SELECT 1"), ready('I'))},
			})},
		{name: "masked: what is behind an error is skipped to Sync", steps: steps(
			first(undescribed, undescribedSent),
			[]step{
				{server: errorOf("42P01", "relation does not exist"), toClient: scrubbed("42P01", "relation does not exist")},
				{server: ready('I'), toClient: ready('I')},
				{client: join(parse("", "select ssn"), flushMsg), toServer: join(parse("", "select ssn"), flushMsg)},
				{server: errorOf("42P01", "relation does not exist"), toClient: scrubbed("42P01", "relation does not exist")},
				{client: join(bind("", ""), execute("", 0), q), toServer: nil},
				{client: syncMsg, toServer: syncMsg},
				{server: ready('I'), toClient: ready('I')},
				{client: q, toServer: q}, {server: result, toClient: masked},
			})},
		{name: "masked portal in parts", steps: steps(
			first(join(parse("", "select ssn"), bind("p", ""), wire.AppendDescribe(nil, 'P', "p"), execute("p", 1), flushMsg),
				join(parse("", "select ssn"), bind("p", ""), wire.AppendDescribe(nil, 'P', "p"), execute("p", 1), flushMsg)),
			[]step{
				{server: join(parsed, bound, columns("ssn"), row("123"), suspended), toClient: join(parsed, bound, columns("ssn"), row("***"), suspended)},
				{client: join(execute("p", 1), syncMsg), toServer: join(execute("p", 1), syncMsg)},
				{server: join(row("45"), tag("SELECT 1"), ready('I')), toClient: join(row("**"), tag("SELECT 1"), ready('I'))},
				{client: join(execute("p", 1), syncMsg), toServer: join(refusedUnknownPortal(), syncMsg)},
			})},
		{name: "masked: search_path changes in a pipeline", steps: steps(
			first(join(parse("", "set search_path to x"), bind("", ""), execute("", 0), parse("", "select ssn"), syncMsg),
				join(parse("", "set search_path to x"), bind("", ""), execute("", 0), probeFlush)),
			[]step{
				{server: join(parsed, bound, tag("SET"), probeReply("{x}")), toClient: join(parsed, bound, tag("SET")), toServer: join(parse("", "select ssn"), syncMsg)},
				{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))},
				// The transaction has ended: asked anew.
				{client: q, toServer: probeSync},
				{server: join(probeReply("{x,y}"), ready('I')), toServer: q},
				{server: result, toClient: masked},
			}),
			check: func(t *testing.T, _ *Session, j *fakeJudge) {
				if got := strings.Join(j.paths, " "); got != "{pg_catalog,public} {x} {x,y}" {
					t.Errorf("decided under %s", got)
				}
			}},
		{name: "masked: nothing is asked of the server before a statement names something", steps: steps([]step{
			{client: query("SELECT 1;"), toServer: query("SELECT 1;")},
			{server: one, toClient: one},
		}, first(q, q), []step{
			{server: result, toClient: masked},
			{client: query("SELECT 1;"), toServer: query("SELECT 1;")},
			{server: one, toClient: one},
		}),
			check: func(t *testing.T, _ *Session, j *fakeJudge) {
				if got := strings.Join(j.paths, " "); got != "{pg_catalog} {pg_catalog,public}" {
					t.Errorf("decided under %s", got)
				}
			}},
		{name: "masked: a temporary schema is asked about in a second probe", steps: []step{
			{client: q, toServer: probeSync},
			{server: join(probeAnswer("{pg_temp_3,public}", "16411"), ready('I')), toServer: join(probeOf(tempSQL), syncMsg)},
			{server: join(probeAnswer("{pg_temp_3,public}", `{"s":"pg_temp_3","r":null}`), ready('I')), toServer: q},
			{server: result, toClient: masked},
			// From now on in the first.
			{client: join(parse("", "set search_path to x"), bind("", ""), execute("", 0), parse("", "select ssn"), syncMsg),
				toServer: join(parse("", "set search_path to x"), bind("", ""), execute("", 0), probeOf(tempSQL), flushMsg)},
			{server: join(parsed, bound, tag("SET"), probeAnswer("{pg_temp_3,x}", "")), toClient: join(parsed, bound, tag("SET")), toServer: join(parse("", "select ssn"), syncMsg)},
			// There is none any more.
			{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))},
			{client: q, toServer: probeSync},
		}},
		{name: "masked: a temporary schema in a pipeline", steps: steps(
			first(join(parse("", "set search_path to x"), bind("", ""), execute("", 0), parse("", "select ssn"), syncMsg),
				join(parse("", "set search_path to x"), bind("", ""), execute("", 0), probeFlush)),
			[]step{
				{server: join(parsed, bound, tag("SET"), probeAnswer("{pg_temp_3,x}", "16411")), toClient: join(parsed, bound, tag("SET")),
					toServer: join(probeOf(tempSQL), flushMsg)},
				{server: probeAnswer("{pg_temp_3,x}", `{"s":"pg_temp_3","r":null}`), toServer: join(parse("", "select ssn"), syncMsg)},
			})},
		{name: "masked: a probe that is cancelled leaves its statement", steps: []step{
			{client: q, toServer: probeSync},
			{server: join(parsed, errorOf("57014", "canceling statement"), ready('I')), toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.Refused("57014", "canceling statement", "", "", 0)), ready('I'))},
			{client: q, toServer: join(wire.AppendClose(nil, 'S', probeName), probeSync)},
			{server: join(closedMsg, probeReply("{x}"), ready('I')), toServer: q},
			{server: result, toClient: masked},
		}},
		{name: "masked: an error before the probe", steps: steps(
			first(join(parse("", "set search_path to x"), bind("", ""), execute("", 0), parse("", "select ssn"), syncMsg),
				join(parse("", "set search_path to x"), bind("", ""), execute("", 0), probeFlush)),
			[]step{
				{server: join(parsed, bound, errorOf("22012", "division by zero")), toClient: join(parsed, bound, scrubbed("22012", "division by zero")), toServer: syncMsg},
				{server: ready('I'), toClient: ready('I')},
				{client: q, toServer: probeSync},
				{server: join(probeReply("{x}"), ready('I')), toServer: q},
				{server: result, toClient: masked},
			})},
		{name: "masked: a prepared statement under another path is decided anew", steps: steps(
			first(join(parse("a", "select ssn"), syncMsg), join(parse("a", "select ssn"), syncMsg)),
			[]step{
				{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))},
				{client: query("set search_path to y"), toServer: query("set search_path to y")},
				{server: join(tag("SET"), ready('I')), toClient: join(tag("SET"), ready('I'))},
				{client: join(bind("", "a"), describeP, execute("", 0), syncMsg), toServer: probeSync},
				{server: join(probeReply("{y}"), ready('I')), toServer: join(bind("", "a"), describeP, execute("", 0), syncMsg)},
				{server: join(bound, columns("ssn"), row("123"), tag("SELECT 1"), ready('I')), toClient: join(bound, columns("ssn"), row("***"), tag("SELECT 1"), ready('I'))},
			})},
		{name: "masked: definitions change under an open portal", steps: steps(
			first(join(parse("", "select ssn"), bind("p", ""), execute("p", 1), flushMsg),
				join(parse("", "select ssn"), bind("p", ""), wire.AppendDescribe(nil, 'P', "p"), execute("p", 1), flushMsg)),
			[]step{
				{server: join(parsed, bound, columns("ssn"), row("123"), suspended), toClient: join(parsed, bound, row("***"), suspended)},
				{change: func(j *fakeJudge, _ *Session) { j.generation++; j.relent = true }},
				{client: join(execute("p", 1), syncMsg), toServer: join(execute("p", 1), syncMsg)},
				{server: join(row("45"), tag("SELECT 1"), ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.DefinitionChanged()), ready('I'))},
			})},
		{name: "masked: other definitions change under an open portal", slow: true, steps: steps(
			first(join(parse("", "select ssn"), bind("p", ""), execute("p", 1), flushMsg),
				join(parse("", "select ssn"), bind("p", ""), wire.AppendDescribe(nil, 'P', "p"), execute("p", 1), flushMsg)),
			[]step{
				{server: join(parsed, bound, columns("ssn"), row("123"), suspended), toClient: join(parsed, bound, row("***"), suspended)},
				{change: func(j *fakeJudge, _ *Session) { j.generation++ }},
				{client: join(execute("p", 1), syncMsg), toServer: join(execute("p", 1), syncMsg)},
				{server: join(row("45"), tag("SELECT 1"), ready('I')), toClient: join(row("**"), tag("SELECT 1"), ready('I'))},
			})},
		{name: "masked: the witness disagrees", before: true, steps: steps(first(query("select fault"), query("select fault")), []step{
			{server: join(columns("ssn"), row("123"), row("456"), tag("SELECT 2"), ready('I')),
				toClient: join(wire.AppendErrorResponse(nil, wire.WitnessDisagrees("column 1")), ready('I'))},
			{client: q, toServer: q}, {server: result, toClient: masked}}),
			events: []string{"statement select fault 0 42501", "statement select ssn, city from patients 2"}},
		{name: "masked: the witness disagrees, extended", steps: steps(
			first(join(parse("", "select fault"), bind("", ""), execute("", 0), flushMsg), join(parse("", "select fault"), bind("", ""), describeP, execute("", 0), flushMsg)),
			[]step{
				{server: join(parsed, bound, columns("ssn"), row("123"), tag("SELECT 1")), toClient: join(parsed, bound, wire.AppendErrorResponse(nil, wire.WitnessDisagrees("column 1")))},
				{client: join(q, syncMsg), toServer: syncMsg},
				{server: ready('I'), toClient: ready('I')},
			})},
		{name: "masked: settings", steps: steps(first(query("set standard_conforming_strings = off"), query("set standard_conforming_strings = off")), []step{
			{client: query(`select 'a\'`)}, // waits for the setting to be reported
			{server: join(tag("SET"), status("standard_conforming_strings", "off"), ready('I')),
				toClient: join(tag("SET"), status("standard_conforming_strings", "off"), ready('I')), toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.Backslash()), ready('I'))}})},
		{name: "masked: encoding", steps: []step{
			{client: query("select '\xff'"), toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.BadEncoding()), ready('I'))}}},
		{name: "masked: other encoding", cfg: func(c *Config) { c.Parameters[1].Value = "LATIN1" }, steps: []step{
			{client: query("select 'ä'"), toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.ClientEncoding("LATIN1")), ready('I'))}}},
		{name: "masked: statement too long", cfg: func(c *Config) { c.MaxStatementBytes = 40 }, steps: []step{
			{client: query(strings.Repeat("select ", 9)), toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.StatementTooLong(40)), ready('I'))},
			{client: join(parse("a", strings.Repeat("select ", 9)), syncMsg), toServer: join(parse(refusedName, refusedText), syncMsg)},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.StatementTooLong(40)), ready('I'))}}},
		{name: "masked: names moved within a string", steps: steps(first(query("set search_path to x; select ssn"), refusedQ), []step{
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, movedNames()), ready('I'))}})},
		{name: "masked: the catalog cannot be read", slow: true, steps: steps(
			[]step{{change: func(j *fakeJudge, _ *Session) { j.broken = errors.New("no catalog") }}}, first(q, refusedQ), []step{
				{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.Undecided(nil)), ready('I'))}})},
		{name: "masked: notices, notifications, settings", steps: steps(first(q, q), []step{
			{server: join(notice("22000", "value 4711 is out of range"), notification("c", "123-45-6789"), status("my.setting", "123"), status("TimeZone", "UTC"), result),
				toClient: join(scrubbedNotice("22000", "value *** is out of range"), notification("c", ""), status("TimeZone", "UTC"), masked)}})},
		{name: "masked function call", steps: []step{{client: join([]byte{'F'}, length(make([]byte, 20))),
			toClient: wire.AppendErrorResponse(nil, wire.FunctionCallRefused()), toServer: terminate}}, closed: "0A000"},
		{name: "masked copy out", steps: steps(first(q, q), []step{{server: join([]byte{'H'}, length([]byte{0, 0, 0})),
			toClient: wire.AppendErrorResponse(nil, wire.CopyRefused()), toServer: terminate}}), closed: "0A000"},
		{name: "masked copy data", steps: []step{{server: copyData, toClient: wire.AppendErrorResponse(nil, wire.CopyRefused()), toServer: terminate}}, closed: "0A000"},
		{name: "masked row out of the blue", steps: []step{{server: row("123"),
			toClient: wire.AppendErrorResponse(nil, wire.UpstreamProtocolViolation(nil)), toServer: terminate}}, closed: "08P01"},
		{name: "masked row without description", steps: steps(first(q, q), []step{{server: row("123"),
			toClient: wire.AppendErrorResponse(nil, wire.RowWithoutProgram(nil)), toServer: terminate}}), closed: "XX000"},
		{name: "masked row of a statement without rows", steps: steps(first(query("begin"), query("begin")), []step{{server: join(columns("ssn"), row("123")),
			toClient: wire.AppendErrorResponse(nil, wire.RowWithoutProgram(nil)), toServer: terminate}}), closed: "XX000"},
		{name: "masked row with another number of columns", steps: steps(first(q, q), []step{{server: join(columns("ssn", "city"), row("123")),
			toClient: join(columns("ssn", "city"), wire.AppendErrorResponse(nil, wire.RowWithoutProgram(nil))), toServer: terminate}}), closed: "XX000"},
		{name: "masked row too long", cfg: func(c *Config) { c.MaxRowBytes = 120 }, steps: steps(first(q, q), []step{{server: join(columns("ssn", "city"), row(strings.Repeat("1", 200), "")),
			toClient: join(columns("ssn", "city"), wire.AppendErrorResponse(nil, wire.RowTooLong(120))), toServer: terminate}}), closed: "54000"},
		{name: "unknown message of the client", clear: true, steps: []step{{client: []byte("!!!!!!!"),
			toClient: wire.AppendErrorResponse(nil, wire.ProtocolViolation("invalid frontend message type 33")), toServer: terminate}}, closed: "08P01"},
		{name: "unknown message of the server", steps: []step{{server: []byte("!!!!!!!"),
			toClient: wire.AppendErrorResponse(nil, wire.UpstreamProtocolViolation(nil)), toServer: terminate}}, closed: "08P01"},
		{name: "the server is lost", steps: steps(first(q, q), []step{{serverEOF: true,
			toClient: wire.AppendErrorResponse(nil, wire.UpstreamLost(nil)), toServer: terminate}}), closed: "08006"},
		{name: "the server says FATAL", clear: true, steps: []step{{server: wire.AppendErrorResponse(nil, wire.Shutdown()), serverEOF: true,
			toClient: wire.AppendErrorResponse(nil, wire.Shutdown())}}, closed: "-"},
		{name: "the client ends", clear: true, steps: []step{{client: terminate, toServer: join(terminate)}}, closed: "-"},
		{name: "the client closes its half", clear: true, steps: []step{
			{client: q, clientEOF: true, toServer: join(q, terminate)},
			{server: result, toClient: result, serverEOF: true}}, closed: "-"},
		{name: "drain", clear: true, steps: []step{
			{client: q, toServer: q},
			{change: func(_ *fakeJudge, s *Session) { s.Drain(epoch) }},
			{server: result, toClient: join(result, wire.AppendErrorResponse(nil, wire.Shutdown())), toServer: terminate}}, closed: "57P01"},
		{name: "the audit log is broken", clear: true, cfg: func(c *Config) { c.AuditErr = func() error { return errors.New("disk full") } }, steps: []step{
			{client: q, toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(wire.AppendErrorResponse(nil, wire.AuditUnavailable(nil)), ready('I'))}}, events: []string{}},
	} {
		t.Run(sc.name, func(t *testing.T) { sc.play(t) })
	}
}

func refusedUnknownPortal() []byte { return parse(refusedName, refusedText) }

func movedNames() *wire.Error {
	return wire.Refused("0A000", "a statement follows one that changes the meaning of names in the same query string",
		"What the names mean afterwards is only known when the first has run.",
		"Send the statements in query strings of their own.", 0)
}

func notice(code, message string) []byte {
	b := errorOf(code, message)
	b[0] = 'N'
	return b
}

func scrubbed(code, message string) []byte { return errorOf(code, message) }

func scrubbedNotice(code, message string) []byte { return notice(code, message) }

func notification(channel, payload string) []byte {
	return wire.AppendNotification(nil, 1, []byte(channel), []byte(payload))
}

// A record that cannot be made durable takes the result with it.
func TestAuditFailure(t *testing.T) {
	j := &fakeJudge{}
	s := New(Config{Judge: j, Clear: true, BeforeResult: true})
	s.Client(epoch, query("select ssn"))
	s.Server(epoch, join(columns("ssn"), row("123"), tag("SELECT 1"), ready('I')))
	if buf, direct := s.TakeClient(nil); len(buf)+len(direct) > 0 {
		t.Fatalf("%q%q left before the record", buf, direct)
	}
	if s.ReadServer() {
		t.Error("more of the server is read while a record is awaited")
	}
	n := 0
	s.Records(func(_ *audit.Record, wait bool) {
		if n++; !wait {
			t.Error("the record is not waited for")
		}
	})
	if n != 1 {
		t.Fatalf("%d records", n)
	}
	s.AuditDone(epoch, errors.New("disk full"))
	buf, direct := s.TakeClient(nil)
	want := wire.AppendErrorResponse(nil, wire.AuditUnavailable(nil).AsFatal())
	if got := join(buf, direct); string(got) != string(want) {
		t.Errorf("the client got %q, want %q", got, want)
	}
	if done, reason := s.Done(); !done || reason.Code != "58030" {
		t.Errorf("done %v, %v", done, reason)
	}
}

// What is encoded once of a session follows its application_name.
func TestRecordsFollowApplicationName(t *testing.T) {
	s := New(Config{Judge: &fakeJudge{}, Clear: true, Application: "first"})
	for _, name := range []string{"first", "second", "second", "first"} {
		s.Client(epoch, query("set application_name"))
		s.Server(epoch, join(status("application_name", name), tag("SET"), ready('I')))
		n := 0
		s.Records(func(r *audit.Record, _ bool) {
			n++
			if sameEncoded(t, r); r.Application != name {
				t.Errorf("the record names %q, want %q", r.Application, name)
			}
		})
		if n != 1 {
			t.Fatalf("%d records", n)
		}
	}
}

// A long result is recorded before it ends, and once more with its figures.
func TestEarlyRecord(t *testing.T) {
	s := New(Config{Judge: &fakeJudge{}, Clear: true, BeforeResult: true})
	s.Client(epoch, query("select ssn"))
	s.TakeServer(nil)
	var events []string
	take := func() string {
		s.Records(func(r *audit.Record, wait bool) {
			events = append(events, r.Event)
			if wait {
				defer s.AuditDone(epoch, nil)
			}
		})
		buf, direct := s.TakeClient(nil)
		return string(join(buf, direct))
	}
	s.Server(epoch, join(columns("ssn"), row("1")))
	if buf, direct := s.TakeClient(nil); len(buf)+len(direct) > 0 {
		t.Fatal("bytes left before the record")
	}
	if got := take(); got != string(join(columns("ssn"), row("1"))) {
		t.Fatalf("%q", got)
	}
	s.Server(epoch, join(row("2"), tag("SELECT 2"), ready('I')))
	if got := take(); got != string(join(row("2"), tag("SELECT 2"), ready('I'))) {
		t.Fatalf("%q", got)
	}
	if strings.Join(events, " ") != "statement statement_end" {
		t.Errorf("%q", events)
	}
}

func TestNamesNothing(t *testing.T) {
	for sql, want := range map[string]bool{
		"SELECT 1": true, "select  42 ": true, "\n Select 7;\n": true, "select 123456789": true,
		"": false, "select": false, "select ": false, "select;": false, "select1": false, "select 1234567890": false, "select 1 x": false, "select 1, 2": false,
		"select ssn": false, "select 1;;": false, "select 1; select 2": false, "select 1.5": false, "select 1::x": false, "select -1": false, "select @ 1": false,
		"select 1--": false, "\u017felect 1": false, "table 1": false, "select\x001": false,
	} {
		if got := namesNothing([]byte(sql)); got != want {
			t.Errorf("%q: %v", sql, got)
		}
	}
}
