package roles

import (
	"slices"
	"sort"

	"pgveil/catalog"
	"pgveil/sqlparse"
)

// Bound is a policy applied to one catalog snapshot: the classes of its columns. It is
// immutable and safe for concurrent use.
type Bound struct {
	Policy  *Policy
	Catalog *catalog.Snapshot

	classes map[columnKey][]string // classified columns; sorted, without duplicates
	trusted map[catalog.OID]bool
	report  Report
}

type columnKey struct {
	relation catalog.OID
	column   int16
}

// Report says what binding a policy to a database found, for `pgveil check`.
type Report struct {
	Classified   []string // schema.table.column: class
	Unclassified []string // columns of user tables in no rule
	DeadRules    []Rule   // rules that match no column of a table
	ViewRules    []Rule   // rules that match columns of views only: those follow their tables
	DeadMembers  []string // role: member that matches no PostgreSQL role
	DeadMasks    []string // role: class that no column has
	DeadReveals  []string // role: class of reveal or overwrite that no column has, or of reveal that no role sees as tokens
	EmptyRoles   []string // roles without any member in this database
	DeadTrusted  []string // trusted functions that do not exist
}

// Bind applies p to a snapshot.
func (p *Policy) Bind(s *catalog.Snapshot) *Bound {
	b := &Bound{Policy: p, Catalog: s, classes: map[columnKey][]string{}, trusted: map[catalog.OID]bool{}}
	b.classify()
	b.inherit()
	b.trust()
	b.reportOn()
	return b
}

// systemSchema reports whether the schema belongs to PostgreSQL itself.
func systemSchema(name string) bool {
	return name == "pg_catalog" || name == "information_schema" || name == "pg_toast"
}

// stores reports whether a relation of this kind has columns of its own to classify:
// views are seen through to their tables.
func stores(k catalog.RelKind) bool {
	switch k {
	case catalog.KindTable, catalog.KindPartitionedTable, catalog.KindForeignTable:
		return true
	}
	return false
}

func (b *Bound) classify() {
	type rule struct {
		Rule
		parts       [3]string
		table, view bool
	}
	rules := make([]rule, 0, len(b.Policy.Rules))
	for _, r := range b.Policy.Rules {
		parts, ok := splitPattern(r.Pattern)
		if !ok {
			continue // refused by the configuration's parser
		}
		rules = append(rules, rule{Rule: r, parts: parts})
	}
	for _, rel := range b.Catalog.Relations {
		if systemSchema(rel.Schema) {
			continue
		}
		for _, col := range rel.Columns {
			class := ""
			for i := range rules {
				r := &rules[i]
				if !match(r.parts[0], rel.Schema) || !match(r.parts[1], rel.Name) || !match(r.parts[2], col.Name) {
					continue
				}
				if stores(rel.Kind) {
					r.table = true
					class = r.Class
				} else {
					r.view = true
				}
			}
			if !stores(rel.Kind) {
				continue
			}
			name := rel.Schema + "." + rel.Name + "." + col.Name
			switch {
			case class != "":
				b.classes[columnKey{rel.OID, col.Num}] = []string{class}
				b.report.Classified = append(b.report.Classified, name+": "+class)
			default:
				if b.Policy.Unlisted != "clear" {
					b.classes[columnKey{rel.OID, col.Num}] = []string{ClassUnlisted}
				}
				b.report.Unclassified = append(b.report.Unclassified, name)
			}
		}
	}
	for _, r := range rules {
		switch {
		case r.table:
		case r.view:
			b.report.ViewRules = append(b.report.ViewRules, r.Rule)
		default:
			b.report.DeadRules = append(b.report.DeadRules, r.Rule)
		}
	}
}

