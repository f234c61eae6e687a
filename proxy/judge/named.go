package judge

import (
	"slices"
	"strings"

	"pgveil/catalog"
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// named tells the session what a statement does to prepared statements and cursors.
func (j *userJudge) named(b *bound, s *session.Statement, q session.Query, p *sqlparse.Plan) {
	s.Change = p.Change
	if p.Change.Op == sqlparse.NameMake {
		s.Text = strings.Clone(p.Text)
		if slices.Equal(p.Change.Path, searchPath(q.SearchPath, b.Catalog, j.user)) {
			s.Path = q.SearchPath
		}
	}
	relations, snapshot := p.Relations, b.Catalog
	s.Relations = relations
	s.Replaces = func(old *session.Statement) bool {
		if slices.Equal(old.Relations, relations) {
			return true // the server sees to it when one of these changes
		}
		for _, r := range old.Relations {
			if strings.HasPrefix(r.Schema, "pg_temp") {
				return false // whether it is still there, the catalog does not say
			}
			if now := snapshot.Relation(r.OID); now == nil || now.Schema != r.Schema || now.Name != r.Name {
				return true
			}
		}
		return false
	}
}

// behindNames is what the analysis is told of the names in a query.
func behindNames(named []session.Named, s *catalog.Snapshot, user string) []sqlparse.Named {
	out := make([]sqlparse.Named, len(named))
	for i, n := range named {
		out[i] = n.Named
		if n.Cursor && n.Path == nil {
			out[i].Path = searchPath(n.SearchPath, s, user)
		}
	}
	return out
}

// quiet makes of the decision on a PREPARE or DECLARE the one on its query, and leaves the statement itself: it
// returns no rows.
func quiet(s *session.Statement) {
	query := *s
	query.Tag, query.Change, query.Text = "SELECT", sqlparse.NameChange{}, ""
	s.Behind = &query
	s.Action, s.Rows, s.Compile, s.Replaces = session.Pass, false, nil, nil
	s.Audit.Verdict, s.Audit.Masks = roles.Pass.String(), nil
}
