package judge

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"

	"pgveil/catalog"
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// userJudge judges one session: one user of one database. It is safe for concurrent use.
type userJudge struct {
	*database
	user      string
	clear     bool // the session relays: its role saw everything when it was bound
	version   string
	sessionID string

	last     atomic.Pointer[membership]
	lastPath atomic.Pointer[pathTaken]
	lastFind atomic.Pointer[found]
}

// found is the template found last: a session often goes on with the like.
type found struct {
	path     *pathTaken
	temp     uint64 // the version of the session's temporary schema
	template *sqlparse.Template
}

// pathTaken is a search path taken apart under one bound policy.
type pathTaken struct {
	bound *bound
	array string
	env   sqlparse.Env
}

// membership is the role of the session's user under one bound policy.
type membership struct {
	bound *bound
	role  *roles.Role // nil: denied
}

var _ session.Judge = (*userJudge)(nil)

// role finds the user's role; walking the memberships is done once for each bound policy.
func (j *userJudge) role(b *bound) *roles.Role {
	if m := j.last.Load(); m != nil && m.bound == b {
		return m.role
	}
	m := &membership{b, b.RoleOf(j.user)}
	j.last.Store(m)
	return m.role
}

// Lookup returns a verdict at hand. It never waits.
func (j *userJudge) Lookup(q session.Query) (*session.Verdict, bool) {
	b, ok := j.peek()
	if !ok {
		return nil, false
	}
	role := j.role(b)
	if role == nil {
		return nil, false
	}
	t := j.find(b, &q)
	if t == nil {
		return nil, false
	}
	return j.noted(b, role, &q, t), true
}

// find returns the template that serves a query, nil if there is none yet.
func (j *userJudge) find(b *bound, q *session.Query) *sqlparse.Template {
	plain := len(q.ParamTypes)+len(q.Named) == 0 && !q.Behind
	path := j.path(b, q.SearchPath)
	if f := j.lastFind.Load(); plain && f != nil && f.path == path && f.temp == q.Temp.Version() && j.analyser.Again(f.template, q.SQL) {
		return f.template
	}
	env := j.env(b, q)
	t := j.analyser.Find(q.SQL, &env)
	if t != nil && plain {
		j.lastFind.Store(&found{path, q.Temp.Version(), t})
	}
	return t
}

// Decide analyses a query string. It may wait for the catalog.
func (j *userJudge) Decide(ctx context.Context, q session.Query) (*session.Verdict, error) {
	if v, ok := j.undated(q); ok {
		return v, nil
	}
	b, err := j.current(ctx)
	if err != nil {
		return nil, err
	}
	role := j.role(b)
	if role == nil {
		return nil, wire.RoleDenied(j.user)
	}
	env := j.env(b, &q)
	plans, err := j.analyser.Analyse(q.SQL, &env)
	if err != nil {
		return j.unparsed(b, role, q, err), nil
	}
	if t := j.analyser.Find(q.SQL, &env); t != nil {
		return j.noted(b, role, &q, t), nil
	}
	return j.verdict(b, role, q, plans), nil // too long for the cache
}

// undated is the verdict on definitions and settings of a role that sees everything, when a
// definition changed before them: they are only recorded, so that a script of many
// does not wait at each for the catalog to be read anew.
func (j *userJudge) undated(q session.Query) (*session.Verdict, bool) {
	b := j.bound.Load()
	if !j.clear || b == nil || b.policy != j.policy.Load() {
		return nil, false
	}
	role := j.role(b)
	if role == nil || !role.Clear() {
		return nil, false
	}
	env := j.env(b, &q)
	plans, err := j.analyser.Analyse(q.SQL, &env)
	if err != nil || slices.ContainsFunc(plans, func(p *sqlparse.Plan) bool { return !p.Undated }) {
		return nil, false
	}
	return j.verdict(b, role, q, plans), true
}

// Current reports whether a verdict still holds: nothing is known to have changed since.
func (j *userJudge) Current(v *session.Verdict) bool {
	b, ok := j.peek()
	return ok && v.Generation == b.generation
}

// Changed makes every plan of the database stale.
func (j *userJudge) Changed() { j.source.Stale() }

// known reports whether word is a name of the catalog, which an error may show.
func (j *userJudge) known(word []byte) bool {
	b := j.bound.Load()
	return b != nil && b.Catalog.HasName(word)
}

// clone makes a query outlive the read buffer that it points into.
func clone(q session.Query) session.Query {
	q.SQL, q.SearchPath = strings.Clone(q.SQL), strings.Clone(q.SearchPath)
	q.ParamTypes = slices.Clone(q.ParamTypes)
	return q
}

// env is what the analysis of a query depends on besides its text.
func (j *userJudge) env(b *bound, q *session.Query) sqlparse.Env {
	env := j.path(b, q.SearchPath).env
	env.ParamTypes, env.Temp, env.Named, env.Behind = q.ParamTypes, q.Temp, behindNames(q.Named, b.Catalog, j.user), q.Behind
	return env
}

