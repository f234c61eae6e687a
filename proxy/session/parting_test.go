package session

import (
	"testing"

	"pgveil/wire"
)

// TestParting: what becomes of the server's session when the client leaves.
func TestParting(t *testing.T) {
	var (
		drop    = query(dropPrepared)
		dropped = join(tag("DEALLOCATE ALL"), ready('I'))
		rows    = join(columns("city"), row("Bonn"), tag("SELECT 1"), ready('I'))
		asks    = func(sql string, more ...step) []step {
			return append(append([]step{{client: query(sql), toServer: query(sql)}}, step{server: rows, toClient: rows}), more...)
		}
		reset = query(takeBack)
		sets  = func(more ...step) []step {
			return append([]step{{client: query("set x to y"), toServer: query("set x to y")},
				{server: join(tag("SET"), ready('I')), toClient: join(tag("SET"), ready('I'))}}, more...)
		}
		prepares = func(more ...step) []step {
			m := join(parse("s", "select city"), syncMsg)
			return append([]step{{client: m, toServer: m}, {server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))}}, more...)
		}
		function = join([]byte{'F'}, length(make([]byte, 20)))
		result   = join([]byte{'V'}, length(make([]byte, 4)))
		leaves   = step{client: terminate}
		closes   = step{client: terminate, toServer: terminate}
	)
	for _, c := range []struct {
		name  string
		steps []step
		ends  string
		kept  bool
	}{
		{name: "nothing asked", steps: []step{leaves}, kept: true},
		{name: "stateless", steps: asks("select city", leaves), kept: true},
		{name: "without a word", steps: asks("select city", step{clientEOF: true}), kept: true},
		{name: "stateful", steps: asks("select lasting", closes)},
		{name: "one of two stateful", steps: []step{{client: query("select city; select lasting"), toServer: query("select city; select lasting")},
			{server: join(rows[:len(rows)-6], rows), toClient: join(rows[:len(rows)-6], rows)}, closes}},
		{name: "in a transaction", steps: []step{{client: query("begin"), toServer: query("begin")},
			{server: join(tag("BEGIN"), ready('T')), toClient: join(tag("BEGIN"), ready('T'))}, closes}},
		{name: "after a transaction", steps: []step{{client: query("begin"), toServer: query("begin")},
			{server: join(tag("BEGIN"), ready('T')), toClient: join(tag("BEGIN"), ready('T'))}, {client: query("commit"), toServer: query("commit")},
			{server: join(tag("COMMIT"), ready('I')), toClient: join(tag("COMMIT"), ready('I'))}, leaves}, kept: true},
		{name: "after an error", steps: []step{{client: query("select city"), toServer: query("select city")},
			{server: join(errorOf("22012", "x"), ready('I')), toClient: join(errorOf("22012", "x"), ready('I'))}, leaves}, kept: true},
		{name: "under way", steps: []step{{client: query("select city"), toServer: query("select city")}, closes}},
		{name: "amid a row", steps: []step{{client: query("select city"), toServer: query("select city")}, {server: rows[:20], toClient: rows[:20]}, closes}},
		{name: "without Sync", steps: []step{{client: parse("", "select city"), toServer: parse("", "select city")}, {server: parsed, toClient: parsed}, closes}},
		{name: "half a message of the server's", steps: asks("select city", step{server: ready('I')[:3]}, closes)},
		{name: "a setting was reported", steps: asks("select city", step{server: status("TimeZone", "UTC"), toClient: status("TimeZone", "UTC")}, closes)},
		{name: "a setting was reported, and back", steps: asks("select city", step{server: status("client_encoding", "LATIN1"), toClient: status("client_encoding", "LATIN1")},
			step{server: status("client_encoding", "UTF8"), toClient: status("client_encoding", "UTF8")}, leaves), kept: true},
		{name: "set", steps: sets(step{client: terminate, toServer: reset}, step{server: join(tag("RESET"), ready('I'))}), kept: true},
		{name: "set, and reported", steps: sets(step{server: status("client_encoding", "LATIN1"), toClient: status("client_encoding", "LATIN1")},
			step{client: terminate, toServer: reset}, step{server: join(status("client_encoding", "UTF8"), tag("RESET"), ready('I'))}), kept: true},
		{name: "set, and not taken back", steps: sets(step{server: status("client_encoding", "LATIN1"), toClient: status("client_encoding", "LATIN1")},
			step{client: terminate, toServer: reset}, step{server: join(tag("RESET"), ready('I')), toServer: terminate})},
		{name: "set, and taken back to something else", steps: sets(step{client: terminate, toServer: reset},
			step{server: join(status("client_encoding", "LATIN1"), tag("RESET"), ready('I')), toServer: terminate})},
		{name: "set and prepared", steps: append(sets(), prepares(step{client: terminate, toServer: query(takeBack + ";" + dropPrepared)},
			step{server: join(tag("RESET"), tag("DEALLOCATE ALL"), ready('I'))})...), kept: true},
		{name: "set in a statement that was only prepared", steps: []step{{client: join(parse("", "set x to y"), syncMsg), toServer: join(parse("", "set x to y"), syncMsg)},
			{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))}, {client: terminate, toServer: query(takeBack + ";" + dropPrepared)},
			{server: join(tag("RESET"), tag("DEALLOCATE ALL"), ready('I'))}}, kept: true},
		{name: "something unasked was said", steps: asks("select city", step{server: tag("X"), toClient: tag("X")}, closes)},
		{name: "the server's last word", steps: asks("select city", step{server: wire.AppendErrorResponse(nil, wire.Shutdown()), toClient: wire.AppendErrorResponse(nil, wire.Shutdown())}, closes)},
		{name: "a function by its number", steps: []step{{client: function, toServer: function}, {server: join(result, ready('I')), toClient: join(result, ready('I'))}, closes}},
		{name: "prepared", steps: prepares(step{client: terminate, toServer: drop}, step{server: dropped}), kept: true},
		{name: "prepared, without a word", steps: prepares(step{clientEOF: true, toServer: drop}, step{server: dropped}), kept: true},
		{name: "prepared, and behind the end", steps: prepares(step{client: join(terminate, query("select x")), toServer: drop}, step{server: dropped}), kept: true},
		{name: "prepared a stateful one", steps: []step{{client: join(parse("", "select lasting"), syncMsg), toServer: join(parse("", "select lasting"), syncMsg)},
			{server: join(parsed, ready('I')), toClient: join(parsed, ready('I'))}, closes}},
		{name: "it cannot be dropped", steps: prepares(step{client: terminate, toServer: drop}, step{server: errorOf("57014", "x"), toServer: terminate})},
		{name: "dropped, and in a transaction", steps: prepares(step{client: terminate, toServer: drop}, step{server: join(tag("DEALLOCATE ALL"), ready('T')), toServer: terminate})},
		{name: "a setting is reported at the end", steps: prepares(step{client: terminate, toServer: drop}, step{server: join(status("a", "b"), dropped), toServer: terminate})},
		{name: "the server goes", steps: prepares(step{client: terminate, toServer: drop}, step{serverEOF: true, toServer: terminate})},
		{name: "the client is lost", steps: prepares(step{client: terminate, toServer: drop}, step{change: func(_ *fakeJudge, s *Session) { s.ClientLost(epoch) }, server: dropped}), kept: true},
		{name: "shut down", steps: prepares(step{client: terminate, toServer: drop},
			step{change: func(_ *fakeJudge, s *Session) { s.Drain(epoch) }}), ends: "57P01"},
		{name: "late words", steps: []step{leaves, {server: status("a", "b")}}},
		{name: "a late end", steps: []step{leaves, {serverEOF: true}}},
	} {
		if c.ends == "" {
			c.ends = "-"
		}
		sc := script{name: c.name, clear: true, cfg: func(cfg *Config) { cfg.Keep = true }, steps: c.steps, closed: c.ends,
			check: func(t *testing.T, s *Session, _ *fakeJudge) {
				if s.Kept() != c.kept {
					t.Fatalf("%s: kept %v", c.name, s.Kept())
				}
			}}
		t.Run(c.name, sc.play)
	}
}

