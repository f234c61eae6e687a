package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// digest is a SHA-256 sum in lower-case hex, as it stands in the file.
type digest [2 * sha256.Size]byte

// genesis is the prev of a chain's first record.
var genesis = func() (d digest) {
	for i := range d {
		d[i] = '0'
	}
	return d
}()

// The fixed pieces around the chain's members. The decoder in line.go relies
// on their places: time has a fixed width, prev and hash come last.
const (
	lineHead   = `{"time":"`
	lineSeq    = `","seq":`
	lineEvent  = `,"event":`
	linePrev   = `,"prev":"`
	lineHash   = `","hash":"`
	lineTail   = `"}`
	timeLayout = "2006-01-02T15:04:05.000000Z"
	timeWidth  = len(timeLayout)
)

// appendRecord appends r as one line, newline included, and returns its hash.
// Seq, Prev and Hash of r are ignored. It allocates only to grow dst.
func appendRecord(dst []byte, r *Record, now time.Time, seq uint64, prev *digest) ([]byte, digest) {
	start := len(dst)
	dst = append(dst, lineHead...)
	dst = appendTime(dst, r.Time, now)
	dst = append(dst, lineSeq...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, lineEvent...)
	dst = appendString(dst, r.Event, maxName)
	dst = append(dst, `,"session":`...)
	dst = strconv.AppendUint(dst, r.Session, 10)
	dst = append(dst, `,"user":`...)
	dst = appendString(dst, r.User, maxName)
	dst = append(dst, `,"role":`...)
	dst = appendString(dst, r.Role, maxName)
	dst = append(dst, `,"client":`...)
	dst = appendString(dst, r.Client, maxName)
	dst = append(dst, `,"application":`...)
	dst = appendString(dst, r.Application, maxName)
	dst = append(dst, `,"database":`...)
	dst = appendString(dst, r.Database, maxName)
	dst = append(dst, `,"statement":`...)
	dst = appendString(dst, r.Statement, maxText)
	dst = append(dst, `,"fingerprint":`...)
	dst = appendString(dst, r.Fingerprint, maxName)
	dst = append(dst, `,"verdict":`...)
	dst = appendString(dst, r.Verdict, maxName)
	dst = append(dst, `,"classes":`...)
	dst = appendList(dst, r.Classes)
	dst = append(dst, `,"columns":`...)
	dst = appendList(dst, r.Columns)
	dst = append(dst, `,"masks":`...)
	dst = appendList(dst, r.Masks)
	dst = append(dst, `,"rows":`...)
	dst = strconv.AppendInt(dst, r.Rows, 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, r.Bytes, 10)
	dst = append(dst, `,"duration_ms":`...)
	dst = appendMillis(dst, r.DurationMS)
	dst = append(dst, `,"sqlstate":`...)
	dst = appendString(dst, r.SQLState, maxName)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, r.Reason, maxText)
	dst = append(dst, linePrev...)
	dst = append(dst, prev[:]...)

	// The hashed bytes are the line without its hash member: a JSON object
	// that ends after prev.
	dst = append(dst, lineTail...)
	sum := sha256.Sum256(dst[start:])
	dst = dst[:len(dst)-len(lineTail)]

	var hash digest
	hex.Encode(hash[:], sum[:])
	dst = append(dst, lineHash...)
	dst = append(dst, hash[:]...)
	dst = append(dst, lineTail...)
	return append(dst, '\n'), hash
}

// appendTime writes t in UTC with microseconds (RFC 3339, always 27 bytes).
// The zero time and years that RFC 3339 cannot express become now.
func appendTime(dst []byte, t, now time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); t.IsZero() || y < 0 || y > 9999 {
		t = now.UTC()
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = append(dst, '-')
	dst = appendDigits(dst, int(month), 2)
	dst = append(dst, '-')
	dst = appendDigits(dst, day, 2)
	dst = append(dst, 'T')
	dst = appendDigits(dst, hour, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, minute, 2)
	dst = append(dst, ':')
	dst = appendDigits(dst, second, 2)
	dst = append(dst, '.')
	dst = appendDigits(dst, t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

func appendDigits(dst []byte, v, width int) []byte {
	var b [6]byte
	for i := width - 1; i >= 0; i-- {
		b[i] = byte('0' + v%10)
		v /= 10
	}
	return append(dst, b[:width]...)
}

// appendMillis writes three decimals; what is no finite number is null, since
// JSON has no word for it.
func appendMillis(dst []byte, v float64) []byte {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return append(dst, "null"...)
	}
	return strconv.AppendFloat(dst, v, 'f', 3, 64)
}

// appendList writes a JSON array of strings; nil is [].
func appendList(dst []byte, list []string) []byte {
	dst = append(dst, '[')
	room := maxText
	for i, s := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		room -= len(s) + 3 // two quotes and a comma count too: empty strings are not free
		if room < 0 {
			var b [40]byte
			cut := append(b[:0], "…[cut: "...)
			cut = strconv.AppendInt(cut, int64(len(list)-i), 10)
			cut = append(cut, " more]"...)
			dst = append(dst, '"')
			dst = append(dst, cut...)
			dst = append(dst, '"')
			break
		}
		dst = appendString(dst, s, maxText)
	}
	return append(dst, ']')
}

// plain tells the ASCII bytes that stand for themselves in a JSON string.
var plain = func() (t [256]bool) {
	for c := ' '; c < 0x7f; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

const hexDigits = "0123456789abcdef"

// appendString writes s as a JSON string of at most limit bytes of s. Bytes
// that are no UTF-8 become U+FFFD. Everything that does not print (controls,
// line separators, direction overrides …) is escaped: a record shown on a
// terminal cannot move its cursor or reverse its text.
func appendString(dst []byte, s string, limit int) []byte {
	dst = append(dst, '"')
	cut := 0
	if len(s) > limit {
		keep := limit
		for keep > limit-utf8.UTFMax && !utf8.RuneStart(s[keep]) {
			keep--
		}
		cut, s = len(s)-keep, s[:keep]
	}
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if plain[c] {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			dst = append(dst, s[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			dst = append(dst, s[start:i]...)
			dst = append(dst, "\ufffd"...)
			start = i + n
		case !strconv.IsPrint(r):
			dst = append(dst, s[start:i]...)
			if r < 0x10000 {
				dst = appendUnit(dst, uint16(r))
			} else {
				hi, lo := utf16.EncodeRune(r)
				dst = appendUnit(appendUnit(dst, uint16(hi)), uint16(lo))
			}
			start = i + n
		}
		i += n
	}
	dst = append(dst, s[start:]...)
	if cut > 0 {
		dst = append(dst, "…[cut: "...)
		dst = strconv.AppendInt(dst, int64(cut), 10)
		dst = append(dst, " bytes]"...)
	}
	return append(dst, '"')
}

// appendEscape escapes an ASCII byte that is not plain.
func appendEscape(dst []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return appendUnit(dst, uint16(c))
}

// appendUnit writes one UTF-16 unit as \uXXXX.
func appendUnit(dst []byte, u uint16) []byte {
	return append(dst, '\\', 'u', hexDigits[u>>12], hexDigits[u>>8&15], hexDigits[u>>4&15], hexDigits[u&15])
}
