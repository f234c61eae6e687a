package masking

import (
	"bytes"
	"encoding/binary"
	"strings"
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
	typ      Type // of the elements
	format   int16
	charset  charset
	redacted *constant
	value    []byte // an element without its quotes, reused
	masked   []byte // an element's masked form, reused
}

func (k *Keys) compileArray(c Column, st style, redacted *constant) (Cell, error) {
	e := c
	e.Type = c.Type.element()
	cell, err := k.Compile(e)
	if err != nil {
		return nil, err
	}
	return &arrayCell{
		element: cell, typ: e.Type, format: c.Format, charset: st.charset, redacted: redacted,
		value: make([]byte, 0, 64), // never nil: an empty element is no NULL
	}, nil
}

func (a *arrayCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return a.redacted.MaskCell(dst, nil)
	}
	var out []byte
	ok := false
	if a.format == binaryFormat {
		out, ok = a.maskBinary(dst, cell)
	} else if a.charset != charsetOther || isASCII(cell) { // elsewhere a brace may be half of a character
		out, ok = a.maskText(dst, cell)
	}
	if !ok {
		return a.redacted.MaskCell(dst, nil)
	}
	return out, true
}

// maskBinary reads the form of array_send (PostgreSQL source,
// src/backend/utils/adt/arrayfuncs.c): number of dimensions, whether there are NULLs,
// element type; size and lower bound of each dimension; length and bytes of each element.
func (a *arrayCell) maskBinary(dst, cell []byte) ([]byte, bool) {
	if len(cell) < 12 {
		return nil, false
	}
	dimensions := binary.BigEndian.Uint32(cell)
	nulls := binary.BigEndian.Uint32(cell[4:])
	if dimensions > maxDimensions || nulls > 1 || binary.BigEndian.Uint32(cell[8:]) != a.typ.OID {
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
func (a *arrayCell) maskText(dst, cell []byte) ([]byte, bool) {
	rest := cell
	if len(rest) > 0 && rest[0] == '[' {
		end := bytes.IndexByte(rest, '=')
		if end < 0 || !isBounds(rest[:end]) {
			return nil, false
		}
		dst = append(dst, rest[:end+1]...)
		rest = rest[end+1:]
	}
	if string(rest) == "{}" {
		return append(dst, "{}"...), true
	}
	depth, open := 0, true // open: an element or a brace must follow
	for {
		if len(rest) == 0 {
			return nil, false
		}
		c := rest[0]
		switch {
		case c == '{':
			if depth++; !open || depth > maxDimensions {
				return nil, false
			}
			dst, rest = append(dst, c), rest[1:]
		case c == '}':
			if depth--; open || depth < 0 {
				return nil, false
			}
			dst, rest = append(dst, c), rest[1:]
			if depth == 0 {
				return dst, len(rest) == 0
			}
		case c == ',':
			if open || depth == 0 {
				return nil, false
			}
			dst, rest, open = append(dst, c), rest[1:], true
		default:
			if !open || depth == 0 {
				return nil, false
			}
			var ok bool
			if dst, rest, ok = a.maskTextElement(dst, rest); !ok {
				return nil, false
			}
			open = false
		}
	}
}

// isBounds reports whether b is [1:2][-1:3] and the like.
func isBounds(b []byte) bool {
	return len(bytes.Trim(b, "[]:-0123456789")) == 0
}

// maskTextElement reads one element at the start of rest.
func (a *arrayCell) maskTextElement(dst, rest []byte) (out, after []byte, ok bool) {
	a.value = a.value[:0]
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
			a.value = append(a.value, rest[i])
		}
		i++ // the closing quote
	} else {
		if i = bytes.IndexAny(rest, `,{}"\`); i < 1 {
			return nil, nil, false
		}
		a.value = append(a.value, rest[:i]...)
	}
	rest = rest[i:]
	if !quoted && string(a.value) == "NULL" {
		return append(dst, "NULL"...), rest, true
	}
	if a.masked, ok = a.element.MaskCell(a.masked[:0], a.value); !ok {
		return append(dst, "NULL"...), rest, true
	}
	return appendArrayElement(dst, a.masked), rest, true
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
