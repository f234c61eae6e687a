package masking

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"
)

// fuzzSessions are the sessions that fuzzing goes through.
var fuzzSessions = []Session{
	{}, {DateStyle: "SQL, DMY", TimeZone: "America/New_York"}, {DateStyle: "Postgres, MDY", TimeZone: "Europe/Berlin"},
	{DateStyle: "German, DMY", TimeZone: "UTC"}, {ClientEncoding: "LATIN1"}, {ClientEncoding: "SJIS"}, {DateStyle: "?"},
}

// FuzzMaskCell gives arbitrary bytes to every mask, type, format and session.
func FuzzMaskCell(f *testing.F) {
	for i, tc := range typeCases {
		seeded := map[string]bool{} // one seed a mask that fits
		for j, spec := range specs() {
			kind := string(spec.Method) + spec.To
			if spec.Check(tc.typ) != nil || seeded[kind] || spec.Method == Redact || spec.Method == Null {
				continue
			}
			seeded[kind] = true
			f.Add(uint(i), uint(j), uint(j), false, []byte(tc.values[0]))
		}
	}
	f.Add(uint(12), uint(9), uint(0), true, []byte(zeros[:4]))
	f.Add(uint(14), uint(2), uint(0), true, []byte("\x00\x02\x00\x01\x00\x00\x00\x02\x02\x2b\x04\xd2"))
	f.Add(uint(24), uint(8), uint(1), false, []byte("12/31/2024 23:30:00 EST"))
	f.Add(uint(24), uint(8), uint(2), false, []byte("Tue Dec 31 23:30:00.5 2024 CET"))
	f.Add(uint(24), uint(8), uint(3), true, []byte(zeros[:8]))
	all := specs()
	f.Fuzz(func(t *testing.T, typeIndex, specIndex, sessionIndex uint, binary bool, cell []byte) {
		tc, spec := typeCases[typeIndex%uint(len(typeCases))], all[specIndex%uint(len(all))]
		if spec.Check(tc.typ) != nil {
			return
		}
		format := int16(textFormat)
		if binary {
			format = binaryFormat
		}
		session := fuzzSessions[sessionIndex%uint(len(fuzzSessions))]
		session.Year = testYear
		if cell == nil {
			cell = []byte{}
		}
		out, ok := compile(t, tc.typ, format, spec, session).MaskCell(nil, cell)
		if !ok {
			if spec.Method != Null && familyOf(tc.typ) != famUnknown {
				t.Errorf("%s of %s gives NULL", spec, tc.typ)
			}
			return
		}
		redacted, _ := compile(t, tc.typ, format, Spec{Method: Redact}, session).MaskCell(nil, nil)
		if !validCell(tc.typ, format, readSession(session, tc.typ), out) {
			t.Errorf("%s of %s format %d %q: %q is not valid", spec, tc.typ, format, cell, out)
		}
		if !bytes.Equal(out, redacted) && (tc.typ.Elem == nil || !spec.elementwise()) && familyOf(tc.typ) != famRange { // elements and bounds are tried as their own types
			checkHides(t, spec, tc.typ, format, session, cell, out)
		}
	})
}

// checkHides checks what each mask promises of a result other than redact's constant.
func checkHides(t *testing.T, spec Spec, typ Type, format int16, session Session, cell, out []byte) {
	t.Helper()
	switch spec.Method {
	case Redact, Null:
		t.Errorf("%s of %s %q depends on the value: %q", spec, typ, cell, out)
	case Fixed:
		if other, _ := compile(t, typ, format, spec, session).MaskCell(nil, []byte("other")); !bytes.Equal(out, other) {
			t.Errorf("%s of %s %q depends on the value: %q", spec, typ, cell, out)
		}
	case Hash, Token:
		// Fewer bytes may be in it by chance.
		if in := bytes.TrimRight(cell, " "); len(in) >= 8 && bytes.Contains(out, in) {
			t.Errorf("%s of %s %q shows it: %q", spec, typ, cell, out)
		}
	case FPE:
		if bytes.Equal(cell, out) && !bytes.Equal(trimBpchar(typ, cell), []byte(redactedText)) {
			t.Errorf("%s of %s %q is itself", spec, typ, cell)
		}
	case Partial:
		in, got := []rune(string(trimBpchar(typ, cell))), []rune(string(out))
		if readCharset(session.ClientEncoding) != charsetUTF8 {
			in, got = latin1Runes(trimBpchar(typ, cell)), latin1Runes(out)
		}
		hidden := spec.Char
		if typ.OID == oidName || session.ClientEncoding != "" {
			hidden = '*'
		}
		first, last := spec.KeepFirst, spec.KeepLast
		if first+last >= len(in) {
			first, last = 0, 0
		}
		for i := range got[:len(in)] {
			want := in[i]
			if i >= first && i < len(in)-last {
				want = hidden
			}
			if got[i] != want {
				t.Errorf("%s of %s %q: %q", spec, typ, cell, out)
			}
		}
	case Generalize:
		switch spec.To {
		case ToZip3:
			if shown := trimBpchar(typ, out); format == textFormat && (len(shown) > 3 || !allDigits(shown)) {
				t.Errorf("%s of %s %q: %q", spec, typ, cell, out)
			}
		case ToAge90:
			if shown := trimBpchar(typ, out); format == textFormat && string(shown) != over89 {
				if n, err := strconv.Atoi(string(shown)); err != nil || n < 0 || n > 90 {
					t.Errorf("%s of %s %q: %q", spec, typ, cell, out)
				}
			}
		case ToYear:
			if session.DateStyle == "" && format == textFormat && familyOf(typ) != famText && !bytes.HasPrefix(out[4:], []byte("-01-01")) {
				t.Errorf("%s of %s %q: %q", spec, typ, cell, out)
			}
		}
	}
}

