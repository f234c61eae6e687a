package masking

import (
	"encoding/binary"
)

// uuidToken exchanges UUIDs among those of one version and variant (RFC 9562):
// the other 122 bits are permuted.
type uuidToken struct {
	format   int16
	domain   *permutation
	redacted *constant
}

func (k *Keys) compileUUIDToken(c Column, redacted *constant) (Cell, error) {
	p, err := k.permutation(c, "uuid", number{high: 1 << (122 - 64)})
	if err != nil {
		return nil, err
	}
	return &uuidToken{format: c.Format, domain: p, redacted: redacted}, nil
}

func (t *uuidToken) MaskCell(dst, cell []byte) ([]byte, bool) {
	if out, ok := t.exchange(dst, cell, (*permutation).forth); ok {
		return out, true
	}
	return t.redacted.MaskCell(dst, nil)
}

// Unmask implements [Reverser].
func (t *uuidToken) Unmask(dst, cell []byte) ([]byte, bool) {
	return t.exchange(dst, cell, (*permutation).back)
}

func (t *uuidToken) exchange(dst, cell []byte, step func(*permutation, *ff1State, number) number) ([]byte, bool) {
	id, ok := [16]byte{}, len(cell) == 16
	if t.format == textFormat {
		id, ok = parseUUID(cell)
	} else if ok {
		id = [16]byte(cell)
	}
	if !ok {
		return dst, false
	}
	// The version is the four bits from bit 48, the variant the two bits from bit 64.
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	version, variant := high&0xf000, low&(3<<62)
	high, low = high>>16<<12|high&0xfff, low&^(3<<62)
	w := ff1States.Get().(*ff1State)
	x := step(t.domain, w, number{high >> 2, high<<62 | low})
	ff1States.Put(w)
	high, low = x.high<<2|x.low>>62, x.low&^(3<<62)
	binary.BigEndian.PutUint64(id[:8], high>>12<<16|version|high&0xfff)
	binary.BigEndian.PutUint64(id[8:], variant|low)
	if t.format == binaryFormat {
		return append(dst, id[:]...), true
	}
	return appendUUID(dst, &id), true
}
