package masking

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

// extensionType names a type of an extension, whose OID differs from database
// to database. The catalog tells which extension owns it: another type of that name
// is not meant.
type extensionType struct{ extension, name string }

// extensionTypes give redact's value of types of extensions, in text or
// binary; false when none is known to be valid. citext is a text type.
var extensionTypes = map[extensionType]func(t Type, text bool) (value string, ok bool){
	{"hstore", "hstore"}:   constantForms("", zeros[:4]), // no pairs (contrib/hstore/hstore_io.c)
	{"ltree", "ltree"}:     constantForms("", "\x01"),    // binary starts with version 1 (contrib/ltree/ltree_io.c)
	{"ltree", "lquery"}:    constantForms("*", "\x01*"),
	{"ltree", "ltxtquery"}: constantForms("redacted", "\x01redacted"),
	{"cube", "cube"}:       constantForms("(0)", "\x80\x00\x00\x01"+zeros[:8]), // a point of one dimension (contrib/cube/cubedata.h)
	{"seg", "seg"}:         textOnly("0"),

	{"vector", "vector"}:    zeroVector(4),
	{"vector", "halfvec"}:   zeroVector(2),
	{"vector", "sparsevec"}: emptySparse,

	{"postgis", "geometry"}:  emptyGeometry(0),
	{"postgis", "geography"}: emptyGeometry(4326), // WGS 84, which geography means unless told otherwise
}

func constantForms(asText, asBinary string) func(Type, bool) (string, bool) {
	return func(_ Type, text bool) (string, bool) {
		if text {
			return asText, true
		}
		return asBinary, true
	}
}

// textOnly is for types without a binary form.
func textOnly(value string) func(Type, bool) (string, bool) {
	return func(_ Type, text bool) (string, bool) { return value, text }
}

// maxVector bounds the dimensions of a vector.
const maxVector = 16_000 // VECTOR_MAX_DIM of pgvector, src/vector.h

// zeroVector gives pgvector's vector(n) and halfvec(n) with n zeros, the modifier is n; without one
// it has one dimension (pgvector, src/vector.c and src/halfvec.c: vector_out, vector_send). In binary: dimensions and an unused
// number of two bytes each, the elements of size bytes.
func zeroVector(size int) func(Type, bool) (string, bool) {
	return func(t Type, text bool) (string, bool) {
		n := max(int(t.Mod), 1)
		if n > maxVector {
			return "", false
		}
		if text {
			return "[0" + strings.Repeat(",0", n-1) + "]", true
		}
		head := binary.BigEndian.AppendUint16(nil, uint16(n))
		return string(head) + "\x00\x00" + strings.Repeat("\x00", n*size), true
	}
}

// maxSparse is SPARSEVEC_MAX_DIM of pgvector, src/sparsevec.h.
const maxSparse = 1_000_000_000

// emptySparse gives sparsevec(n) without elements: in binary the dimensions, the number of elements
// and an unused number, of four bytes each (pgvector, src/sparsevec.c, sparsevec_send).
func emptySparse(t Type, text bool) (string, bool) {
	n := max(int(t.Mod), 1)
	if n > maxSparse {
		return "", false
	}
	if text {
		return "{}/" + string(appendInt(nil, textFormat, oidInt4, int64(n))), true
	}
	return string(binary.BigEndian.AppendUint32(nil, uint32(n))) + zeros[:8], true
}

// ewkbTypes gives the number that EWKB has for each type number in a modifier of PostGIS: they agree but for the last three
// (PostGIS, liblwgeom/liblwgeom.h.in, POINTTYPE and following, WKB_POINT_TYPE and following).
var ewkbTypes = [...]uint32{1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 17, 16}

// emptyCoordinate is the NaN that PostGIS writes, as bits.
const emptyCoordinate = 0x7ff8_0000_0000_0000

// emptyGeometry gives PostGIS an empty geometry of the type, dimensions and reference system that the modifier asks for, else
// POINT EMPTY. The binary form is little-endian EWKB, the text form its hexadecimal digits; an empty point has NaN as
// coordinates, other types a count of 0 (PostGIS, liblwgeom/lwout_wkb.c; the modifier: liblwgeom/liblwgeom.h.in, TYPMOD_GET_TYPE
// and following).
func emptyGeometry(srid uint32) func(Type, bool) (string, bool) {
	return func(t Type, text bool) (string, bool) {
		kind, z, m, srid := uint32(1), false, false, srid
		if t.Mod > 0 {
			mod := uint32(t.Mod)
			number := mod & 0xfc >> 2
			if number >= uint32(len(ewkbTypes)) {
				return "", false
			}
			kind, z, m = ewkbTypes[number], mod&2 != 0, mod&1 != 0
			if mod&0x10000000 != 0 {
				return "", false // a negative reference system
			}
			if s := mod & 0x0fffff00 >> 8; s != 0 {
				srid = s
			}
		}
		coordinates := 2
		head := kind
		if z {
			head |= 0x80000000
			coordinates++
		}
		if m {
			head |= 0x40000000
			coordinates++
		}
		if srid != 0 {
			head |= 0x20000000
		}
		b := binary.LittleEndian.AppendUint32([]byte{1}, head)
		if srid != 0 {
			b = binary.LittleEndian.AppendUint32(b, srid)
		}
		if kind == 1 {
			for range coordinates {
				b = binary.LittleEndian.AppendUint64(b, emptyCoordinate)
			}
		} else {
			b = binary.LittleEndian.AppendUint32(b, 0)
		}
		if text {
			return strings.ToUpper(hex.EncodeToString(b)), true
		}
		return string(b), true
	}
}
