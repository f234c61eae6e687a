package masking

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"testing"
)

// compile makes a cell mask that must exist.
func compile(t testing.TB, typ Type, format int16, spec Spec, s Session) Cell {
	t.Helper()
	if s.Year == 0 {
		s.Year = testYear
	}
	c, err := testKeys().Compile(Column{Type: typ, Format: format, Class: "test", Spec: spec, Session: s})
	if err != nil {
		t.Fatalf("%s on %s: %v", spec, typ, err)
	}
	return c
}

func partial(first, last int) Spec {
	return Spec{Method: Partial, KeepFirst: first, KeepLast: last, Char: '*'}
}
func to(word string) Spec      { return Spec{Method: Generalize, To: word} }
func toPrefix(bits int64) Spec { return Spec{Method: Generalize, To: ToPrefix, Bucket: bits} }
func bucket(width int64) Spec  { return Spec{Method: Generalize, To: ToBucket, Bucket: width} }

// TestText has masks whose text form tells all; the server test shows that binary agrees.
func TestText(t *testing.T) {
	var (
		varchar3 = typmod(oidVarchar, "varchar", 4+3)
		char2    = typmod(oidBpchar, "bpchar", 4+2)
		char6    = typmod(oidBpchar, "bpchar", 4+6)
		bullet   = Spec{Method: Partial, KeepLast: 2, Char: '•'}
		latin1   = Session{ClientEncoding: "LATIN1"}
		sjis     = Session{ClientEncoding: "SJIS"}
		dmy      = Session{DateStyle: "SQL, DMY"}
		mdy      = Session{DateStyle: "SQL, MDY"}
		german   = Session{DateStyle: "German, DMY"}
		pg       = Session{DateStyle: "Postgres, MDY"}
		newYork  = Session{DateStyle: "SQL, MDY", TimeZone: "America/New_York"}
		nowhere  = Session{DateStyle: "SQL, MDY", TimeZone: "Nowhere/At_All"}
	)
	for _, c := range []struct {
		typ      Type
		spec     Spec
		session  Session
		in, want string
	}{
		{base(oidText), Spec{Method: Redact}, Session{}, "Maria", "***"},
		{base(oidText), Spec{Method: Redact}, Session{}, "", "***"},
		{char2, Spec{Method: Redact}, Session{}, "MA", "**"},
		{char6, Spec{Method: Redact}, Session{}, "MA    ", "***   "},
		{base(oidDate), Spec{Method: Redact}, german, "29.02.1984", "01.01.0001"},
		{base(oidTimestampTZ), Spec{Method: Redact}, pg, "whatever", "Mon Jan 01 00:00:00 0001 UTC"},
		{base(oidInterval), Spec{Method: Redact}, Session{IntervalStyle: "iso_8601"}, "P1D", "PT0S"},

		{base(oidText), partial(0, 4), Session{}, "123-45-6789", "*******6789"},
		{base(oidText), partial(1, 0), Session{}, "Maria", "M****"},
		{base(oidText), partial(2, 2), Session{}, "東京都庁舎", "東京*庁舎"},
		{base(oidText), partial(0, 4), Session{}, "6789", "****"},
		{base(oidText), partial(0, 4), Session{}, "é", "*"},
		{base(oidText), partial(2, 2), Session{}, "abc", "***"},
		{base(oidText), partial(0, 4), Session{}, "", ""},
		{base(oidText), partial(0, 1), Session{}, "ab\xff", "***"},
		{base(oidText), partial(0, 1), Session{}, "ab\x00c", "***"},
		{base(oidText), bullet, Session{}, "12345", "•••45"},
		{base(oidText), bullet, latin1, "12345", "***45"},
		{base(oidText), partial(1, 1), latin1, "\xc5ngstr\xf6m", "\xc5******m"},
		{base(oidText), partial(1, 1), sjis, "plain", "p***n"},
		{base(oidText), partial(1, 1), sjis, "\x83\x5c\x83\x5c\x83\x5c", "***"},
		{varchar3, partial(0, 1), Session{}, "abcd", "***"}, // no varchar(3): nothing of it shows
		{char6, partial(0, 2), Session{}, "1234  ", "**34  "},
		{char6, partial(0, 4), Session{}, "1234  ", "****  "},
		{base(oidName), partial(1, 0), Session{}, strings.Repeat("x", 64), "***"},

		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{"617 555 0142",NULL,"",x,"NULL"}`, `{********0142,NULL,"",*,****}`},
		{elem(1009, base(oidText)), partial(2, 1), Session{}, `[0:1][1:2]={{"a\\\"bc",NULLS},{"{},,","a b"}}`, `[0:1][1:2]={{"a\\**c",NU**S},{"{}*,",***}}`},
		{elem(1182, base(oidDate)), to(ToYear), Session{}, "{1984-02-29,NULL,infinity}", "{1984-01-01,NULL,0001-01-01}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{a,b`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{a,}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{a}b`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{"a}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{"a\`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{"a"b}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `[secret]={a}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `[1:2]={a}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `[1:1][1:1]={a}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `[2:1]={}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{{a},{b,c}}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{{a},b}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{a,{b}}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{{}}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{{a}{b}}`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `{{{a,b}},{{c,d}}}`, "{{{*,*}},{{*,*}}}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, `a`, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), Session{}, ``, "{}"},
		{elem(1009, base(oidText)), partial(0, 4), sjis, "{\x83\x5c}", "{}"},

		{base(oidText), Spec{Method: Fixed, Value: "Zoë"}, latin1, "x", "***"},
		{base(oidDate), Spec{Method: Fixed, Value: "2001-02-03"}, dmy, "x", "03/02/2001"},
		{char6, Spec{Method: Fixed, Value: "n/a"}, Session{}, "x", "n/a   "},

		{base(oidDate), to(ToYear), Session{}, "1984-02-29", "1984-01-01"},
		{base(oidTimestamp), to(ToDay), Session{}, "1984-02-29 12:13:14.5", "1984-02-29 00:00:00"},
		{base(oidTimestamp), to(ToHour), Session{}, "1984-02-29 12:13:14.5", "1984-02-29 12:00:00"},
		{base(oidTimestampTZ), to(ToHour), Session{}, "1984-02-29 00:13:14+05:30", "1984-02-28 18:00:00+00"},
		{base(oidTimestamp), to(ToHour), Session{}, "1936-12-31 23:59:59", "0001-01-01 00:00:00"},
		{base(oidText), to(ToYear), Session{}, "1984-02-29", "1984"},
		{base(oidText), to(ToMonth), Session{}, "19840229", "1984-02"},
		{base(oidText), to(ToDecade), Session{}, "02/29/1984", "1980s"},
		{base(oidText), to(ToYear), Session{}, "1984-02-29T12:13:14Z", "1984"},
		{base(oidText), to(ToYear), Session{}, "1936-12-31", "***"},
		{base(oidText), to(ToYear), Session{}, "1984-02-29 seen by Dr. Lopez", "***"},
		{base(oidText), to(ToYear), Session{}, "29.02.1984", "***"},
		{base(oidInet), toPrefix(24), Session{}, "192.0.2.77", "192.0.2.0/24"},
		{base(oidInet), toPrefix(24), Session{}, "10.1.2.3/8", "10.0.0.0/8"},
		{base(oidCIDR), toPrefix(16), Session{}, "192.0.2.0/24", "192.0.0.0/16"},
		{base(oidInet), toPrefix(24), Session{}, "2001:db8:1:2::77", "2001:db8:1::/48"},
		{base(oidText), toPrefix(24), Session{}, "192.0.2.77", "192.0.2.0/24"},
		{base(oidText), toPrefix(24), Session{}, "192.0.2.777", "***"},
		{typmod(oidVarchar, "varchar", 4+9), toPrefix(24), Session{}, "192.0.2.7", "***"},
		{base(oidDate), to(ToMonth), Session{}, "1984-02-29", "1984-02-01"},
		{base(oidDate), to(ToDecade), Session{}, "1984-02-29", "1980-01-01"},
		{base(oidDate), to(ToYear), Session{}, "1937-01-01", "1937-01-01"}, // 89 in 2026
		{base(oidDate), to(ToYear), Session{}, "1936-12-31", "0001-01-01"}, // 90 within 2026
		{base(oidDate), to(ToMonth), Session{}, "1936-12-31", "0001-01-01"},
		{base(oidDate), to(ToDecade), Session{}, "1936-12-31", "0001-01-01"},
		{base(oidDate), to(ToDecade), Session{}, "1939-12-31", "1930-01-01"},
		{base(oidDate), to(ToYear), Session{}, "2984-02-29 BC", "0001-01-01"},
		{base(oidDate), to(ToYear), Session{}, "infinity", "0001-01-01"},
		{base(oidDate), to(ToYear), Session{}, "10000-01-01", "0001-01-01"},
		{base(oidDate), to(ToYear), Session{}, "", "0001-01-01"},
		{base(oidDate), to(ToYear), Session{}, "1984-02-29 ", "0001-01-01"},
		{base(oidDate), to(ToYear), Session{}, "1984-13-29", "0001-01-01"},
		{base(oidDate), to(ToYear), Session{}, "29/02/1984", "0001-01-01"}, // another style than told
		{base(oidDate), to(ToMonth), dmy, "03/02/2001", "01/02/2001"},
		{base(oidDate), to(ToMonth), mdy, "03/02/2001", "03/01/2001"},
		{base(oidDate), to(ToMonth), mdy, "2001-03-02", "01/01/0001"},
		{base(oidDate), to(ToMonth), german, "03.02.2001", "01.02.2001"},
		{base(oidDate), to(ToMonth), pg, "03-02-2001", "03-01-2001"},
		{base(oidDate), to(ToMonth), Session{DateStyle: "Postgres, DMY"}, "03-02-2001", "01-02-2001"},
		{base(oidDate), to(ToMonth), Session{DateStyle: "Redis, DMY"}, "2001-03-02", "0001-01-01"},

		{base(oidTimestamp), to(ToYear), Session{}, "1984-02-29 12:13:14.15", "1984-01-01 00:00:00"},
		{base(oidTimestamp), to(ToMonth), pg, "Wed Feb 29 12:13:14.15 1984", "Wed Feb 01 00:00:00 1984"},
		{base(oidTimestamp), to(ToYear), Session{}, "1984-02-29 12:13:14+00", "0001-01-01 00:00:00"},
		{base(oidTimestamp), to(ToYear), Session{}, "1984-02-29", "0001-01-01 00:00:00"},
		{base(oidTimestampTZ), to(ToYear), Session{}, "2025-01-01 00:30:00+02", "2024-01-01 00:00:00+00"},
		{base(oidTimestampTZ), to(ToYear), Session{}, "2024-12-31 23:30:00-05", "2025-01-01 00:00:00+00"},
		{base(oidTimestampTZ), to(ToMonth), Session{}, "2024-03-01 05:44:59+05:45", "2024-02-01 00:00:00+00"},
		{base(oidTimestampTZ), to(ToYear), Session{}, "2024-12-31 23:30:00", "0001-01-01 00:00:00+00"},
		{base(oidTimestampTZ), to(ToYear), newYork, "12/31/2024 23:30:00 EST", "01/01/2025 00:00:00 UTC"},
		{base(oidTimestampTZ), to(ToMonth), newYork, "07/31/2024 20:30:00 EDT", "08/01/2024 00:00:00 UTC"},
		{base(oidTimestampTZ), to(ToMonth), newYork, "07/31/2024 19:30:00 EDT", "07/01/2024 00:00:00 UTC"},
		{base(oidTimestampTZ), to(ToYear), newYork, "12/31/2024 23:30:00 CET", "01/01/0001 00:00:00 UTC"},
		{base(oidTimestampTZ), to(ToYear), nowhere, "12/31/2024 23:30:00 EST", "01/01/0001 00:00:00 UTC"},

		{base(oidText), to(ToZip3), Session{}, "02139", "021"},
		{base(oidText), to(ToZip3), Session{}, "02139-1234", "021"},
		{base(oidText), to(ToZip3), Session{}, "021391234", "021"},
		{base(oidText), to(ToZip3), Session{}, "20301", "000"},
		{base(oidText), to(ToZip3), Session{}, "20201", "000"}, // on the 2020 list alone
		{base(oidText), to(ToZip3), Session{}, "06301", "000"}, // on the 2000 list alone
		{base(oidText), to(ToZip3), Session{}, "K1A 0B1", "***"},
		{base(oidText), to(ToZip3), Session{}, "2139", "***"},
		{base(oidText), to(ToZip3), Session{}, "021", "***"},
		{char6, to(ToZip3), Session{}, "02139 ", "021   "},
		{base(oidInt4), to(ToZip3), Session{}, "2139", "21"},
		{base(oidInt4), to(ToZip3), Session{}, "3601", "0"},
		{base(oidInt4), to(ToZip3), Session{}, "123456789", "0"},

		{base(oidInt4), to(ToAge90), Session{}, "89", "89"},
		{base(oidInt4), to(ToAge90), Session{}, "90", "90"},
		{base(oidInt4), to(ToAge90), Session{}, "103", "90"},
		{base(oidInt4), to(ToAge90), Session{}, "-123456789", "0"},
		{base(oidNumeric), to(ToAge90), Session{}, "89.99", "89"},
		{base(oidNumeric), to(ToAge90), Session{}, "NaN", "0"},
		{base(oidFloat8), to(ToAge90), Session{}, "4.5", "4"},
		{base(oidText), to(ToAge90), Session{}, "42", "42"},
		{base(oidText), to(ToAge90), Session{}, "042", "42"},
		{base(oidText), to(ToAge90), Session{}, "103", "90+"},
		{base(oidText), to(ToAge90), Session{}, "42 years, Maria Lopez", "***"},
		{base(oidText), to(ToAge90), Session{}, "1984", "***"},
		{base(oidText), to(ToAge90), Session{}, "", "***"},

		{base(oidInt4), bucket(10), Session{}, "42", "40"},
		{base(oidInt4), bucket(10), Session{}, "-42", "-50"},
		{base(oidInt4), bucket(10), Session{}, "-2147483648", "0"}, // -2147483650 is no int4
		{base(oidInt8), bucket(10), Session{}, "-9223372036854775808", "0"},
		{base(oidInt4), bucket(10), Session{}, "2147483648", "0"},
		{base(oidNumeric), bucket(10), Session{}, "1234.56", "1230"},
		{base(oidNumeric), bucket(10), Session{}, "-0.5", "-10"},
		{base(oidNumeric), bucket(10), Session{}, strings.Repeat("9", 19), "0"},
		{typmod(oidNumeric, "numeric", 4+3<<16), bucket(1000), Session{}, "-999", "0"},
		{base(oidFloat8), bucket(10), Session{}, "-0.5", "-10"},
		{base(oidFloat8), bucket(10), Session{}, "1e300", "0"},
		{base(oidFloat8), bucket(10), Session{}, "0x10", "0"},
	} {
		got, ok := compile(t, c.typ, textFormat, c.spec, c.session).MaskCell(nil, []byte(c.in))
		if !ok || string(got) != c.want {
			t.Errorf("%s of %s %q under %v: got %q, %v, want %q", c.spec, c.typ, c.in, c.session, got, ok, c.want)
		}
	}
}

