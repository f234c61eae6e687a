package session

import (
	"time"
	"unicode/utf8"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// pgveil.reveal is answered by pgveil: the server runs a query of one NULL in its place, so that every rule of the protocol is
// the server's own, and the session puts the value into the row. The server never sees it.

// Reveal is what a statement that reveals one token needs.
type Reveal struct {
	Token, Reason sqlparse.RevealArgument
	// Open checks the attempt and counts it. info is for the record, of a refusal too.
	Open func(now time.Time, token, reason []byte) (value []byte, info AuditInfo, refusal *wire.Error)
}

// revealed is a value on its way to the client.
type revealed struct {
	value []byte
	info  AuditInfo
}

// revealOf gives the Reveal of a verdict, nil when it is of another statement.
func (v *Verdict) revealOf() *Reveal {
	if v == nil || len(v.Statements) != 1 || v.Statements[0].Action != Answer {
		return nil
	}
	return v.Statements[0].Reveal
}

// revealText reveals by the literals of a query.
func (s *Session) revealText(r *Reveal, sql []byte) (*revealed, *AuditInfo, *wire.Error) {
	var token, reason []byte
	text := string(sql)
	sqlparse.TokenSpans(text, func(i int, span sqlparse.Span) bool {
		if i == r.Token.Token {
			token, _, _ = literalValue(text[span.Start:span.End])
		}
		if i == r.Reason.Token {
			reason, _, _ = literalValue(text[span.Start:span.End])
		}
		return true
	})
	return s.open(r, token, reason)
}

func (s *Session) open(r *Reveal, token, reason []byte) (*revealed, *AuditInfo, *wire.Error) {
	value, info, refusal := r.Open(s.now, token, reason)
	if refusal == nil && !isUTF8(s.settings.ClientEncoding) {
		for _, c := range value {
			if c >= utf8.RuneSelf {
				refusal = wire.ClientEncoding(s.encodingName())
				break
			}
		}
	}
	if refusal != nil {
		return nil, &info, refusal
	}
	return &revealed{value: value, info: info}, nil, nil
}

// revealArguments are the token and the reason that a portal is bound to.
type revealArguments struct{ token, reason []byte }

// bindReveal takes the arguments from a Bind, and literals from the statement's text.
func bindReveal(r *Reveal, sql []byte, msg *wire.BindMessage) *revealArguments {
	a := &revealArguments{}
	arguments := []struct {
		from sqlparse.RevealArgument
		to   *[]byte
	}{{r.Token, &a.token}, {r.Reason, &a.reason}}
	msg.EachParam(func(i int, value []byte) {
		for _, x := range arguments {
			if x.from.Param == i+1 {
				*x.to = append([]byte{}, value...)
			}
		}
	})
	text := string(sql)
	sqlparse.TokenSpans(text, func(i int, span sqlparse.Span) bool {
		for _, x := range arguments {
			if x.from.Param == 0 && x.from.Token == i {
				*x.to, _, _ = literalValue(text[span.Start:span.End])
			}
		}
		return true
	})
	return a
}

// reveals reports whether a DataRow of the server is to be replaced.
func (s *Session) reveals() bool {
	if s.q.reveals == 0 {
		return false
	}
	h := s.head()
	return h != nil && h.reveal != nil
}

// revealRow puts the value in the place of the server's row.
func (s *Session) revealRow() {
	h := s.head()
	if !s.begin(h) {
		return
	}
	if s.muted != nil {
		return
	}
	s.run.rows++
	out := s.toClient.bytes()
	at := len(out)
	out = wire.AppendDataRow(out, h.reveal.value)
	s.run.bytes += int64(len(out) - at)
	s.toClient.append(out)
}
