package masking

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// decimal is a numeric value: its digits without leading and trailing zeros.
// Its slices point into the cell that it was parsed from, or into its buffer,
// which the next parse reuses.
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

// numericHead is a numeric in binary form before its digits are read.
type numericHead struct {
	weight   int // of the first digit, in base 10000
	negative bool
	special  string // as in decimal
	digits   []byte // two bytes each
}

// readNumeric takes a binary numeric apart: number of base-10000
// digits, weight of the first one, sign, display scale, digits
// (numeric_send in the source file above). It checks all but the digits.
func readNumeric(cell []byte) (h numericHead, ok bool) {
	if len(cell) < 8 {
		return h, false
	}
	n := int(binary.BigEndian.Uint16(cell))
	h.weight = int(int16(binary.BigEndian.Uint16(cell[2:])))
	h.digits = cell[8:]
	if len(h.digits) != 2*n {
		return h, false
	}
	switch binary.BigEndian.Uint16(cell[4:]) {
	case 0:
	case numericNegative:
		h.negative = true
	case numericNaN:
		h.special = "NaN"
	case numericPInf:
		h.special = "Infinity"
	case numericNInf:
		h.special = "-Infinity"
	default:
		return h, false
	}
	if h.special != "" {
		return h, n == 0
	}
	// At most maxDecimal digits on either side of the point.
	return h, n == 0 || (h.weight+1)*4 <= maxDecimal && (n-h.weight-1)*4 <= maxDecimal
}

// parseBinary reads the binary form of a numeric.
func (d *decimal) parseBinary(cell []byte) bool {
	h, ok := readNumeric(cell)
	d.negative, d.special = false, h.special
	if !ok || h.special != "" {
		return ok
	}
	if len(h.digits) == 0 {
		d.set(false, nil, nil)
		return true
	}
	d.buffer = d.buffer[:0]
	for i := h.weight; i < -1; i++ { // 0.0000 1234
		d.buffer = append(d.buffer, "0000"...)
	}
	for digits := h.digits; len(digits) > 0; digits = digits[2:] {
		v := int(binary.BigEndian.Uint16(digits))
		if v > 9999 {
			return false
		}
		d.buffer = append(d.buffer, byte('0'+v/1000), byte('0'+v/100%10), byte('0'+v/10%10), byte('0'+v%10))
	}
	for i := len(h.digits) / 2; i <= h.weight; i++ {
		d.buffer = append(d.buffer, "0000"...)
	}
	point := max(h.weight+1, 0) * 4
	d.set(h.negative, d.buffer[:point], d.buffer[point:])
	return true
}

func (d *decimal) parse(cell []byte, format int16) bool {
	if format == binaryFormat {
		return d.parseBinary(cell)
	}
	return d.parseText(cell)
}

// floorNumeric gives the largest integer not above a numeric cell. It is false
// for what has more than 18 digits before the point and for NaN, infinity and
// misshapen cells. It needs no buffer.
func floorNumeric(cell []byte, format int16) (n int64, ok bool) {
	negative, fraction := false, false
	if format == binaryFormat {
		h, ok := readNumeric(cell)
		if !ok || h.special != "" {
			return 0, false
		}
		weight := h.weight
		for digits := h.digits; len(digits) > 0 || weight >= 0 && n != 0; weight-- {
			v := int64(0)
			if len(digits) > 0 {
				v, digits = int64(binary.BigEndian.Uint16(digits)), digits[2:]
			}
			switch {
			case v > 9999:
				return 0, false
			case weight < 0:
				fraction = fraction || v > 0
			default:
				if n > (maxExact-v)/10000 {
					return 0, false
				}
				n = n*10000 + v
			}
		}
		negative = h.negative
	} else {
		var d decimal
		if !d.parseText(cell) || d.special != "" || len(d.whole) > 18 {
			return 0, false
		}
		for _, c := range d.whole {
			n = n*10 + int64(c-'0')
		}
		negative, fraction = d.negative, len(d.fraction) > 0
	}
	if negative {
		n = -n
		if fraction {
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

// appendNumericDigits writes a whole number that digits without leading zeros
// write, at most maxPlaces of them.
func appendNumericDigits(dst []byte, format int16, negative bool, digits []byte) []byte {
	if format == textFormat {
		if negative {
			dst = append(dst, '-')
		}
		return append(dst, digits...)
	}
	var groups [maxPlaces / 4]uint16
	n := 0
	for end := len(digits) % 4; len(digits) > 0; end = 4 {
		if end == 0 {
			end = 4
		}
		for _, c := range digits[:end] {
			groups[n] = groups[n]*10 + uint16(c-'0')
		}
		digits = digits[end:]
		n++
	}
	weight := n - 1
	for n > 0 && groups[n-1] == 0 {
		n--
	}
	sign := uint16(0)
	if negative {
		sign = numericNegative
	}
	return appendNumericGroups(dst, groups[:n], max(weight, 0), sign, 0)
}

func allDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