// path is the part of env that is mostly the same from statement to statement.
func (j *userJudge) path(b *bound, array string) *pathTaken {
	if p := j.lastPath.Load(); p != nil && p.bound == b && p.array == array {
		return p
	}
	p := &pathTaken{bound: b, array: strings.Clone(array)}
	p.env = sqlparse.Env{Catalog: b.Catalog, SearchPath: searchPath(p.array, b.Catalog, j.user), User: j.user, Trusted: b.Trusted()}
	j.analyser.Fix(&p.env)
	j.lastPath.Store(p)
	return p
}

// searchPath gives the effective search path: the server's own word when the session
// has asked for it, else what the catalog says that the user starts with.
func searchPath(array string, s *catalog.Snapshot, user string) []string {
	if array == "" {
		return startPath(s, user)
	}
	return parseNameArray(array)
}

// verdict decides plans for a role.
func (j *userJudge) verdict(b *bound, role *roles.Role, q session.Query, plans []*sqlparse.Plan) *session.Verdict {
	v := &session.Verdict{Generation: b.generation, Temp: q.Temp.Version(), Statements: make([]*session.Statement, len(plans))}
	for i, p := range plans {
		s := j.statement(b, role, q, p)
		s.Seal()
		if s.Behind != nil {
			s.Behind.Seal()
		}
		v.Statements[i] = s
	}
	return v
}

func (j *userJudge) statement(b *bound, role *roles.Role, q session.Query, p *sqlparse.Plan) *session.Statement {
	d := b.Decide(p, role)
	s := &session.Statement{
		Tag: p.Tag, Rows: p.Columns != nil, Names: p.Names, Temp: p.Temp, Refers: p.Refers, Traces: p.Traces,
		Audit: session.AuditInfo{
			Statement: p.Normalized, Fingerprint: p.Fingerprint, Verdict: d.Verdict.String(),
			Classes: d.Classes, Columns: d.Touched, Masks: d.Masks,
		},
	}
	if d.Verdict == roles.Refuse {
		return j.refuse(s, q, p, d.Refusal)
	}
	if p.Refusal != nil && (p.Refusal.Rule == sqlparse.RuleVeilSetting || p.Refusal.Rule == sqlparse.RuleReveal) { // for every role
		return j.refuse(s, q, p, p.Refusal)
	}
	if p.Kind == sqlparse.KindVeil {
		return j.answer(b, role, q, p, s)
	}
	s.Action = session.Pass
	if d.Verdict == roles.Mask {
		s.Action = session.Mask
	}
	j.named(b, s, q, p)
	if !j.clear {
		s.Inputs = inputsOf(b.policy.compiler.keys, p, d)
	}
	if p.Refusal != nil && p.Refusal.Rule == sqlparse.RuleUnknownName {
		s.Audit.Reason = p.Refusal.Rule // a clear role's: the record cannot say what ran
	}
	switch {
	case j.clear:
	case p.Kind == sqlparse.KindCopyFrom:
		s.CopyIn = true
	case p.Kind == sqlparse.KindCopyTo:
		s.Rows = false
		s.CopyOut = b.policy.compiler.copyOut(b.Bound, p, d, q.Temp, j.source.Stale)
	default:
		s.Compile = b.policy.compiler.program(b.Bound, p, d, q.Temp, j.source.Stale)
	}
	if !j.clear {
		s.Converts, s.Encodes = converts(p, d), encodes(p)
		if p.Copy != nil {
			s.Encoding = p.Copy.Encoding
		}
	}
	if p.Quiet {
		quiet(s)
	}
	return s
}

func (j *userJudge) refuse(s *session.Statement, q session.Query, p *sqlparse.Plan, r *sqlparse.Refusal) *session.Statement {
	s.Action = session.Refuse
	s.Audit.Verdict, s.Audit.Reason = roles.Refuse.String(), r.Rule
	position := 0
	if r.Position >= 0 {
		position = characterPosition(q.SQL, p.Offset+r.Position)
	}
	s.Refusal = wire.Refused(r.SQLState, r.Message, r.Detail, r.Hint, position)
	return s
}

// unparsed is the verdict on a string that the parser does not accept: a role that sees
// everything may have the server's own word on it, any other gets the parser's error.
func (j *userJudge) unparsed(b *bound, role *roles.Role, q session.Query, err error) *session.Verdict {
	p := &sqlparse.Plan{Text: q.SQL, Normalized: sqlparse.UnparsedText}
	s := &session.Statement{Rows: true, Names: sqlparse.NamesCatalog, Audit: session.AuditInfo{Statement: p.Normalized}}
	v := &session.Verdict{Generation: b.generation, Temp: q.Temp.Version(), Statements: []*session.Statement{s}}
	if j.clear && role.Clear() {
		s.Action, s.Audit.Verdict, s.Audit.Reason = session.Pass, roles.Pass.String(), "not parsed"
		return v
	}
	j.refuse(s, q, p, sqlparse.RefusalOf(err))
	return v
}
