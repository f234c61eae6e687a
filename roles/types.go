package roles

import (
	"pgveil/catalog"
	"pgveil/masking"
)

// MaskType describes a catalog type to package masking: domains as their base
// type, arrays with their element.
func (b *Bound) MaskType(oid catalog.OID, mod int32) masking.Type {
	return MaskType(b.Catalog, oid, mod)
}

// MaskType describes the type oid of a snapshot to package masking. A type that
// the snapshot does not know has kind 0.
func MaskType(s *catalog.Snapshot, oid catalog.OID, mod int32) masking.Type {
	d := typeDescriber{snapshot: s}
	return d.describe(oid, mod, 0)
}

// Limits of what a type is made of. Arrays and composites nest; beyond these nothing is said of a part, and
// its values become NULL.
const (
	maxTypeDepth = 32
	maxTypeParts = 10_000
)

type typeDescriber struct {
	snapshot *catalog.Snapshot
	parts    int // described so far
}

func (d *typeDescriber) describe(oid catalog.OID, mod int32, depth int) masking.Type {
	t := d.snapshot.Type(oid)
	domain := masking.Type{}
	for steps := 0; t != nil && t.Kind == 'd' && steps < maxTypeDepth; steps++ {
		if domain.Domain == 0 {
			domain.Domain = uint32(t.OID)
		}
		domain.Checked, domain.NotNull = domain.Checked || t.Checked, domain.NotNull || t.NotNull
		if mod <= 0 {
			mod = t.TypeMod // of the domain's own, as in varchar(9)
		}
		t = d.snapshot.Type(t.Base)
	}
	d.parts++
	if t == nil || t.Kind == 'd' || depth > maxTypeDepth || d.parts > maxTypeParts {
		return masking.Type{OID: uint32(oid), Mod: mod}
	}
	out := masking.Type{OID: uint32(t.OID), Kind: t.Kind, Name: t.Name, Mod: mod, Extension: t.Extension, Labels: t.Labels,
		Domain: domain.Domain, Checked: domain.Checked, NotNull: domain.NotNull}
	switch {
	case t.Category == 'A' && t.Elem != 0:
		elem := d.describe(t.Elem, mod, depth+1)
		out.Elem = &elem
	case t.Subtype != 0:
		sub := d.describe(t.Subtype, -1, depth+1)
		out.Subtype = &sub
	case t.Kind == 'c':
		out.Fields = d.fields(t, depth)
	}
	return out
}

// fields describes the columns of a composite; nil when they are not known or too many.
func (d *typeDescriber) fields(t *catalog.Type, depth int) []masking.Type {
	rel := d.snapshot.Relation(t.Relation)
	if rel == nil {
		return nil
	}
	fields := make([]masking.Type, 0, len(rel.Columns))
	for _, c := range rel.Columns {
		if d.parts > maxTypeParts {
			return nil
		}
		fields = append(fields, d.describe(c.Type, c.TypeMod, depth+1))
	}
	return fields
}
