package judge

import (
	"strings"

	"pgveil/roles"
	"pgveil/sqlparse"
)

// ExplainText explains each statement of a text as user, who has the given role, would run them
// one after the other. path is the search path that the text starts with, names separated by
// commas; empty means what the user's sessions start with.
func ExplainText(b *roles.Bound, role *roles.Role, user, path, text string) []*Explanation {
	env := &sqlparse.Env{Catalog: b.Catalog, User: user, Trusted: b.Trusted(), SearchPath: startPath(b.Catalog, user)}
	account := b.Catalog.RoleByName(user)
	env.MayUse = func(name string) bool {
		schema := b.Catalog.Schema(name)
		return schema != nil && mayUse(b.Catalog, schema, account)
	}
	if path != "" {
		env.SearchPath = splitPath(path)
	}
	analyser := sqlparse.New(sqlparse.Options{})
	var out []*Explanation
	before := "" // the statements so far that change the search path
	for _, statement := range sqlparse.Split(text) {
		plans, err := analyser.Analyse(before+statement, env)
		if err != nil {
			r := sqlparse.RefusalOf(err)
			if r.Position >= 0 {
				r.Position = max(r.Position-len(before), 0)
			}
			plans = []*sqlparse.Plan{{Text: statement, Normalized: sqlparse.UnparsedText, Refusal: r}}
		}
		if len(plans) == 0 {
			continue
		}
		plan := plans[len(plans)-1]
		out = append(out, Explain(b, plan, role))
		if plan.Names == sqlparse.NamesSearchPath {
			before += strings.TrimRight(statement, "; \t\r\n") + ";\n"
		}
	}
	return out
}
