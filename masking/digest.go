package masking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
)

// digester makes numbers of values: the start of an HMAC-SHA-256 of what
// hash hashes, the value's canonical form. Equal values give equal numbers
// whichever type and format carries them. It is safe for concurrent use.
type digester struct{ h hashCell }

func newDigester(t Type, format int16, cs charset, key []byte) *digester {
	d := &digester{h: hashCell{typ: t, family: familyOf(t), format: format, charset: cs}}
	d.h.states.New = func() any { return &hashState{mac: hmac.New(sha256.New, key)} }
	return d
}

// number gives the number of a cell. It is false for a cell that is no value of the type.
func (d *digester) number(cell []byte) (n uint64, ok bool) {
	s := d.h.states.Get().(*hashState)
	value, ok := d.h.canonical(s, cell)
	if ok {
		n = s.digest(value)
	}
	if cap(s.input) <= maxKept && cap(s.number.buffer) <= maxKept {
		s.number.whole, s.number.fraction = nil, nil // they may point into the cell
		d.h.states.Put(s)
	}
	return n, ok
}

// digest gives the first 64 bits of the value's HMAC.
func (s *hashState) digest(value []byte) uint64 {
	s.mac.Reset()
	s.mac.Write(value)
	s.mac.Sum(s.sum[:0])
	return binary.BigEndian.Uint64(s.sum[:])
}
