package masking

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// shiftBy moves a cell of a column that is keyed by an int4 in text.
func shiftBy(t testing.TB, typ Type, format int16, s Session, key KeyColumn) PairCell {
	t.Helper()
	c, err := testKeys().Compile(Column{
		Type: typ, Format: format, Class: "date.birth", Spec: Spec{Method: Shift, Days: 30, By: "patient_id"}, Session: s, Key: &key,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c.(PairCell)
}

// TestShiftKeepsIntervals: two dates of a subject keep their interval, in every form of date and key,
// and every subject moves by 1 to 30 days.
func TestShiftKeepsIntervals(t *testing.T) {
	seen := map[int64]int{}
	for id := range 2000 {
		keys := []struct {
			column KeyColumn
			cell   []byte
		}{
			{KeyColumn{base(oidInt4), textFormat}, fmt.Append(nil, id)},
			{KeyColumn{base(oidInt4), binaryFormat}, binary.BigEndian.AppendUint32(nil, uint32(id))},
			{KeyColumn{base(oidInt8), binaryFormat}, binary.BigEndian.AppendUint64(nil, uint64(id))},
			{KeyColumn{base(oidText), binaryFormat}, fmt.Append(nil, id)},
			{KeyColumn{typmod(oidBpchar, "bpchar", 4+6), textFormat}, fmt.Appendf(nil, "%-6d", id)},
			{KeyColumn{base(oidNumeric), textFormat}, fmt.Appendf(nil, "%d.00", id)},
		}
		var first int64
		for i, key := range keys {
			date := shiftBy(t, base(oidDate), binaryFormat, Session{}, key.column)
			out, ok := date.MaskPair(nil, binary.BigEndian.AppendUint32(nil, 10_000), key.cell)
			moved := int64(int32(binary.BigEndian.Uint32(out))) - 10_000
			if !ok || moved == 0 || moved < -30 || moved > 30 {
				t.Fatalf("subject %d: moved by %d days", id, moved)
			}
			if i == 0 {
				first = moved
				seen[moved]++
			}
			if moved != first {
				t.Errorf("subject %d as %s: moved by %d days, not %d", id, key.column.Type, moved, first)
			}
			ts := shiftBy(t, base(oidTimestampTZ), textFormat, Session{DateStyle: "ISO, MDY"}, key.column)
			out, ok = ts.MaskPair(nil, []byte("2027-05-19 01:02:03.4-05"), key.cell)
			r := momentReader{family: famTimestampTZ, style: style{date: styleISO}}
			if days, within, okRead := r.read(out); !ok || !okRead || days-first != 10_000 || within != 21_723_400_000 {
				t.Errorf("subject %d as %s: timestamptz became %s", id, key.column.Type, out)
			}
		}
	}
	if len(seen) != 60 {
		t.Errorf("%d different moves, want 60", len(seen))
	}
	for days, n := range seen {
		if n > 80 { // 33 are expected
			t.Errorf("%d of 2000 subjects moved by %d days", n, days)
		}
	}
}

// TestShiftEdges has what cannot be moved and who cannot be known.
func TestShiftEdges(t *testing.T) {
	id, one := KeyColumn{base(oidInt4), textFormat}, []byte("1")
	binaryDate := func(days int32) string { return string(binary.BigEndian.AppendUint32(nil, uint32(days))) }
	for _, c := range []struct {
		typ     Type
		format  int16
		session Session
		in      string
		key     []byte
		want    string
	}{
		{base(oidDate), textFormat, Session{}, "infinity", one, "infinity"},
		{base(oidDate), textFormat, Session{}, "-infinity", one, "-infinity"},
		{base(oidDate), binaryFormat, Session{}, "\x7f\xff\xff\xff", one, "\x7f\xff\xff\xff"},
		{base(oidTimestamp), binaryFormat, Session{}, "\x80\x00\x00\x00\x00\x00\x00\x00", one, "\x80\x00\x00\x00\x00\x00\x00\x00"},
		{base(oidDate), textFormat, Session{}, "1984-02-29", nil, "0001-01-01"},
		{base(oidDate), textFormat, Session{}, "1984-02-29", []byte("x"), "0001-01-01"},
		{base(oidDate), textFormat, Session{}, "29.02.1984", one, "0001-01-01"},
		{base(oidDate), textFormat, Session{}, "", one, "0001-01-01"},
		{base(oidDate), binaryFormat, Session{}, binaryDate(maxDate + 1), one, binaryDate(redactedDays)},
		{base(oidDate), binaryFormat, Session{}, binaryDate(minDate - 1), one, binaryDate(redactedDays)},
		{base(oidDate), binaryFormat, Session{}, "\x00", one, binaryDate(redactedDays)},
	} {
		got, ok := shiftBy(t, c.typ, c.format, c.session, id).MaskPair(nil, []byte(c.in), c.key)
		if !ok || string(got) != c.want {
			t.Errorf("%s %q with key %q: %q, want %q", c.typ, c.in, c.key, got, c.want)
		}
	}
	cell := shiftBy(t, base(oidDate), textFormat, Session{}, id)
	if got, _ := cell.MaskCell(nil, []byte("1984-02-29")); string(got) != "0001-01-01" {
		t.Errorf("without its subject a date became %s", got)
	}
	// One of the two ends of the range is left, whichever way this subject's dates move.
	left := 0
	for _, day := range []int32{minDate, maxDate} {
		got, _ := shiftBy(t, base(oidDate), binaryFormat, Session{}, id).MaskPair(nil, []byte(binaryDate(day)), one)
		if string(got) == binaryDate(redactedDays) {
			left++
		}
	}
	if left != 1 {
		t.Errorf("%d ends of the range were left, want 1", left)
	}
}

// TestShiftWithoutSubject: without by, all dates of a class group move alike, those of another otherwise.
func TestShiftWithoutSubject(t *testing.T) {
	moves := map[string]string{}
	for _, class := range []string{"date", "date.birth", "visit"} {
		c, err := testKeys().Compile(Column{Type: base(oidDate), Class: class, Spec: Spec{Method: Shift, Days: 3650}})
		if err != nil {
			t.Fatal(err)
		}
		out, _ := c.MaskCell(nil, []byte("2000-06-15"))
		moves[class] = string(out)
	}
	if moves["date"] != moves["date.birth"] || moves["date"] == moves["visit"] || moves["date"] == "2000-06-15" {
		t.Errorf("%v", moves)
	}
}

// FuzzShift: whatever the cell, text and binary agree, and what shows is a date within the days.
func FuzzShift(f *testing.F) {
	f.Add(int32(10_000), int64(123_456_789), uint(1), []byte("42"))
	f.Add(int32(minDate), int64(minTimestamp), uint(2), []byte(""))
	f.Add(int32(maxDate), int64(maxTimestamp), uint(3), []byte("-1"))
	f.Fuzz(func(t *testing.T, day int32, micros int64, sessionIndex uint, key []byte) {
		session := fuzzSessions[sessionIndex%uint(len(fuzzSessions))]
		for _, c := range []struct {
			typ  Type
			cell []byte
		}{
			{base(oidDate), binary.BigEndian.AppendUint32(nil, uint32(day))},
			{base(oidTimestamp), binary.BigEndian.AppendUint64(nil, uint64(micros))},
			{base(oidTimestampTZ), binary.BigEndian.AppendUint64(nil, uint64(micros))},
		} {
			id := KeyColumn{base(oidText), textFormat}
			if key == nil {
				key = []byte{}
			}
			out, ok := shiftBy(t, c.typ, binaryFormat, session, id).MaskPair(nil, c.cell, key)
			if !ok {
				t.Fatalf("%s %x became NULL", c.typ, c.cell)
			}
			r := momentReader{family: familyOf(c.typ), format: binaryFormat}
			before, within, okBefore := r.read(c.cell)
			after, withinAfter, okAfter := r.read(out)
			if !okBefore {
				continue // infinity, or no value
			}
			if moved := after - before; okAfter && after != redactedDays && (moved == 0 || moved < -30 || moved > 30 || within != withinAfter) {
				t.Errorf("%s %x moved by %d days", c.typ, c.cell, moved)
			}
			st := readSession(session, c.typ)
			if st.date == styleUnknown {
				continue
			}
			text := appendMoment(nil, c.typ, st, before, within)
			got, _ := shiftBy(t, c.typ, textFormat, session, id).MaskPair(nil, text, key)
			want := appendMoment(nil, c.typ, st, after, withinAfter)
			if string(got) != string(want) {
				t.Errorf("%s %s: text %s, binary %s", c.typ, text, got, want)
			}
		}
	})
}

func appendMoment(dst []byte, typ Type, st style, days, within int64) []byte {
	if typ.OID == oidDate {
		return appendDate(dst, textFormat, st, days)
	}
	return appendTimestamp(dst, textFormat, st, typ.OID == oidTimestampTZ, days*microsPerDay+within)
}
