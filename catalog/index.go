package catalog

import (
	"crypto/sha256"
	"slices"
)

// name is a qualified name.
type name struct{ schema, name string }

// index is the lookup side of a Snapshot, built by its loader.
type index struct {
	mark    Mark
	partial bool              // a lock kept some definitions back
	digest  [sha256.Size]byte // of everything that was loaded

	schemas     map[string]*Schema
	relations   map[OID]*Relation
	relByName   map[name]*Relation
	types       map[OID]*Type
	typeByName  map[name]*Type
	multiranges map[OID]OID // of ranges
	functions   map[OID]*Function
	funcByName  map[name][]*Function
	operators   map[OID]*Operator
	opByName    map[name][]*Operator
	castsFrom   map[OID][]*Cast
	castsTo     map[OID][]*Cast
	castByTypes map[[2]OID]*Cast
	roles       map[string]*Role
	roleByOID   map[OID]*Role
	customIO    map[OID]bool
	names       map[string]struct{}
}

// build validates s and fills its index. It must succeed before s is used.
func (s *Snapshot) build() error {
	if err := s.validate(); err != nil {
		return err
	}
	x := &s.index
	x.schemas = make(map[string]*Schema, len(s.Schemas))
	for i := range s.Schemas {
		x.schemas[s.Schemas[i].Name] = &s.Schemas[i]
	}
	x.relations = make(map[OID]*Relation, len(s.Relations))
	x.relByName = make(map[name]*Relation, len(s.Relations))
	for _, r := range s.Relations {
		r.Children = nil
		x.relations[r.OID] = r
		x.relByName[name{r.Schema, r.Name}] = r
	}
	for _, r := range s.Relations {
		for _, p := range r.Parents {
			parent := x.relations[p]
			parent.Children = append(parent.Children, r.OID)
		}
	}
	x.types = make(map[OID]*Type, len(s.Types))
	x.typeByName = make(map[name]*Type, len(s.Types))
	x.multiranges = map[OID]OID{}
	for _, t := range s.Types {
		x.types[t.OID] = t
	}
	for _, t := range s.Types {
		if !x.temporary(t) {
			x.typeByName[name{t.Schema, t.Name}] = t
		}
		if t.Kind == 'm' {
			x.multiranges[t.Subtype] = t.OID
		}
	}
	x.functions = make(map[OID]*Function, len(s.Functions))
	x.funcByName = make(map[name][]*Function, len(s.Functions))
	for _, f := range s.Functions {
		x.functions[f.OID] = f
		k := name{f.Schema, f.Name}
		x.funcByName[k] = append(x.funcByName[k], f)
	}
	x.operators = make(map[OID]*Operator, len(s.Operators))
	x.opByName = make(map[name][]*Operator)
	for _, o := range s.Operators {
		x.operators[o.OID] = o
		k := name{o.Schema, o.Name}
		x.opByName[k] = append(x.opByName[k], o)
	}
	x.castsFrom = make(map[OID][]*Cast)
	x.castsTo = make(map[OID][]*Cast)
	x.castByTypes = make(map[[2]OID]*Cast, len(s.Casts))
	for _, c := range s.Casts {
		x.castsFrom[c.Source] = append(x.castsFrom[c.Source], c)
		x.castsTo[c.Target] = append(x.castsTo[c.Target], c)
		x.castByTypes[[2]OID{c.Source, c.Target}] = c
	}
	x.roles = make(map[string]*Role, len(s.Roles))
	x.roleByOID = make(map[OID]*Role, len(s.Roles))
	for i := range s.Roles {
		x.roles[s.Roles[i].Name] = &s.Roles[i]
		x.roleByOID[s.Roles[i].OID] = &s.Roles[i]
	}
	x.customIO = s.findCustomIO()
	x.names = s.allNames()
	return nil
}

// allNames collects the names of everything in s.
func (s *Snapshot) allNames() map[string]struct{} {
	out := make(map[string]struct{}, 4*len(s.Relations)+len(s.Functions))
	add := func(n string) { out[n] = struct{}{} }
	for i := range s.Schemas {
		add(s.Schemas[i].Name)
	}
	for _, r := range s.Relations {
		add(r.Name)
		for i := range r.Columns {
			add(r.Columns[i].Name)
		}
	}
	for _, t := range s.Types {
		add(t.Name)
	}
	for _, f := range s.Functions {
		add(f.Name)
	}
	for i := range s.Roles {
		add(s.Roles[i].Name)
	}
	for _, o := range s.Objects {
		add(o)
	}
	return out
}

// HasName reports whether something in the database has this name: a schema, relation, column, type, function,
// role, constraint, index or trigger.
func (s *Snapshot) HasName(name []byte) bool {
	_, ok := s.names[string(name)]
	return ok
}

