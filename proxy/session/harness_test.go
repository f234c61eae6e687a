package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgveil/audit"
	"pgveil/masking"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// fakeJudge decides by words in the text: "secret" is refused, "ssn" masked,
// "veil" answered, "fault" disagrees with the witness, "lasting" leaves something behind.
type fakeJudge struct {
	slow       bool // nothing is at hand: every decision is a job
	broken     error
	generation uint64
	changed    int
	paths      []string // the search paths decided under
	cache      map[string]*Verdict
	relent     bool // "ssn" passes: as if the definitions had changed
}

type starMask struct{}

func (starMask) MaskCell(dst, cell []byte) ([]byte, bool) {
	for range cell {
		dst = append(dst, '*')
	}
	return dst, true
}

func (j *fakeJudge) Lookup(q Query) (*Verdict, bool) {
	if j.slow {
		return nil, false
	}
	if v := j.cache[q.SQL]; v != nil && v.Generation == j.generation {
		return v, true
	}
	v, err := j.Decide(context.Background(), q)
	if err == nil {
		if j.cache == nil {
			j.cache = map[string]*Verdict{}
		}
		j.cache[strings.Clone(q.SQL)] = v
	}
	return v, err == nil
}

func (j *fakeJudge) Current(v *Verdict) bool { return v.Generation == j.generation }
func (j *fakeJudge) Changed()                { j.changed++ }

func (j *fakeJudge) Decide(_ context.Context, q Query) (*Verdict, error) {
	if j.broken != nil {
		return nil, j.broken
	}
	if len(j.paths) < 100 {
		j.paths = append(j.paths, q.SearchPath)
	}
	v := &Verdict{Generation: j.generation}
	for sql := range strings.SplitSeq(q.SQL, ";") {
		sql = strings.Clone(strings.TrimSpace(sql))
		if sql == "" {
			continue
		}
		tag, _, _ := strings.Cut(strings.ToUpper(sql), " ")
		st := &Statement{Action: Pass, Tag: tag, Audit: AuditInfo{Statement: sql, Verdict: "pass"}}
		switch {
		case strings.Contains(sql, "lasting"):
		case tag == "SELECT", tag == "BEGIN", tag == "COMMIT":
			st.Traces = sqlparse.TracesNone
		case tag == "SET":
			st.Traces = sqlparse.TracesSettings
		}
		defer st.Seal()
		switch {
		case strings.Contains(sql, "secret"):
			st.Action, st.Refusal = Refuse, wire.Refused("42501", "refused", "", "", 0)
			st.Audit.Reason = "rule"
		case strings.Contains(sql, "reveal("):
			revealVerdict(st, sql)
		case strings.Contains(sql, "veil"):
			st.Action, st.Answer, st.AnswerTag, st.Rows = Answer, "SELECT 'role'", "SHOW", true
		case tag == "COPY":
			copyVerdict(st, sql, false)
		case tag == "SET":
			if strings.Contains(sql, "search_path") {
				st.Names = sqlparse.NamesSearchPath
			}
		case tag == "CREATE":
			st.Names = sqlparse.NamesCatalog
		case tag == "SELECT" || strings.Contains(sql, "returning"):
			st.Rows = true
			relent := j.relent
			st.Compile = func(fields []wire.Field, _ masking.Session) (*wire.RowRewriter, *wire.Error) {
				if strings.Contains(sql, "fault") {
					return nil, wire.WitnessDisagrees("column 1")
				}
				cells := make([]wire.Cell, len(fields))
				masked := false
				for i, f := range fields {
					if string(f.Name) == "ssn" && !relent {
						cells[i].Masker, masked = starMask{}, true
					}
				}
				if !masked {
					return nil, nil
				}
				return wire.NewRowRewriter(cells), nil
			}
		}
		v.Statements = append(v.Statements, st)
	}
	if !j.relent {
		maskedInputs(v, q.SQL)
	}
	return v, nil
}

// sameEncoded is r, of which what is encoded already has to say the same as its fields.
func sameEncoded(t testing.TB, r *audit.Record) audit.Record {
	t.Helper()
	if r.OfSession != audit.EncodeSession(r) {
		t.Errorf("the session's encoded members are not those of %+v", r)
	}
	if r.OfStatement != (audit.Members{}) && r.OfStatement != audit.EncodeStatement(r) {
		t.Errorf("the statement's encoded members are not those of %+v", r)
	}
	return *r
}

