package oracle

import (
	"cmp"
	"slices"
)

// Base is a column of a relation; Column is its attnum.
type Base struct {
	Relation uint32
	Column   int16
}

// Set is a set of columns, in order and without repetition. The zero Set is empty.
type Set []Base

func order(a, b Base) int {
	return cmp.Or(cmp.Compare(a.Relation, b.Relation), cmp.Compare(a.Column, b.Column))
}

// Union gives the columns of both.
func (s Set) Union(t Set) Set {
	if len(t) == 0 {
		return s
	}
	if len(s) == 0 {
		return t
	}
	out := make(Set, 0, len(s)+len(t))
	for len(s) > 0 && len(t) > 0 {
		switch order(s[0], t[0]) {
		case -1:
			out, s = append(out, s[0]), s[1:]
		case 1:
			out, t = append(out, t[0]), t[1:]
		default:
			out, s, t = append(out, s[0]), s[1:], t[1:]
		}
	}
	return append(append(out, s...), t...)
}

// Minus gives the columns of s that t has not.
func (s Set) Minus(t Set) Set {
	var out Set
	for _, b := range s {
		if !t.Has(b) {
			out = append(out, b)
		}
	}
	return out
}

// Has reports whether b is in the set.
func (s Set) Has(b Base) bool {
	_, ok := slices.BinarySearchFunc(s, b, order)
	return ok
}

// NewSet makes a set.
func NewSet(list ...Base) Set {
	s := slices.Clone(list)
	slices.SortFunc(s, order)
	return slices.Compact(s)
}
