package masking

import (
	"bytes"
	"encoding/binary"
	"math"
)

// maxComposite bounds a redacted composite, in bytes: one whose columns are
// composites of composites could be as large as its definer likes.
const maxComposite = 1 << 16

// redactedComposite gives a row of the type whose columns are redacted each; a
// column of which no valid value is known is NULL, and so is one of a domain
// with CHECK constraints, which NULL passes as a rule. NULL as a whole where such a
// domain refuses NULL.
//
// The forms are those of record_out and record_send (PostgreSQL source,
// src/backend/utils/adt/rowtypes.c): text has the columns between parentheses,
// nothing for NULL, quoted where needed; binary has the number of columns, and of each the
// type's OID, the length or -1, and the value.
func redactedComposite(t Type, format int16, st style) *constant {
	b, ok := appendRedactedComposite(nil, t, format, st)
	if !ok {
		return &constant{null: true}
	}
	return &constant{value: b}
}

func appendRedactedComposite(dst []byte, t Type, format int16, st style) ([]byte, bool) {
	text := format == textFormat
	if text {
		dst = append(dst, '(')
	} else {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(t.Fields)))
	}
	for i, field := range t.Fields {
		value := redactConstant(field, format, st)
		null := value.null || field.Checked
		if null && field.NotNull || len(dst)+len(value.value) > maxComposite {
			return nil, false
		}
		if text {
			if i > 0 {
				dst = append(dst, ',')
			}
			if !null {
				dst = appendRecordColumn(dst, value.value)
			}
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, field.named())
		if null {
			dst = binary.BigEndian.AppendUint32(dst, math.MaxUint32)
			continue
		}
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(value.value)))
		dst = append(dst, value.value...)
	}
	if text {
		dst = append(dst, ')')
	}
	return dst, true
}

// appendRecordColumn quotes a column of a row where record_out would.
func appendRecordColumn(dst, value []byte) []byte {
	return appendQuoted(dst, value, "\"\\(), \t\n\r\v\f")
}

// appendQuoted writes a part of a row or range, in quotes when it is empty or has a special character.
func appendQuoted(dst, value []byte, special string) []byte {
	if len(value) > 0 && !bytes.ContainsAny(value, special) {
		return append(dst, value...)
	}
	dst = append(dst, '"')
	for _, c := range value {
		if c == '"' || c == '\\' {
			dst = append(dst, c)
		}
		dst = append(dst, c)
	}
	return append(dst, '"')
}
