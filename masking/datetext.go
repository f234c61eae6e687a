package masking

import (
	"encoding/binary"
	"time"
)

// momentReader reads dates and timestamps of one column.
type momentReader struct {
	family family
	format int16
	style  style
}

// civil gives the day that a cell tells, of a timestamptz in UTC. It is false
// for infinity and for what is no value of the type in the session's style.
func (m *momentReader) civil(cell []byte) (civil, bool) {
	if m.format == textFormat && m.family == famDate {
		p := dateParser{rest: cell, style: &m.style}
		c, ok := p.date()
		return p.era(c, ok)
	}
	days, _, ok := m.read(cell)
	return civilFromDays(days), ok
}

// read gives days from 2000-01-01 and the microseconds within the day, 0 of a
// date; otherwise it is as civil.
func (m *momentReader) read(cell []byte) (days, within int64, ok bool) {
	if m.format == binaryFormat {
		return m.readBinary(cell)
	}
	p := dateParser{rest: cell, style: &m.style}
	var c civil
	var micros int64
	switch m.family {
	case famDate:
		c, ok = p.date()
		c, ok = p.era(c, ok)
		days = c.days()
		return days, 0, ok && days >= minDate && days <= maxDate
	case famTimestamp:
		c, micros, ok = p.timestamp()
		if c, ok = p.era(c, ok); !ok {
			return 0, 0, false
		}
	case famTimestampTZ:
		if c, micros, ok = p.timestampTZ(); !ok {
			return 0, 0, false
		}
	default:
		return 0, 0, false
	}
	days = c.days() + floorDiv(micros, microsPerDay) // 24:00:00, and UTC's other day
	within = floorMod(micros, microsPerDay)
	return days, within, days >= minDate && days <= maxTimestampDay
}

// Bounds of the types (PostgreSQL docs, section 8.5): dates to the year
// 5874897, timestamps to 294276. The bounds of int32 and int64 are infinity and lie outside.
const (
	minDate      = -2_451_545                // 4713-11-24 BC, in days
	maxDate      = 2_145_031_948             // 5874897-12-31
	minTimestamp = -211_813_488_000_000_000  // 4713-11-24 BC, in microseconds
	maxTimestamp = 9_223_371_331_199_999_999 // 294276-12-31 23:59:59.999999
)

// maxTimestampDay is the last day of a timestamp.
const maxTimestampDay = maxTimestamp / microsPerDay

func (m *momentReader) readBinary(cell []byte) (days, within int64, ok bool) {
	if m.family == famDate {
		if len(cell) != 4 {
			return 0, 0, false
		}
		days = int64(int32(binary.BigEndian.Uint32(cell)))
		return days, 0, days >= minDate && days <= maxDate
	}
	if len(cell) != 8 {
		return 0, 0, false
	}
	micros := int64(binary.BigEndian.Uint64(cell))
	return floorDiv(micros, microsPerDay), floorMod(micros, microsPerDay), micros >= minTimestamp && micros <= maxTimestamp
}

// dateParser reads the text that the server writes under one DateStyle
// (PostgreSQL source, src/backend/utils/adt/datetime.c, EncodeDateOnly and
// EncodeDateTime). It takes nothing else: no other order, no missing part.
type dateParser struct {
	rest  []byte
	style *style
}

// number reads digits: at least least, at most most.
func (p *dateParser) number(least, most int) (n int, ok bool) {
	i := 0
	for i < len(p.rest) && i < most && p.rest[i] >= '0' && p.rest[i] <= '9' {
		n = n*10 + int(p.rest[i]-'0')
		i++
	}
	p.rest = p.rest[i:]
	return n, i >= least
}