// TestNull: a nil cell is a NULL that must not be told from a value.
func TestNull(t *testing.T) {
	types := make([]Type, 0, len(typeCases)+len(unknownCases))
	for _, tc := range typeCases {
		types = append(types, tc.typ)
	}
	types = append(types, unknownCases...)
	for _, typ := range types {
		for _, format := range []int16{textFormat, binaryFormat} {
			redacted, redactedOK := compile(t, typ, format, Spec{Method: Redact}, Session{}).MaskCell(nil, nil)
			if redactedOK != (familyOf(typ) != famUnknown && familyOf(typ) != famComposite) {
				t.Errorf("%s: redact gives NULL: %v", typ, !redactedOK)
			}
			for _, spec := range specs() {
				if spec.Check(typ) != nil || spec.Method == Fixed {
					continue
				}
				got, ok := compile(t, typ, format, spec, Session{}).MaskCell(nil, nil)
				if spec.Method == Null {
					if ok || got != nil {
						t.Errorf("null on %s gives %q", typ, got)
					}
				} else if ok != redactedOK || !bytes.Equal(got, redacted) {
					t.Errorf("%s on %s: NULL gives %q, redact gives %q", spec, typ, got, redacted)
				}
			}
		}
	}
}

// TestMisshapenBinary: a cell that is no value of its type is redacted.
func TestMisshapenBinary(t *testing.T) {
	infinity := binary.BigEndian.AppendUint64(nil, 1<<63-1)
	for _, c := range []struct {
		typ  Type
		spec Spec
		cell string
	}{
		{base(oidInt4), Spec{Method: Hash}, "12345"},
		{base(oidInt4), bucket(10), ""},
		{base(oidInt8), to(ToAge90), "\x00\x00\x00\x05"},
		{base(oidUUID), Spec{Method: Hash}, "123e4567-e89b-12d3-a456-426614174000"},
		{base(oidDate), to(ToYear), "\x00"},
		{base(oidDate), to(ToYear), "\x7f\xff\xff\xff"},
		{base(oidTimestamp), to(ToYear), string(infinity)},
		{base(oidTimestamp), to(ToYear), "2024-01-01 00:00:00"},
		{base(oidNumeric), Spec{Method: Hash}, "\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01"},         // counts two digits, has one
		{base(oidNumeric), Spec{Method: Hash}, "\x00\x01\x00\x00\x00\x00\x00\x00\xff\xff"},         // a digit of 65535
		{base(oidNumeric), Spec{Method: Hash}, "\x00\x01\x00\x00\x12\x34\x00\x00\x00\x01"},         // no such sign
		{base(oidNumeric), Spec{Method: Hash}, "\x00\x01\x7f\xff\x00\x00\x00\x00\x00\x02"},         // a weight of 32767: 131072 digits are allowed
		{base(oidNumeric), Spec{Method: Hash}, "\x00\x01\x80\x00\x00\x00\x00\x00\x00\x02\x00\x00"}, // too long
		{base(oidNumeric), bucket(10), "\x00"},
		{base(oidFloat8), bucket(10), "\x7f\xf0\x00\x00\x00\x00\x00\x00"},
		{elem(1009, base(oidText)), partial(0, 4), ""},
		{elem(1009, base(oidText)), partial(0, 4), "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x19\x7f\xff\xff\xff\x00\x00\x00\x01"}, // two billion elements, none there
		{elem(1009, base(oidText)), partial(0, 4), "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x01\x00\x00\x00\x01\x7f\xff\xff\xffsecret"},  // an element of two gigabytes
		{elem(1009, base(oidText)), partial(0, 4), "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x01asecret"}, // trailing bytes
		{elem(1009, base(oidText)), partial(0, 4), "\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x19"},
		{base(oidFloat4), bucket(10), "\x7f\xf0\x00\x00\x00\x00\x00\x00"},
	} {
		want, _ := compile(t, c.typ, binaryFormat, Spec{Method: Redact}, Session{}).MaskCell(nil, nil)
		got, ok := compile(t, c.typ, binaryFormat, c.spec, Session{}).MaskCell(nil, []byte(c.cell))
		if c.cell == "\x00\x01\x7f\xff\x00\x00\x00\x00\x00\x02" { // this one is a number, if a long one
			if !ok || bytes.Equal(got, want) {
				t.Errorf("%s on %s %q: got %q", c.spec, c.typ, c.cell, got)
			}
			continue
		}
		if !ok || !bytes.Equal(got, want) {
			t.Errorf("%s on %s %q: got %q, want %q", c.spec, c.typ, c.cell, got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		spec Spec
		typ  Type
		want string // "" fits; else the error
	}{
		{to(ToYear), base(oidInt4), "mask generalize(year) does not fit type int4: it serves date, timestamp, timestamptz and text types"},
		{to(ToMonth), typmod(oidVarchar, "varchar", 4+6), "mask generalize(month) does not fit type varchar(6): it needs at least 7 characters"},
		{to(ToHour), base(oidDate), "mask generalize(hour) does not fit type date: it serves timestamp and timestamptz"},
		{toPrefix(24), base(oidInt4), "mask generalize(prefix 24) does not fit type int4: it serves inet, cidr and text types"},
		{partial(0, 4), base(oidInt4), "mask partial(keep_last 4) does not fit type int4: it serves text types"},
		{partial(0, 4), base(oidChar), `mask partial(keep_last 4) does not fit type "char": it serves text types`},
		{partial(0, 4), elem(1009, base(oidText)), ""},
		{partial(0, 4), elem(1007, base(oidInt4)), "mask partial(keep_last 4) does not fit type int4: it serves text types"},
		{Spec{Method: Hash}, Type{OID: 1015, Kind: 'b', Elem: &Type{OID: oidVarchar}, Mod: 4 + 7}, "mask hash does not fit type varchar(7): it needs at least 8 characters"},
		{Spec{Method: Hash}, elem(1, elem(2, base(oidText))), "mask hash does not fit type text[][]: it does not serve arrays of arrays"},
		{Spec{Method: Fixed, Value: "{a}"}, elem(1009, base(oidText)), "mask fixed({a}) does not fit type text[]: it must be {}, the empty value"},
		{partial(0, 4), Type{OID: 16402, Kind: 'b', Name: "citext", Extension: "citext"}, ""},
		{partial(0, 4), Type{OID: 16402, Kind: 'b', Name: "citext"}, "mask partial(keep_last 4) does not fit type citext: it serves text types"},
		{partial(0, 4), Type{OID: 16402, Kind: 'e', Name: "citext"}, "mask partial(keep_last 4) does not fit type citext: it serves text types"},
		{Spec{Method: Hash}, typmod(oidVarchar, "varchar", 4+7), "mask hash does not fit type varchar(7): it needs at least 8 characters"},
		{Spec{Method: Hash}, typmod(oidVarchar, "varchar", 4+8), ""},
		{Spec{Method: Hash}, base(oidDate), "mask hash does not fit type date: it serves text types, integers, numeric without a scale, uuid and bytea"},
		{Spec{Method: Hash}, typmod(oidNumeric, "numeric", 4+10<<16+2), "mask hash does not fit type numeric(10,2): it gives whole numbers, so it serves numeric without a scale"},
		{Spec{Method: Hash}, typmod(oidNumeric, "numeric", 4+3<<16), "mask hash does not fit type numeric(3,0): it needs at least 4 digits"},
		{bucket(40000), base(oidInt2), "mask generalize(bucket 40000) does not fit type int2: the width is larger than every value"},
		{bucket(10), base(oidText), "mask generalize(bucket 10) does not fit type text: it serves numbers"},
		{to(ToZip3), typmod(oidVarchar, "varchar", 4+2), "mask generalize(zip3) does not fit type varchar(2): it needs at least 3 characters"},
		{to(ToAge90), base(oidUUID), "mask generalize(age90) does not fit type uuid: it serves numbers and text types"},
		{Spec{Method: Fixed, Value: "x"}, base(oidInt4), "mask fixed(x) does not fit type int4: it must be a whole number of 4 bytes"},
		{Spec{Method: Fixed, Value: "40000"}, base(oidInt2), "mask fixed(40000) does not fit type int2: it must be a whole number of 2 bytes"},
		{Spec{Method: Fixed, Value: "toolong"}, typmod(oidVarchar, "varchar", 4+3), "mask fixed(toolong) does not fit type varchar(3): it has 7 characters"},
		{Spec{Method: Fixed, Value: "123.4"}, typmod(oidNumeric, "numeric", 4+3<<16), "mask fixed(123.4) does not fit type numeric(3,0): it has 3 digits before and 1 after the decimal point"},
		{Spec{Method: Fixed, Value: `"\ud800"`}, base(oidJSONB), `mask fixed("\ud800") does not fit type jsonb: it must be JSON without \u escapes`},
		{Spec{Method: Fixed, Value: "(1,2,3)"}, base(600), "mask fixed((1,2,3)) does not fit type point: it must be a point written as (1.5,-2)"},
		{Spec{Method: Fixed, Value: "x"}, Type{OID: 16402, Kind: 'b', Name: "geometry"}, ""}, // NULL
		{Spec{Method: Hash}, Type{OID: 16402}, "mask hash does not fit type with OID 16402: it serves text types, integers, numeric without a scale, uuid and bytea"},
		{Spec{}, base(oidText), `mask "" is not known`},
		{Spec{Method: Token}, base(oidDate), "mask token does not fit type date: it serves text types, integers, numeric without a scale and uuid"},
		{Spec{Method: Token}, typmod(oidNumeric, "numeric", 4+10<<16+2), "mask token does not fit type numeric(10,2): it gives whole numbers, so it serves numeric without a scale"},
		{Spec{Method: Token}, typmod(oidNumeric, "numeric", 4+4<<16), "mask token does not fit type numeric(4,0): it needs at least 5 digits"},
		{Spec{Method: Token}, typmod(oidVarchar, "varchar", 4+30), "mask token does not fit type varchar(30): the shortest token has 31 characters; hash and fpe are shorter"},
		{Spec{Method: Token}, typmod(oidVarchar, "varchar", 4+31), ""},
		{fpe("", ""), base(oidInt2), "mask fpe does not fit type int2: it has fewer than 1000000 values"},
		{fpe("", ""), base(oidUUID), "mask fpe does not fit type uuid: it serves text types, int4, int8 and numeric without a scale"},
		{fpe("", ""), typmod(oidVarchar, "varchar", 4+4), "mask fpe does not fit type varchar(4): it needs at least 5 characters: of shorter values there are under 1000000"},
		{fpe("alnum", ""), typmod(oidVarchar, "varchar", 4+4), ""},
		{fpe("digits", ""), typmod(oidVarchar, "varchar", 4+5), "mask fpe(alphabet digits) does not fit type varchar(5): it needs at least 6 characters: of shorter values there are under 1000000"},
		{fpe("", "npi"), typmod(oidVarchar, "varchar", 4+9), "mask fpe(check npi) does not fit type varchar(9): it needs at least 10 characters: of shorter values there are under 1000000"},
		{fpe("", ""), typmod(oidNumeric, "numeric", 4+5<<16), "mask fpe does not fit type numeric(5,0): it needs at least 6 digits"},
		{fpe("", ""), typmod(oidNumeric, "numeric", 4+8<<16+2), "mask fpe does not fit type numeric(8,2): it gives whole numbers, so it serves numeric without a scale"},
		{fpe("hex", ""), base(oidText), `mask fpe(alphabet hex): there is no alphabet "hex"`},
		{fpe("", "isbn"), base(oidText), `mask fpe(check isbn): there is no check "isbn"`},
		{Spec{Method: "encrypt"}, base(oidText), `mask "encrypt" is not known`},
		{Spec{Method: Generalize, To: "week"}, base(oidDate), `mask generalize has no form "week"`},
		{bucket(0), base(oidInt4), "mask generalize(bucket 0): the width must be from 1 to 1000000000000"},
		{partial(-1, 0), base(oidText), "mask partial(keep_first -1): numbers of kept characters must be from 0 to 1000"},
	} {
		got := ""
		if err := c.spec.Check(c.typ); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
		_, err := testKeys().Compile(Column{Type: c.typ, Class: "test", Spec: c.spec, Session: Session{Year: testYear}})
		if (err != nil) != (c.want != "") {
			t.Errorf("%s on %s: Compile says %v, Check %q", c.spec, c.typ, err, got)
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	var none *Keys
	for _, c := range []struct {
		keys   *Keys
		column Column
		want   string
	}{
		{none, Column{Type: base(oidText), Class: "mrn", Spec: Spec{Method: Hash}}, "mask hash needs a key"},
		{testKeys(), Column{Type: base(oidText), Spec: Spec{Method: Hash}}, "mask hash needs a class"},
		{testKeys(), Column{Type: base(oidText), Class: ".x", Spec: Spec{Method: Hash}}, "mask hash needs a class"},
		{none, Column{Type: base(oidDate), Spec: to(ToYear)}, "needs to know this year"},
		{none, Column{Type: base(oidDate), Spec: to(ToYear), Session: Session{Year: 1970}}, "needs to know this year"},
		{none, Column{Type: base(oidText), Format: 2, Spec: Spec{Method: Redact}}, "format code 2"},
		{none, Column{Type: base(oidText), Format: -1, Spec: Spec{Method: Clear}}, "format code -1"},
	} {
		cell, err := c.keys.Compile(c.column)
		if cell != nil || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: got %v, %v, want %q", c.column, cell, err, c.want)
		}
	}
	if cell, err := none.Compile(Column{Type: base(oidText), Spec: Spec{Method: Clear}}); cell != nil || err != nil {
		t.Errorf("clear: got %v, %v", cell, err)
	}
}

// TestConcurrentUse: results of one statement share a compiled cell across sessions.
func TestConcurrentUse(t *testing.T) {
	eachBenchCell(func(typ Type, format int16, spec Spec, value []byte) {
		c := compile(t, typ, format, spec, Session{})
		want, wantOK := c.MaskCell(nil, value)
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				var out []byte
				for range 50 {
					var ok bool
					if out, ok = c.MaskCell(out[:0], value); ok != wantOK || !bytes.Equal(out, want) {
						t.Errorf("%s on %s: got %q, alone %q", spec, typ, out, want)
						return
					}
					c.MaskCell(nil, []byte("1"))
				}
			})
		}
		wait.Wait()
	})
}
