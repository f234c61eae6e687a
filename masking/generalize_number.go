package masking

import "math"

const (
	maxExact    = 999_999_999_999_999_999 // 18 digits: what floorNumeric reads
	maxFloatInt = 1 << 53                 // up to here a float8 holds every whole number
	over89      = "90+"                   // an age over 89, as text
)

// numberCell moves numbers down to a multiple of the width, or shows ages
// in whole years with 90 for every age over 89. What is out of range, NaN,
// infinity and negative ages get redact's constant.
type numberCell struct {
	typ         Type
	family      family
	format      int16
	width       int64 // of a bucket; 0: age90
	least, most int64 // range of results
	redacted    *constant
}

// newNumberCell makes the mask for age90 and bucket on numbers.
func newNumberCell(c Column, redacted *constant) *numberCell {
	n := &numberCell{typ: c.Type, family: familyOf(c.Type), format: c.Format, redacted: redacted}
	if c.Spec.To == ToBucket {
		n.width = c.Spec.Bucket
	}
	switch n.family {
	case famInt:
		n.least, n.most = minInt(intSize(c.Type.OID)), maxInt(intSize(c.Type.OID))
	case famNumeric:
		n.most = maxExact
		if precision, scale, ok := c.Type.numericMod(); ok && precision-scale < 18 {
			n.most = int64(math.Pow10(max(precision-scale, 0))) - 1
		}
		n.least = -n.most
	case famFloat:
		n.least, n.most = -maxFloatInt, maxFloatInt
	}
	return n
}

func (n *numberCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return n.redacted.MaskCell(dst, nil)
	}
	v, ok := n.floor(cell)
	switch {
	case !ok:
	case n.width > 0:
		rest := floorMod(v, n.width)
		if ok = v >= math.MinInt64+rest; ok {
			v -= rest
		}
	case v < 0:
		ok = false
	default:
		v = min(v, oldestShown)
	}
	if !ok || v < n.least || v > n.most {
		return n.redacted.MaskCell(dst, nil)
	}
	switch n.family {
	case famInt:
		return appendInt(dst, n.format, n.typ.OID, v), true
	case famNumeric:
		return appendNumericInt(dst, n.format, v), true
	case famFloat:
		return appendFloat(dst, n.format, n.typ.OID, float64(v)), true
	}
	return n.redacted.MaskCell(dst, nil)
}

// floor reads the cell as the largest whole number not above it.
func (n *numberCell) floor(cell []byte) (int64, bool) {
	switch n.family {
	case famInt:
		return parseInt(cell, n.format, n.typ.OID)
	case famNumeric:
		return floorNumeric(cell, n.format)
	case famFloat:
		f, ok := parseFloat(cell, n.format, n.typ.OID)
		if !ok || math.Abs(f) > maxFloatInt {
			return 0, false
		}
		return int64(math.Floor(f)), true
	}
	return 0, false
}

// ageTextCell shows an age of up to three digits in a text column, 90+ for
// every age over 89, and redact's constant for anything else.
type ageTextCell struct {
	typ      Type
	redacted *constant
}

func (a *ageTextCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	text := trimBpchar(a.typ, cell)
	if cell == nil || len(text) == 0 || len(text) > 3 || !allDigits(text) {
		return a.redacted.MaskCell(dst, nil)
	}
	age, ok := parseDigits(text)
	switch {
	case !ok:
		return a.redacted.MaskCell(dst, nil)
	case age >= oldestShown:
		dst = append(dst, over89...)
		return appendPadding(dst, a.typ, len(over89)), true
	}
	start := len(dst)
	dst = appendInt(dst, textFormat, oidInt8, age)
	return appendPadding(dst, a.typ, len(dst)-start), true
}
