package sqlparse

import "math/bits"

// Set is a set of SourceIDs. The zero Set is empty. Values share storage:
// use the methods, which never change their receiver.
type Set struct {
	low  uint64   // members 0..63
	high []uint64 // members 64 and up
}

// SetOf returns the set of the given members.
func SetOf(ids ...SourceID) Set {
	var s Set
	for _, id := range ids {
		s = s.With(id)
	}
	return s
}

// With returns s and id.
func (s Set) With(id SourceID) Set {
	if id < 64 {
		s.low |= 1 << uint(id)
		return s
	}
	w := int(id)/64 - 1
	n := max(len(s.high), w+1)
	high := make([]uint64, n)
	copy(high, s.high)
	high[w] |= 1 << (uint(id) % 64)
	s.high = high
	return s
}

// Union returns the members of s and t.
func (s Set) Union(t Set) Set {
	u := Set{low: s.low | t.low}
	switch {
	case len(t.high) == 0:
		u.high = s.high
	case len(s.high) == 0:
		u.high = t.high
	default:
		u.high = make([]uint64, max(len(s.high), len(t.high)))
		copy(u.high, s.high)
		for i, w := range t.high {
			u.high[i] |= w
		}
	}
	return u
}

// Minus returns the members of s that are not in t.
func (s Set) Minus(t Set) Set {
	u := Set{low: s.low &^ t.low}
	if len(s.high) > 0 {
		u.high = make([]uint64, len(s.high))
		copy(u.high, s.high)
		for i := range min(len(u.high), len(t.high)) {
			u.high[i] &^= t.high[i]
		}
	}
	return u
}

// Has reports whether id is a member.
func (s Set) Has(id SourceID) bool {
	if id < 64 {
		return s.low&(1<<uint(id)) != 0
	}
	w := int(id)/64 - 1
	return w < len(s.high) && s.high[w]&(1<<(uint(id)%64)) != 0
}

// Empty reports whether s has no members.
func (s Set) Empty() bool {
	if s.low != 0 {
		return false
	}
	for _, w := range s.high {
		if w != 0 {
			return false
		}
	}
	return true
}

// Len returns the number of members.
func (s Set) Len() int {
	n := bits.OnesCount64(s.low)
	for _, w := range s.high {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the members in ascending order.
func (s Set) All() func(yield func(SourceID) bool) {
	return func(yield func(SourceID) bool) {
		for w := s.low; w != 0; w &= w - 1 {
			if !yield(SourceID(bits.TrailingZeros64(w))) {
				return
			}
		}
		for i, h := range s.high {
			for w := h; w != 0; w &= w - 1 {
				if !yield(SourceID(64*(i+1) + bits.TrailingZeros64(w))) {
					return
				}
			}
		}
	}
}

// Equal reports whether s and t have the same members.
func (s Set) Equal(t Set) bool { return s.Minus(t).Empty() && t.Minus(s).Empty() }
