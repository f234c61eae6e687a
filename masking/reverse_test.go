package masking

import (
	"bytes"
	"testing"
)

// reversible are the masks with an inverse that tests try on every type.
func reversible() (out []Spec) {
	for _, spec := range specs() {
		if spec.Reversible() {
			out = append(out, spec)
		}
	}
	return out
}

// TestReverserOfEveryType: every type that a reversible mask serves has an inverse in both
// formats, and each value that is not redacted comes back; masks without one give none.
func TestReverserOfEveryType(t *testing.T) {
	keys, tried := testRing(2, 1), map[Method]int{}
	for _, tc := range typeCases {
		for _, spec := range specs() {
			c := column(tc.typ, textFormat, spec)
			r, err := keys.Reverser(c)
			if fits := spec.Check(tc.typ) == nil; (r != nil) != (fits && spec.Reversible()) || (err != nil) != (!fits && spec.Reversible()) {
				t.Errorf("%s on %s: reverser %v, %v", spec, tc.typ, r, err)
			}
			if r == nil || tc.typ.Elem != nil {
				continue
			}
			mask, err := keys.Compile(c)
			if err != nil {
				t.Fatal(err)
			}
			redacted, _ := mask.MaskCell(nil, nil)
			for _, value := range tc.values {
				masked, ok := mask.MaskCell(nil, []byte(value))
				if !ok || bytes.Equal(masked, redacted) || !comesBack(tc.typ, value) {
					continue
				}
				tried[spec.Method]++
				if got, ok := r.Unmask([]byte("head"), masked); !ok || string(got) != "head"+value {
					t.Errorf("%s of %s %q becomes %q and comes back as %q, %v", spec, tc.typ, value, masked, got, ok)
				}
			}
		}
	}
	if tried[Token] < 20 || tried[FPE] < 3 {
		t.Errorf("tried %v values", tried)
	}
	if r, err := (*Keys)(nil).Reverser(column(base(oidText), textFormat, Spec{Method: Token})); r != nil || err == nil {
		t.Errorf("without keys: %v, %v", r, err)
	}
}

// comesBack tells values that the tests write as the server would.
func comesBack(typ Type, value string) bool {
	out, ok := []byte(nil), true
	switch familyOf(typ) {
	case famNumeric:
		var d decimal
		ok = d.parseText([]byte(value))
		out = d.appendText(nil)
	case famUUID:
		var id [16]byte
		id, ok = parseUUID([]byte(value))
		out = appendUUID(nil, &id)
	case famText:
		if typ.OID == oidBpchar {
			return len(value) == typ.length()
		}
		return true
	default:
		return true
	}
	return ok && string(out) == value
}

// FuzzUnmask gives arbitrary bytes to every inverse: what comes out is valid for the type and
// masks to something, and what is no masked form leaves dst alone.
func FuzzUnmask(f *testing.F) {
	all, keys := reversible(), testRing(2, 1)
	for i, tc := range typeCases {
		for j, spec := range all {
			if spec.Check(tc.typ) == nil {
				mask, err := keys.Compile(column(tc.typ, textFormat, spec))
				if err != nil {
					f.Fatal(err)
				}
				masked, _ := mask.MaskCell(nil, []byte(tc.values[0]))
				f.Add(uint(i), uint(j), uint(0), false, masked)
			}
		}
	}
	f.Add(uint(14), uint(0), uint(0), true, []byte("\x00\x02\x00\x01\x00\x00\x00\x02\x02\x2b\x04\xd2"))
	f.Fuzz(func(t *testing.T, typeIndex, specIndex, sessionIndex uint, binary bool, cell []byte) {
		tc, spec := typeCases[typeIndex%uint(len(typeCases))], all[specIndex%uint(len(all))]
		if spec.Check(tc.typ) != nil {
			return
		}
		c := column(tc.typ, textFormat, spec)
		c.Session = fuzzSessions[sessionIndex%uint(len(fuzzSessions))]
		if binary {
			c.Format = binaryFormat
		}
		out, ok := reverser(t, keys, c).Unmask([]byte("head"), cell)
		if !bytes.HasPrefix(out, []byte("head")) || !ok && len(out) != 4 {
			t.Fatalf("%s of %s %q: dst becomes %q, %v", spec, tc.typ, cell, out, ok)
		}
		if !ok || tc.typ.Elem != nil { // arrays keep what is no masked form
			return
		}
		if !validCell(tc.typ, c.Format, readSession(c.Session, tc.typ), out[4:]) {
			t.Errorf("%s of %s format %d %q: %q is not valid", spec, tc.typ, c.Format, cell, out[4:])
		}
	})
}
