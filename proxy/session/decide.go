package session

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// decision is the one decision that a session waits for at a time. The message
// that it is for stays where it is, and is dealt with again when it is made.
type decision struct {
	state   decisionState
	query   Query
	verdict *Verdict
	err     error
	refs    []sqlparse.Reference // the names that the query was asked with
}

type decisionState uint8

const (
	decisionNone  decisionState = iota
	decisionAsked               // the transport has yet to take the job
	decisionRuns
	decisionMade
)

func (d *decision) pending() bool { return d.state == decisionAsked || d.state == decisionRuns }

func (d *decision) job() (Query, bool) {
	if d.state != decisionAsked {
		return Query{}, false
	}
	d.state = decisionRuns
	return d.query, true
}

func (d *decision) done(v *Verdict, err error) {
	if d.state == decisionRuns {
		d.state, d.verdict, d.err = decisionMade, v, err
	}
}

var errNoVerdict = errors.New("no verdict and no error")

// decide gives the verdict on a text. With ready false a job or a probe has been
// asked for: the message is to be dealt with again afterwards. A nil verdict
// without a refusal is possible for a clear role only: nothing is known of the
// statement.
func (s *Session) decide(sql []byte, extended bool, types []uint32) (v *Verdict, refusal *wire.Error, ready bool) {
	return s.decideBehind(sql, extended, types, false)
}

// decideBehind is decide, also for the statement within a PREPARE or DECLARE.
func (s *Session) decideBehind(sql []byte, extended bool, types []uint32, behind bool) (v *Verdict, refusal *wire.Error, ready bool) {
	var named []Named
	if d := &s.decision; d.state == decisionMade && d.refs != nil {
		named = s.behind(d.refs)
	} else if v, refusal, ready = s.decideNamed(sql, extended, types, behind, nil, nil); !ready || refusal != nil || v == nil {
		return v, refusal, ready
	}
	refs := s.decision.refs
	if v != nil {
		refs = v.refers()
		if len(refs) == 0 || !s.masked && s.q.len() > 0 {
			return v, nil, true // a clear role does not wait for the sake of its record
		}
		if !s.quiet() {
			return nil, nil, false
		}
		named = s.behind(refs)
	}
	if s.masked && tooLongByName(sql, named) {
		s.decision = decision{}
		return nil, wire.Refused("54000", "statement is too long to be run by name", "", "Send it itself, in place of EXECUTE or FETCH.", 0), true
	}
	return s.decideNamed(sql, extended, types, behind, refs, named)
}

// decideNamed decides with what is behind the names that the text refers to; nil: not looked up.
func (s *Session) decideNamed(sql []byte, extended bool, types []uint32, behind bool, refs []sqlparse.Reference, named []Named) (v *Verdict, refusal *wire.Error, ready bool) {
	path := s.path.now
	nameless := s.masked && path == "" && !extended && !behind && s.status == 'I' && s.q.len() == 0 && s.probing.state == probeNone && namesNothing(sql)
	if nameless {
		path = noPath
	}
	if d := s.decision; d.state == decisionMade {
		s.decision = decision{}
		// It is the one asked for, or nothing that may be used.
		if d.query.SQL == string(sql) && d.query.Extended == extended && slices.Equal(d.query.ParamTypes, types) && d.query.SearchPath == path &&
			d.query.Temp.Version() == s.temp.Version() && d.query.Behind == behind && sameNamed(d.query.Named, named) {
			if d.verdict == nil && d.err == nil {
				d.err = errNoVerdict
			}
			switch {
			case d.err != nil && s.masked:
				return nil, wire.Undecided(d.err), true
			case d.err != nil:
				return nil, nil, true
			}
			if !s.viewsHold(d.verdict) {
				e, _ := s.learnPath()
				return nil, e, e != nil
			}
			return d.verdict, nil, true
		}
	}
	if s.cfg.AuditErr != nil {
		if err := s.cfg.AuditErr(); err != nil {
			return nil, wire.AuditUnavailable(err), true
		}
	}
	if s.masked {
		if e := s.checkText(sql); e != nil {
			if s.settingsPending && !s.unsynced && s.q.len() > 0 {
				s.settle = true // the settings are known when every reply is in
				return nil, nil, false
			}
			return nil, e, true
		}
		if !nameless {
			if e, ready := s.learnPath(); e != nil || !ready {
				return nil, e, ready
			}
			path = s.path.now
		}
	}
	q := Query{
		SQL: unsafe.String(unsafe.SliceData(sql), len(sql)), SearchPath: path,
		Extended: extended, ParamTypes: types, Temp: s.temp, Named: named, Behind: behind,
	}
	if v, ok := s.cfg.Judge.Lookup(q); ok && v != nil {
		if !s.viewsHold(v) {
			e, _ := s.learnPath()
			return nil, e, e != nil
		}
		return v, nil, true
	}
	q.SQL = strings.Clone(q.SQL)
	q.ParamTypes = append([]uint32(nil), types...)
	s.decision = decision{state: decisionAsked, query: q, refs: refs}
	return nil, nil, false
}

// checkText refuses a text that the server might read otherwise than the
// analysis does.
func (s *Session) checkText(sql []byte) *wire.Error {
	ascii := true
	for _, c := range sql {
		if c >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	switch {
	case !ascii && !utf8.Valid(sql):
		return wire.BadEncoding()
	case !ascii && (!isUTF8(s.settings.ClientEncoding) || s.settingsPending):
		return wire.ClientEncoding(s.encodingName())
	case (!s.standardStrings || s.settingsPending) && bytes.IndexByte(sql, '\\') >= 0:
		return wire.Backslash()
	}
	return nil
}

func (s *Session) encodingName() string {
	if s.settingsPending {
		return "not certain until the next Sync"
	}
	if s.settings.ClientEncoding == "" {
		return "unknown"
	}
	return s.settings.ClientEncoding
}

func isUTF8(encoding string) bool { return encoding == "UTF8" || encoding == "UNICODE" }
