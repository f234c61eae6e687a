package masking

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// redactedText stands for a text value.
const redactedText = "***"

// Redact's date is 0001-01-01, in PostgreSQL's units (PostgreSQL source,
// src/include/datatype/timestamp.h): days and microseconds from 2000-01-01.
const (
	redactedDays   = -730119
	microsPerDay   = 86_400_000_000
	redactedMicros = redactedDays * microsPerDay
)

// maxPadding limits the length up to which char(n) and bit(n) constants are
// padded, so that a column definition cannot make a mask of megabytes.
const maxPadding = 1 << 16

// redactConstant gives redact's value for a type: valid for the type in the
// format, within its length, the same for every cell. NULL when no value is
// known to be valid (record, types of most extensions).
func redactConstant(t Type, format int16, st style) *constant {
	text := format == textFormat
	var b []byte
	pick := func(asText, asBinary string) []byte {
		if text {
			return []byte(asText)
		}
		return []byte(asBinary)
	}
	switch familyOf(t) {
	case famText:
		b = []byte(redactedText)
		if n := t.length(); n > 0 && n < len(b) {
			b = b[:n]
		}
		b = appendPadding(b, t, len(b))
	case famChar:
		b = []byte("*")
	case famInt:
		b = pick("0", zeros[:intSize(t.OID)])
	case famNumeric:
		b = pick("0", zeros[:8])
	case famFloat:
		b = pick("0", zeros[:floatSize(t.OID)])
	case famBool:
		b = pick("f", zeros[:1])
	case famDate:
		b = appendDate(nil, format, st, redactedDays)
	case famTimestamp, famTimestampTZ:
		b = appendTimestamp(nil, format, st, t.OID == oidTimestampTZ, redactedMicros)
	case famTime:
		b = pick("00:00:00", zeros[:8])
	case famTimeTZ:
		b = pick("00:00:00+00", zeros[:12])
	case famInterval:
		b = pick(st.interval, zeros[:16])
	case famUUID:
		b = pick("00000000-0000-0000-0000-000000000000", zeros[:16])
	case famBytea:
		b = pick(`\x`, "")
	case famJSON:
		b = []byte("null")
	case famJSONB:
		b = pick("null", "\x01null") // binary jsonb starts with version 1
	case famOID:
		b = pick("0", zeros[:4])
	case famNet:
		// Binary: family 2 (IPv4), 32 bits, is cidr, 4 bytes of address.
		if t.OID == oidCIDR {
			b = pick("0.0.0.0/32", "\x02\x20\x01\x04"+zeros[:4])
		} else {
			b = pick("0.0.0.0", "\x02\x20\x00\x04"+zeros[:4])
		}
	case famBits:
		return redactedBits(t, text)
	case famArray:
		// Binary: no dimensions, no NULLs, the element type.
		b = pick("{}", zeros[:8]+string(binary.BigEndian.AppendUint32(nil, t.Elem.named())))
	case famRange:
		b = pick("empty", "\x01")
	case famMultirange:
		b = pick("{}", zeros[:4])
	case famConstant:
		b = pick(builtin[t.OID].text, builtin[t.OID].binary)
	case famEnum:
		label, ok := redactedLabel(t, st)
		if !ok {
			return &constant{null: true}
		}
		b = []byte(label)
	case famComposite:
		return redactedComposite(t, format, st)
	case famExtension:
		value, ok := extensionTypes[extensionType{t.Extension, t.Name}](t, text)
		if !ok {
			return &constant{null: true}
		}
		b = []byte(value)
	case famUnknown:
		return &constant{null: true}
	}
	if b == nil {
		b = []byte{}
	}
	return &constant{value: b}
}

// redactedBits gives n zero bits for bit(n), no bit for varbit.
func redactedBits(t Type, text bool) *constant {
	n := 0
	if t.OID == oidBit {
		n = max(t.length(), 1)
	}
	switch {
	case n > maxPadding:
		return &constant{null: true}
	case text:
		return &constant{value: bytes.Repeat([]byte("0"), n)}
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(n))
	return &constant{value: append(b, make([]byte, (n+7)/8)...)}
}

// redactedLabel gives an enum's first label; where the session's encoding may lack
// characters of it, the first label that every encoding has.
func redactedLabel(t Type, st style) (label string, ok bool) {
	for _, label := range t.Labels {
		if isASCII(label) || st.charset == charsetUTF8 && utf8.ValidString(label) && !strings.ContainsRune(label, utf8.RuneError) {
			return label, true
		}
	}
	return "", false
}

// appendPadding fills a char(n) value of the given number of characters with
// spaces, as the server does.
func appendPadding(dst []byte, t Type, characters int) []byte {
	if t.OID != oidBpchar {
		return dst
	}
	n := t.length()
	if n > maxPadding {
		return dst
	}
	for ; characters < n; characters++ {
		dst = append(dst, ' ')
	}
	return dst
}

// intSize is the size of an integer type in binary, in bytes; 0 for other types.
func intSize(oid uint32) int {
	switch oid {
	case oidInt2:
		return 2
	case oidInt4:
		return 4
	case oidInt8:
		return 8
	}
	return 0
}

// floatSize is the size of a float type in binary, in bytes; 0 for other types.
func floatSize(oid uint32) int {
	switch oid {
	case oidFloat4:
		return 4
	case oidFloat8:
		return 8
	}
	return 0
}
