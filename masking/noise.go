package masking

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Bounds of noise's options.
const (
	maxPercent = 100
	maxAmount  = 1e12
)

func (s *Spec) parseNoiseOptions(options map[string]string) error {
	percent, hasPercent := options["percent"]
	amount, hasAmount := options["amount"]
	switch {
	case hasPercent == hasAmount:
		return fmt.Errorf("mask noise needs one of the options percent and amount: how far a number moves at most")
	case hasPercent:
		return optionNumber(&s.Percent, "percent", strings.TrimSuffix(percent, "%"), maxPercent)
	}
	return optionNumber(&s.Amount, "amount", amount, maxAmount)
}

func optionNumber(to *float64, name, text string, most float64) error {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n > 0 && n <= most) {
		return fmt.Errorf("mask noise: %s must be a number above 0 and up to %s, not %q", name, shortFloat(most), text)
	}
	*to = n
	return nil
}

func shortFloat(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (s Spec) checkNoise(t Type) error {
	if (s.Percent > 0) == (s.Amount > 0) || !(s.Percent >= 0 && s.Percent <= maxPercent) || !(s.Amount >= 0 && s.Amount <= maxAmount) {
		return fmt.Errorf("mask %s: give either percent, up to %d, or amount, up to %.0f", s, maxPercent, float64(maxAmount))
	}
	switch familyOf(t) {
	case famInt:
		if s.Amount > 0 && s.Amount < 1 {
			return s.misfit(t, "an amount below 1 changes no whole number")
		}
		return nil
	case famNumeric:
		if _, scale, ok := t.numericMod(); ok && s.Amount > 0 && s.Amount < math.Pow10(-scale) {
			return s.misfit(t, "the amount is smaller than the type's last digit")
		}
		return nil
	case famFloat:
		return nil
	}
	return s.misfit(t, "it serves int2, int4, int8, numeric, float4 and float8")
}

// noiseCell moves a number up or down by a part of itself, or by an amount, at most. The
// move is made of the value: the same value of a class group moves by the same part, so averaging over
// many queries finds nothing. The result keeps the sign, the digits after the point and the
// type's range, and is never the value itself; zero counts as positive. NaN, infinity and numerics of more
// than 18 digits get redact's constant.
type noiseCell struct {
	typ             Type
	family          family
	format          int16
	percent, amount float64
	digest          *digester
	redacted        *constant
}

func (k *Keys) compileNoise(c Column, st style, redacted *constant) (Cell, error) {
	key, err := k.derive(c)
	if err != nil {
		return nil, err
	}
	return &noiseCell{
		typ: c.Type, family: familyOf(c.Type), format: c.Format, percent: c.Spec.Percent, amount: c.Spec.Amount,
		digest: newDigester(c.Type, c.Format, st.charset, key), redacted: redacted,
	}, nil
}

func (n *noiseCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return n.redacted.MaskCell(dst, nil)
	}
	var out []byte
	ok := false
	switch n.family {
	case famInt:
		out, ok = n.whole(dst, cell)
	case famNumeric:
		out, ok = n.numeric(dst, cell)
	case famFloat:
		out, ok = n.float(dst, cell)
	}
	if !ok {
		return n.redacted.MaskCell(dst, nil)
	}
	return out, true
}

func (n *noiseCell) whole(dst, cell []byte) ([]byte, bool) {
	v, ok := parseInt(cell, n.format, n.typ.OID)
	if !ok {
		return nil, false
	}
	digest, ok := n.digest.number(cell)
	if !ok {
		return nil, false
	}
	size := intSize(n.typ.OID)
	v, ok = move(v, n.reach(math.Abs(float64(v)), 1), digest, minInt(size), maxInt(size))
	if !ok {
		return nil, false
	}
	return appendInt(dst, n.format, n.typ.OID, v), true
}

// reach is the greatest move of a number of the given size, in units.
func (n *noiseCell) reach(size, unit float64) float64 {
	if n.percent > 0 {
		return size * n.percent / 100 / unit
	}
	return n.amount / unit
}

// move moves v by 1 to reach, at least by 1. It turns round where the sign or the range would be left.
func move(v int64, reach float64, digest uint64, least, most int64) (int64, bool) {
	reach = max(min(reach, float64(most/2)), 1) // there is room for half the range on one of the sides
	by := min(1+int64(float64(digest>>12)/(1<<52)*reach), int64(reach))
	up := digest&1 == 0
	for range 2 {
		switch {
		case up && v <= most-by && (v >= 0 || v+by < 0):
			return v + by, true
		case !up && v >= least+by && (v < 0 || v-by > 0):
			return v - by, true
		}
		up = !up
	}
	return 0, false
}

// maxNumericDigits is the number of digits that an int64 holds in any case.
const maxNumericDigits = 18