func latin1Runes(b []byte) (runes []rune) {
	for _, c := range b {
		runes = append(runes, rune(c))
	}
	return runes
}

// decoders read the types' forms independently of this package.
var decoders = pgtype.NewMap()

// validCell reports whether a cell is valid for its type: pgx reads it and it fits the length.
func validCell(typ Type, format int16, st style, cell []byte) bool {
	switch familyOf(typ) {
	case famText:
		characters := len(cell)
		if st.charset == charsetUTF8 {
			if !utf8.Valid(cell) {
				return false
			}
			characters = utf8.RuneCount(cell)
		}
		if typ.OID == oidName && len(cell) > maxName || bytes.IndexByte(cell, 0) >= 0 {
			return false
		}
		n := typ.length()
		return n == 0 || characters <= n && (typ.OID != oidBpchar || characters == n)
	case famDate, famTimestamp, famTimestampTZ:
		if format == textFormat && st.date != styleISO && st.date != styleUnknown {
			m := momentReader{family: familyOf(typ), format: format, style: st}
			_, ok := m.civil(cell)
			return ok
		}
	case famNumeric:
		var d decimal
		if !d.parse(cell, format) {
			return false
		}
		if precision, scale, ok := typ.numericMod(); ok && (len(d.whole) > precision-scale || len(d.fraction) > scale) {
			return false
		}
	case famJSONB:
		if format == binaryFormat && (len(cell) == 0 || cell[0] != 1) {
			return false
		}
	case famArray:
		if format == textFormat && (typ.Elem.OID == oidTimestampTZ || typ.Elem.OID == oidDate) && st.date != styleISO {
			return bytes.HasSuffix(cell, []byte("}")) // pgx reads ISO
		}
	case famRange:
		if format == textFormat && st.date != styleISO {
			return true // pgx reads ISO
		}
	case famTimeTZ, famMultirange, famConstant, famUnknown:
		return true // constants; the server has judged them
	}
	known, ok := decoders.TypeForOID(typ.OID)
	if !ok {
		return false
	}
	_, err := known.Codec.DecodeValue(decoders, typ.OID, format, cell)
	return err == nil
}

// FuzzFixed gives arbitrary values to fixed: what it takes must be valid.
func FuzzFixed(f *testing.F) {
	for i := range typeCases {
		for _, value := range fixedValues {
			f.Add(uint(i), value)
		}
	}
	f.Fuzz(func(t *testing.T, typeIndex uint, value string) {
		typ := typeCases[typeIndex%uint(len(typeCases))].typ
		spec, err := ParseSpec("fixed", map[string]string{"value": value})
		if err != nil || spec.Check(typ) != nil {
			return
		}
		for _, format := range []int16{textFormat, binaryFormat} {
			out, ok := compile(t, typ, format, spec, Session{}).MaskCell(nil, nil)
			if ok && !validCell(typ, format, readSession(Session{}, typ), out) {
				t.Errorf("%s on %s format %d: %q", spec, typ, format, out)
			}
		}
	})
}

// FuzzParseSpec checks that what is accepted can be written and checked.
func FuzzParseSpec(f *testing.F) {
	f.Add("partial", "keep_last", "4", "char", "#")
	f.Add("generalize", "to", "bucket 10", "", "")
	f.Add("fixed", "value", "n/a", "", "")
	f.Add("shift", "days", "10", "", "")
	f.Fuzz(func(t *testing.T, method, name1, value1, name2, value2 string) {
		options := map[string]string{}
		for _, o := range [][2]string{{name1, value1}, {name2, value2}} {
			if o[0] != "" {
				options[o[0]] = o[1]
			}
		}
		s, err := ParseSpec(method, options)
		if err != nil {
			return
		}
		if s.String() == "" || s.Method != Method(method) {
			t.Errorf("%q %v: %q", method, options, s)
		}
		for _, tc := range typeCases {
			cell, err := testKeys().Compile(Column{Type: tc.typ, Class: "x", Spec: s, Session: Session{Year: testYear}})
			if (err == nil) != (s.Check(tc.typ) == nil) || err != nil && cell != nil {
				t.Errorf("%s on %s: Check says %v, Compile %v", s, tc.typ, s.Check(tc.typ), err)
			}
		}
	})
}

// FuzzDecodeKeys checks that a key file's contents give distinct keys or an error that does not quote them.
func FuzzDecodeKeys(f *testing.F) {
	f.Add([]byte(GenerateKey()))
	f.Add([]byte("# two\n" + GenerateKey() + GenerateKey()))
	f.Add(testKeys().ring[0].secret[:])
	f.Add([]byte("//////////////////////////////////////////8="))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := decodeKeys(data)
		if err != nil {
			if len(data) > 16 && strings.Contains(err.Error(), string(data[:16])) {
				t.Errorf("the error quotes the file: %v", err)
			}
			return
		}
		ids := k.IDs()
		slices.Sort(ids)
		if len(ids) == 0 || len(slices.Compact(ids)) != len(k.ring) {
			t.Errorf("%q: ids %v", data, k.IDs())
		}
	})
}
