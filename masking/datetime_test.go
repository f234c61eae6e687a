package masking

import (
	"math/rand/v2"
	"testing"
	"time"
)

// TestCivil holds the calendar against the standard library's.
func TestCivil(t *testing.T) {
	check := func(days int64) {
		t.Helper()
		y, m, d := time.Unix(epochUnix+days*secondsPerDay, 0).UTC().Date()
		want := civil{y, int(m), d}
		if got := civilFromDays(days); got != want {
			t.Fatalf("day %d is %v, want %v", days, got, want)
		}
		if got := want.days(); got != days {
			t.Fatalf("%v is day %d, want %d", want, got, days)
		}
	}
	for days := int64(-2 * daysPerEra); days < 2*daysPerEra; days++ {
		check(days)
	}
	for _, days := range []int64{minDate, maxDate, maxTimestampDay, redactedDays} {
		check(days)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		check(minDate + r.Int64N(maxDate-minDate))
	}
	for range 100_000 { // months and days that do not exist
		c := civil{r.IntN(12_000) - 2000, 1 + r.IntN(13), 1 + r.IntN(31)}
		want := (time.Date(c.year, time.Month(c.month), c.day, 0, 0, 0, 0, time.UTC).Unix() - epochUnix) / secondsPerDay
		if got := c.days(); got != want {
			t.Fatalf("%v is day %d, want %d", c, got, want)
		}
	}
}

// TestDateText: a date in text, which is not counted in days, comes to the same as one in binary.
func TestDateText(t *testing.T) {
	for _, style := range []string{"ISO, MDY", "SQL, DMY", "SQL, MDY", "Postgres, MDY", "Postgres, DMY", "German, DMY"} {
		for _, form := range []string{ToYear, ToMonth, ToDecade} {
			session := Session{DateStyle: style}
			text, binary := compile(t, base(oidDate), textFormat, to(form), session), compile(t, base(oidDate), binaryFormat, to(form), session)
			st := readSession(session, base(oidDate))
			for days := int64(minDate); days < 4_000_000; days += 271 {
				got, _ := text.MaskCell(nil, appendDate(nil, textFormat, st, days))
				masked, _ := binary.MaskCell(nil, appendDate(nil, binaryFormat, st, days))
				m := momentReader{family: famDate, format: binaryFormat}
				number, _, _ := m.readBinary(masked)
				if want := appendDate(nil, textFormat, st, number); string(got) != string(want) {
					t.Fatalf("%s, %s: %s becomes %s, want %s", style, form, appendDate(nil, textFormat, st, days), got, want)
				}
			}
		}
	}
}
