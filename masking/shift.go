package masking

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// maxShift bounds the option days: a hundred years.
const maxShift = 36_525

func (s *Spec) parseShiftOptions(options map[string]string) error {
	text, ok := options["days"]
	if !ok {
		return fmt.Errorf("mask shift needs the option days: how many days a date moves at most, from 1 to %d", maxShift)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxShift {
		return fmt.Errorf("mask shift: days must be a whole number from 1 to %d, not %q", maxShift, text)
	}
	s.Days = n
	if s.By, ok = options["by"]; ok && (s.By == "" || len(s.By) > maxName || !utf8.ValidString(s.By)) {
		return fmt.Errorf("mask shift: by must be the name of a column, such as patient_id, not %q", s.By)
	}
	return nil
}

func (s Spec) checkShift(t Type) error {
	if s.Days < 1 || s.Days > maxShift {
		return fmt.Errorf("mask %s: days must be from 1 to %d", s, maxShift)
	}
	switch familyOf(t) {
	case famDate, famTimestamp, famTimestampTZ:
		return nil
	}
	return s.misfit(t, "it serves date, timestamp and timestamptz")
}

// PairCell is a [Cell] whose masked form depends on another cell of the row.
// Its MaskCell, which does not see that cell, gives redact's value.
type PairCell interface {
	Cell
	// MaskPair is as MaskCell; other is the other cell, nil for NULL.
	MaskPair(dst, cell, other []byte) (out []byte, ok bool)
}

// KeyColumn is the result column that holds the key of the subject whom a row is about.
type KeyColumn struct {
	Type   Type
	Format int16 // 0 text, 1 binary
}

// shiftCell moves dates and timestamps by a number of days: of one class group all
// by the same, from 1 to Spec.Days into either direction. Infinity has no day to hide and stays;
// what leaves the type's range gets redact's constant.
type shiftCell struct {
	momentReader
	days     int64 // the move
	redacted *constant
}

func (k *Keys) compileShift(c Column, st style, redacted *constant) (Cell, error) {
	key, err := k.derive(c)
	if err != nil {
		return nil, err
	}
	cell := shiftCell{momentReader: momentReader{family: familyOf(c.Type), format: c.Format, style: st}, redacted: redacted}
	if c.Spec.By == "" {
		mac := hmac.New(sha256.New, key)
		cell.days = shiftDays(binary.BigEndian.Uint64(mac.Sum(nil)), c.Spec.Days)
		return &cell, nil
	}
	if c.Key == nil || (Spec{Method: Hash}).Check(bare(c.Key.Type)) != nil {
		return redacted, nil // whose date it is cannot be known
	}
	return &subjectShiftCell{shiftCell: cell, most: c.Spec.Days, digest: newDigester(c.Key.Type, c.Key.Format, st.charset, key)}, nil
}

// bare is the type without its length: a key is read, not written.
func bare(t Type) Type {
	t.Mod = -1
	return t
}

// shiftDays makes a move of 1 to most days forwards or backwards of a digest.
func shiftDays(digest uint64, most int) int64 {
	n := int64(digest % uint64(2*most))
	if n < int64(most) {
		return n + 1
	}
	return int64(most) - n - 1
}

func (s *shiftCell) MaskCell(dst, cell []byte) ([]byte, bool) { return s.shift(dst, cell, s.days) }

func (s *shiftCell) shift(dst, cell []byte, by int64) ([]byte, bool) {
	if cell != nil {
		if out, ok := s.moved(dst, cell, by); ok {
			return out, true
		}
	}
	return s.redacted.MaskCell(dst, nil)
}

// moved is false for what cannot be read or leaves the type's range.
func (s *shiftCell) moved(dst, cell []byte, by int64) ([]byte, bool) {
	if s.infinite(cell) {
		return append(dst, cell...), true
	}
	days, within, ok := s.read(cell)
	days += by
	if !ok || days < minDate || s.family == famDate && days > maxDate || s.family != famDate && days > maxTimestampDay {
		return nil, false
	}
	if s.family == famDate {
		return appendDate(dst, s.format, s.style, days), true
	}
	return appendTimestamp(dst, s.format, s.style, s.family == famTimestampTZ, days*microsPerDay+within), true
}

// maskBound moves both bounds alike.
func (s *shiftCell) maskBound(dst, bound, _ []byte, _, inclusive bool) ([]byte, bool, bool) {
	out, ok := s.moved(dst, bound, s.days)
	return out, inclusive, ok
}

// infinite reports whether a cell is infinity or -infinity, in binary the bounds of int32 and int64.
func (m *momentReader) infinite(cell []byte) bool {
	if m.format == textFormat {
		return string(cell) == "infinity" || string(cell) == "-infinity"
	}
	switch {
	case m.family == famDate && len(cell) == 4:
		return string(cell) == "\x7f\xff\xff\xff" || string(cell) == "\x80\x00\x00\x00"
	case m.family != famDate && len(cell) == 8:
		return string(cell) == "\x7f\xff\xff\xff\xff\xff\xff\xff" || string(cell) == "\x80\x00\x00\x00\x00\x00\x00\x00"
	}
	return false
}

// subjectShiftCell moves the dates of each subject by a number of days of its
// own, so that the intervals between them stay. The number is made of the subject's
// key, whatever type and format carries it; without a key it is not known.
type subjectShiftCell struct {
	shiftCell
	most   int
	digest *digester
}

func (s *subjectShiftCell) MaskCell(dst, _ []byte) ([]byte, bool) {
	return s.redacted.MaskCell(dst, nil)
}

func (s *subjectShiftCell) MaskPair(dst, cell, key []byte) ([]byte, bool) {
	if cell == nil || key == nil {
		return s.redacted.MaskCell(dst, nil)
	}
	n, ok := s.digest.number(key)
	if !ok {
		return s.redacted.MaskCell(dst, nil)
	}
	return s.shift(dst, cell, shiftDays(n, s.most))
}

func (s *subjectShiftCell) maskBound(dst, bound, key []byte, _, inclusive bool) ([]byte, bool, bool) {
	if key == nil {
		return nil, false, false
	}
	n, ok := s.digest.number(key)
	if !ok {
		return nil, false, false
	}
	out, ok := s.moved(dst, bound, shiftDays(n, s.most))
	return out, inclusive, ok
}
