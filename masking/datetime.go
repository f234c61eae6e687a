package masking

import (
	"encoding/binary"
	"time"
)

// epochUnix is 2000-01-01 00:00:00 UTC, where PostgreSQL counts from, in Unix seconds.
const epochUnix = 946_684_800

const secondsPerDay = 86_400

// civil is a day of the proleptic Gregorian calendar. Year 0 is 1 BC.
type civil struct{ year, month, day int }

// The calendar repeats after 400 years, an era. Years are counted from March here, so
// that the leap day is the last.
const (
	daysPerEra   = 146_097
	marchOfYear0 = -730_425 // 0000-03-01, in days from 2000-01-01
)

func civilFromDays(days int64) civil {
	days -= marchOfYear0
	era := floorDiv(days, daysPerEra)
	day := int(days - era*daysPerEra)
	year := (day - day/1460 + day/36524 - day/146096) / 365 // of the era
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153 // 0 is March; five months from it have 153 days, as have the next five
	c := civil{year: year + int(era)*400, month: month + 3, day: day - (153*month+2)/5 + 1}
	if c.month > 12 {
		c.month -= 12
		c.year++
	}
	return c
}

// days also takes a 13th month and days behind the month's end, as [time.Date] does.
func (c civil) days() int64 {
	year, month := int64(c.year), c.month-3
	if month < 0 {
		year, month = year-1, month+12
	}
	era := floorDiv(year, 400)
	year -= era * 400
	return marchOfYear0 + era*daysPerEra + year*365 + year/4 - year/100 + int64((153*month+2)/5+c.day-1)
}

// appendDate writes a date, in the session's style if as text.
func appendDate(dst []byte, format int16, st style, days int64) []byte {
	if format == binaryFormat {
		return binary.BigEndian.AppendUint32(dst, uint32(int32(days)))
	}
	c := civilFromDays(days)
	return appendEra(appendCivil(dst, st, c), c)
}

// appendEra writes what ends the text of a date or timestamp before Christ.
func appendEra(dst []byte, c civil) []byte {
	if c.year < 1 {
		return append(dst, " BC"...)
	}
	return dst
}

// shownYear is the year as it is written, without the era.
func (c civil) shownYear() int {
	if c.year < 1 {
		return 1 - c.year
	}
	return c.year
}

// appendCivil writes a day without its era.
func appendCivil(dst []byte, st style, c civil) []byte {
	first, second := c.month, c.day
	if st.dayFirst || st.date == styleGerman {
		first, second = second, first
	}
	separator := byte('-')
	switch st.date {
	case styleSQL:
		separator = '/'
	case styleGerman:
		separator = '.'
	case stylePostgres:
	case styleISO, styleUnknown: // ISO is read back under every style
		dst = appendPadded(dst, c.shownYear(), 4)
		dst = append(dst, '-')
		dst = appendPadded(dst, c.month, 2)
		dst = append(dst, '-')
		return appendPadded(dst, c.day, 2)
	}
	dst = appendPadded(dst, first, 2)
	dst = append(dst, separator)
	dst = appendPadded(dst, second, 2)
	dst = append(dst, separator)
	return appendPadded(dst, c.shownYear(), 4)
}

// appendTimestamp writes a timestamp; with a zone it is in UTC.
func appendTimestamp(dst []byte, format int16, st style, zone bool, micros int64) []byte {
	if format == binaryFormat {
		return binary.BigEndian.AppendUint64(dst, uint64(micros))
	}
	days, within := floorDiv(micros, microsPerDay), floorMod(micros, microsPerDay)
	c := civilFromDays(days)
	if st.date == stylePostgres { // Mon Jan 01 00:00:00 2024 UTC
		weekday := time.Weekday(floorMod(days+6, 7)) // 2000-01-01 was a Saturday
		dst = append(dst, weekday.String()[:3]...)
		dst = append(dst, ' ')
		month := time.Month(c.month).String()[:3]
		if st.dayFirst {
			dst = appendPadded(dst, c.day, 2)
			dst = append(dst, ' ')
			dst = append(dst, month...)
		} else {
			dst = append(dst, month...)
			dst = append(dst, ' ')
			dst = appendPadded(dst, c.day, 2)
		}
		dst = append(dst, ' ')
		dst = appendTime(dst, within)
		dst = append(dst, ' ')
		dst = appendPadded(dst, c.shownYear(), 4)
	} else {
		dst = appendCivil(dst, st, c)
		dst = append(dst, ' ')
		dst = appendTime(dst, within)
	}
	switch {
	case !zone:
	case st.date == styleISO || st.date == styleUnknown:
		dst = append(dst, "+00"...)
	default:
		dst = append(dst, " UTC"...)
	}
	return appendEra(dst, c)
}

// appendTime writes a time of day, without trailing zeros of the fraction.
func appendTime(dst []byte, micros int64) []byte {
	seconds := int(micros / 1_000_000)
	dst = appendPadded(dst, seconds/3600, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, seconds/60%60, 2)
	dst = append(dst, ':')
	dst = appendPadded(dst, seconds%60, 2)
	fraction := int(micros % 1_000_000)
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	dst = appendPadded(dst, fraction, 6)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendPadded writes n >= 0 with zeros in front up to the width, which is at most 20.
func appendPadded(dst []byte, n, width int) []byte {
	var digits [20]byte
	i := len(digits)
	for ; n > 0 || i > len(digits)-width; n /= 10 {
		i--
		digits[i] = byte('0' + n%10)
	}
	return append(dst, digits[i:]...)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 {
	m := a % b
	if m < 0 {
		m += b
	}
	return m
}
