package oracle

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"pgveil/catalog"
)

// query makes a query whose columns have the given types and the names c1, c2 …; nil: any.
func (g *generator) query(types []catalog.OID, depth int, up *frame) string {
	if types == nil {
		for range 1 + g.IntN(4) {
			types = append(types, g.typ())
		}
	}
	f := &frame{up: up}
	if up != nil {
		f.ctes = up.ctes
	}
	with := ""
	if depth > 1 && g.one(6) {
		with = g.with(depth, f)
	}
	switch {
	case depth > 0 && g.one(8):
		op := g.pick(" UNION ALL ", " UNION ", " INTERSECT ", " EXCEPT ", " EXCEPT ALL ")
		l, r := &frame{up: f.up, ctes: f.ctes}, &frame{up: f.up, ctes: f.ctes}
		return with + "(" + g.simple(types, depth-1, l) + ")" + op + "(" + g.simple(types, depth-1, r) + ")"
	case g.one(30):
		var rows []string
		for range 1 + g.IntN(2) {
			var row []string
			for _, t := range types {
				row = append(row, g.expr(t, depth-1, &frame{up: up, noAgg: true, ctes: f.ctes}))
			}
			rows = append(rows, "("+strings.Join(row, ", ")+")")
		}
		return with + "VALUES " + strings.Join(rows, ", ")
	}
	return with + g.simple(types, depth, f)
}

// simple makes a SELECT.
func (g *generator) simple(types []catalog.OID, depth int, f *frame) string {
	var b strings.Builder
	from := g.from(depth, f)
	where := ""
	if g.one(2) {
		where = " WHERE " + g.expr(16, depth-1, &frame{up: f.up, from: f.from, ctes: f.ctes, noAgg: true})
	}
	group := ""
	if g.one(4) {
		f.group = true
		if !g.one(5) {
			for range 1 + g.IntN(2) {
				t := g.typ()
				if c := g.column(t, &frame{from: f.from}); c != "" && !slices.Contains(f.grouped, c) {
					f.grouped, f.keys = append(f.grouped, c), append(f.keys, column{c, t})
				}
			}
			if len(f.grouped) > 0 {
				list := strings.Join(f.grouped, ", ")
				group = " GROUP BY " + g.pick(list, list, "ROLLUP ("+list+")", "GROUPING SETS (("+list+"), ())")
			}
		}
		if g.one(4) {
			group += " HAVING " + g.expr(16, depth-1, &frame{up: f.up, from: f.from, ctes: f.ctes, group: true, keys: f.keys})
		}
	}
	window := ""
	if !f.group && g.one(10) {
		w := g.alias("w")
		window = " WINDOW " + w + " AS (PARTITION BY " + g.expr(25, 1, &frame{up: f.up, from: f.from, noAgg: true}) + " ORDER BY " + g.expr(23, 1, &frame{up: f.up, from: f.from, noAgg: true}) + ")"
		f.windows = append(f.windows, w)
	}
	b.WriteString("SELECT ")
	distinct := g.one(12)
	if distinct {
		b.WriteString("DISTINCT ")
	}
	for i, t := range types {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s AS c%d", g.expr(t, depth, f), i+1)
	}
	b.WriteString(from + where + group + window)
	if g.one(8) {
		b.WriteString(" ORDER BY " + strconv.Itoa(1+g.IntN(len(types))))
		if g.one(2) {
			b.WriteString(" LIMIT 3")
		}
	}
	return b.String()
}

// with makes a WITH clause and puts its queries into the frame.
func (g *generator) with(depth int, f *frame) string {
	name := g.alias("q")
	if g.one(3) {
		types := []catalog.OID{23, g.typ()}
		base := g.simple(types, depth-2, &frame{up: f.up, ctes: f.ctes})
		s := source{alias: name, cols: columnsOf(types)}
		step := &frame{up: f.up, ctes: f.ctes, from: []source{{alias: "r", cols: s.cols}}, noAgg: true}
		text := "WITH RECURSIVE " + name + "(c1, c2) AS (" + base + " UNION ALL SELECT " + g.expr(23, depth-2, step) + ", " + g.expr(types[1], depth-2, step) + " FROM " + name + " r WHERE r.c1 < 5) "
		f.ctes = append(slices.Clone(f.ctes), s)
		return text
	}
	types := []catalog.OID{g.typ(), g.typ(), g.typ()}
	text := "WITH " + name + " AS " + g.pick("", "", "MATERIALIZED ", "NOT MATERIALIZED ") + "(" + g.query(types, depth-2, &frame{up: f.up, ctes: f.ctes}) + ") "
	f.ctes = append(slices.Clone(f.ctes), source{alias: name, cols: columnsOf(types)})
	return text
}

func columnsOf(types []catalog.OID) (cols []column) {
	for i, t := range types {
		cols = append(cols, column{fmt.Sprintf("c%d", i+1), t})
	}
	return cols
}

