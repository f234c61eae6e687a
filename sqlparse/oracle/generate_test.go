package oracle

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"pgveil/catalog"
)

// Types of the expressions that the generator makes, by OID (PostgreSQL source,
// src/include/catalog/pg_type.dat), with constants of each.
var constants = map[catalog.OID][]string{
	16:   {"true", "false", "NULL::bool"},
	20:   {"5::int8", "10000000000"},
	23:   {"1", "42", "-7", "NULL::int4"},
	25:   {"'a'::text", "'x,y'::text", "''::text", "NULL::text"},
	701:  {"1.5::float8", "'NaN'::float8"},
	869:  {"'10.0.0.1'::inet"},
	829:  {"'08:00:2b:01:02:03'::macaddr"},
	1009: {"ARRAY['a','b']", "'{}'::text[]"},
	1042: {"'M'::bpchar"},
	1082: {"'2024-02-03'::date", "current_date"},
	1114: {"'2024-02-03 04:05'::timestamp", "localtimestamp"},
	1184: {"'2024-02-03 04:05+00'::timestamptz", "now()"},
	1186: {"'1 day'::interval"},
	1700: {"1.25::numeric", "0::numeric"},
	17:   {`'\x00'::bytea`},
	2950: {"'00000000-0000-0000-0000-000000000001'::uuid"},
	3802: {`'{"a": [1, 2]}'::jsonb`, "NULL::jsonb"},
	3912: {"'[2024-01-01,2024-02-01)'::daterange"},
	1007: {"ARRAY[1,2]"},
}

// common are the types that most expressions have.
var common = []catalog.OID{16, 23, 23, 25, 25, 25, 25, 1700, 1082, 1184, 3802, 1009, 20, 701, 1042}

// routine is a function or operator whose types the generator knows.
type routine struct {
	text   string // a format with a %s for each argument
	args   []catalog.OID
	result catalog.OID
}

// column is a column that a name stands for; hidden ones have a type of no constants.
type column struct {
	name string
	typ  catalog.OID
}

// source is an entry of a FROM list.
type source struct {
	alias string
	cols  []column
	rel   *catalog.Relation
}

// frame is one query while it is made.
type frame struct {
	up      *frame
	from    []source
	ctes    []source
	grouped []string // expressions of GROUP BY by their text; nil when the query is not grouped
	keys    []column // the same as columns
	group   bool
	windows []string
	noAgg   bool
}

// generator makes random statements over the relations of a snapshot: the same seed makes
// the same statements. Most are valid; the server says which.
type generator struct {
	*rand.Rand
	relations  []*catalog.Relation
	tables     []*catalog.Relation
	functions  map[catalog.OID][]routine // by result
	operators  map[catalog.OID][]routine
	aggregates map[catalog.OID][]routine
	sets       []routine
	serial     int
	budget     int
}

// unquestioned are functions of pg_catalog that the generator leaves out: the analyser knows
// them as sources or sinks of their own, and their columns are opaque.
func unquestioned(name string) bool {
	return strings.HasPrefix(name, "pg_") || strings.HasPrefix(name, "lo_") || strings.HasPrefix(name, "binary_upgrade") || strings.HasPrefix(name, "has_") ||
		strings.HasPrefix(name, "brin_") || strings.HasPrefix(name, "gin_") || strings.HasPrefix(name, "gist_") || strings.HasPrefix(name, "ts_stat") ||
		strings.HasPrefix(name, "query_to") || strings.HasPrefix(name, "cursor_to") || strings.HasPrefix(name, "table_to") || strings.HasPrefix(name, "database_to") || strings.HasPrefix(name, "schema_to")
}

