package catalog

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits on a snapshot. A real catalog stays far below them: PostgreSQL allows
// 1600 columns a table, 100 arguments a function and names of 63 bytes (a build
// with a larger NAMEDATALEN is rare).
const (
	maxName      = 1023
	maxColumns   = 1664
	maxArguments = 1664 // OUT arguments of a function count as columns
)

// problem names the first thing that is wrong with a snapshot.
func problem(kind string, oid OID, format string, args ...any) error {
	return fmt.Errorf("catalog snapshot: %s %d: %s", kind, oid, fmt.Sprintf(format, args...))
}

func checkName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("empty name")
	case len(s) > maxName:
		return fmt.Errorf("name of %d bytes, more than %d", len(s), maxName)
	case strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s):
		return fmt.Errorf("name is not valid UTF-8 text")
	}
	return nil
}

// checker looks references up.
type checker struct {
	s         *Snapshot
	schemas   map[string]bool
	relations map[OID]*Relation
	types     map[OID]*Type
	functions map[OID]bool
	roles     map[OID]bool
}

// validate checks that every name is usable, every OID unique and every
// reference leads to something that is there, without cycles where PostgreSQL
// has none.
func (s *Snapshot) validate() error {
	if err := checkName(s.Database); err != nil {
		return fmt.Errorf("catalog snapshot: database: %w", err)
	}
	if s.ServerVersion < minServer || s.ServerVersion >= maxServer {
		return fmt.Errorf("catalog snapshot: server version %d is not one of PostgreSQL 13 to 18", s.ServerVersion)
	}
	c := &checker{s: s, schemas: map[string]bool{}, relations: map[OID]*Relation{}, types: map[OID]*Type{},
		functions: map[OID]bool{}, roles: map[OID]bool{}}
	for _, step := range []func() error{c.collect, c.checkRelations, c.checkTypes, c.checkFunctions, c.checkOperators, c.checkCasts, c.checkRoles} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// collect checks names and the uniqueness of keys, and notes what exists.
func (c *checker) collect() error {
	schemaOIDs := map[OID]bool{}
	for _, n := range c.s.Schemas {
		if err := checkName(n.Name); err != nil {
			return problem("schema", n.OID, "%v", err)
		}
		if n.OID == 0 || schemaOIDs[n.OID] || c.schemas[n.Name] {
			return problem("schema", n.OID, "appears twice or has no OID")
		}
		schemaOIDs[n.OID], c.schemas[n.Name] = true, true
	}
	named := func(names map[name]bool, kind string, oid OID, schema, object string) error {
		if err := checkName(object); err != nil {
			return problem(kind, oid, "%v", err)
		}
		if !c.schemas[schema] {
			return problem(kind, oid, "schema %q is unknown", schema)
		}
		k := name{schema, object}
		if names != nil {
			if names[k] {
				return problem(kind, oid, "%s.%s appears twice", schema, object)
			}
			names[k] = true
		}
		return nil
	}
	names := map[name]bool{}
	for i, r := range c.s.Relations {
		if r == nil || r.OID == 0 || c.relations[r.OID] != nil {
			return problem("relation", OID(i), "(by position) missing, without OID or twice")
		}
		if err := named(names, "relation", r.OID, r.Schema, r.Name); err != nil {
			return err
		}
		c.relations[r.OID] = r
	}
	names = map[name]bool{}
	for i, t := range c.s.Types {
		if t == nil || t.OID == 0 || c.types[t.OID] != nil {
			return problem("type", OID(i), "(by position) missing, without OID or twice")
		}
		if err := named(names, "type", t.OID, t.Schema, t.Name); err != nil {
			return err
		}
		c.types[t.OID] = t
	}
	for i, f := range c.s.Functions {
		if f == nil || f.OID == 0 || c.functions[f.OID] {
			return problem("function", OID(i), "(by position) missing, without OID or twice")
		}
		if err := named(nil, "function", f.OID, f.Schema, f.Name); err != nil {
			return err
		}
		c.functions[f.OID] = true
	}
	operators := map[OID]bool{}
	for i, o := range c.s.Operators {
		if o == nil || o.OID == 0 || operators[o.OID] {
			return problem("operator", OID(i), "(by position) missing, without OID or twice")
		}
		if err := named(nil, "operator", o.OID, o.Schema, o.Name); err != nil {
			return err
		}
		operators[o.OID] = true
	}
	roleNames := map[string]bool{}
	for _, r := range c.s.Roles {
		if err := checkName(r.Name); err != nil {
			return problem("role", r.OID, "%v", err)
		}
		if r.OID == 0 || c.roles[r.OID] || roleNames[r.Name] {
			return problem("role", r.OID, "appears twice or has no OID")
		}
		c.roles[r.OID], roleNames[r.Name] = true, true
	}
	return nil
}

// typ checks a reference to a type; zero says whether 0 may stand there.
func (c *checker) typ(kind string, oid, ref OID, zero bool) error {
	if ref == 0 && zero || c.types[ref] != nil {
		return nil
	}
	return problem(kind, oid, "type %d is unknown", ref)
}

func (c *checker) checkRelations() error {
	for _, r := range c.s.Relations {
		switch r.Kind {
		case KindTable, KindPartitionedTable, KindView, KindMaterializedView, KindForeignTable, KindSequence, KindComposite:
		default:
			return problem("relation", r.OID, "kind %q is unknown", rune(r.Kind))
		}
		if len(r.Columns) > maxColumns {
			return problem("relation", r.OID, "%d columns, more than %d", len(r.Columns), maxColumns)
		}
		if err := c.typ("relation", r.OID, r.RowType, true); err != nil {
			return err
		}
		last, seen := int16(0), map[string]bool{}
		for _, col := range r.Columns {
			if err := checkName(col.Name); err != nil {
				return problem("relation", r.OID, "column %d: %v", col.Num, err)
			}
			if col.Num <= last {
				return problem("relation", r.OID, "column %d is out of order", col.Num)
			}
			if seen[col.Name] {
				return problem("relation", r.OID, "column %q appears twice", col.Name)
			}
			if err := c.typ("relation", r.OID, col.Type, false); err != nil {
				return err
			}
			last, seen[col.Name] = col.Num, true
		}
		for _, k := range r.PrimaryKey {
			if !hasColumn(r, k) {
				return problem("relation", r.OID, "primary key column %d is unknown", k)
			}
		}
		for i, p := range r.Parents {
			if c.relations[p] == nil {
				return problem("relation", r.OID, "parent %d is unknown", p)
			}
			for _, q := range r.Parents[:i] {
				if p == q {
					return problem("relation", r.OID, "parent %d appears twice", p)
				}
			}
		}
	}
	graph := func(oid OID) []OID { return c.relations[oid].Parents }
	for _, r := range c.s.Relations {
		if len(r.Parents) > 0 && cyclic(r.OID, graph, map[OID]int8{}) {
			return problem("relation", r.OID, "is its own ancestor")
		}
	}
	return nil
}

func hasColumn(r *Relation, num int16) bool {
	for _, c := range r.Columns {
		if c.Num == num {
			return true
		}
	}
	return false
}

// cyclic reports whether a cycle can be reached from oid. It keeps its own
// stack: a hostile chain may be as long as the snapshot.
func cyclic(oid OID, next func(OID) []OID, state map[OID]int8) bool {
	const open, done = 1, 2
	stack := []OID{oid}
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		switch state[top] {
		case 0:
			state[top] = open
			for _, n := range next(top) {
				switch state[n] {
				case open:
					return true
				case 0:
					stack = append(stack, n)
				}
			}
		default:
			state[top] = done
			stack = stack[:len(stack)-1]
		}
	}
	return false
}

