package masking

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
)

// maxDimensions is the server's limit on an array's dimensions (MAXDIM in
// PostgreSQL source, src/include/utils/array.h).
const maxDimensions = 6

// element is the type that an array's elements are masked as: a modifier, as
// of varchar(9)[], is the array's own and counts for each element.
func (t Type) element() Type {
	e := *t.Elem
	if e.Mod <= 0 {
		e.Mod = t.Mod
	}
	return e
}

// arrayCell masks each element of an array and keeps dimensions and NULLs. An
// array that cannot be read to its end gets redact's constant.
type arrayCell struct {
	element  Cell
	format   int16
	charset  charset
	text     bool // the elements are text, whose bytes the charset reads
	redacted *constant
}

// arrayBuffers are what masking a text array writes to.
type arrayBuffers struct {
	value  []byte // an element without its quotes
	masked []byte // its masked form
}

var arrayPool = sync.Pool{New: func() any {
	return &arrayBuffers{value: make([]byte, 0, 64)} // never nil: an empty element is no NULL
}}

func (k *Keys) compileArray(c Column, st style, redacted *constant) (Cell, error) {
	e := c
	e.Type = c.Type.element()
	cell, err := k.Compile(e)
	if err != nil {
		return nil, err
	}
	return &arrayCell{element: cell, format: c.Format, charset: st.charset, text: familyOf(e.Type) == famText, redacted: redacted}, nil
}

func (a *arrayCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return a.redacted.MaskCell(dst, nil)
	}
	out, ok := a.maskElements(dst, cell)
	if !ok {
		return a.redacted.MaskCell(dst, nil)
	}
	return out, true
}

// maskElements is false for what is no array; out is then of no use.
func (a *arrayCell) maskElements(dst, cell []byte) (out []byte, ok bool) {
	if a.format == binaryFormat {
		return a.maskBinary(dst, cell)
	}
	if a.charset == charsetOther && !isASCII(cell) {
		return nil, false // a brace may be half of a character
	}
	b := arrayPool.Get().(*arrayBuffers)
	out, ok = a.maskText(b, dst, cell)
	if cap(b.value) <= maxKept && cap(b.masked) <= maxKept {
		arrayPool.Put(b)
	}
	return out, ok
}