func newGenerator(seed uint64, s *catalog.Snapshot) *generator {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 1)), functions: map[catalog.OID][]routine{}, operators: map[catalog.OID][]routine{}, aggregates: map[catalog.OID][]routine{}}
	for _, r := range s.Relations {
		switch {
		case r.Schema != "public" && r.Schema != "ref" && r.Schema != "billing" && r.Schema != "portal":
		case r.Kind == 'r' || r.Kind == 'p':
			g.tables = append(g.tables, r)
			fallthrough
		case r.Kind == 'v' || r.Kind == 'm':
			g.relations = append(g.relations, r)
		}
	}
	known := func(list ...catalog.OID) bool {
		return !slices.ContainsFunc(list, func(o catalog.OID) bool { return constants[o] == nil })
	}
	for _, f := range s.Functions {
		if f.Schema != "pg_catalog" || unquestioned(f.Name) || f.Variadic != 0 || !known(f.Args...) || len(f.Args) == 0 {
			continue
		}
		holes := strings.TrimSuffix(strings.Repeat("%s, ", len(f.Args)), ", ")
		r := routine{fmt.Sprintf("%q(%s)", f.Name, holes), f.Args, f.Result}
		switch {
		case f.Set && f.Kind == 'f' && f.AllArgs == nil && known(f.Result):
			g.sets = append(g.sets, r)
		case f.Set || !known(f.Result):
		case f.Kind == 'f':
			g.functions[f.Result] = append(g.functions[f.Result], r)
		case f.Kind == 'a' && !slices.Contains([]string{"percentile_cont", "percentile_disc", "mode", "rank", "dense_rank", "percent_rank", "cume_dist"}, f.Name):
			g.aggregates[f.Result] = append(g.aggregates[f.Result], r)
		}
	}
	for _, o := range s.Operators {
		if o.Schema != "pg_catalog" || !known(o.Right, o.Result) || o.Left != 0 && !known(o.Left) {
			continue
		}
		name := strings.ReplaceAll(o.Name, "%", "%%")
		if o.Left == 0 {
			g.operators[o.Result] = append(g.operators[o.Result], routine{"(" + name + " %s)", []catalog.OID{o.Right}, o.Result})
		} else {
			g.operators[o.Result] = append(g.operators[o.Result], routine{"(%s " + name + " %s)", []catalog.OID{o.Left, o.Right}, o.Result})
		}
	}
	// Polymorphic ones, written out for the types at hand.
	for t := range constants {
		for _, f := range []string{"min(%s)", "max(%s)", "(array_agg(%s))[1]"} {
			g.aggregates[t] = append(g.aggregates[t], routine{f, []catalog.OID{t}, t})
		}
		for _, f := range []string{"coalesce(%s, %s)", "nullif(%s, %s)", "greatest(%s, %s)", "least(%s, %s)", "CASE WHEN true THEN %s ELSE %s END", "(ARRAY[%s, %s])[1]"} {
			g.operators[t] = append(g.operators[t], routine{f, []catalog.OID{t, t}, t})
		}
		g.aggregates[3802] = append(g.aggregates[3802], routine{"jsonb_agg(%s)", []catalog.OID{t}, 3802}, routine{"jsonb_object_agg('k', %s)", []catalog.OID{t}, 3802})
		g.aggregates[20] = append(g.aggregates[20], routine{"count(%s)", []catalog.OID{t}, 20}, routine{"count(DISTINCT %s)", []catalog.OID{t}, 20})
		g.functions[25] = append(g.functions[25], routine{"(%s)::text", []catalog.OID{t}, 25}, routine{"concat(%s, 'x')", []catalog.OID{t}, 25}, routine{"format('%%s', %s)", []catalog.OID{t}, 25})
		g.functions[3802] = append(g.functions[3802], routine{"to_jsonb(%s)", []catalog.OID{t}, 3802}, routine{"jsonb_build_object('k', %s)", []catalog.OID{t}, 3802})
		g.functions[16] = append(g.functions[16], routine{"(%s IS NULL)", []catalog.OID{t}, 16}, routine{"(%s IS DISTINCT FROM %s)", []catalog.OID{t, t}, 16}, routine{"(%s IN (%s, %s))", []catalog.OID{t, t, t}, 16},
			routine{"(ROW(%s, 1) = ROW(%s, 2))", []catalog.OID{t, t}, 16}, routine{"(%s = ANY (ARRAY[%s]))", []catalog.OID{t, t}, 16})
	}
	g.functions[25] = append(g.functions[25], routine{"(%s)[1]", []catalog.OID{1009}, 25}, routine{"array_to_string(%s, ',')", []catalog.OID{1009}, 25}, routine{"(%s ->> 'a')", []catalog.OID{3802}, 25},
		routine{"substring(%s from 2 for 3)", []catalog.OID{25}, 25}, routine{"trim(both from %s)", []catalog.OID{25}, 25}, routine{"overlay(%s placing %s from 1)", []catalog.OID{25, 25}, 25})
	g.functions[3802] = append(g.functions[3802], routine{"(%s)['a']", []catalog.OID{3802}, 3802})
	g.functions[23] = append(g.functions[23], routine{"position(%s in %s)", []catalog.OID{25, 25}, 23}, routine{"array_length(%s, 1)", []catalog.OID{1009}, 23}, routine{"(%s)::int4", []catalog.OID{25}, 23})
	g.functions[1700] = append(g.functions[1700], routine{"extract(year from %s)", []catalog.OID{1082}, 1700})
	g.functions[1184] = append(g.functions[1184], routine{"(%s AT TIME ZONE 'UTC')", []catalog.OID{1114}, 1184})
	g.functions[1009] = append(g.functions[1009], routine{"(%s || %s)", []catalog.OID{1009, 25}, 1009}, routine{"(%s)[1:2]", []catalog.OID{1009}, 1009}, routine{"ARRAY[%s, %s]", []catalog.OID{25, 25}, 1009})
	g.aggregates[1009] = append(g.aggregates[1009], routine{"array_agg(%s ORDER BY %s)", []catalog.OID{25, 23}, 1009})
	g.aggregates[701] = append(g.aggregates[701], routine{"percentile_cont(0.5) WITHIN GROUP (ORDER BY %s)", []catalog.OID{701}, 701})
	g.aggregates[25] = append(g.aggregates[25], routine{"mode() WITHIN GROUP (ORDER BY %s)", []catalog.OID{25}, 25}, routine{"string_agg(%s, ',' ORDER BY %s DESC)", []catalog.OID{25, 1082}, 25})
	// Maps have no order: sort for the seed's sake.
	for _, m := range []map[catalog.OID][]routine{g.functions, g.operators, g.aggregates} {
		for _, l := range m {
			slices.SortFunc(l, func(a, b routine) int { return strings.Compare(a.text+fmt.Sprint(a.args), b.text+fmt.Sprint(b.args)) })
		}
	}
	slices.SortFunc(g.sets, func(a, b routine) int { return strings.Compare(a.text+fmt.Sprint(a.args), b.text+fmt.Sprint(b.args)) })
	return g
}

