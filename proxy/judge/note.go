package judge

import (
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// note is a verdict on the texts that a template of the analyser serves. It hangs on the
// template, so that a statement takes one look-up whatever its literals are.
type note struct {
	role     *roles.Role
	clear    bool // the session relays
	extended bool
	verdict  *session.Verdict
}

func (n *note) serves(b *bound, role *roles.Role, clear, extended bool) bool {
	return n.role == role && n.clear == clear && n.extended == extended && n.verdict.Generation == b.generation
}

// noted gives the verdict that a template carries, or makes it.
func (j *userJudge) noted(b *bound, role *roles.Role, q *session.Query, t *sqlparse.Template) *session.Verdict {
	same := t.Is(q.SQL)
	notes, _ := t.Note.Load().(*notes)
	if notes != nil {
		of := notes.anyText
		if same {
			of = notes.ownText
		}
		for i := range of {
			if of[i].serves(b, role, j.clear, q.Extended) {
				return of[i].verdict
			}
		}
	}
	own := clone(*q)
	plans := j.analyser.Plans(t, own.SQL)
	v := j.verdict(b, role, own, plans)
	any := anyText(v, plans)
	if !any && !same || answers(v) {
		return v
	}
	next := notes.current(b)
	n := note{role, j.clear, q.Extended, v}
	next.ownText = append(next.ownText, n)
	if any {
		next.anyText = append(next.anyText, n)
	}
	t.Note.Store(next) // of two at a time one is made again
	return v
}

// notes are the verdicts that a template carries.
type notes struct {
	ownText []note // for the text that it was made from
	anyText []note // for every text
}

// current is a copy without the verdicts of earlier generations.
func (n *notes) current(b *bound) *notes {
	out := &notes{}
	if n == nil {
		return out
	}
	for _, x := range n.ownText {
		if x.verdict.Generation == b.generation {
			out.ownText = append(out.ownText, x)
		}
	}
	for _, x := range n.anyText {
		if x.verdict.Generation == b.generation {
			out.anyText = append(out.anyText, x)
		}
	}
	return out
}

// anyText reports whether a verdict says nothing of the text's own: no position of an
// error, no text to be kept under a name.
func anyText(v *session.Verdict, plans []*sqlparse.Plan) bool {
	for i, s := range v.Statements {
		switch s.Action {
		case session.Pass, session.Mask:
		default:
			return false
		}
		switch plans[i].Kind {
		case sqlparse.KindSelect, sqlparse.KindInsert, sqlparse.KindUpdate, sqlparse.KindDelete, sqlparse.KindMerge, sqlparse.KindEmpty, sqlparse.KindTransaction:
		default:
			return false
		}
	}
	return true
}

// answers reports whether pgveil answers a statement itself: the answer names the session.
func answers(v *session.Verdict) bool {
	for _, s := range v.Statements {
		if s.Action == session.Answer {
			return true
		}
	}
	return false
}
