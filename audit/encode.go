package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"slices"
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

// Members is a run of a record's members, encoded once for all records that have
// them in common. The zero Members stands for none.
type Members struct{ text string }

// EncodeSession encodes the members of r that say whose session it is.
func EncodeSession(r *Record) Members {
	dst := make([]byte, 0, 256)
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
	return Members{string(dst)}
}

// EncodeStatement encodes the members of r that say what was decided on which statement.
func EncodeStatement(r *Record) Members {
	dst := make([]byte, 0, 512)
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
	return Members{string(dst)}
}

// pending is a record that waits for its place in the chain.
type pending struct {
	second    int64 // Unix time
	micros    int
	event     string
	session   Members
	statement Members
	rows      int64
	bytes     int64
	millis    float64
	sqlstate  string
	reason    string
}

// The seconds that RFC 3339 can express: the years 0 to 9999.
var (
	firstSecond = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastSecond  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
)

// newPending takes what is to be written of r. The zero time and those that cannot
// be written become now.
func newPending(r *Record, now func() time.Time) pending {
	t := r.Time
	second := t.Unix()
	if t.IsZero() || second < firstSecond || second > lastSecond {
		t = now()
		second = t.Unix()
	}
	p := pending{
		second: second, micros: t.Nanosecond() / 1000, event: r.Event, session: r.OfSession, statement: r.OfStatement,
		rows: r.Rows, bytes: r.Bytes, millis: r.DurationMS, sqlstate: r.SQLState, reason: r.Reason,
	}
	if p.session.text == "" {
		p.session = EncodeSession(r)
	}
	if p.statement.text == "" {
		p.statement = EncodeStatement(r)
	}
	return p
}

// pieces is about what a line has of its own: time, numbers, hashes and names of members.
const pieces = 320

// size is about the length of the record's line.
func (p *pending) size() int {
	return pieces + len(p.session.text) + len(p.statement.text) + len(p.reason)
}

// lines are records as they stand in the file.
type lines struct {
	text []byte
	last int // offset in text of the last record
	seq  uint64
	hash digest // the last record's
}

// encoder writes the lines of a chain, one after the other.
type encoder struct {
	seq   uint64 // of the last line
	hash  digest // its hash
	clock clock
	lines lines
}

// encode gives the lines of a batch, valid until the next call.
func (e *encoder) encode(b *batch) *lines {
	text := e.lines.text[:0]
	if cap(text) > keepBuffer {
		text = nil
	}
	text = slices.Grow(text, b.size)
	for i := range b.records {
		e.lines.last = len(text)
		text = e.append(text, &b.records[i])
	}
	e.lines.text, e.lines.seq, e.lines.hash = text, e.seq, e.hash
	return &e.lines
}

// append appends the chain's next line, newline included.
func (e *encoder) append(dst []byte, p *pending) []byte {
	e.seq++
	start := len(dst)
	dst = append(dst, lineHead...)
	dst = e.clock.append(dst, p.second, p.micros)
	dst = append(dst, lineSeq...)
	dst = strconv.AppendUint(dst, e.seq, 10)
	dst = append(dst, lineEvent...)
	dst = appendString(dst, p.event, maxName)
	dst = append(dst, p.session.text...)
	dst = append(dst, p.statement.text...)
	dst = append(dst, `,"rows":`...)
	dst = strconv.AppendInt(dst, p.rows, 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendInt(dst, p.bytes, 10)
	dst = append(dst, `,"duration_ms":`...)
	dst = appendMillis(dst, p.millis)
	dst = append(dst, `,"sqlstate":`...)
	dst = appendString(dst, p.sqlstate, maxName)
	dst = append(dst, `,"reason":`...)
	dst = appendString(dst, p.reason, maxText)
	dst = append(dst, linePrev...)
	dst = append(dst, e.hash[:]...)

	// The hashed bytes are the line without its hash member: a JSON object
	// that ends after prev.
	dst = append(dst, lineTail...)
	sum := sha256.Sum256(dst[start:])
	dst = dst[:len(dst)-len(lineTail)]

	hex.Encode(e.hash[:], sum[:])
	dst = append(dst, lineHash...)
	dst = append(dst, e.hash[:]...)
	dst = append(dst, lineTail...)
	return append(dst, '\n')
}

// clock writes times, and keeps the second written last: most records share theirs
// with the one before.
type clock struct {
	known  bool
	second int64 // Unix time
	text   [len("2006-01-02T15:04:05.")]byte
}

// append writes a time in UTC with microseconds (RFC 3339, always 27 bytes).
func (c *clock) append(dst []byte, second int64, micros int) []byte {
	if !c.known || second != c.second {
		time.Unix(second, 0).UTC().AppendFormat(c.text[:0], timeLayout[:len(c.text)])
		c.known, c.second = true, second
	}
	dst = append(dst, c.text[:]...)
	var digits [len("000000Z")]byte
	digits[6] = 'Z'
	for i := 5; i >= 0; i-- {
		digits[i] = byte('0' + micros%10)
		micros /= 10
	}
	return append(dst, digits[:]...)
}

// appendMillis writes three decimals; what is no finite number is null, since
// JSON has no word for it.
func appendMillis(dst []byte, v float64) []byte {
	// A whole number of microseconds, as durations are, needs no conversion of the
	// fraction: under this limit no other three decimals are as near to v.
	const limit = 1e12
	if micros := uint64(v*1000 + 0.5); v > 0 && v < limit && float64(micros)/1000 == v {
		dst = strconv.AppendUint(dst, micros/1000, 10)
		micros %= 1000
		return append(dst, '.', byte('0'+micros/100), byte('0'+micros/10%10), byte('0'+micros%10))
	}
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
