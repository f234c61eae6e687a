package masking

import (
	"encoding/binary"
)

// boundMask is what masks the bounds of ranges. Masking must not turn the bounds' order around.
type boundMask interface {
	// maskBound appends the masked form of a bound. other is as in [PairCell]. The range of masked bounds covers what
	// the range held, as the mask shows it: a lower bound may go down, an upper bound up. inclusive says whether the bound
	// itself belongs to the range, before and after. ok is false when the range must be redacted.
	maskBound(dst, bound, other []byte, upper, inclusive bool) (out []byte, inclusiveNow, ok bool)
}

// boundwise reports whether the mask goes over the bounds of ranges of dates and timestamps.
func (s Spec) boundwise() bool {
	switch s.Method {
	case Shift:
		return true
	case Generalize:
		switch s.To {
		case ToYear, ToMonth, ToDecade, ToDay, ToHour:
			return true
		}
	}
	return false
}

func (s Spec) checkRange(t Type) error {
	if t.Subtype != nil {
		switch familyOf(*t.Subtype) {
		case famDate, famTimestamp, famTimestampTZ:
			return s.Check(*t.Subtype)
		}
	}
	return s.misfit(t, "it serves ranges of date, timestamp and timestamptz")
}

// rangeCell masks the bounds of a range. A bound that is missing stays missing, an
// empty range empty; a range with a bound that the mask does not show, or that cannot be read, gets redact's constant.
type rangeCell struct {
	bounds   boundMask
	format   int16
	redacted *constant
}

// subjectRangeCell is a rangeCell whose mask sees another cell of the row.
type subjectRangeCell struct{ rangeCell }

func (k *Keys) compileRange(c Column, redacted *constant) (Cell, error) {
	e := c
	e.Type = *c.Type.Subtype
	cell, err := k.Compile(e)
	if err != nil {
		return nil, err
	}
	bounds, ok := cell.(boundMask)
	if !ok {
		return redacted, nil // the mask hides every bound
	}
	r := rangeCell{bounds: bounds, format: c.Format, redacted: redacted}
	if _, pair := cell.(PairCell); pair {
		return &subjectRangeCell{r}, nil
	}
	return &r, nil
}

func (r *rangeCell) MaskCell(dst, cell []byte) ([]byte, bool) { return r.mask(dst, cell, nil) }

func (r *subjectRangeCell) MaskPair(dst, cell, other []byte) ([]byte, bool) {
	return r.mask(dst, cell, other)
}

func (r *rangeCell) mask(dst, cell, other []byte) ([]byte, bool) {
	out, ok := dst, false
	switch {
	case cell == nil:
	case r.format == binaryFormat:
		out, ok = r.maskBinary(dst, cell, other)
	default:
		b := arrayPool.Get().(*arrayBuffers)
		out, ok = r.maskText(b, dst, cell, other)
		if cap(b.value) <= maxKept && cap(b.masked) <= maxKept {
			arrayPool.Put(b)
		}
	}
	if !ok {
		return r.redacted.MaskCell(dst, nil)
	}
	return out, true
}

// Flags of a range in binary (PostgreSQL source, src/include/utils/rangetypes.h).
const (
	rangeEmpty          = 0x01
	rangeLowerInclusive = 0x02
	rangeUpperInclusive = 0x04
	rangeLowerInfinite  = 0x08
	rangeUpperInfinite  = 0x10
)

// maskBinary reads the form of range_send (PostgreSQL source, src/backend/utils/adt/rangetypes.c):
// flags, then the length and bytes of each bound that there is.
func (r *rangeCell) maskBinary(dst, cell, other []byte) ([]byte, bool) {
	if len(cell) == 0 {
		return nil, false
	}
	flags, rest := cell[0], cell[1:]
	if flags == rangeEmpty {
		return append(dst, rangeEmpty), len(rest) == 0
	}
	if flags&^(rangeLowerInclusive|rangeUpperInclusive|rangeLowerInfinite|rangeUpperInfinite) != 0 {
		return nil, false
	}
	at := len(dst)
	dst = append(dst, flags)
	for _, b := range [...]struct {
		infinite, inclusive byte
		upper               bool
	}{{rangeLowerInfinite, rangeLowerInclusive, false}, {rangeUpperInfinite, rangeUpperInclusive, true}} {
		if flags&b.infinite != 0 {
			continue
		}
		if len(rest) < 4 {
			return nil, false
		}
		size := binary.BigEndian.Uint32(rest)
		rest = rest[4:]
		if uint64(size) > uint64(len(rest)) {
			return nil, false
		}
		length := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		var inclusive, ok bool
		if dst, inclusive, ok = r.bounds.maskBound(dst, rest[:size:size], other, b.upper, flags&b.inclusive != 0); !ok {
			return nil, false
		}
		binary.BigEndian.PutUint32(dst[length:], uint32(len(dst)-length-4))
		dst[at] &^= b.inclusive
		if inclusive {
			dst[at] |= b.inclusive
		}
		rest = rest[size:]
	}
	return dst, len(rest) == 0
}

// maskText reads the form of range_out in the same source file: empty, or brackets around the bounds,
// nothing for one that is missing, quoted where needed.
func (r *rangeCell) maskText(b *arrayBuffers, dst, cell, other []byte) ([]byte, bool) {
	if string(cell) == "empty" {
		return append(dst, cell...), true
	}
	if len(cell) < 3 {
		return nil, false
	}
	open, end := cell[0], cell[len(cell)-1]
	if open != '[' && open != '(' || end != ']' && end != ')' {
		return nil, false
	}
	rest := cell[1 : len(cell)-1]
	at := len(dst)
	dst = append(dst, open)
	for _, upper := range [...]bool{false, true} {
		var missing, ok bool
		if missing, rest, ok = b.readBound(rest); !ok {
			return nil, false
		}
		inclusive := upper && end == ']' || !upper && open == '['
		if !missing {
			if b.masked, inclusive, ok = r.bounds.maskBound(b.masked[:0], b.value, other, upper, inclusive); !ok {
				return nil, false
			}
			dst = appendRangeBound(dst, b.masked)
		}
		switch {
		case upper && len(rest) == 0 && inclusive:
			return append(dst, ']'), true
		case upper && len(rest) == 0:
			return append(dst, ')'), true
		case upper || len(rest) == 0 || rest[0] != ',':
			return nil, false
		case inclusive:
			dst[at] = '['
		default:
			dst[at] = '('
		}
		dst, rest = append(dst, ','), rest[1:]
	}
	return nil, false
}

// readBound reads a bound up to the comma or the end of rest into b.value, without its quotes.
func (b *arrayBuffers) readBound(rest []byte) (missing bool, after []byte, ok bool) {
	b.value = b.value[:0]
	quoted, i := false, 0
	for ; i < len(rest) && (quoted || rest[i] != ','); i++ {
		switch c := rest[i]; {
		case c == '\\':
			if i++; i == len(rest) {
				return false, nil, false
			}
			b.value = append(b.value, rest[i])
		case c == '"' && quoted && i+1 < len(rest) && rest[i+1] == '"':
			i++
			b.value = append(b.value, '"')
		case c == '"':
			quoted = !quoted
		default:
			b.value = append(b.value, c)
		}
	}
	return i == 0, rest[i:], !quoted
}

// appendRangeBound quotes a bound where range_out would.
func appendRangeBound(dst, value []byte) []byte {
	return appendQuoted(dst, value, "\"\\()[], \t\n\r\v\f")
}
