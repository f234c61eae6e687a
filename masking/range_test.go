package masking

import (
	"encoding/hex"
	"strings"
	"testing"
)

var (
	dateRange = Type{OID: 3912, Kind: 'r', Name: "daterange", Mod: -1, Subtype: subtype(oidDate)}
	timeRange = Type{OID: 3908, Kind: 'r', Name: "tsrange", Mod: -1, Subtype: subtype(oidTimestamp)}
)

// TestRangeText: the masked range covers the days of the range; what is no range becomes empty.
func TestRangeText(t *testing.T) {
	for _, c := range []struct {
		typ      Type
		spec     Spec
		session  Session
		in, want string
	}{
		{dateRange, to(ToMonth), Session{}, "[2024-02-10,2024-02-20)", "[2024-02-01,2024-03-01)"},
		{dateRange, to(ToMonth), Session{}, "[2024-02-01,2024-03-01)", "[2024-02-01,2024-03-01)"},
		{dateRange, to(ToMonth), Session{}, "[2024-12-31,2025-01-01)", "[2024-12-01,2025-01-01)"},
		{dateRange, to(ToMonth), Session{}, "[2024-12-31,2025-01-02)", "[2024-12-01,2025-02-01)"},
		{dateRange, to(ToYear), Session{}, "[2024-02-10,)", "[2024-01-01,)"},
		{dateRange, to(ToYear), Session{}, "(,2024-02-10)", "(,2025-01-01)"},
		{dateRange, to(ToYear), Session{}, "(,)", "(,)"},
		{dateRange, to(ToYear), Session{}, "empty", "empty"},
		{dateRange, to(ToDecade), Session{}, "[1999-12-31,2000-01-02)", "[1990-01-01,2010-01-01)"},
		{dateRange, to(ToYear), Session{}, "[1931-07-04,2024-01-01)", "empty"}, // born before 1937
		{dateRange, to(ToYear), Session{}, "[2024-01-01,9999-12-31)", "empty"}, // there is no year after
		{dateRange, to(ToYear), Session{}, "[2024-01-01,infinity)", "empty"},
		{dateRange, to(ToYear), Session{DateStyle: "German, DMY"}, "[10.02.2024,11.02.2024)", "[01.01.2024,01.01.2025)"},
		{timeRange, to(ToHour), Session{}, `["2024-02-10 10:20:30","2024-02-10 11:00:00")`, `["2024-02-10 10:00:00","2024-02-10 11:00:00")`},
		{timeRange, to(ToHour), Session{}, `("2024-02-10 10:20:30","2024-02-10 23:00:00"]`, `["2024-02-10 10:00:00","2024-02-11 00:00:00")`},
		{timeRange, to(ToDay), Session{}, `["2024-02-10 10:20:30","2024-02-29 00:00:00.000001")`, `["2024-02-10 00:00:00","2024-03-01 00:00:00")`},
		{timeRange, to(ToDay), Session{DateStyle: "Postgres, MDY"}, `["Sat Feb 10 10:20:30 2024","Sat Feb 10 10:20:30 2024"]`, `["Sat Feb 10 00:00:00 2024","Sun Feb 11 00:00:00 2024")`},
		{dateRange, to(ToYear), Session{}, "", "empty"},
		{dateRange, to(ToYear), Session{}, "[,", "empty"},
		{dateRange, to(ToYear), Session{}, "[2024-01-01,2025-01-01", "empty"},
		{dateRange, to(ToYear), Session{}, "[2024-01-01)", "empty"},
		{dateRange, to(ToYear), Session{}, "[2024-01-01,2025-01-01,secret)", "empty"},
		{dateRange, to(ToYear), Session{}, `["2024-01-01,2025-01-01)`, "empty"},
		{dateRange, to(ToYear), Session{}, `[2024-01-01,2025-01-01\)`, "empty"},
		{dateRange, to(ToYear), Session{}, "[secret,2025-01-01)", "empty"},
		{dateRange, to(ToYear), Session{}, "secret", "empty"},
	} {
		got, ok := compile(t, c.typ, textFormat, c.spec, c.session).MaskCell(nil, []byte(c.in))
		if !ok || string(got) != c.want {
			t.Errorf("%s of %s %q: %q, %v, want %q", c.spec, c.typ.Name, c.in, got, ok, c.want)
		}
	}
}

// TestRangeShift: both bounds move by the days by which a date of the class moves, for each subject.
func TestRangeShift(t *testing.T) {
	for _, spec := range []Spec{{Method: Shift, Days: 30}, {Method: Shift, Days: 30, By: "patient_id"}} {
		key := &KeyColumn{Type: base(oidInt4)}
		mask := func(typ Type, cell string) string {
			c, err := testKeys().Compile(Column{Type: typ, Class: "date", Spec: spec, Session: Session{Year: testYear}, Key: key})
			if err != nil {
				t.Fatal(err)
			}
			var out []byte
			if pair, ok := c.(PairCell); ok != (spec.By != "") {
				t.Fatalf("%s: sees the key: %v", spec, ok)
			} else if ok {
				out, _ = pair.MaskPair(nil, []byte(cell), []byte("42"))
				if alone, _ := pair.MaskCell(nil, []byte(cell)); familyOf(typ) == famRange && string(alone) != "empty" {
					t.Errorf("%s without the key: %q", spec, alone)
				}
			} else {
				out, _ = c.MaskCell(nil, []byte(cell))
			}
			return string(out)
		}
		low, high := mask(base(oidDate), "2024-02-10"), mask(base(oidDate), "2024-05-01")
		if got, want := mask(dateRange, "[2024-02-10,2024-05-01)"), "["+low+","+high+")"; got != want || strings.Contains(got, "2024-02-10") {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
		if got, want := mask(dateRange, "(,2024-05-01)"), "(,"+high+")"; got != want {
			t.Errorf("%s: %q, want %q", spec, got, want)
		}
	}
}

func TestRangeBinary(t *testing.T) {
	for in, want := range map[string]string{
		"01": "01", "18": "18", "": "01", "20": "01", "0100": "01", "02": "01",
		"0200000004000022560000000400002260":   "02000000040000223e00000004000023ac", // all of 2024, and no more
		"02000000040000225600000004000022":     "01",                                 // cut short
		"020000000400002256000000040000226000": "01",                                 // trailing byte
		"027fffffff00002256":                   "01",                                 // a bound of two gigabytes
		"0a0000000400002260":                   "0a00000004000023ac",                 // no lower bound
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		got, ok := compile(t, dateRange, binaryFormat, to(ToYear), Session{}).MaskCell(nil, b)
		if !ok || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, want %s", in, got, want)
		}
	}
}

func TestRangeCheck(t *testing.T) {
	numbers := Type{OID: 3904, Kind: 'r', Name: "int4range", Mod: -1, Subtype: subtype(oidInt4)}
	texts := Type{OID: firstUserOID, Kind: 'r', Name: "textrange", Mod: -1, Subtype: subtype(oidText)}
	for _, c := range []struct {
		spec Spec
		typ  Type
		want string
	}{
		{to(ToYear), dateRange, ""},
		{to(ToHour), dateRange, "serves timestamp and timestamptz"},
		{to(ToYear), numbers, "serves ranges of date"},
		{to(ToYear), texts, "serves ranges of date"},
		{to(ToYear), Type{OID: 3912, Kind: 'r'}, "serves ranges of date"},
		{to(ToAge90), numbers, "serves numbers"},
		{Spec{Method: Hash}, dateRange, "serves text"},
	} {
		err := c.spec.Check(c.typ)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s on %s: %v, want %q", c.spec, c.typ, err, c.want)
		}
	}
}