// maskBinary reads the form of array_send (PostgreSQL source,
// src/backend/utils/adt/arrayfuncs.c): number of dimensions, whether there are NULLs,
// element type (which may be a domain); size and lower bound of each dimension; length and bytes of each element.
func (a *arrayCell) maskBinary(dst, cell []byte) ([]byte, bool) {
	if len(cell) < 12 {
		return nil, false
	}
	dimensions := binary.BigEndian.Uint32(cell)
	nulls := binary.BigEndian.Uint32(cell[4:])
	if dimensions > maxDimensions || nulls > 1 {
		return nil, false
	}
	head := 12 + 8*int(dimensions)
	if len(cell) < head {
		return nil, false
	}
	count := int64(0)
	if dimensions > 0 {
		count = 1
	}
	for i := 12; i < head; i += 8 {
		size := int64(int32(binary.BigEndian.Uint32(cell[i:])))
		if size < 1 || count*size > int64(len(cell))/4 { // every element takes four bytes at least
			return nil, false
		}
		count *= size
	}
	flag := len(dst) + 7 // where the last byte of the NULL flag goes
	dst = append(dst, cell[:head]...)
	rest := cell[head:]
	for range count {
		if len(rest) < 4 {
			return nil, false
		}
		size := int32(binary.BigEndian.Uint32(rest))
		rest = rest[4:]
		if size == -1 {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		if size < 0 || int64(size) > int64(len(rest)) {
			return nil, false
		}
		if a.text && a.charset == charsetOther && !isASCII(rest[:size]) {
			return nil, false // the text form of the array cannot be read either
		}
		length := len(dst)
		dst = append(dst, 0xff, 0xff, 0xff, 0xff)
		var ok bool
		if dst, ok = a.element.MaskCell(dst, rest[:size:size]); ok {
			binary.BigEndian.PutUint32(dst[length:], uint32(len(dst)-length-4))
		} else {
			dst[flag] = 1
		}
		rest = rest[size:]
	}
	return dst, len(rest) == 0
}

// maskText reads the form of array_out in the same source file: an optional
// [lower:upper]... =, nested braces, elements separated by commas, quoted where needed.
func (a *arrayCell) maskText(b *arrayBuffers, dst, cell []byte) ([]byte, bool) {
	var shape arrayShape
	rest := cell
	if len(rest) > 0 && rest[0] == '[' {
		end := bytes.IndexByte(rest, '=')
		if end < 0 || !shape.bounds(rest[:end]) {
			return nil, false
		}
		dst = append(dst, rest[:end+1]...)
		rest = rest[end+1:]
	}
	if string(rest) == "{}" {
		return append(dst, rest...), len(rest) == len(cell) // an empty array has no bounds
	}
	open := true // an element or a brace must follow
	for len(rest) > 0 {
		c := rest[0]
		ok := false
		switch c {
		case '{':
			ok = open && shape.down()
		case '}':
			ok = !open && shape.up()
		case ',':
			ok = !open && shape.depth > 0
			open = true
		default:
			if !open || !shape.element() {
				return nil, false
			}
			if dst, rest, ok = a.maskTextElement(b, dst, rest); !ok {
				return nil, false
			}
			open = false
			continue
		}
		if !ok {
			return nil, false
		}
		dst, rest = append(dst, c), rest[1:]
		if shape.depth == 0 {
			return dst, len(rest) == 0 && shape.whole()
		}
	}
	return nil, false
}

// arrayShape follows the braces of an array: all parts of one depth must have the same
// size, elements stand at the greatest depth alone, and bounds must agree.
type arrayShape struct {
	depth      int
	leaf       int                    // depth of elements; 0: none seen
	size       [maxDimensions + 1]int // by depth, from 1; 0: not known yet
	count      [maxDimensions + 1]int // what the part that is open at a depth holds
	bound      [maxDimensions + 1]int // sizes by the bounds
	boundCount int                    // number of bounds
}

func (s *arrayShape) down() bool {
	if s.depth++; s.depth > maxDimensions || s.leaf != 0 && s.depth > s.leaf {
		return false
	}
	s.count[s.depth] = 0
	s.count[s.depth-1]++
	return true
}

func (s *arrayShape) element() bool {
	if s.depth == 0 || s.leaf != 0 && s.leaf != s.depth {
		return false
	}
	s.leaf = s.depth
	s.count[s.depth]++
	return true
}

func (s *arrayShape) up() bool {
	if s.depth == 0 || s.count[s.depth] == 0 || s.size[s.depth] != 0 && s.size[s.depth] != s.count[s.depth] {
		return false
	}
	s.size[s.depth] = s.count[s.depth]
	s.depth--
	return true
}

func (s *arrayShape) whole() bool {
	return s.boundCount == 0 || s.boundCount == s.leaf && s.bound == s.size
}

// bounds reads [1:2][-1:3].
func (s *arrayShape) bounds(b []byte) bool {
	for len(b) > 0 {
		end := bytes.IndexByte(b, ']')
		if s.boundCount++; end < 0 || b[0] != '[' || s.boundCount > maxDimensions {
			return false
		}
		low, high, ok := bytes.Cut(b[1:end], []byte(":"))
		l, okLow := parseInt(low, textFormat, oidInt4)
		h, okHigh := parseInt(high, textFormat, oidInt4)
		if !ok || !okLow || !okHigh || h < l {
			return false
		}
		s.bound[s.boundCount] = int(h - l + 1)
		b = b[end+1:]
	}
	return true
}

// maskTextElement reads one element at the start of rest.
func (a *arrayCell) maskTextElement(b *arrayBuffers, dst, rest []byte) (out, after []byte, ok bool) {
	b.value = b.value[:0]
	quoted := rest[0] == '"'
	i := 0
	if quoted {
		for i = 1; ; i++ {
			if i < len(rest) && rest[i] == '\\' {
				i++
			} else if i < len(rest) && rest[i] == '"' {
				break
			}
			if i >= len(rest) {
				return nil, nil, false
			}
			b.value = append(b.value, rest[i])
		}
		i++ // the closing quote
	} else {
		if i = bytes.IndexAny(rest, `,{}"\`); i < 1 {
			return nil, nil, false
		}
		b.value = append(b.value, rest[:i]...)
	}
	rest = rest[i:]
	if !quoted && string(b.value) == "NULL" {
		return append(dst, "NULL"...), rest, true
	}
	if b.masked, ok = a.element.MaskCell(b.masked[:0], b.value); !ok {
		return append(dst, "NULL"...), rest, true
	}
	return appendArrayElement(dst, b.masked), rest, true
}

// appendArrayElement quotes an element where array_out would.
func appendArrayElement(dst, value []byte) []byte {
	if len(value) > 0 && !bytes.ContainsAny(value, "{},\"\\ \t\n\r\v\f") && !(len(value) == 4 && strings.EqualFold(string(value), "NULL")) {
		return append(dst, value...)
	}
	dst = append(dst, '"')
	for _, c := range value {
		if c == '"' || c == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