func (p *dateParser) take(c byte) bool {
	if len(p.rest) == 0 || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// word reads letters.
func (p *dateParser) word() []byte {
	i := 0
	for i < len(p.rest) && (p.rest[i] >= 'A' && p.rest[i] <= 'Z' || p.rest[i] >= 'a' && p.rest[i] <= 'z') {
		i++
	}
	w := p.rest[:i]
	p.rest = p.rest[i:]
	return w
}

// maxYearDigits is the length of the last year, 5874897.
const maxYearDigits = 7

// date reads the day in figures.
func (p *dateParser) date() (c civil, ok bool) {
	separator, dayFirst := byte('-'), p.style.dayFirst
	switch p.style.date {
	case styleISO:
		year, ok1 := p.number(4, maxYearDigits)
		ok1 = ok1 && p.take('-')
		month, ok2 := p.number(2, 2)
		ok2 = ok2 && p.take('-')
		day, ok3 := p.number(2, 2)
		c = civil{year, month, day}
		return c, ok1 && ok2 && ok3 && c.valid()
	case styleSQL:
		separator = '/'
	case styleGerman:
		separator, dayFirst = '.', true
	case stylePostgres:
	case styleUnknown:
		return civil{}, false
	}
	first, ok1 := p.number(2, 2)
	ok1 = ok1 && p.take(separator)
	second, ok2 := p.number(2, 2)
	ok2 = ok2 && p.take(separator)
	year, ok3 := p.number(4, maxYearDigits)
	c = civil{year, first, second}
	if dayFirst {
		c = civil{year, second, first}
	}
	return c, ok1 && ok2 && ok3 && c.valid()
}

// valid reports whether the day exists, in the sense of figures: the server
// wrote it, so the month's length is not looked at.
func (c civil) valid() bool {
	return c.year >= 1 && c.month >= 1 && c.month <= 12 && c.day >= 1 && c.day <= 31
}

// era reads what ends a value: nothing, or " BC".
func (p *dateParser) era(c civil, ok bool) (civil, bool) {
	if !ok {
		return civil{}, false
	}
	if string(p.rest) == " BC" {
		c.year = 1 - c.year
		return c, true
	}
	return c, len(p.rest) == 0
}

// clock reads HH:MM:SS with up to six digits of fraction, in microseconds.
func (p *dateParser) clock() (micros int64, ok bool) {
	h, ok1 := p.number(2, 2)
	ok1 = ok1 && p.take(':')
	m, ok2 := p.number(2, 2)
	ok2 = ok2 && p.take(':')
	s, ok3 := p.number(2, 2)
	micros = int64(h*3600+m*60+s) * 1_000_000
	if p.take('.') {
		had := len(p.rest)
		fraction, ok := p.number(1, 6)
		if !ok {
			return 0, false
		}
		for range 6 - (had - len(p.rest)) {
			fraction *= 10
		}
		micros += int64(fraction)
	}
	return micros, ok1 && ok2 && ok3 && h <= 24 && m < 60 && s <= 60
}

// timestamp reads day and time of day, without zone and era.
func (p *dateParser) timestamp() (c civil, micros int64, ok bool) {
	if p.style.date != stylePostgres {
		c, ok1 := p.date()
		ok1 = ok1 && p.take(' ')
		micros, ok2 := p.clock()
		return c, micros, ok1 && ok2
	}
	// Mon Jan 02 15:04:05 2006, or Mon 02 Jan 15:04:05 2006
	ok = len(p.word()) == 3 && p.take(' ')
	var month, day int
	var okDay, okClock, okYear bool
	if p.style.dayFirst {
		day, okDay = p.number(2, 2)
		ok = ok && p.take(' ')
		month = monthNumber(p.word())
	} else {
		month = monthNumber(p.word())
		ok = ok && p.take(' ')
		day, okDay = p.number(2, 2)
	}
	ok = ok && p.take(' ')
	micros, okClock = p.clock()
	ok = ok && p.take(' ')
	c = civil{month: month, day: day}
	c.year, okYear = p.number(4, maxYearDigits)
	return c, micros, ok && okDay && okClock && okYear && c.valid()
}

func monthNumber(word []byte) int {
	for m := time.January; m <= time.December; m++ {
		if m.String()[:3] == string(word) {
			return int(m)
		}
	}
	return 0
}

// timestampTZ reads a timestamptz: a day and microseconds from its midnight in
// UTC, which may be negative or more than a day.
func (p *dateParser) timestampTZ() (c civil, micros int64, ok bool) {
	c, micros, ok = p.timestamp()
	if !ok {
		return civil{}, 0, false
	}
	offset, known := 0, false
	if p.style.date != styleISO {
		if !p.take(' ') {
			return civil{}, 0, false
		}
		abbreviation := p.word()
		switch {
		case len(abbreviation) == 0: // the zone has no letters: " +03"
			offset, known = p.offset()
		case string(abbreviation) == "UTC" || string(abbreviation) == "GMT":
			known = true
		default:
			offset, known = p.zoneOffset(c, int(micros/1_000_000), abbreviation)
		}
	} else {
		offset, known = p.offset()
	}
	c, ok = p.era(c, known)
	return c, micros - int64(offset)*1_000_000, ok
}

// offset reads +HH[:MM[:SS]], in seconds east of UTC.
func (p *dateParser) offset() (seconds int, ok bool) {
	sign := 1
	if p.take('-') {
		sign = -1
	} else if !p.take('+') {
		return 0, false
	}
	h, ok := p.number(2, 2)
	if !ok {
		return 0, false
	}
	seconds = h * 3600
	for _, unit := range [...]int{60, 1} {
		if !p.take(':') {
			break
		}
		n, ok := p.number(2, 2)
		if !ok || n > 59 {
			return 0, false
		}
		seconds += n * unit
	}
	return sign * seconds, true
}

// zoneOffset finds the offset that the session's zone has at a local time
// under an abbreviation, which tells the two passes of a repeated hour apart.
func (p *dateParser) zoneOffset(local civil, seconds int, abbreviation []byte) (int, bool) {
	if p.style.zone == nil {
		return 0, false
	}
	t := time.Date(local.year, time.Month(local.month), local.day, 0, 0, seconds, 0, p.style.zone)
	for _, shift := range [...]time.Duration{0, -3 * time.Hour, 3 * time.Hour} {
		name, offset := t.Add(shift).Zone()
		if name == string(abbreviation) {
			return offset, true
		}
	}
	return 0, false
}
