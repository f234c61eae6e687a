package masking

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// decimal is a numeric value: its digits without leading and trailing zeros.
// Its slices are reused by the next parse.
type decimal struct {
	negative bool
	whole    []byte // digits before the point; none for 0.x
	fraction []byte // digits after the point
	special  string // NaN, Infinity, -Infinity
	buffer   []byte
}

// maxDecimal bounds the digits on either side of the point (PostgreSQL docs,
// section 8.1.2: up to 131072 before and 16383 after).
const maxDecimal = 131072

// parseText reads the server's text form of a numeric.
func (d *decimal) parseText(cell []byte) bool {
	d.negative, d.special = false, ""
	switch string(cell) {
	case "NaN":
		d.special = "NaN"
		return true
	case "Infinity":
		d.special = "Infinity"
		return true
	case "-Infinity":
		d.special = "-Infinity"
		return true
	}
	rest, negative := bytes.CutPrefix(cell, []byte("-"))
	whole, fraction, point := bytes.Cut(rest, []byte("."))
	if len(whole) == 0 || point && len(fraction) == 0 || len(whole) > maxDecimal || len(fraction) > maxDecimal ||
		!allDigits(whole) || !allDigits(fraction) {
		return false
	}
	d.set(negative, whole, fraction)
	return true
}

func (d *decimal) set(negative bool, whole, fraction []byte) {
	d.whole = bytes.TrimLeft(whole, "0")
	d.fraction = bytes.TrimRight(fraction, "0")
	d.negative = negative && len(d.whole)+len(d.fraction) > 0
}

// Signs of the binary form (PostgreSQL source, src/backend/utils/adt/numeric.c).
const (
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPInf     = 0xD000
	numericNInf     = 0xF000
)

// parseBinary reads the binary form of a numeric: number of base-10000
// digits, weight of the first one, sign, display scale, digits
// (numeric_send in the source file above).
func (d *decimal) parseBinary(cell []byte) bool {
	d.negative, d.special = false, ""
	if len(cell) < 8 {
		return false
	}
	n := int(binary.BigEndian.Uint16(cell))
	weight := int(int16(binary.BigEndian.Uint16(cell[2:])))
	sign := binary.BigEndian.Uint16(cell[4:])
	digits := cell[8:]
	if len(digits) != 2*n {
		return false
	}
	switch sign {
	case 0, numericNegative:
	case numericNaN:
		d.special = "NaN"
	case numericPInf:
		d.special = "Infinity"
	case numericNInf:
		d.special = "-Infinity"
	default:
		return false
	}
	if d.special != "" {
		return n == 0
	}
	if n == 0 {
		d.set(false, nil, nil)
		return true
	}
	// A decimal of at most maxDecimal digits on either side.
	if (weight+1)*4 > maxDecimal || (n-weight-1)*4 > maxDecimal {
		return false
	}
	d.buffer = d.buffer[:0]
	for i := weight; i < -1; i++ { // 0.0000 1234
		d.buffer = append(d.buffer, "0000"...)
	}
	for ; len(digits) > 0; digits = digits[2:] {
		v := int(binary.BigEndian.Uint16(digits))
		if v > 9999 {
			return false
		}
		d.buffer = append(d.buffer, byte('0'+v/1000), byte('0'+v/100%10), byte('0'+v/10%10), byte('0'+v%10))
	}
	for i := n; i <= weight; i++ {
		d.buffer = append(d.buffer, "0000"...)
	}
	point := max(weight+1, 0) * 4
	d.set(sign == numericNegative, d.buffer[:point], d.buffer[point:])
	return true
}

func (d *decimal) parse(cell []byte, format int16) bool {
	if format == binaryFormat {
		return d.parseBinary(cell)
	}
	return d.parseText(cell)
}

// floor gives the largest integer not above the value; ok is false beyond 18 digits
// and for NaN and infinity.
func (d *decimal) floor() (int64, bool) {
	if d.special != "" || len(d.whole) > 18 {
		return 0, false
	}
	var n int64
	for _, c := range d.whole {
		n = n*10 + int64(c-'0')
	}
	if d.negative {
		n = -n
		if len(d.fraction) > 0 {
			n--
		}
	}
	return n, true
}

// appendText writes the shortest text form, which integers share: 42, -0.5.
func (d *decimal) appendText(dst []byte) []byte {
	if d.special != "" {
		return append(dst, d.special...)
	}
	if d.negative {
		dst = append(dst, '-')
	}
	if len(d.whole) == 0 {
		dst = append(dst, '0')
	}
	dst = append(dst, d.whole...)
	if len(d.fraction) > 0 {
		dst = append(dst, '.')
		dst = append(dst, d.fraction...)
	}
	return dst
}

// appendBinary writes the binary form of a finite value; it is for constants
// and allocates.
func (d *decimal) appendBinary(dst []byte) []byte {
	pad := func(digits []byte, left bool) []byte {
		fill := bytes.Repeat([]byte("0"), (4-len(digits)%4)%4)
		if left {
			return append(fill, digits...)
		}
		return append(bytes.Clone(digits), fill...)
	}
	whole := pad(d.whole, true)
	all := append(whole, pad(d.fraction, false)...)
	weight := len(whole)/4 - 1
	var groups []uint16
	for i := 0; i < len(all); i += 4 {
		n, _ := parseDigits(all[i : i+4])
		groups = append(groups, uint16(n))
	}
	for len(groups) > 0 && groups[0] == 0 {
		groups, weight = groups[1:], weight-1
	}
	for len(groups) > 0 && groups[len(groups)-1] == 0 {
		groups = groups[:len(groups)-1]
	}
	sign := uint16(0)
	if d.negative {
		sign = numericNegative
	}
	if len(groups) == 0 {
		weight = 0
	}
	return appendNumericGroups(dst, groups, weight, sign, len(d.fraction))
}

func appendNumericGroups(dst []byte, groups []uint16, weight int, sign uint16, scale int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(groups)))
	dst = binary.BigEndian.AppendUint16(dst, uint16(int16(weight)))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, uint16(scale))
	for _, g := range groups {
		dst = binary.BigEndian.AppendUint16(dst, g)
	}
	return dst
}

// appendNumericInt writes a whole number as a numeric.
func appendNumericInt(dst []byte, format int16, n int64) []byte {
	if format == textFormat {
		return strconv.AppendInt(dst, n, 10)
	}
	sign, rest := uint16(0), uint64(n)
	if n < 0 {
		sign, rest = numericNegative, -uint64(n)
	}
	var groups [5]uint16 // 2^64 has 20 digits
	first := len(groups)
	for rest > 0 {
		first--
		groups[first] = uint16(rest % 10000)
		rest /= 10000
	}
	weight := len(groups) - first - 1
	last := len(groups)
	for last > first && groups[last-1] == 0 {
		last--
	}
	if first == len(groups) {
		weight = 0
	}
	return appendNumericGroups(dst, groups[first:last], weight, sign, 0)
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
