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
	t := s.Type(oid)
	for depth := 0; t != nil && t.Kind == 'd' && depth < 32; depth++ {
		t = s.Type(t.Base)
	}
	if t == nil {
		return masking.Type{OID: uint32(oid), Mod: mod}
	}
	out := masking.Type{OID: uint32(t.OID), Kind: t.Kind, Name: t.Name, Mod: mod}
	if t.Category == 'A' && t.Elem != 0 {
		elem := s.Type(t.Elem)
		for depth := 0; elem != nil && elem.Kind == 'd' && depth < 32; depth++ {
			elem = s.Type(elem.Base)
		}
		if elem != nil && elem.Category != 'A' {
			out.Elem = &masking.Type{OID: uint32(elem.OID), Kind: elem.Kind, Name: elem.Name, Mod: mod}
		}
	}
	return out
}
