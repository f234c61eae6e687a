package judge

import (
	"bytes"
	"log/slog"
	"sync/atomic"
	"time"

	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/roles"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// compiler makes row programs.
type compiler struct {
	keys *masking.Keys
	log  *slog.Logger
	now  func() time.Time
}

// program returns what turns a RowDescription into a row program: it holds the description
// against the analysis, and refuses the result when they disagree.
func (c *compiler) program(b *roles.Bound, p *sqlparse.Plan, d *roles.Decision, temp *sqlparse.Overlay, disagree func()) func([]wire.Field, masking.Session) (*wire.RowRewriter, *wire.Error) {
	var last atomic.Pointer[compiled]
	return func(fields []wire.Field, settings masking.Session) (*wire.RowRewriter, *wire.Error) {
		settings.Year = c.now().Year()
		if l := last.Load(); l != nil && l.serves(fields, settings) {
			return l.rewriter, nil
		}
		if problem := witness(b, p, d, temp, fields); problem != "" {
			c.log.Error("the server's description of a result disagrees with its analysis: the result is refused", "fingerprint", p.Fingerprint, "problem", problem)
			disagree()
			return nil, wire.WitnessDisagrees(problem)
		}
		rw, err := c.compile(b, d, fields, settings)
		if err != nil {
			c.log.Error("a result could not be masked: it is refused", "fingerprint", p.Fingerprint, "problem", err.Error())
			return nil, wire.InternalError(err)
		}
		last.Store(&compiled{fields: cloneFields(fields), settings: settings, rewriter: rw})
		return rw, nil
	}
}

// compiled is a row program and the description that it was made for.
type compiled struct {
	fields   []wire.Field
	settings masking.Session
	rewriter *wire.RowRewriter
}

func (c *compiled) serves(fields []wire.Field, settings masking.Session) bool {
	if len(fields) != len(c.fields) || settings != c.settings {
		return false
	}
	for i := range fields {
		x, y := &fields[i], &c.fields[i]
		if x.Table != y.Table || x.Column != y.Column || x.Type != y.Type || x.Mod != y.Mod || x.Format != y.Format || !bytes.Equal(x.Name, y.Name) {
			return false
		}
	}
	return true
}

func cloneFields(fields []wire.Field) []wire.Field {
	out := make([]wire.Field, len(fields))
	for i, f := range fields {
		out[i] = f
		out[i].Name = bytes.Clone(f.Name)
	}
	return out
}

// witness compares a RowDescription with the analysis. It returns what disagrees.
func witness(b *roles.Bound, p *sqlparse.Plan, d *roles.Decision, temp *sqlparse.Overlay, fields []wire.Field) string {
	if len(fields) != len(p.Columns) {
		return "number of columns"
	}
	for i, f := range fields {
		w := p.Columns[i].Witness
		if w.Known && (f.Table != uint32(w.Relation) || f.Column != w.Column) {
			return "column of a relation"
		}
		if f.Table == 0 || d.Columns[i].Mask.Method != masking.Clear {
			continue
		}
		// The column passes as it is, and the server says where it comes from.
		if temp.Relation(catalog.OID(f.Table)) != nil {
			if problem := tempWitness(b, d.Role, temp, w.Known, f); problem != "" {
				return problem
			}
			continue
		}
		rel := b.Catalog.Relation(catalog.OID(f.Table))
		if rel == nil {
			return "relation not in the catalog"
		}
		switch rel.Kind {
		case catalog.KindView, catalog.KindMaterializedView:
			if !w.Known {
				return "column of a view that the analysis does not name"
			}
		default:
			for _, class := range b.Classes(sourceOf(rel, f.Column)) {
				if m, _ := d.Role.Mask(class); m.Method != masking.Clear {
					return "protected column in a clear place"
				}
			}
		}
	}
	return ""
}

// tempWitness holds a column of a temporary relation of the session, which passes as it is, against what went into it.
func tempWitness(b *roles.Bound, role *roles.Role, temp *sqlparse.Overlay, known bool, f wire.Field) string {
	if known {
		return "" // it is the column that the analysis names
	}
	flow, ok := temp.Flow(catalog.OID(f.Table), f.Column)
	if !ok || flow.Opaque != "" {
		return "column of a temporary relation of which nothing is known"
	}
	for _, list := range [][]sqlparse.Source{flow.Exact, flow.Derived} {
		for _, s := range list {
			for _, class := range b.Classes(s) {
				if m, _ := role.Mask(class); m.Method != masking.Clear {
					return "protected column of a temporary relation in a clear place"
				}
			}
		}
	}
	return ""
}

func sourceOf(rel *catalog.Relation, num int16) sqlparse.Source {
	s := sqlparse.Source{Relation: rel.OID, Column: num, Schema: rel.Schema, Table: rel.Name, Name: "*"}
	for _, c := range rel.Columns {
		if c.Num == num {
			s.Name = c.Name
		}
	}
	return s
}

func (c *compiler) compile(b *roles.Bound, d *roles.Decision, fields []wire.Field, settings masking.Session) (*wire.RowRewriter, error) {
	cells := make([]wire.Cell, len(fields))
	masked := false
	var err error
	for i, f := range fields {
		col := &d.Columns[i]
		if col.Mask.Method == masking.Clear {
			continue
		}
		spec := col.Mask
		t := b.MaskType(catalog.OID(f.Type), f.Mod)
		if spec.Check(t) != nil {
			spec = masking.Spec{Method: masking.Redact}
		}
		cells[i], err = c.cell(b, col, spec, t, fields, f.Format, settings)
		if err != nil {
			return nil, err
		}
		masked = true
	}
	if !masked {
		return nil, nil
	}
	return wire.NewRowRewriter(cells), nil
}

// cell makes the mask of one column.
func (c *compiler) cell(b *roles.Bound, col *roles.ColumnDecision, spec masking.Spec, t masking.Type, fields []wire.Field, format int16, settings masking.Session) (wire.Cell, error) {
	column := masking.Column{Type: t, Format: format, Class: col.Class, Name: col.Name, Spec: spec, Session: settings}
	subject := spec.Method == masking.Shift && spec.By != ""
	if subject {
		key := &fields[col.Key]
		column.Key = &masking.KeyColumn{Type: b.MaskType(catalog.OID(key.Type), key.Mod), Format: key.Format}
	}
	cell, err := c.keys.Compile(column)
	if err != nil {
		return wire.Cell{}, err
	}
	out := wire.Cell{Masker: cell, Nulls: col.Nulls}
	if pair, ok := cell.(masking.PairCell); ok && subject {
		out.Pair, out.Other = pair, col.Key
	}
	return out, nil
}