func (g *generator) one(n int) bool          { return g.IntN(n) == 0 }
func (g *generator) pick(s ...string) string { return s[g.IntN(len(s))] }
func (g *generator) alias(p string) string   { g.serial++; return fmt.Sprintf("%s%d", p, g.serial) }
func (g *generator) typ() catalog.OID        { return common[g.IntN(len(common))] }

func (g *generator) constant(t catalog.OID) string { return g.pick(constants[t]...) }

// column names a column of type t that is in scope, or "".
func (g *generator) column(t catalog.OID, f *frame) string {
	for up := 0; f != nil && up < 3; f, up = f.up, up+1 {
		var list []string
		if f.group {
			for _, k := range f.keys {
				if k.typ == t {
					list = append(list, k.name)
				}
			}
		} else {
			for _, s := range f.from {
				for _, c := range s.cols {
					if c.typ == t {
						list = append(list, s.alias+"."+c.name)
					}
				}
			}
		}
		if len(list) > 0 && (f.up == nil || !g.one(4)) {
			return g.pick(list...)
		}
	}
	return ""
}

// expr makes an expression of type t.
func (g *generator) expr(t catalog.OID, depth int, f *frame) string {
	if depth <= 0 || g.budget <= 0 || constants[t] == nil {
		if c := g.column(t, f); c != "" && !g.one(8) {
			return c
		}
		return g.constant(t)
	}
	g.budget--
	switch g.IntN(12) {
	case 0, 1, 2, 3:
		if c := g.column(t, f); c != "" {
			return c
		}
	case 4, 5:
		return g.call(g.functions[t], t, depth, f)
	case 6, 7:
		return g.call(g.operators[t], t, depth, f)
	case 8:
		switch g.IntN(3) {
		case 0:
			return "CASE WHEN " + g.expr(16, depth-1, f) + " THEN " + g.expr(t, depth-1, f) + " WHEN " + g.expr(16, depth-1, f) + " THEN " + g.expr(t, depth-1, f) + " ELSE " + g.expr(t, depth-1, f) + " END"
		case 1:
			u := g.typ()
			return "CASE " + g.expr(u, depth-1, f) + " WHEN " + g.expr(u, depth-1, f) + " THEN " + g.expr(t, depth-1, f) + " END"
		}
		return "coalesce(" + g.expr(t, depth-1, f) + ", " + g.expr(t, depth-1, f) + ")"
	case 9:
		return g.sublink(t, depth, f)
	case 10:
		if f.group && !f.noAgg {
			return g.aggregate(t, depth, f, "")
		}
		if !f.group && !f.noAgg {
			return g.windowCall(t, depth, f)
		}
	}
	return g.expr(t, depth-1, f)
}

