package masking

import "fmt"

// oldestShown is the age from which a date's year would tell an age over 89
// (45 CFR 164.514(b)(2)(i)(C)). A year's difference of 90 may still be an age of 89: it counts as over.
const oldestShown = 90

// minYear is the earliest believable Session.Year: an unset clock must not
// make every age look young.
const minYear = 2020

func (s Spec) checkGeneralize(t Type) error {
	family := familyOf(t)
	switch s.To {
	case ToYear, ToMonth, ToDecade:
		switch family {
		case famDate, famTimestamp, famTimestampTZ:
			return nil
		case famText:
			if n := t.length(); n > 0 && n < dateTextLength(s.To) {
				return s.misfit(t, fmt.Sprintf("it needs at least %d characters", dateTextLength(s.To)))
			}
			return nil
		}
		return s.misfit(t, "it serves date, timestamp, timestamptz and text types")
	case ToDay, ToHour:
		switch family {
		case famTimestamp, famTimestampTZ:
			return nil
		}
		return s.misfit(t, "it serves timestamp and timestamptz")
	case ToPrefix:
		if s.Bucket < 1 || s.Bucket > maxPrefix {
			return fmt.Errorf("mask %s: the prefix must have from 1 to %d bits", s, maxPrefix)
		}
		if family == famNet || family == famText {
			return nil
		}
		return s.misfit(t, "it serves inet, cidr and text types")
	case ToZip3:
		if family == famText {
			if n := t.length(); n > 0 && n < 3 {
				return s.misfit(t, "it needs at least 3 characters")
			}
			return nil
		}
		if t.OID == oidInt4 || t.OID == oidInt8 {
			return nil
		}
		return s.misfit(t, "it serves text types, int4 and int8")
	case ToAge90:
		switch family {
		case famInt, famFloat:
			return nil
		case famNumeric:
			if precision, scale, ok := t.numericMod(); ok && precision-scale < 2 {
				return s.misfit(t, "it needs 2 digits before the decimal point")
			}
			return nil
		case famText:
			if n := t.length(); n > 0 && n < len(over89) {
				return s.misfit(t, fmt.Sprintf("it needs at least %d characters", len(over89)))
			}
			return nil
		}
		return s.misfit(t, "it serves numbers and text types")
	case ToBucket:
		if s.Bucket < 1 || s.Bucket > maxBucket {
			return fmt.Errorf("mask %s: the width must be from 1 to %d", s, int64(maxBucket))
		}
		switch family {
		case famInt:
			if s.Bucket > maxInt(intSize(t.OID)) {
				return s.misfit(t, "the width is larger than every value")
			}
			return nil
		case famNumeric, famFloat:
			return nil
		}
		return s.misfit(t, "it serves numbers")
	}
	return fmt.Errorf("mask generalize has no form %q", s.To)
}

func compileGeneralize(c Column, st style, redacted *constant) (Cell, error) {
	switch c.Spec.To {
	case ToYear, ToMonth, ToDecade, ToDay, ToHour:
		if c.Session.Year < minYear {
			return nil, fmt.Errorf("mask %s needs to know this year, and %d cannot be it", c.Spec, c.Session.Year)
		}
		oldest := st.year - oldestShown + 1
		if familyOf(c.Type) == famText {
			return &dateTextCell{typ: c.Type, to: c.Spec.To, oldest: oldest, redacted: redacted}, nil
		}
		return &dateCell{
			momentReader: momentReader{family: familyOf(c.Type), format: c.Format, style: st},
			to:           c.Spec.To, oldest: oldest, redacted: redacted,
		}, nil
	case ToPrefix:
		return newPrefixCell(c, redacted), nil
	case ToZip3:
		return &zipCell{typ: c.Type, format: c.Format, redacted: redacted}, nil
	case ToAge90:
		if familyOf(c.Type) == famText {
			return &ageTextCell{typ: c.Type, redacted: redacted}, nil
		}
		return newNumberCell(c, redacted), nil
	case ToBucket:
		return newNumberCell(c, redacted), nil
	}
	return nil, fmt.Errorf("mask generalize has no form %q", c.Spec.To)
}

