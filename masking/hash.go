package masking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"
)

// minHashLength is the shortest varchar(n) that a hash fits: 8 hexadecimal
// digits. Shorter ones would make different values equal.
const minHashLength = 8

// minHashPrecision is the least number of digits of a numeric(p) for a hash.
const minHashPrecision = 4

// hashText is the length of a hash as text, in hexadecimal digits.
const hashText = 32

func (s Spec) checkHash(t Type) error {
	switch familyOf(t) {
	case famText:
		if n := t.length(); n > 0 && n < minHashLength {
			return s.misfit(t, fmt.Sprintf("it needs at least %d characters", minHashLength))
		}
		return nil
	case famInt, famUUID, famBytea:
		return nil
	case famNumeric:
		precision, scale, ok := t.numericMod()
		if ok && scale != 0 {
			return s.misfit(t, "it gives whole numbers, so it serves numeric without a scale")
		}
		if ok && precision < minHashPrecision {
			return s.misfit(t, fmt.Sprintf("it needs at least %d digits", minHashPrecision))
		}
		return nil
	}
	return s.misfit(t, "it serves text types, integers, numeric without a scale, uuid and bytea")
}

// hashCell replaces a value by its HMAC-SHA-256 (RFC 2104) under the class
// group's key, and a whole number, of which a type has too few for a digest, by another one ([exchange]). What goes in is the value's canonical text, so that the digest is the same
// whichever type and format carries the value: integers and numeric in decimal digits
// without superfluous zeros, uuid in lower case with hyphens, text in UTF-8
// without char(n)'s padding, bytea as its bytes.
type hashCell struct {
	typ      Type
	family   family
	format   int16
	charset  charset
	numbers  *exchange // integers and numeric
	limited  bool      // the type's numbers are all exchanged
	states   sync.Pool // of *hashState
	redacted *constant
}

// hashState is what hashing one cell writes to.
type hashState struct {
	mac    hash.Hash
	input  []byte // canonical input where it is not the cell itself
	sum    [sha256.Size]byte
	number decimal
}

// maxKept bounds the buffers that are kept for the next cell, in bytes.
const maxKept = 1 << 16

func (k *Keys) compileHash(c Column, st style, redacted *constant) (Cell, error) {
	key, err := k.derive(c)
	if err != nil {
		return nil, err
	}
	h := &hashCell{
		typ: c.Type, family: familyOf(c.Type), format: c.Format, charset: st.charset,
		redacted: redacted,
	}
	h.states.New = func() any { return &hashState{mac: hmac.New(sha256.New, key)} }
	if h.family == famInt || h.family == famNumeric {
		if h.numbers, err = k.exchange(c); err != nil {
			return nil, err
		}
		precision, _, ok := c.Type.numericMod()
		h.limited = h.family == famInt || ok && precision < 19
	}
	return h, nil
}

func (h *hashCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return h.redacted.MaskCell(dst, nil)
	}
	if h.numbers != nil {
		if out, ok := h.numbers.move(dst, cell, (*permutation).forth); ok {
			return out, true
		}
		if h.limited {
			return h.redacted.MaskCell(dst, nil)
		}
	}
	s := h.states.Get().(*hashState)
	out, ok := h.mask(s, dst, cell)
	if cap(s.input) <= maxKept && cap(s.number.buffer) <= maxKept {
		s.number.whole, s.number.fraction = nil, nil // they may point into the cell
		h.states.Put(s)
	}
	return out, ok
}

