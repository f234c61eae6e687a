package masking

import "bytes"

// Settles reports whether what the mask gives can be told from values: it gives its own
// output again for that, and NULL for nothing but NULL.
func (s Spec) Settles(t Type) bool {
	switch s.Method {
	case Redact, Fixed, Partial:
	case Generalize:
		if s.To == ToZip3 || s.To == ToAge90 || s.To == ToPrefix {
			return false // the parts that are kept are no whole ones
		}
	default:
		return false
	}
	return s.Check(t) == nil && !redactConstant(t, textFormat, readSession(Session{}, t)).null
}

// Shown reports whether a value is one that the column's mask, one that settles, shows in place of
// others, and so may be a masked form that comes back. It is true for what cannot be read.
func (k *Keys) Shown(c Column, value []byte) bool {
	cell, err := k.Compile(c)
	if err != nil || cell == nil {
		return true
	}
	if value == nil {
		return false
	}
	masked, ok := cell.MaskCell(nil, value)
	if !ok {
		return true
	}
	return bytes.Equal(trimBpchar(c.Type, masked), trimBpchar(c.Type, value))
}
