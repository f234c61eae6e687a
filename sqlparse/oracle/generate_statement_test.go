package oracle

import (
	"fmt"
	"strings"

	"pgveil/catalog"
)

// statement makes one statement.
func (g *generator) statement() string {
	g.serial, g.budget = 0, 30
	switch g.IntN(10) {
	case 0:
		return g.write(nil)
	case 1:
		return g.stars()
	case 2:
		return g.modifyingWith()
	}
	return g.query(nil, 1+g.IntN(4), nil)
}

// stars makes a SELECT of *, whole rows and fields of rows.
func (g *generator) stars() string {
	f := &frame{}
	from := g.from(1+g.IntN(2), f)
	if len(f.from) == 0 {
		return "SELECT 1" + from
	}
	var out []string
	for range 1 + g.IntN(3) {
		s := f.from[g.IntN(len(f.from))]
		switch g.IntN(9) {
		case 0:
			out = append(out, "*")
		case 1, 2:
			out = append(out, s.alias+".*")
		case 3:
			out = append(out, s.alias)
		case 4:
			out = append(out, "("+s.alias+")."+s.cols[g.IntN(len(s.cols))].name)
		case 5:
			out = append(out, g.pick("to_jsonb(%[1]s)", "row_to_json(%[1]s)", "ROW(%[1]s.*)", "%[1]s::text", "count(%[1]s) OVER ()", "%[1]s IS NULL", "coalesce(%[1]s, %[1]s)"))
			out[len(out)-1] = fmt.Sprintf(out[len(out)-1], s.alias)
		case 6:
			if s.rel != nil && s.rel.Kind == 'r' {
				out = append(out, s.alias+"."+g.pick("ctid", "tableoid", "xmin"))
				break
			}
			fallthrough
		default:
			out = append(out, s.cols[g.IntN(len(s.cols))].name)
		}
	}
	text := "SELECT " + strings.Join(out, ", ") + from
	if g.one(3) {
		text += " WHERE " + g.expr(16, 2, &frame{from: f.from, noAgg: true})
	}
	if g.one(3) {
		return "SELECT * FROM (" + text + ") AS z"
	}
	return text
}

// returning makes a RETURNING list over a target and what else is named.
func (g *generator) returning(f *frame, types []catalog.OID) string {
	if types == nil && g.one(3) {
		return " RETURNING *"
	}
	if types == nil {
		types = []catalog.OID{g.typ(), g.typ()}
	}
	var list []string
	for i, t := range types {
		list = append(list, fmt.Sprintf("%s AS c%d", g.expr(t, 2, f), i+1))
	}
	return " RETURNING " + strings.Join(list, ", ")
}

// write makes INSERT, UPDATE or DELETE with RETURNING.
func (g *generator) write(types []catalog.OID) string {
	r := g.tables[g.IntN(len(g.tables))]
	name, a := r.Schema+"."+r.Name, g.alias("w")
	target := source{alias: a, rel: r}
	for _, c := range r.Columns {
		target.cols = append(target.cols, column{c.Name, c.Type})
	}
	f := &frame{from: []source{target}, noAgg: true}
	any := func() catalog.Column { return r.Columns[g.IntN(len(r.Columns))] }
	switch g.IntN(3) {
	case 0:
		c, d := any(), any()
		for d.Num == c.Num {
			d = any()
		}
		text := "INSERT INTO " + name + " AS " + a + " (" + c.Name + ", " + d.Name + ") " + g.query([]catalog.OID{c.Type, d.Type}, 2, nil)
		if g.one(4) && len(r.PrimaryKey) == 1 {
			key := r.Columns[0].Name
			set := any()
			text += " ON CONFLICT (" + key + ") DO UPDATE SET " + set.Name + " = " + g.pick("excluded."+set.Name, g.expr(set.Type, 1, f))
		}
		return text + g.returning(f, types)
	case 1:
		c := any()
		text := "UPDATE " + name + " AS " + a + " SET " + c.Name + " = "
		rest := ""
		if g.one(2) {
			rest = g.from(1, f)
		}
		text += g.expr(c.Type, 2, f)
		if g.one(4) && len(r.Columns) > 2 {
			d, e := any(), any()
			if d.Num != e.Num && d.Num != c.Num && e.Num != c.Num {
				text += fmt.Sprintf(", (%s, %s) = (%s)", d.Name, e.Name, g.query([]catalog.OID{d.Type, e.Type}, 1, f))
			}
		}
		return text + rest + " WHERE " + g.expr(16, 1, f) + g.returning(f, types)
	}
	rest := ""
	if g.one(2) {
		rest = strings.Replace(g.from(1, f), " FROM ", " USING ", 1)
	}
	return "DELETE FROM " + name + " AS " + a + rest + " WHERE " + g.expr(16, 1, f) + g.returning(f, types)
}

// modifyingWith makes a SELECT over a WITH query that writes.
func (g *generator) modifyingWith() string {
	if g.one(2) {
		return g.query(nil, 2+g.IntN(3), nil)
	}
	types := []catalog.OID{g.typ(), g.typ()}
	q := g.alias("m")
	w := g.write(types)
	f := &frame{from: []source{{alias: "x", cols: columnsOf(types)}}, noAgg: true}
	return "WITH " + q + " AS (" + w + ") SELECT " + g.expr(types[0], 2, f) + ", " + g.expr(types[1], 1, f) + " FROM " + q + " AS x"
}