func (h *hashCell) mask(s *hashState, dst, cell []byte) ([]byte, bool) {
	value, ok := h.canonical(s, cell)
	if !ok {
		return h.redacted.MaskCell(dst, nil)
	}
	s.mac.Reset()
	s.mac.Write(value)
	s.mac.Sum(s.sum[:0])
	first := binary.BigEndian.Uint64(s.sum[:])
	switch h.family {
	case famText:
		n := hashText
		if limit := h.typ.length(); limit > 0 {
			n = min(n, limit)
		}
		var digits [hashText]byte
		hex.Encode(digits[:], s.sum[:hashText/2])
		dst = append(dst, digits[:n]...)
		return appendPadding(dst, h.typ, n), true
	case famNumeric: // a fraction, or more than an int8 holds
		return appendNumericInt(dst, h.format, int64(first>>1)), true
	case famUUID:
		id := [16]byte(s.sum[:16])
		id[6] = id[6]&0x0f | 0x80 // version 8: free-form (RFC 9562, section 5.8)
		id[8] = id[8]&0x3f | 0x80
		if h.format == binaryFormat {
			return append(dst, id[:]...), true
		}
		return appendUUID(dst, &id), true
	case famBytea:
		if h.format == binaryFormat {
			return append(dst, s.sum[:]...), true
		}
		dst = append(dst, `\x`...)
		return hex.AppendEncode(dst, s.sum[:]), true
	}
	return h.redacted.MaskCell(dst, nil)
}

// canonical gives the canonical form of the value. It is false for a cell that is
// no value of the type.
func (h *hashCell) canonical(s *hashState, cell []byte) ([]byte, bool) {
	s.input = s.input[:0]
	switch h.family {
	case famText:
		return h.canonicalText(s, trimBpchar(h.typ, cell))
	case famInt:
		n, ok := parseInt(cell, h.format, h.typ.OID)
		s.input = appendInt(s.input, textFormat, h.typ.OID, n)
		return s.input, ok
	case famNumeric:
		if !s.number.parse(cell, h.format) {
			return nil, false
		}
		s.input = s.number.appendText(s.input)
		return s.input, true
	case famUUID:
		id, ok := [16]byte{}, len(cell) == 16
		if h.format == textFormat {
			id, ok = parseUUID(cell)
		} else if ok {
			id = [16]byte(cell)
		}
		s.input = appendUUID(s.input, &id)
		return s.input, ok
	case famBytea:
		if h.format == binaryFormat {
			return cell, true
		}
		var ok bool
		s.input, ok = appendBytea(s.input, cell)
		return s.input, ok
	}
	return nil, false
}

func (h *hashCell) canonicalText(s *hashState, text []byte) ([]byte, bool) {
	switch h.charset {
	case charsetUTF8:
		return text, true
	case charsetLatin1:
		for _, c := range text {
			s.input = appendLatin1(s.input, c)
		}
		return s.input, true
	case charsetSingle, charsetOther:
		// Without a conversion table a value would not agree with itself read by another client.
		return text, isASCII(text)
	}
	return nil, false
}

func appendLatin1(dst []byte, c byte) []byte {
	if c < 0x80 {
		return append(dst, c)
	}
	return append(dst, 0xc0|c>>6, 0x80|c&0x3f)
}

// appendBytea decodes the text form of a bytea, which says itself whether it
// is hex or escape: escape writes a backslash twice (PostgreSQL docs, section 8.4).
func appendBytea(dst, cell []byte) ([]byte, bool) {
	if len(cell) >= 2 && cell[0] == '\\' && cell[1] == 'x' {
		dst, err := hex.AppendDecode(dst, cell[2:])
		return dst, err == nil
	}
	for i := 0; i < len(cell); i++ {
		c := cell[i]
		switch {
		case c != '\\':
			dst = append(dst, c)
		case i+1 < len(cell) && cell[i+1] == '\\':
			dst = append(dst, c)
			i++
		case i+3 < len(cell) && isOctal(cell[i+1], '3') && isOctal(cell[i+2], '7') && isOctal(cell[i+3], '7'):
			dst = append(dst, (cell[i+1]-'0')<<6|(cell[i+2]-'0')<<3|(cell[i+3]-'0'))
			i += 3
		default:
			return dst, false
		}
	}
	return dst, true
}

func isOctal(c, most byte) bool { return c >= '0' && c <= most }