// findCustomIO computes CustomIO: it spreads from the types that have such
// functions to those made of them.
func (s *Snapshot) findCustomIO() map[OID]bool {
	users := make(map[OID][]OID) // who is made of a type
	custom := make(map[OID]bool, len(s.Types))
	var spread []OID
	for _, t := range s.Types {
		for _, part := range []OID{t.Base, t.Elem, t.Subtype} {
			if part != 0 {
				users[part] = append(users[part], t.OID)
			}
		}
		if r := s.relations[t.Relation]; r != nil && t.Kind == 'c' {
			for _, c := range r.Columns {
				users[c.Type] = append(users[c.Type], t.OID)
			}
		}
		custom[t.OID] = t.UserIO
		if t.UserIO {
			spread = append(spread, t.OID)
		}
	}
	for len(spread) > 0 {
		t := spread[len(spread)-1]
		spread = spread[:len(spread)-1]
		for _, u := range users[t] {
			if !custom[u] {
				custom[u] = true
				spread = append(spread, u)
			}
		}
	}
	return custom
}

// Schema returns the schema of that name, nil when there is none.
func (s *Snapshot) Schema(schema string) *Schema { return s.schemas[schema] }

// Relation returns the relation, nil when there is none.
func (s *Snapshot) Relation(oid OID) *Relation { return s.relations[oid] }

// RelationByName returns the relation of exactly that name, nil when there is none.
func (s *Snapshot) RelationByName(schema, relation string) *Relation {
	return s.relByName[name{schema, relation}]
}

// Type returns the type, nil when there is none.
func (s *Snapshot) Type(oid OID) *Type { return s.types[oid] }

// temporary reports whether t is the row type of a temporary relation, or an array of it. The type may be gone by now: it is found
// by what is of it, not by name.
func (x *index) temporary(t *Type) bool {
	if e := x.types[t.Elem]; e != nil && t.Kind == 'b' {
		t = e
	}
	return t.Kind == 'c' && t.Relation == 0
}

// MultirangeOf returns the multirange type over a range type, 0 when it has none.
func (s *Snapshot) MultirangeOf(r OID) OID { return s.multiranges[r] }

// TypeByName returns the type of exactly that name, nil when there is none.
func (s *Snapshot) TypeByName(schema, typ string) *Type { return s.typeByName[name{schema, typ}] }

// FunctionByOID returns the function, nil when there is none.
func (s *Snapshot) FunctionByOID(oid OID) *Function { return s.functions[oid] }

// FunctionsByName returns all overloads in one schema: functions, procedures,
// aggregates and window functions.
func (s *Snapshot) FunctionsByName(schema, function string) []*Function {
	return s.funcByName[name{schema, function}]
}

// Operator returns the operator, nil when there is none.
func (s *Snapshot) Operator(oid OID) *Operator { return s.operators[oid] }

// OperatorsByName returns all overloads in one schema, prefix operators included.
func (s *Snapshot) OperatorsByName(schema, operator string) []*Operator {
	return s.opByName[name{schema, operator}]
}

// CastsFrom returns the casts of pg_cast from the type.
func (s *Snapshot) CastsFrom(oid OID) []*Cast { return s.castsFrom[oid] }

// CastsTo returns the casts of pg_cast to the type.
func (s *Snapshot) CastsTo(oid OID) []*Cast { return s.castsTo[oid] }

// CastBetween returns the cast of pg_cast, nil when there is none: the types
// may still be cast through their text form, or element by element for arrays.
func (s *Snapshot) CastBetween(from, to OID) *Cast { return s.castByTypes[[2]OID{from, to}] }

// RoleByName returns the PostgreSQL role, nil when there is none.
func (s *Snapshot) RoleByName(role string) *Role { return s.roles[role] }

// MemberOf reports whether role is a member of group, directly or through
// other roles, whatever the memberships' options. A role is not a member of
// itself; a superuser is a member only of what it was granted.
func (s *Snapshot) MemberOf(role, group string) bool {
	r, g := s.roles[role], s.roles[group]
	if r == nil || g == nil {
		return false
	}
	seen := []OID{r.OID}
	for i := 0; i < len(seen); i++ {
		for _, m := range s.roleByOID[seen[i]].MemberOf {
			if m == g.OID {
				return true
			}
			if !slices.Contains(seen, m) {
				seen = append(seen, m)
			}
		}
	}
	return false
}

// BaseType follows domains down to the type that is stored; nil when oid is unknown.
func (s *Snapshot) BaseType(oid OID) *Type {
	t := s.types[oid]
	for t != nil && t.Base != 0 {
		t = s.types[t.Base]
	}
	return t
}

// CustomIO reports whether the type, or one that it is made of (a domain's
// base, an array's element, a range's subtype, a composite's columns), reads
// or writes its values with functions that are not PostgreSQL's own. True for
// an unknown type.
func (s *Snapshot) CustomIO(oid OID) bool {
	custom, known := s.customIO[oid]
	return custom || !known
}