// step is one exchange: what arrives, and what has to leave after it.
type step struct {
	client, server       []byte
	toServer, toClient   []byte
	clientEOF, serverEOF bool
	lazyAudit            bool // records become durable only after the step
	beforeAudit          []byte
	change               func(*fakeJudge, *Session)
}

// script is an exchange and how the session is made.
type script struct {
	name   string
	clear  bool
	before bool // records before results
	slow   bool
	cfg    func(*Config)
	steps  []step
	closed string // SQLSTATE of the session's end, "" when it goes on, "-" in good order
	events []string
	check  func(*testing.T, *Session, *fakeJudge)
}

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// run plays a script; cut gives the sizes of the pieces that a step's bytes come in.
func (sc *script) run(t *testing.T, label string, cut func(step int, b []byte) [][]byte) []record {
	t.Helper()
	j := &fakeJudge{slow: sc.slow}
	cfg := Config{
		Judge: j, Clear: sc.clear, BeforeResult: sc.before, User: "bob",
		Parameters: []wire.Param{{Name: "standard_conforming_strings", Value: "on"}, {Name: "client_encoding", Value: "UTF8"}},
	}
	if sc.cfg != nil {
		sc.cfg(&cfg)
	}
	s := New(cfg)
	var toClient, toServer []byte
	var records []record
	waiting := 0
	drain := func() {
		for {
			if q, ok := s.Job(); ok {
				v, err := j.Decide(context.Background(), q)
				s.Decided(epoch, v, err)
				continue
			}
			buf, direct := s.TakeClient(nil)
			toClient = append(append(toClient, buf...), direct...)
			buf2, direct2 := s.TakeServer(nil)
			toServer = append(append(toServer, buf2...), direct2...)
			if !s.HasRecords() && len(buf)+len(direct)+len(buf2)+len(direct2) == 0 {
				return
			}
			s.Records(func(r *audit.Record, wait bool) {
				records = append(records, record{sameEncoded(t, r), wait})
				if wait {
					waiting++
				}
			})
		}
	}
	settle := func() {
		drain()
		for waiting > 0 {
			waiting--
			s.AuditDone(epoch, nil)
			drain()
		}
	}
	for i, st := range sc.steps {
		if st.change != nil {
			st.change(j, s)
			settle()
		}
		toClient, toServer = nil, nil
		for _, b := range cut(i, st.client) {
			s.Client(epoch, bytes.Clone(b))
			settle()
		}
		for _, b := range cut(i, st.server) {
			s.Server(epoch, bytes.Clone(b))
			if st.lazyAudit {
				drain()
			} else {
				settle()
			}
		}
		if st.lazyAudit {
			if !bytes.Equal(toClient, st.beforeAudit) {
				t.Fatalf("%s, %s, step %d: before the audit record is durable the client got\n%q, want\n%q", sc.name, label, i, toClient, st.beforeAudit)
			}
			settle()
		}
		if st.clientEOF {
			s.ClientEOF(epoch)
		}
		if st.serverEOF {
			s.ServerEOF(epoch, errors.New("gone"))
		}
		settle()
		if !bytes.Equal(toServer, st.toServer) {
			t.Fatalf("%s, %s, step %d: to the server\n%q, want\n%q", sc.name, label, i, toServer, st.toServer)
		}
		if !bytes.Equal(toClient, st.toClient) {
			t.Fatalf("%s, %s, step %d: to the client\n%q, want\n%q", sc.name, label, i, toClient, st.toClient)
		}
	}
	done, reason := s.Done()
	end := ""
	switch {
	case done && reason != nil:
		end = reason.Code
	case done:
		end = "-"
	}
	if end != sc.closed {
		t.Fatalf("%s, %s: the session ended with %q (%v), want %q", sc.name, label, end, reason, sc.closed)
	}
	if sc.check != nil {
		sc.check(t, s, j)
	}
	return records
}