// inherit lets classes flow between inheritance and partition parents and their children, both
// ways: a parent is read with its children's rows, and a child holds rows that the parent protects.
func (b *Bound) inherit() {
	for changed := true; changed; {
		changed = false
		for _, rel := range b.Catalog.Relations {
			for _, child := range rel.Children {
				c := b.Catalog.Relation(child)
				if c == nil {
					continue
				}
				for _, col := range rel.Columns {
					at := slices.IndexFunc(c.Columns, func(x catalog.Column) bool { return x.Name == col.Name })
					if at < 0 {
						continue
					}
					up, down := columnKey{rel.OID, col.Num}, columnKey{c.OID, c.Columns[at].Num}
					both := mergeClasses(b.classes[up], b.classes[down])
					if !slices.Equal(both, b.classes[up]) {
						b.classes[up], changed = both, true
					}
					if !slices.Equal(both, b.classes[down]) {
						b.classes[down], changed = both, true
					}
				}
			}
		}
	}
}

// mergeClasses unites two sorted class lists. A real class outweighs "clear" and "unlisted".
func mergeClasses(x, y []string) []string {
	if len(x) == 0 && len(y) == 0 {
		return nil
	}
	all := slices.Concat(x, y)
	sort.Strings(all)
	all = slices.Compact(all)
	if real := slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == ClassClear || c == ClassUnlisted }); len(real) > 0 {
		return real
	}
	if len(all) > 1 { // clear and unlisted
		return []string{ClassUnlisted}
	}
	return all
}

// Classes returns the classes of a source column: nil for a column that is not protected from anyone.
func (b *Bound) Classes(s sqlparse.Source) []string {
	if systemSchema(s.Schema) {
		if s.Column < 0 && s.Column != sqlparse.ColumnResult {
			return nil
		}
		if clear, known := catalog.SystemColumn(s.Schema, s.Table, s.Name); known && clear {
			return nil
		}
		if written, ok := catalog.Definition(s.Schema, s.Table, s.Name); written {
			return []string{ClassDefinition}
		} else if ok {
			return []string{ClassDefinitionText}
		}
		return []string{ClassSystem}
	}
	if s.Column == sqlparse.ColumnResult {
		return []string{ClassSystem}
	}
	if s.Column < 0 {
		return nil // system columns (ctid, xmin …) carry no values of the row
	}
	if s.Column == 0 {
		var all []string
		rel := b.Catalog.Relation(s.Relation)
		if rel == nil {
			return []string{ClassUnlisted}
		}
		for _, c := range rel.Columns {
			all = mergeClasses(all, b.classes[columnKey{rel.OID, c.Num}])
		}
		return all
	}
	if cs, ok := b.classes[columnKey{s.Relation, s.Column}]; ok {
		return cs
	}
	if rel := b.Catalog.Relation(s.Relation); rel == nil || !hasColumn(rel, s.Column) {
		return []string{ClassUnlisted} // not in the snapshot that was classified: protected
	}
	return nil
}

func hasColumn(rel *catalog.Relation, num int16) bool {
	return slices.ContainsFunc(rel.Columns, func(c catalog.Column) bool { return c.Num == num })
}

// RoleOf returns the role of an authenticated user. nil means that the user is denied.
// Membership is read from the catalog, directly or through other roles; being a
// superuser makes nobody a member.
func (b *Bound) RoleOf(user string) *Role {
	for i := range b.Policy.Roles {
		r := &b.Policy.Roles[i]
		for _, m := range r.Members {
			switch m.Kind {
			case "any":
				return r
			case "user":
				if m.Name == user {
					return r
				}
			case "group":
				if b.Catalog.MemberOf(user, m.Name) {
					return r
				}
			}
		}
	}
	for i := range b.Policy.Roles {
		if b.Policy.DefaultRole != "" && b.Policy.Roles[i].Name == b.Policy.DefaultRole {
			return &b.Policy.Roles[i]
		}
	}
	return nil
}

// Trusted returns the functions that the policy trusts to depend on their arguments alone.
func (b *Bound) Trusted() map[catalog.OID]bool { return b.trusted }

// Report returns what binding found.
func (b *Bound) Report() Report { return b.report }