func (c *checker) checkTypes() error {
	for _, t := range c.s.Types {
		switch t.Kind {
		case 'b', 'c', 'd', 'e', 'p', 'r', 'm':
		default:
			return problem("type", t.OID, "kind %q is unknown", rune(t.Kind))
		}
		for _, ref := range []OID{t.Elem, t.Array, t.Base, t.Subtype} {
			if err := c.typ("type", t.OID, ref, true); err != nil {
				return err
			}
		}
		if (t.Kind == 'd') != (t.Base != 0) {
			return problem("type", t.OID, "only a domain has a base type, and must have one")
		}
	}
	// One state for all: a finished part of the graph is not walked again.
	state := map[OID]int8{}
	graph := func(oid OID) []OID {
		t := c.types[oid]
		var refs []OID
		for _, ref := range []OID{t.Elem, t.Base, t.Subtype} {
			if ref != 0 {
				refs = append(refs, ref)
			}
		}
		return refs
	}
	for _, t := range c.s.Types {
		if cyclic(t.OID, graph, state) {
			return problem("type", t.OID, "is made of itself")
		}
	}
	return nil
}

func (c *checker) checkFunctions() error {
	for _, f := range c.s.Functions {
		switch f.Kind {
		case 'f', 'p', 'a', 'w':
		default:
			return problem("function", f.OID, "kind %q is unknown", rune(f.Kind))
		}
		switch f.Volatility {
		case 'i', 's', 'v':
		default:
			return problem("function", f.OID, "volatility %q is unknown", rune(f.Volatility))
		}
		if len(f.Args) > maxArguments || len(f.AllArgs) > maxArguments {
			return problem("function", f.OID, "more than %d arguments", maxArguments)
		}
		for _, list := range [][]OID{f.Args, f.AllArgs, {f.Result}} {
			for _, a := range list {
				if err := c.typ("function", f.OID, a, false); err != nil {
					return err
				}
			}
		}
		if err := c.typ("function", f.OID, f.Variadic, true); err != nil {
			return err
		}
		all := len(f.AllArgs)
		if f.AllArgs == nil && f.ArgModes != "" {
			all = len(f.Args) // only IN and VARIADIC arguments
		}
		if all != len(f.ArgModes) {
			return problem("function", f.OID, "%d argument types but %d modes", all, len(f.ArgModes))
		}
		inputs := 0
		for _, m := range []byte(f.ArgModes) {
			switch m {
			case 'i', 'b', 'v':
				inputs++
			case 'o', 't':
			default:
				return problem("function", f.OID, "argument mode %q is unknown", rune(m))
			}
		}
		// A procedure's OUT arguments are among its proargtypes only in 14 and newer; functions' never are.
		if f.ArgModes != "" && inputs != len(f.Args) && f.Kind != 'p' {
			return problem("function", f.OID, "%d input modes but %d input arguments", inputs, len(f.Args))
		}
		if n := max(len(f.Args), all); len(f.ArgNames) > n {
			return problem("function", f.OID, "%d argument names but %d arguments", len(f.ArgNames), n)
		}
		if f.Defaults < 0 || f.Defaults > len(f.Args) {
			return problem("function", f.OID, "%d defaults but %d arguments", f.Defaults, len(f.Args))
		}
	}
	return nil
}