// numeric works on the digits without the point, so that the number of digits after it stays.
func (n *noiseCell) numeric(dst, cell []byte) ([]byte, bool) {
	s := n.digest.h.states.Get().(*hashState)
	v, scale, ok := s.number.unscaled(cell, n.format)
	var digest uint64
	if ok {
		s.input = s.number.appendText(s.input[:0])
		digest = s.digest(s.input)
		if cap(s.input) <= maxKept && cap(s.number.buffer) <= maxKept {
			s.number.whole, s.number.fraction = nil, nil
			n.digest.h.states.Put(s)
		}
	}
	if !ok {
		return nil, false
	}
	unit := math.Pow10(-scale)
	most := int64(maxExact)
	precision, places, limited := n.typ.numericMod()
	if limited && scale > places {
		return nil, false // no value of the type
	}
	if limited && precision-places+scale < maxNumericDigits {
		most = int64(math.Pow10(max(precision-places+scale, 0))) - 1
	}
	if v < -most || v > most {
		return nil, false
	}
	v, ok = move(v, n.reach(math.Abs(float64(v))*unit, unit), digest, -most, most)
	if !ok {
		return nil, false
	}
	return appendScaled(dst, n.format, v, scale), true
}

// unscaled reads a numeric as a whole number of its last digits: 12.50 is 1250 with
// scale 2. It is false for what has more than 18 digits, and for NaN and infinity.
func (d *decimal) unscaled(cell []byte, format int16) (v int64, scale int, ok bool) {
	if !d.parse(cell, format) || d.special != "" {
		return 0, 0, false
	}
	if format == binaryFormat {
		scale = int(binary.BigEndian.Uint16(cell[6:])) // parse has seen that the head is there
	} else {
		for i := len(cell) - 1; i >= 0; i-- {
			if cell[i] == '.' {
				scale = len(cell) - 1 - i
			}
		}
	}
	scale = max(scale, len(d.fraction))
	if len(d.whole)+scale > maxNumericDigits {
		return 0, 0, false
	}
	for _, c := range d.whole {
		v = v*10 + int64(c-'0')
	}
	for i := range scale {
		v *= 10
		if i < len(d.fraction) {
			v += int64(d.fraction[i] - '0')
		}
	}
	if d.negative {
		v = -v
	}
	return v, scale, true
}

// appendScaled writes v·10^-scale as a numeric; v has at most 18 digits, and scale is at most 18.
func appendScaled(dst []byte, format int16, v int64, scale int) []byte {
	negative := v < 0
	if negative {
		v = -v
	}
	// Digits on both sides of the point, to whole groups of four on either.
	const side = 20
	var digits [2 * side]byte
	for i := range digits {
		digits[i] = '0'
	}
	for i := side + scale - 1; v > 0; i-- {
		digits[i] = byte('0' + v%10)
		v /= 10
	}
	if format == textFormat {
		first := 0
		for first < side-1 && digits[first] == '0' {
			first++
		}
		if negative {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[first:side]...)
		if scale > 0 {
			dst = append(dst, '.')
			dst = append(dst, digits[side:side+scale]...)
		}
		return dst
	}
	var groups [2 * side / 4]uint16
	for i := range groups {
		for _, c := range digits[4*i : 4*i+4] {
			groups[i] = groups[i]*10 + uint16(c-'0')
		}
	}
	first, last := 0, len(groups)
	for first < last && groups[first] == 0 {
		first++
	}
	for last > first && groups[last-1] == 0 {
		last--
	}
	weight, sign := side/4-1-first, uint16(0)
	if first == last {
		weight = 0
	} else if negative {
		sign = numericNegative
	}
	return appendNumericGroups(dst, groups[first:last], weight, sign, scale)
}

func (n *noiseCell) float(dst, cell []byte) ([]byte, bool) {
	v, ok := parseFloat(cell, n.format, n.typ.OID)
	if !ok {
		return nil, false
	}
	v += 0 // no negative zero
	s := n.digest.h.states.Get().(*hashState)
	s.input = binary.BigEndian.AppendUint64(s.input[:0], math.Float64bits(v))
	digest := s.digest(s.input)
	n.digest.h.states.Put(s)

	by := n.reach(math.Abs(v), 1) * (float64(digest>>12) + 1) / (1 << 52)
	out := v + by
	if digest&1 != 0 && (v < 0 || v-by > 0) {
		out = v - by
	}
	if v < 0 && out >= 0 {
		out = v - by
	}
	if n.typ.OID == oidFloat4 {
		out = float64(float32(out))
	}
	if out == v { // the move is smaller than the type's last bit
		if n.typ.OID == oidFloat4 {
			out = float64(math.Nextafter32(float32(v), float32(math.Copysign(math.MaxFloat32, v))))
		} else {
			out = math.Nextafter(v, math.Copysign(math.MaxFloat64, v))
		}
	}
	if math.IsInf(out, 0) || out == v {
		return nil, false
	}
	return appendFloat(dst, n.format, n.typ.OID, out), true
}
