package masking

import (
	"bytes"
	"strings"
	"testing"
)

// column is a column of class test under a mask.
func column(typ Type, format int16, spec Spec) Column {
	return Column{Type: typ, Format: format, Class: "test", Spec: spec, Session: Session{Year: testYear}}
}

// reverser makes the inverse of a mask, which must exist.
func reverser(t testing.TB, keys *Keys, c Column) Reverser {
	t.Helper()
	r, err := keys.Reverser(c)
	if err != nil || r == nil {
		t.Fatalf("%s on %s: reverser %v, %v", c.Spec, c.Type, r, err)
	}
	return r
}

// maskOf masks one cell.
func maskOf(t testing.TB, keys *Keys, c Column, cell string) string {
	t.Helper()
	m, err := keys.Compile(c)
	if err != nil {
		t.Fatal(err)
	}
	out, ok := m.MaskCell(nil, []byte(cell))
	if !ok {
		t.Fatalf("%s on %s: NULL from %q", c.Spec, c.Type, cell)
	}
	return string(out)
}

// TestTokenVector pins the construction: a change of it would break every token
// that is out there. The value was computed with Python's cryptography package
// (HKDF with SHA-256, AESSIV).
func TestTokenVector(t *testing.T) {
	c := column(base(oidText), textFormat, Spec{Method: Token})
	c.Class = "mrn.old"
	if got, want := maskOf(t, testKeys(), c, "A-1001"), "tok_7871s1Kh-PsiSyVVsLxKTMt0JYETKnPbyQ"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestTokenAgrees: equal values have equal tokens in every text type, format
// and client encoding, other values and other groups have others.
func TestTokenAgrees(t *testing.T) {
	keys := testKeys()
	token := func(typ Type, format int16, class, encoding, cell string) string {
		c := column(typ, format, Spec{Method: Token})
		c.Class, c.Session.ClientEncoding = class, encoding
		return strings.TrimRight(maskOf(t, keys, c, cell), " ")
	}
	want := token(base(oidText), textFormat, "mrn", "", "Zoë")
	if !strings.HasPrefix(want, "tok_") || len(want) != 8+27 || strings.Trim(want, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
		t.Errorf("token %q", want)
	}
	for _, got := range []string{
		token(base(oidText), binaryFormat, "mrn", "", "Zoë"),
		token(base(oidVarchar), textFormat, "mrn.old", "", "Zoë"),
		token(typmod(oidVarchar, "varchar", 4+35), textFormat, "mrn", "", "Zoë"),
		token(typmod(oidBpchar, "bpchar", 4+40), textFormat, "mrn", "", "Zoë"+strings.Repeat(" ", 37)),
		token(Type{OID: firstUserOID, Kind: 'b', Name: "citext", Extension: "citext"}, textFormat, "mrn", "", "Zoë"),
		token(base(oidName), textFormat, "mrn", "", "Zoë"),
		token(base(oidText), textFormat, "mrn", "LATIN1", "Zo\xeb"),
	} {
		if got != want {
			t.Errorf("%s and %s differ", got, want)
		}
	}
	for _, other := range []string{
		token(base(oidText), textFormat, "ssn", "", "Zoë"),
		token(base(oidText), textFormat, "mrn", "", "zoë"),
		token(base(oidText), textFormat, "mrn", "", "Zoë "),
		token(base(oidText), textFormat, "mrn", "", ""),
	} {
		if other == want || !strings.HasPrefix(other, "tok_") {
			t.Errorf("%s and %s", other, want)
		}
	}
	for _, c := range []struct {
		typ            Type
		encoding, cell string
	}{
		{typmod(oidVarchar, "varchar", 4+33), "", "Zoë"},          // its token has 35 characters
		{base(oidName), "", strings.Repeat("x", 40)},              // a name has 63 bytes
		{base(oidText), "WIN1252", "Zo\xeb"},                      // no table
		{base(oidText), "", "Zo\xeb"},                             // no UTF-8
		{base(oidText), "", strings.Repeat("x", maxTokenValue+1)}, // unreasonable
	} {
		if got := token(c.typ, textFormat, "mrn", c.encoding, c.cell); got != redactedText {
			t.Errorf("%s %.20q: %s", c.typ, c.cell, got)
		}
	}
	if got := token(base(oidText), textFormat, "mrn", "", strings.Repeat("x", maxTokenValue)); len(got) != maxToken {
		t.Errorf("the longest token has %d bytes", len(got))
	}
}

// TestTokenUnmask: a token gives its value in the column's type, format and
// encoding, and nothing else does.
func TestTokenUnmask(t *testing.T) {
	old, both, other := testRing(1), testRing(2, 1), testRing(3)
	mrn := func(typ Type, encoding string) Column {
		c := column(typ, textFormat, Spec{Method: Token})
		c.Class, c.Session.ClientEncoding = "mrn", encoding
		return c
	}
	text := mrn(base(oidText), "")
	token := maskOf(t, old, text, "Zoë")
	if again := maskOf(t, both, text, "Zoë"); again == token || again[:8] == token[:8] {
		t.Errorf("a new key gives %s as the old one did", again)
	}
	for _, c := range []struct {
		keys   *Keys
		column Column
		cell   string
		want   string // "": no token
	}{
		{old, text, token, "Zoë"},
		{both, text, token, "Zoë"},
		{both, text, maskOf(t, both, text, "Zoë"), "Zoë"},
		{old, mrn(typmod(oidBpchar, "bpchar", 4+40), ""), token + "     ", "Zoë" + strings.Repeat(" ", 37)},
		{old, mrn(base(oidText), "LATIN1"), token, "Zo\xeb"},
		{old, mrn(base(oidText), "WIN1252"), token, ""},
		{old, mrn(typmod(oidVarchar, "varchar", 4+40), ""), maskOf(t, old, text, strings.Repeat("x", 41)), ""},
		{old, mrn(base(oidText), "LATIN1"), maskOf(t, old, text, "東"), ""},
		{other, text, token, ""},
		{old, text, maskOf(t, both, text, "Zoë"), ""},
		{old, text, "Zoë", ""},
		{old, text, "", ""},
		{old, text, "tok_", ""},
		{old, text, token[:len(token)-1], ""},
		{old, text, token + "A", ""},
		{old, text, token + "=", ""},
		{old, text, token + " ", ""},
		{old, text, strings.Replace(token, "tok_", "TOK_", 1), ""},
		{old, text, token[:20] + "\n" + token[20:], ""},
		{old, text, token + strings.Repeat("A", maxToken), ""},
	} {
		dst := []byte("head")
		got, ok := reverser(t, c.keys, c.column).Unmask(dst, []byte(c.cell))
		if ok != (c.want != "") || string(got) != "head"+c.want {
			t.Errorf("%s %.60q: got %q, %v, want %q", c.column.Type, c.cell, got, ok, c.want)
		}
	}
	if value, ok := both.Reveal([]byte(token), "mrn.x"); !ok || string(value) != "Zoë" {
		t.Errorf("reveal gives %q, %v", value, ok)
	}
	for _, c := range []struct {
		keys         *Keys
		token, class string
	}{{nil, token, "mrn"}, {&Keys{}, token, "mrn"}, {other, token, "mrn"}, {old, token, "ssn"}, {old, token, ""}, {old, token[1:], "mrn"}} {
		if value, ok := c.keys.Reveal([]byte(c.token), c.class); ok || value != nil {
			t.Errorf("reveal %s of class %q gives %q", c.token, c.class, value)
		}
	}
}

// TestUnmaskArray: elements that are no masked form stay.
func TestUnmaskArray(t *testing.T) {
	keys, array := testKeys(), elem(1009, base(oidText))
	c := column(array, textFormat, Spec{Method: Token})
	masked := maskOf(t, keys, c, `{{a,"b c"},{NULL,""}}`)
	if n := strings.Count(masked, "tok_"); n != 3 {
		t.Fatalf("%d tokens in %s", n, masked)
	}
	if got, ok := reverser(t, keys, c).Unmask(nil, []byte(masked)); !ok || string(got) != `{{a,"b c"},{NULL,""}}` {
		t.Errorf("got %s, %v", got, ok)
	}
	if got, ok := reverser(t, keys, c).Unmask(nil, []byte(`{x,NULL}`)); !ok || string(got) != `{x,NULL}` {
		t.Errorf("got %s, %v", got, ok)
	}
	if got, ok := reverser(t, keys, c).Unmask([]byte("head"), []byte(`{x`)); ok || string(got) != "head" {
		t.Errorf("got %s, %v", got, ok)
	}
	c.Format = binaryFormat
	cell := benchCells[len(benchCells)-1].binary
	if got, ok := reverser(t, keys, c).Unmask(nil, []byte(maskOf(t, keys, c, cell))); !ok || !bytes.Equal(got, []byte(cell)) {
		t.Errorf("got %q, %v", got, ok)
	}
}

// FuzzTokenUnmask: what opens is a token of the value that comes out.
func FuzzTokenUnmask(f *testing.F) {
	keys := testRing(2, 1)
	c := Column{Type: base(oidText), Class: "mrn", Spec: Spec{Method: Token}}
	f.Add([]byte(maskOf(f, keys, c, "A-1001")))
	f.Add([]byte(maskOf(f, testRing(1), c, "A-1001")))
	f.Add([]byte(maskOf(f, keys, c, "")))
	f.Add([]byte("tok_"))
	f.Add([]byte("tok_0000AAAAAAAAAAAAAAAAAAAAAAA"))
	reverse := reverser(f, keys, c)
	f.Fuzz(func(t *testing.T, token []byte) {
		value, ok := reverse.Unmask(nil, token)
		if !ok {
			return
		}
		if again := maskOf(t, keys, c, string(value)); again != string(token) && maskOf(t, testRing(1), c, string(value)) != string(token) {
			t.Errorf("%q opens to %q, whose token is %q", token, value, again)
		}
	})
}
