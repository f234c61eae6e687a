package masking

import (
	"bytes"
	"unicode/utf8"
)

// partialCell keeps the first and last characters and hides the rest, one
// hiding character for each. A value with no more characters than would be
// kept is hidden whole. char(n)'s padding does not count as characters.
type partialCell struct {
	typ         Type
	first, last int
	hide        []byte // the hiding character, encoded
	run         []byte // runLength of them
	charset     charset
	redacted    *constant
}

func compilePartial(c Column, st style, redacted *constant) Cell {
	p := &partialCell{
		typ: c.Type, first: c.Spec.KeepFirst, last: c.Spec.KeepLast,
		hide: []byte("*"), charset: st.charset, redacted: redacted,
	}
	r := c.Spec.Char
	// A name holds 63 bytes, so there a longer character might not fit.
	if r > ' ' && r < utf8.RuneSelf || r >= utf8.RuneSelf && utf8.ValidRune(r) && st.charset == charsetUTF8 && c.Type.OID != oidName {
		p.hide = utf8.AppendRune(nil, r)
	}
	p.run = bytes.Repeat(p.hide, runLength)
	return p
}

// runLength is how many hiding characters are written at once.
const runLength = 32

// maxName is the length of a name in bytes (NAMEDATALEN - 1).
const maxName = 63

func (p *partialCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return p.redacted.MaskCell(dst, nil)
	}
	text := cell
	if p.typ.OID == oidBpchar {
		text = bytes.TrimRight(text, " ")
	}
	n, ok := p.count(text)
	limit := p.typ.length()
	if !ok || limit > 0 && n > limit || p.typ.OID == oidName && len(text) > maxName {
		return p.redacted.MaskCell(dst, nil) // not a value of the type: nothing of it may show
	}
	first, last := p.first, p.last
	if first+last >= n {
		first, last = 0, 0
	}
	head, tail := first, len(text)-last
	if p.charset == charsetUTF8 && n != len(text) {
		head, tail = 0, len(text)
		for range first {
			_, size := utf8.DecodeRune(text[head:])
			head += size
		}
		for range last {
			_, size := utf8.DecodeLastRune(text[:tail])
			tail -= size
		}
	}
	dst = append(dst, text[:head]...)
	hidden := n - first - last
	for ; hidden > runLength; hidden -= runLength {
		dst = append(dst, p.run...)
	}
	dst = append(dst, p.run[:hidden*len(p.hide)]...)
	dst = append(dst, text[tail:]...)
	return appendPadding(dst, p.typ, n), true
}

// count counts characters. It refuses what is not text in the session's encoding.
func (p *partialCell) count(text []byte) (int, bool) {
	i := 0
	for i < len(text) && text[i] != 0 && text[i] < utf8.RuneSelf {
		i++
	}
	if i == len(text) && p.charset <= charsetOther { // ASCII is the same in all of them
		return len(text), true
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return 0, false
	}
	switch p.charset {
	case charsetUTF8:
		if !utf8.Valid(text) {
			return 0, false
		}
		return utf8.RuneCount(text), true
	case charsetLatin1, charsetSingle:
		return len(text), true
	case charsetOther:
		return len(text), isASCII(text)
	}
	return 0, false
}
