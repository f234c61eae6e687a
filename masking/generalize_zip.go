package masking

import (
	"bytes"
	_ "embed"
	"strings"
)

//go:embed zip3.txt
var zip3Text string

// lowPopulation holds the prefixes that must not show.
var lowPopulation = readPrefixes(zip3Text)

// readPrefixes reads the embedded list: three digits a line, # starts a comment.
func readPrefixes(text string) (set [1000]bool) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		n, ok := parseDigits([]byte(line))
		if !ok || len(line) != 3 || n < 0 {
			panic("masking: bad line in zip3.txt: " + line)
		}
		set[n] = true
	}
	return set
}

// zipCell shows the first three digits of a ZIP code, or 000 where too few
// people live (45 CFR 164.514(b)(2)(i)(B)). It reads 12345, 12345-6789,
// 12345 6789 and 123456789 in text, and up to five digits in integers, whose
// leading zeros are lost; a number gives the three digits as a number. Anything else gets redact's constant.
type zipCell struct {
	typ      Type
	format   int16
	redacted *constant
}

func (z *zipCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return z.redacted.MaskCell(dst, nil)
	}
	if intSize(z.typ.OID) > 0 {
		n, ok := parseInt(cell, z.format, z.typ.OID)
		if !ok || n < 0 || n > 99999 {
			return z.redacted.MaskCell(dst, nil)
		}
		if n /= 100; lowPopulation[n] {
			n = 0
		}
		return appendInt(dst, z.format, z.typ.OID, n), true
	}
	text := trimBpchar(z.typ, cell)
	if !isZip(text) {
		return z.redacted.MaskCell(dst, nil)
	}
	if n, ok := parseDigits(text[:3]); !ok || lowPopulation[n] {
		dst = append(dst, "000"...)
	} else {
		dst = append(dst, text[:3]...)
	}
	return appendPadding(dst, z.typ, 3), true
}

func isZip(text []byte) bool {
	switch len(text) {
	case 5, 9:
		return allDigits(text)
	case 10:
		return allDigits(text[:5]) && (text[5] == '-' || text[5] == ' ') && allDigits(text[6:])
	}
	return false
}

// trimBpchar takes a char(n)'s padding off.
func trimBpchar(t Type, cell []byte) []byte {
	if t.OID == oidBpchar {
		return bytes.TrimRight(cell, " ")
	}
	return cell
}
