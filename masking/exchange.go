package masking

import (
	"encoding/binary"
	"fmt"
	"math"
)

// exchange exchanges the whole numbers of a type among each other: within
// bands, so that a number becomes the same one in every type that holds it.
type exchange struct {
	typ    Type
	family family
	format int16
	bands  [2][]numberBand // of x from 0, and of -1-x below
}

// numberBand is the numbers from low up to high, which stay among themselves.
type numberBand struct {
	low, high uint64 // high is not in it
	*permutation
}

// numberBands are the ends of the bands from 0 of a type, and of those below 0, where
// x stands for -1-x.
func numberBands(t Type) (from, below []uint64) {
	const small, large = 1 << 31, 1 << 63
	switch t.OID {
	case oidInt2:
		return []uint64{1 << 15}, []uint64{1 << 15}
	case oidInt4:
		return []uint64{small}, []uint64{small}
	case oidInt8:
		return []uint64{small, large}, []uint64{small, large}
	}
	precision, _, ok := t.numericMod()
	switch {
	case !ok || precision > 18: // as int8; what it does not hold is redacted
		return []uint64{small, large}, []uint64{small, large}
	case precision > 9:
		n := uint64(math.Pow10(precision))
		return []uint64{small, n}, []uint64{small, n - 1}
	default:
		n := uint64(math.Pow10(precision))
		return []uint64{n}, []uint64{n - 1}
	}
}

// exchange makes the newest key's exchange of a column's method and class group.
func (k *Keys) exchange(c Column) (*exchange, error) {
	t := &exchange{typ: c.Type, family: familyOf(c.Type), format: c.Format}
	from, below := numberBands(c.Type)
	for sign, ends := range [][]uint64{from, below} {
		low := uint64(0)
		for _, high := range ends {
			p, err := k.permutation(c, fmt.Sprintf("%c%d-%d", "+-"[sign], low, high), number{low: high - low})
			if err != nil {
				return nil, err
			}
			t.bands[sign] = append(t.bands[sign], numberBand{low, high, p})
			low = high
		}
	}
	return t, nil
}

// move is false for what is no whole number of the bands.
func (t *exchange) move(dst, cell []byte, step func(*permutation, *ff1State, number) number) ([]byte, bool) {
	n, ok := t.read(cell)
	if !ok {
		return dst, false
	}
	x, sign := uint64(n), 0
	if n < 0 {
		x, sign = ^x, 1
	}
	for _, b := range t.bands[sign] {
		if x >= b.high {
			continue
		}
		w := ff1States.Get().(*ff1State)
		x = b.low + step(b.permutation, w, number{low: x - b.low}).low
		ff1States.Put(w)
		if sign == 1 {
			x = ^x
		}
		if t.family == famNumeric {
			return appendNumericInt(dst, t.format, int64(x)), true
		}
		return appendInt(dst, t.format, t.typ.OID, int64(x)), true
	}
	return dst, false
}

// read takes whole numbers that an int8 holds.
func (t *exchange) read(cell []byte) (int64, bool) {
	if t.family == famInt {
		return parseInt(cell, t.format, t.typ.OID)
	}
	return wholeNumeric(cell, t.format)
}

// wholeNumeric reads a numeric cell that is a whole number and that an int8 holds.
func wholeNumeric(cell []byte, format int16) (int64, bool) {
	if format == textFormat {
		var d decimal
		if !d.parseText(cell) || d.special != "" || len(d.fraction) > 0 || len(d.whole) > 19 {
			return 0, false
		}
		if len(d.whole) == 0 {
			return 0, true
		}
		var digits [20]byte
		text := digits[:0]
		if d.negative {
			text = append(text, '-')
		}
		return parseDigits(append(text, d.whole...))
	}
	h, ok := readNumeric(cell)
	if !ok || h.special != "" || h.weight > 4 {
		return 0, false
	}
	n, digits := number{}, h.digits
	for weight := h.weight; weight >= 0 || len(digits) > 0; weight-- {
		v := uint64(0)
		if len(digits) > 0 {
			v, digits = uint64(binary.BigEndian.Uint16(digits)), digits[2:]
		}
		if v > 9999 || weight < 0 && v > 0 {
			return 0, false
		}
		if weight >= 0 {
			n, _ = n.times(10000, v) // at most 20 digits
		}
	}
	switch {
	case n.high != 0 || n.low > 1<<63 || !h.negative && n.low == 1<<63:
		return 0, false
	case h.negative:
		return -int64(n.low), true
	}
	return int64(n.low), true
}