// TestPartingMasked: a masked role's session asks for the search path, which leaves nothing.
func TestPartingMasked(t *testing.T) {
	q := query("select city")
	rows := join(columns("city"), row("Bonn"), tag("SELECT 1"), ready('I'))
	for _, c := range []struct {
		name  string
		steps []step
		kept  bool
	}{
		{"a probe", []step{{client: q, toServer: probeSync}, {server: join(probeReply("{x}"), ready('I')), toServer: q}, {server: rows, toClient: rows}, {client: terminate}}, true},
		{"refused", []step{{client: query("select secret"), toServer: probeSync}, {server: join(probeReply("{x}"), ready('I')), toServer: refusedQ},
			{server: join(syntaxErr, ready('I')), toClient: join(refusedErr, ready('I'))}, {client: terminate}}, true},
		{"a probe under way", []step{{client: q, toServer: probeSync}, {client: terminate}, {server: join(probeReply("{x}"), ready('I')), toServer: join(q, terminate)}}, false},
		{"not asked for", []step{{client: terminate, toServer: terminate}}, false},
	} {
		sc := script{name: c.name, cfg: func(cfg *Config) { cfg.Keep = c.name != "not asked for" }, steps: c.steps, closed: "-",
			check: func(t *testing.T, s *Session, _ *fakeJudge) {
				if s.Kept() != c.kept {
					t.Fatalf("%s: kept %v", c.name, s.Kept())
				}
			}}
		t.Run(c.name, sc.play)
	}
}