func (c *checker) checkOperators() error {
	for _, o := range c.s.Operators {
		for _, ref := range []OID{o.Left, o.Right, o.Result} {
			// 0 on the right: a postfix operator of PostgreSQL 13. 0 as result: a shell operator.
			if err := c.typ("operator", o.OID, ref, true); err != nil {
				return err
			}
		}
		if o.Function != 0 && !c.functions[o.Function] {
			return problem("operator", o.OID, "function %d is unknown", o.Function)
		}
	}
	return nil
}

func (c *checker) checkCasts() error {
	seen := map[[2]OID]bool{}
	for i, k := range c.s.Casts {
		if k == nil || seen[[2]OID{k.Source, k.Target}] {
			return problem("cast", OID(i), "(by position) missing or twice")
		}
		seen[[2]OID{k.Source, k.Target}] = true
		for _, ref := range []OID{k.Source, k.Target} {
			if err := c.typ("cast", ref, ref, false); err != nil {
				return err
			}
		}
		switch k.Context {
		case 'e', 'a', 'i':
		default:
			return problem("cast", OID(i), "(by position) context %q is unknown", rune(k.Context))
		}
		switch {
		case k.Method == 'f' && c.functions[k.Function]:
		case (k.Method == 'i' || k.Method == 'b') && k.Function == 0:
		default:
			return problem("cast", OID(i), "(by position) method %q with function %d", rune(k.Method), k.Function)
		}
	}
	return nil
}

func (c *checker) checkRoles() error {
	for _, r := range c.s.Roles {
		for _, g := range r.MemberOf {
			if !c.roles[g] {
				return problem("role", r.OID, "group %d is unknown", g)
			}
		}
	}
	for _, x := range c.s.Settings {
		if err := checkName(x.Name); err != nil {
			return problem("setting of role", x.Role, "%v", err)
		}
	}
	return nil
}
