package masking

// dateTextCell shows the year, the month or the decade of a date in a text
// column: 1984, 1984-02, 1980s. It reads dates as ISO 8601 writes them,
// 1984-02-29 and 19840229, the first also with a time after T or a space, and
// 02/29/1984. Anything else, and a year that tells an age over 89, gets redact's constant.
type dateTextCell struct {
	typ      Type
	to       string
	oldest   int
	redacted *constant
}

// dateTextLength is the number of characters of a generalized date in a text column.
func dateTextLength(to string) int {
	switch to {
	case ToMonth:
		return len("1984-02")
	case ToDecade:
		return len("1980s")
	}
	return len("1984")
}

func (d *dateTextCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	c, ok := parseDateText(trimBpchar(d.typ, cell))
	if cell == nil || !ok || c.year < d.oldest {
		return d.redacted.MaskCell(dst, nil)
	}
	start := len(dst)
	switch d.to {
	case ToYear:
		dst = appendPadded(dst, c.year, 4)
	case ToMonth:
		dst = appendPadded(dst, c.year, 4)
		dst = append(dst, '-')
		dst = appendPadded(dst, c.month, 2)
	case ToDecade:
		dst = appendPadded(dst, c.year-c.year%10, 4)
		dst = append(dst, 's')
	default:
		return d.redacted.MaskCell(dst, nil)
	}
	return appendPadding(dst, d.typ, len(dst)-start), true
}

// parseDateText reads a date of the years 1 to 9999.
func parseDateText(text []byte) (c civil, ok bool) {
	p := dateParser{rest: text}
	switch {
	case len(text) == 8 && allDigits(text):
		c.year, _ = p.number(4, 4)
		c.month, _ = p.number(2, 2)
		c.day, ok = p.number(2, 2)
	case len(text) == 10 && text[2] == '/':
		c.month, ok = p.number(2, 2)
		ok = ok && p.take('/')
		var okDay, okYear bool
		c.day, okDay = p.number(2, 2)
		ok = ok && okDay && p.take('/')
		c.year, okYear = p.number(4, 4)
		ok = ok && okYear
	default:
		p.style = &style{date: styleISO}
		c, ok = p.date()
		if ok && len(p.rest) > 0 {
			ok = (p.take('T') || p.take(' ')) && isTimeText(p.rest)
		}
		return c, ok && c.year <= maxShownYear
	}
	return c, ok && len(p.rest) == 0 && c.valid()
}

// isTimeText reports whether the rest of a text looks like a time of day, with or without an offset.
func isTimeText(rest []byte) bool {
	for _, c := range rest {
		if (c < '0' || c > '9') && c != ':' && c != '.' && c != '+' && c != '-' && c != 'Z' {
			return false
		}
	}
	return len(rest) > 0
}
