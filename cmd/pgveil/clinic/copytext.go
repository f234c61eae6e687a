package clinic

import (
	"strconv"
	"time"
)

// rows collects rows in COPY's text format (PostgreSQL docs, COPY, "Text Format").
type rows struct {
	buf   []byte
	start bool // nothing of the current row is written yet
	n     int
}

// value opens the next value of the row.
func (r *rows) value() {
	if r.start {
		r.start = false
	} else {
		r.buf = append(r.buf, '\t')
	}
}

// row appends a whole row. A nil value is NULL.
func (r *rows) row(values ...any) {
	r.start = true
	for _, v := range values {
		r.value()
		switch v := v.(type) {
		case nil:
			r.buf = append(r.buf, `\N`...)
		case string:
			r.buf = appendText(r.buf, v)
		case int:
			r.buf = strconv.AppendInt(r.buf, int64(v), 10)
		case bool:
			r.buf = append(r.buf, "ft"[b2i(v)])
		case float64:
			r.buf = strconv.AppendFloat(r.buf, v, 'g', -1, 64)
		case cents:
			r.buf = v.append(r.buf)
		case day:
			r.buf = time.Time(v).AppendFormat(r.buf, "2006-01-02")
		case time.Time:
			r.buf = v.AppendFormat(r.buf, "2006-01-02 15:04:05-07")
		case []byte: // bytea in hex
			r.buf = append(r.buf, `\\x`...)
			for _, b := range v {
				r.buf = append(r.buf, hexDigits[b>>4], hexDigits[b&15])
			}
		case []string: // an array: every element in double quotes
			r.buf = append(r.buf, '{')
			for i, s := range v {
				if i > 0 {
					r.buf = append(r.buf, ',')
				}
				r.buf = append(r.buf, '"')
				r.buf = appendText(r.buf, quoteElement(s))
				r.buf = append(r.buf, '"')
			}
			r.buf = append(r.buf, '}')
		default:
			panic("clinic: a value of unknown type") // a mistake in this package
		}
	}
	r.buf = append(r.buf, '\n')
	r.n++
}

const hexDigits = "0123456789abcdef"

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cents is an amount in hundredths, for numeric columns.
type cents int64

func (c cents) append(b []byte) []byte {
	if c < 0 {
		b, c = append(b, '-'), -c
	}
	b = strconv.AppendInt(b, int64(c/100), 10)
	return append(b, '.', byte('0'+c/10%10), byte('0'+c%10))
}

// day is a date.
type day time.Time

func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case '\\':
			b = append(b, `\\`...)
		case '\n':
			b = append(b, `\n`...)
		case '\r':
			b = append(b, `\r`...)
		case '\t':
			b = append(b, `\t`...)
		default:
			b = append(b, c)
		}
	}
	return b
}

// quoteElement escapes what an array's double quotes do not protect.
func quoteElement(s string) string {
	var b []byte
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b = append(b, '\\')
		}
		b = append(b, s[i])
	}
	return string(b)
}
