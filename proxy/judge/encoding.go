package judge

import (
	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// asciiTypes are types of which every value is ASCII as text: they are the same in every client encoding.
var asciiTypes = map[catalog.OID]bool{
	16: true, 17: true, 20: true, 21: true, 23: true, 26: true, 700: true, 701: true, 1700: true, // bool bytea int8 int2 int4 oid float4 float8 numeric
	650: true, 829: true, 869: true, 774: true, // cidr macaddr inet macaddr8
	1082: true, 1083: true, 1114: true, 1184: true, 1186: true, 1266: true, // date time timestamp timestamptz interval timetz
	1560: true, 1562: true, 2950: true, // bit varbit uuid
}

// converts reports whether a value that the statement computes from protected columns is converted to the client's
// encoding. That a stored value has a character which an encoding lacks says little; a computed one has it where the
// user wants: replace(ssn, '123', U&'\20AC').
func converts(p *sqlparse.Plan, d *roles.Decision) bool {
	for i := range p.Columns {
		if i >= len(d.Columns) {
			return true
		}
		if d.Columns[i].Mask.Method == masking.Clear || asciiTypes[p.Columns[i].Type] {
			continue
		}
		if l := p.Columns[i].Label; l.Opaque != "" || !l.Derived.Empty() || l.NullTells {
			return true
		}
	}
	return false
}

// encodes reports whether the statement sets client_encoding.
func encodes(p *sqlparse.Plan) bool {
	for _, e := range p.Effects {
		if e.Kind == sqlparse.EffectSetting && e.Name == "client_encoding" {
			return true
		}
	}
	return false
}
