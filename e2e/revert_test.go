package e2e

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"

	"pgveil/cmd/pgveil/clinic"
)

// TestSkippedMessagesChangeNothing: what the server skips after an error has no effect, and what was sent
// behind the Sync that ends the skipping has its full effect, whenever the error is noticed: a
// name never stands for one statement in pgveil and for another in the server.
func TestSkippedMessagesChangeNothing(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	const harmless, protected = "SELECT upper(risk_tier) FROM patients", "SELECT upper(ssn) FROM patients"
	failing := bindTo("", "known", "one parameter too many")
	for _, name := range []string{"", "named"} {
		run := list(bind("", name), execute("", 0))
		for _, c := range []struct {
			label string
			sends [][]pgproto3.FrontendMessage // one write each
			rows  int                          // of each round, at least
		}{
			{"replaced behind the Sync, bound later", [][]pgproto3.FrontendMessage{
				list(parse(name, harmless), sync_),
				list(failing, closeObject('S', name), parse(name, "SELECT 'skipped'"), sync_, closeObject('S', name), parse(name, protected), sync_),
				append(run, sync_),
			}, patients},
			{"not replaced, bound behind the Sync", [][]pgproto3.FrontendMessage{
				list(parse(name, protected), sync_),
				append(list(failing, closeObject('S', name), parse(name, harmless), sync_), append(run, sync_)...),
			}, patients},
			{"not replaced, bound behind another Parse and the Sync", [][]pgproto3.FrontendMessage{
				list(parse(name, protected), sync_),
				append(list(failing, closeObject('S', name), parse(name, harmless), sync_, parse("other", harmless), closeObject('S', "other")), append(run, sync_)...),
			}, patients},
			{"skipped Close, bound behind the Sync", [][]pgproto3.FrontendMessage{
				list(parse(name, protected), sync_),
				append(list(failing, closeObject('S', name), sync_), append(run, sync_)...),
			}, 0},
			{"closed behind the Sync", [][]pgproto3.FrontendMessage{
				list(parse(name, protected), sync_),
				list(failing, closeObject('S', name), parse(name, harmless), sync_, closeObject('S', name), sync_),
				list(parse(name, harmless), sync_),
				list(failing, closeObject('S', name), parse(name, harmless), sync_, closeObject('S', name), parse(name, protected), sync_, bind("", name), execute("", 0), sync_),
			}, patients},
			{"portal of a skipped Bind", [][]pgproto3.FrontendMessage{
				list(parse("held", protected), parse("harmless", harmless), sync_, query("BEGIN"), bind("c", "held"), sync_, query("SAVEPOINT s")),
				list(failing, closeObject('P', "c"), bind("c", "harmless"), sync_, query("ROLLBACK TO s"), execute("c", 0), sync_),
				list(query("ROLLBACK"), closeObject('S', "harmless"), closeObject('S', "held"), sync_),
			}, patients},
		} {
			w := p.wire(clinic.Developer)
			w.ask(parse("known", "SELECT 1"), sync_)
			rows := 0
			for range 20 { // after the first round all are known: a write is dealt with before its first reply
				for _, m := range c.sends {
					rows += len(only(w.ask(m...), 'D'))
				}
				w.ask(closeObject('S', name), sync_)
				if leaks := s.find(w.received(), ""); len(leaks) > 0 {
					t.Errorf("statement %q, %s: leaks %s", name, c.label, leaks)
					break
				}
			}
			if rows < 20*c.rows {
				t.Errorf("statement %q, %s: %d rows", name, c.label, rows)
			}
		}
	}
}

// TestFlushWithABody: a message that makes the server skip what follows without pgveil's knowing ends the session.
func TestFlushWithABody(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	const harmless, protected = "SELECT upper(risk_tier) FROM patients", "SELECT upper(ssn) FROM patients"
	for _, body := range []string{"", "x", "\x00", strings.Repeat("x", 100_000)} {
		for _, typ := range []string{"H", "S"} {
			w := p.wire(clinic.Developer)
			w.ask(query(harmless), query(protected))
			w.received()
			w.write([]byte(typ + packet(body)))
			if body != "" {
				w.until('E')
			}
			// The connection may be closed by now.
			w.Conn.Write(encode(t, query(harmless), query(harmless), sync_, query(protected)))
			if body != "" {
				if got := script(w.rest()); got != "" {
					t.Errorf("%s with %d bytes: %q", typ, len(body), got)
				}
			} else if typ == "H" {
				w.until('Z') // of the three queries and the Sync
				w.until('Z')
				w.until('Z')
				w.until('Z')
			}
			if leaks := s.find(w.received(), ""); len(leaks) > 0 {
				t.Errorf("%s with %d bytes leaks %s", typ, len(body), leaks)
			}
		}
	}
}