// play runs a script with its bytes in one piece, byte by byte, and cut in two at
// every place.
func (sc *script) play(t *testing.T) {
	t.Helper()
	records := sc.run(t, "whole", func(_ int, b []byte) [][]byte {
		if len(b) == 0 {
			return nil
		}
		return [][]byte{b}
	})
	if sc.events != nil {
		var got []string
		for _, r := range records {
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %d %s", r.Event, r.Statement, r.Rows, r.SQLState)))
		}
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", sc.events) {
			t.Errorf("%s: records\n%q, want\n%q", sc.name, got, sc.events)
		}
	}
	sc.run(t, "byte by byte", func(_ int, b []byte) (out [][]byte) {
		for i := range b {
			out = append(out, b[i:i+1])
		}
		return out
	})
	for at := range sc.steps {
		n := max(len(sc.steps[at].client), len(sc.steps[at].server))
		for i := 1; i < n; i++ {
			sc.run(t, fmt.Sprintf("step %d cut at %d", at, i), func(step int, b []byte) [][]byte {
				if step != at || i >= len(b) {
					return [][]byte{b}
				}
				return [][]byte{b[:i], b[i:]}
			})
		}
	}
}

// Messages, short.

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func query(sql string) []byte       { return wire.AppendQuery(nil, sql) }
func parse(name, sql string) []byte { return wire.AppendParse(nil, name, sql, nil) }
func bind(portal, stmt string) []byte {
	return wire.AppendBind(nil, portal, stmt, 0)
}
func execute(portal string, rows uint32) []byte { return wire.AppendExecute(nil, portal, rows) }
func ready(status byte) []byte                  { return wire.AppendReadyForQuery(nil, status) }
func tag(s string) []byte                       { return wire.AppendCommandComplete(nil, s) }
func status(name, value string) []byte          { return wire.AppendParameterStatus(nil, name, value) }

func row(cells ...string) []byte {
	var b [][]byte
	for _, c := range cells {
		b = append(b, []byte(c))
	}
	return wire.AppendDataRow(nil, b...)
}

func columns(names ...string) []byte {
	var f []wire.Field
	for _, n := range names {
		f = append(f, wire.Field{Name: []byte(n), Type: 25, Size: -1, Mod: -1})
	}
	return wire.AppendRowDescription(nil, f)
}

func errorOf(code, message string) []byte {
	return join([]byte{'E'}, length(join([]byte("SERROR\x00VERROR\x00C"+code+"\x00M"+message+"\x00Fint.c\x00L1\x00Rf\x00\x00"))))
}

func length(body []byte) []byte {
	n := len(body) + 4
	return join([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body)
}

var (
	syncMsg    = wire.AppendEmpty(nil, wire.Sync)
	flushMsg   = wire.AppendEmpty(nil, wire.Flush)
	parsed     = wire.AppendEmpty(nil, wire.ParseComplete)
	bound      = wire.AppendEmpty(nil, wire.BindComplete)
	closedMsg  = wire.AppendEmpty(nil, wire.CloseComplete)
	noData     = wire.AppendEmpty(nil, wire.NoData)
	suspended  = wire.AppendEmpty(nil, wire.PortalSuspended)
	terminate  = wire.AppendEmpty(nil, wire.Terminate)
	describeP  = wire.AppendDescribe(nil, 'P', "")
	probeBody  = probeOf(pathSQL)
	probeSync  = join(probeBody, syncMsg)
	probeFlush = join(probeBody, flushMsg)
	syntaxErr  = errorOf("42601", "syntax error at or near \"pgveil\"")
	refusedQ   = query(refusedText)
	refusedErr = wire.AppendErrorResponse(nil, wire.Refused("42501", "refused", "", "", 0))
)

func probeOf(sql string) []byte {
	return join(wire.AppendParse(nil, probeName, sql, nil), wire.AppendBind(nil, probeName, probeName, 0),
		wire.AppendExecute(nil, probeName, 0), wire.AppendClose(nil, 'P', probeName), wire.AppendClose(nil, 'S', probeName))
}

// probeReply answers a probe of a session without a temporary schema.
func probeReply(path string) []byte { return probeAnswer(path, "0") }

func probeAnswer(path, state string) []byte {
	return join(parsed, bound, row(path+"\x01"+state), tag("SELECT 1"), closedMsg, closedMsg)
}
