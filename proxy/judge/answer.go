package judge

import (
	"strings"

	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// answer makes the reply to a statement that pgveil answers itself. The server runs a query of
// constants in its place, so that every rule of the protocol is the server's own.
func (j *userJudge) answer(b *bound, role *roles.Role, q session.Query, p *sqlparse.Plan, s *session.Statement) *session.Statement {
	s.Action, s.Rows = session.Answer, true
	if p.Veil.Explain != nil {
		lines := Explain(b.Bound, p.Veil.Explain, role).Lines()
		s.Answer, s.AnswerTag = linesQuery("QUERY PLAN", lines), "EXPLAIN"
		return s
	}
	if p.Veil.Reveal != nil {
		return j.reveal(b, role, p, s)
	}
	var value string
	switch p.Veil.Show {
	case "pgveil.version":
		value = j.version
	case "pgveil.role":
		value = role.Name
	case "pgveil.session_id":
		value = j.sessionID
	default:
		return j.refuse(s, q, p, &sqlparse.Refusal{
			SQLState: "42704", Rule: "veil-setting", Position: -1,
			Message: "unrecognized configuration parameter \"" + p.Veil.Show + "\"",
			Hint:    "pgveil answers SHOW pgveil.version, pgveil.role and pgveil.session_id.",
		})
	}
	s.Answer, s.AnswerTag = linesQuery(p.Veil.Show, []string{value}), "SHOW"
	return s
}

// linesQuery is a query that returns lines as rows of one text column.
func linesQuery(column string, lines []string) string {
	var b strings.Builder
	b.WriteString("SELECT v AS ")
	b.WriteString(quoteIdentifier(column))
	b.WriteString(" FROM (VALUES ")
	for i, l := range lines {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		b.WriteString(quoteLiteral(l))
		b.WriteString("::pg_catalog.text)")
	}
	b.WriteString(") AS t(v)")
	return b.String()
}

func quoteIdentifier(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// quoteLiteral writes s so that it reads the same whatever standard_conforming_strings says.
func quoteLiteral(s string) string {
	s = strings.ReplaceAll(s, "\x00", "")
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		q = " E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}