// dateCell moves dates and timestamps to the start of their year, month,
// decade, day or hour. A date before the year that tells an age over 89, and infinity, get redact's constant.
// A timestamptz is read in UTC, so that every session sees the same.
type dateCell struct {
	momentReader
	to       string
	oldest   int // the first year that shows
	redacted *constant
}

func (d *dateCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil {
		return d.redacted.MaskCell(dst, nil)
	}
	if d.family == famDate && d.format == textFormat {
		return d.maskDateText(dst, cell)
	}
	days, within, ok := d.read(cell)
	if ok {
		days, within, ok = d.start(days, within)
	}
	if !ok {
		return d.redacted.MaskCell(dst, nil)
	}
	return d.append(dst, days, within), true
}

// maskDateText is MaskCell for a date in text, which need not be counted in days.
func (d *dateCell) maskDateText(dst, cell []byte) ([]byte, bool) {
	c, ok := d.civil(cell)
	if !ok || c.year < d.oldest || c.year > maxShownYear {
		return d.redacted.MaskCell(dst, nil)
	}
	if c, ok = c.generalize(d.to); !ok {
		return d.redacted.MaskCell(dst, nil)
	}
	return appendCivil(dst, d.style, c), true
}

// start moves a moment to the start of its year, month, decade, day or hour; false for one that must not show.
func (d *dateCell) start(days, within int64) (startDays, startWithin int64, ok bool) {
	c := civilFromDays(days)
	if c.year < d.oldest || c.year > maxShownYear {
		return 0, 0, false
	}
	switch d.to {
	case ToDay:
		return days, 0, true
	case ToHour:
		return days, within - within%microsPerHour, true
	}
	c, ok = c.generalize(d.to)
	return c.days(), 0, ok
}

// next gives the start of the year, month, decade, day or hour after the one that starts at the moment.
func (d *dateCell) next(days, within int64) (nextDays, nextWithin int64, ok bool) {
	c := civilFromDays(days)
	switch d.to {
	case ToDay:
		return days + 1, 0, true
	case ToHour:
		within += microsPerHour
		return days + within/microsPerDay, within % microsPerDay, true
	case ToMonth:
		c.month++
	case ToYear:
		c.year++
	case ToDecade:
		c.year += 10
	default:
		return 0, 0, false
	}
	return c.days(), 0, c.year <= maxShownYear // a 13th month is the January after
}

// maskBound moves a lower bound to the start, an upper one to the end.
func (d *dateCell) maskBound(dst, bound, _ []byte, upper, inclusive bool) ([]byte, bool, bool) {
	days, within, ok := d.read(bound)
	if !ok {
		return nil, false, false
	}
	startDays, startWithin, ok := d.start(days, within)
	if ok && upper && (inclusive || startDays != days || startWithin != within) {
		startDays, startWithin, ok = d.next(startDays, startWithin)
	}
	if !ok {
		return nil, false, false
	}
	return d.append(dst, startDays, startWithin), !upper, true
}

func (d *dateCell) append(dst []byte, days, within int64) []byte {
	if d.family == famDate {
		return appendDate(dst, d.format, d.style, days)
	}
	return appendTimestamp(dst, d.format, d.style, d.family == famTimestampTZ, days*microsPerDay+within)
}

const microsPerHour = 3_600_000_000

// generalize gives the first day of the year, month or decade.
func (c civil) generalize(to string) (civil, bool) {
	switch to {
	case ToYear:
		c.month, c.day = 1, 1
	case ToMonth:
		c.day = 1
	case ToDecade:
		c.year, c.month, c.day = c.year-c.year%10, 1, 1
	default:
		return civil{}, false
	}
	return c, true
}

// maxShownYear keeps results in the years that every client can read.
const maxShownYear = 9999