func (g *generator) call(list []routine, t catalog.OID, depth int, f *frame) string {
	if len(list) == 0 {
		return g.expr(t, depth-1, f)
	}
	r := list[g.IntN(len(list))]
	return g.apply(r, depth, f)
}

func (g *generator) apply(r routine, depth int, f *frame) string {
	args := make([]any, len(r.args))
	for i, a := range r.args {
		args[i] = g.expr(a, depth-1, f)
	}
	return fmt.Sprintf(r.text, args...)
}

// raw is the frame as the arguments of an aggregate see it.
func (f *frame) raw() *frame { return &frame{up: f.up, from: f.from, noAgg: true} }

func (g *generator) aggregate(t catalog.OID, depth int, f *frame, over string) string {
	list := g.aggregates[t]
	if len(list) == 0 {
		return g.constant(t)
	}
	r := list[g.IntN(len(list))]
	if over != "" && (strings.Contains(r.text, "DISTINCT") || strings.Contains(r.text, "WITHIN") || strings.Contains(r.text, "ORDER BY") || strings.Contains(r.text, "[")) {
		return g.constant(t)
	}
	in := f
	if f.group {
		in = f.raw()
	}
	s := g.apply(r, depth, in)
	if g.one(5) && !strings.HasSuffix(s, "]") {
		s += " FILTER (WHERE " + g.expr(16, depth-1, in) + ")"
	}
	return s + over
}

func (g *generator) windowCall(t catalog.OID, depth int, f *frame) string {
	in := &frame{up: f.up, from: f.from, noAgg: true, ctes: f.ctes}
	var w strings.Builder
	if g.one(2) {
		w.WriteString("PARTITION BY " + g.expr(g.typ(), 1, in) + " ")
	}
	w.WriteString("ORDER BY " + g.expr(23, 1, in))
	if g.one(4) {
		w.WriteString(" ROWS BETWEEN 1 PRECEDING AND CURRENT ROW")
	}
	over := " OVER (" + w.String() + ")"
	if len(f.windows) > 0 && g.one(2) {
		over = " OVER " + g.pick(f.windows...)
	}
	switch {
	case t == 20 && g.one(2):
		return g.pick("row_number()", "rank()", "dense_rank()", "count(*)") + over
	case g.one(2):
		return fmt.Sprintf(g.pick("lag(%s)", "lead(%s)", "first_value(%s)", "last_value(%s)", "nth_value(%s, 2)", "lag(%s, 2)"), g.expr(t, depth-1, in)) + over
	}
	return g.aggregate(t, depth, in, over)
}

func (g *generator) sublink(t catalog.OID, depth int, f *frame) string {
	up := &frame{up: f.up, from: f.from, group: f.group, keys: f.keys, ctes: f.ctes, noAgg: true}
	if t == 16 {
		switch g.IntN(4) {
		case 0:
			return g.pick("EXISTS (", "NOT EXISTS (") + g.query(nil, depth-1, up) + ")"
		case 1, 2:
			u := g.typ()
			return "(" + g.expr(u, depth-1, f) + g.pick(" IN (", " NOT IN (", " = ANY (", " <> ALL (", " < ANY (") + g.query([]catalog.OID{u}, depth-1, up) + "))"
		}
	}
	if t == 1009 && g.one(2) {
		return "ARRAY(" + g.query([]catalog.OID{25}, depth-1, up) + ")"
	}
	if t == 23 && g.one(6) {
		return "(" + g.query([]catalog.OID{t}, depth-1, up) + " LIMIT 1)"
	}
	return "(" + g.query([]catalog.OID{t}, depth-1, up) + ")"
}