// list is the column list of an alias.
func list(cols []column) string {
	var names []string
	for _, c := range cols {
		names = append(names, c.name)
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// from makes a FROM clause and fills the frame.
func (g *generator) from(depth int, f *frame) string {
	if g.one(25) {
		return ""
	}
	text := " FROM " + g.item(depth, f, false)
	for g.one(2) && len(f.from) < 4 {
		switch g.IntN(8) {
		case 0:
			text += ", " + g.item(depth, f, false)
		case 1:
			text += " CROSS JOIN " + g.item(depth, f, false)
		case 2:
			text += ", LATERAL " + g.lateral(depth, f)
		case 3:
			text += " LEFT JOIN LATERAL " + g.lateral(depth, f) + " ON true"
		case 4, 5:
			// USING: the column that both sides have, by name.
			kind := g.pick(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ", " NATURAL JOIN ")
			left := f.from
			item := g.item(0, f, true)
			right := f.from[len(f.from)-1]
			var shared []string
			for _, c := range right.cols {
				n := 0
				for _, s := range left {
					for _, o := range s.cols {
						if o.name == c.name && o.typ == c.typ {
							n++
						}
					}
				}
				if n == 1 {
					shared = append(shared, c.name)
				}
			}
			if kind == " NATURAL JOIN " {
				text += kind + item
				break
			}
			if len(shared) == 0 {
				text += " CROSS JOIN " + item
				break
			}
			text += kind + item + " USING (" + g.pick(shared...) + ")"
		default:
			kind := g.pick(" JOIN ", " LEFT JOIN ", " RIGHT JOIN ", " FULL JOIN ")
			text += kind + g.item(depth, f, false) + " ON " + g.expr(16, min(depth-1, 2), &frame{up: f.up, from: f.from, ctes: f.ctes, noAgg: true})
		}
	}
	return text
}

// item makes one entry of a FROM list and adds it to the frame.
func (g *generator) item(depth int, f *frame, plain bool) string {
	k := g.IntN(20)
	outer := &frame{up: f.up, ctes: f.ctes}
	switch {
	case !plain && k < 8 && len(f.ctes) > 0:
		c := f.ctes[g.IntN(len(f.ctes))]
		a := g.alias("t")
		f.from = append(f.from, source{alias: a, cols: c.cols})
		return c.alias + " AS " + a
	case !plain && k < 11 && depth > 0 && g.budget > 0:
		types := []catalog.OID{g.typ(), g.typ(), g.typ()}
		a := g.alias("s")
		q := g.query(types, depth-1, &frame{up: outer.up, ctes: f.ctes})
		f.from = append(f.from, source{alias: a, cols: columnsOf(types)})
		return "(" + q + ") AS " + a + list(columnsOf(types))
	case !plain && k == 12 && depth > 0:
		types := []catalog.OID{g.typ(), g.typ()}
		a := g.alias("v")
		row := func() string {
			return "(" + g.expr(types[0], 1, &frame{up: f.up, noAgg: true}) + ", " + g.expr(types[1], 1, &frame{up: f.up, noAgg: true}) + ")"
		}
		text := "(VALUES " + row() + ", " + row() + ") AS " + a + list(columnsOf(types))
		f.from = append(f.from, source{alias: a, cols: columnsOf(types)})
		return text
	case !plain && k == 13 && depth > 0:
		return g.function(depth, &frame{up: f.up, ctes: f.ctes, noAgg: true}, f)
	}
	r := g.relations[g.IntN(len(g.relations))]
	a := g.alias("t")
	s := source{alias: a, rel: r}
	for _, c := range r.Columns {
		s.cols = append(s.cols, column{c.Name, c.Type})
	}
	f.from = append(f.from, s)
	text := r.Schema + "." + r.Name + " AS " + a
	switch {
	case (r.Kind == 'r' || r.Kind == 'p') && g.one(15):
		return "ONLY " + text
	case (r.Kind == 'r') && g.one(20):
		return text + " TABLESAMPLE bernoulli (10)"
	}
	return text
}

// lateral makes an entry that refers to those before it.
func (g *generator) lateral(depth int, f *frame) string {
	in := &frame{up: f.up, from: f.from, ctes: f.ctes, noAgg: true}
	if g.one(3) || depth <= 0 {
		return g.function(1, in, f)
	}
	types := []catalog.OID{g.typ(), g.typ()}
	a := g.alias("l")
	q := g.query(types, depth-1, in)
	f.from = append(f.from, source{alias: a, cols: columnsOf(types)})
	return "(" + q + ") AS " + a + list(columnsOf(types))
}

// function makes a function in FROM, its arguments from one frame, its columns to another.
func (g *generator) function(depth int, in, f *frame) string {
	a := g.alias("f")
	e := func(t catalog.OID) string { return g.expr(t, depth-1, in) }
	var text string
	var cols []column
	switch g.IntN(9) {
	case 0:
		text, cols = "unnest("+e(1009)+") AS "+a+"(c1)", []column{{"c1", 25}}
	case 1:
		text, cols = "unnest("+e(1009)+") WITH ORDINALITY AS "+a+"(c1, c2)", []column{{"c1", 25}, {"c2", 20}}
	case 2:
		text, cols = "generate_series("+e(23)+", "+e(23)+") AS "+a+"(c1)", []column{{"c1", 23}}
	case 3:
		text, cols = "jsonb_each_text("+e(3802)+") AS "+a+"(c1, c2)", []column{{"c1", 25}, {"c2", 25}}
	case 4:
		text, cols = "ROWS FROM (unnest("+e(1009)+"), generate_series(1, "+e(23)+")) WITH ORDINALITY AS "+a+"(c1, c2, c3)", []column{{"c1", 25}, {"c2", 23}, {"c3", 20}}
	case 5:
		text, cols = "jsonb_to_record("+e(3802)+") AS "+a+"(c1 text, c2 int)", []column{{"c1", 25}, {"c2", 23}}
	case 6:
		text, cols = "unnest("+e(1009)+", "+e(1007)+") AS "+a+"(c1, c2)", []column{{"c1", 25}, {"c2", 23}}
	case 7:
		text, cols = "lower("+e(25)+") AS "+a+"(c1)", []column{{"c1", 25}}
	default:
		r := g.sets[g.IntN(len(g.sets))]
		text, cols = g.apply(r, depth, in)+" AS "+a+"(c1)", []column{{"c1", r.result}}
	}
	f.from = append(f.from, source{alias: a, cols: cols})
	return text
}
