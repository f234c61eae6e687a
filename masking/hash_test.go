package masking

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"
	"testing"
)

// hashOf masks a cell of a type.
func hashOf(t *testing.T, typ Type, format int16, class, cell string, s Session) string {
	t.Helper()
	c, err := testKeys().Compile(Column{Type: typ, Format: format, Class: class, Spec: Spec{Method: Hash}, Session: s})
	if err != nil {
		t.Fatal(err)
	}
	out, ok := c.MaskCell(nil, []byte(cell))
	if !ok {
		t.Fatalf("NULL from %s %q", typ, cell)
	}
	return string(out)
}

// TestHashAgrees: one value, one digest, whichever type and format carries it;
// each type shows as many of its first bits as it holds.
func TestHashAgrees(t *testing.T) {
	const value = "5551234"
	text := hashOf(t, base(oidText), textFormat, "mrn", value, Session{})
	if len(text) != 32 {
		t.Fatalf("text hash %q", text)
	}
	long := hashOf(t, base(oidInt8), textFormat, "mrn", value, Session{})
	number, err := strconv.ParseInt(long, 10, 64)
	if err != nil || number < 0 || number > math.MaxInt32 || long == value {
		t.Fatalf("%s becomes %s", value, long)
	}
	far := hashOf(t, base(oidInt8), textFormat, "mrn", "5551234567", Session{})
	first, err := strconv.ParseUint(hashOf(t, base(oidText), textFormat, "mrn", "42.5", Session{})[:16], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	numericBinary := "\x00\x02\x00\x01\x00\x00\x00\x00\x02\x2b\x04\xd2" // 555, 1234
	numericScaled := "\x00\x02\x00\x01\x00\x00\x00\x02\x02\x2b\x04\xd2" // 5551234.00
	for _, c := range []struct {
		typ    Type
		format int16
		cell   string
		want   string
	}{
		{base(oidText), binaryFormat, value, text},
		{base(oidVarchar), textFormat, value, text},
		{typmod(oidVarchar, "varchar", 4+10), textFormat, value, text[:10]},
		{typmod(oidBpchar, "bpchar", 4+10), textFormat, value + "   ", text[:10]},
		{typmod(oidBpchar, "bpchar", 4+40), textFormat, value + "                                 ", text + "        "},
		{base(oidName), textFormat, value, text},
		{base(oidInt8), textFormat, value, long},
		{base(oidInt8), binaryFormat, "\x00\x00\x00\x00\x00\x54\xb4\x82", string(binary.BigEndian.AppendUint64(nil, uint64(number)))},
		{base(oidInt4), textFormat, value, long},
		{base(oidInt4), binaryFormat, "\x00\x54\xb4\x82", string(binary.BigEndian.AppendUint32(nil, uint32(number)))},
		{base(oidNumeric), textFormat, value, long},
		{base(oidNumeric), textFormat, value + ".000", long},
		{base(oidNumeric), binaryFormat, numericBinary, string(appendNumericInt(nil, binaryFormat, number))},
		{base(oidNumeric), binaryFormat, numericScaled, string(appendNumericInt(nil, binaryFormat, number))},
		{base(oidNumeric), textFormat, "5551234567", far},
		{base(oidNumeric), textFormat, "42.50", strconv.FormatUint(first>>1, 10)}, // no whole number: HMAC
		{typmod(oidNumeric, "numeric", 4+10<<16), textFormat, value, long},
		{typmod(oidNumeric, "numeric", 4+7<<16), textFormat, "12345678", "0"}, // no numeric(7)
		{typmod(oidNumeric, "numeric", 4+19<<16), textFormat, value, long},
	} {
		if got := hashOf(t, c.typ, c.format, "mrn", c.cell, Session{}); got != c.want {
			t.Errorf("%s format %d %q: got %q, want %q", c.typ, c.format, c.cell, got, c.want)
		}
	}
	if got := hashOf(t, base(oidText), textFormat, "mrn.old", value, Session{}); got != text {
		t.Errorf("class mrn.old does not share mrn's key: %q", got)
	}
	if got := hashOf(t, base(oidText), textFormat, "ssn", value, Session{}); got == text {
		t.Error("class ssn shares mrn's key")
	}
	if got := hashOf(t, base(oidInt4), textFormat, "mrn", "5551235", Session{}); got == long {
		t.Error("two values agree")
	}

	const id = "123e4567-e89b-12d3-a456-426614174000"
	raw, _ := hex.DecodeString("123e4567e89b12d3a456426614174000")
	uuid := hashOf(t, base(oidUUID), textFormat, "mrn", id, Session{})
	if u, ok := parseUUID([]byte(uuid)); !ok || u[6]>>4 != 8 || u[8]>>6 != 2 {
		t.Errorf("%s is no version 8 UUID", uuid)
	} else if got := hashOf(t, base(oidUUID), binaryFormat, "mrn", string(raw), Session{}); got != string(u[:]) {
		t.Errorf("binary uuid %x, text %s", got, uuid)
	}
	if got := hashOf(t, base(oidText), textFormat, "mrn", id, Session{}); got[:8] != uuid[:8] {
		t.Errorf("uuid %s and its text %s differ", uuid, got)
	}

	hexed := hashOf(t, base(oidBytea), textFormat, "photo", `\x005c41ff`, Session{})
	if got := hashOf(t, base(oidBytea), textFormat, "photo", `\000\\A\377`, Session{}); got != hexed {
		t.Errorf("escape %q, hex %q", got, hexed)
	}
	if got := hashOf(t, base(oidBytea), binaryFormat, "photo", "\x00\x5cA\xff", Session{}); `\x`+hex.EncodeToString([]byte(got)) != hexed || len(got) != 32 {
		t.Errorf("binary %x, hex %q", got, hexed)
	}
	for _, bad := range []string{`\xabc`, `\xzz`, `\9`, `\400`, `a\`, `\07`} {
		if got := hashOf(t, base(oidBytea), textFormat, "photo", bad, Session{}); got != `\x` {
			t.Errorf("%q is no bytea, got %q", bad, got)
		}
	}

	utf8 := hashOf(t, base(oidText), textFormat, "name", "Zoë", Session{})
	if got := hashOf(t, base(oidText), textFormat, "name", "Zo\xeb", Session{ClientEncoding: "LATIN1"}); got != utf8 {
		t.Errorf("LATIN1 %q, UTF8 %q", got, utf8)
	}
	if got := hashOf(t, base(oidText), textFormat, "name", "Zo\xeb", Session{ClientEncoding: "WIN1252"}); got != redactedText {
		t.Errorf("WIN1252 gives %q", got)
	}
}

// TestHashVector pins the construction: a change of it would break every
// stored pseudonym. The value was computed with Python's hmac and hashlib.
func TestHashVector(t *testing.T) {
	if got, want := hashOf(t, base(oidText), textFormat, "mrn", "A-1001", Session{}), "9f527f9d10a1dadf083d8190321ebb2c"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestHashCollisions: 100,000 keys of an integer column stay apart.
func TestHashCollisions(t *testing.T) {
	c := compile(t, base(oidInt4), binaryFormat, Spec{Method: Hash}, Session{})
	seen := make(map[[4]byte]bool)
	var cell, out []byte
	for n := range uint32(100_000) {
		cell = binary.BigEndian.AppendUint32(cell[:0], n)
		var ok bool
		if out, ok = c.MaskCell(out[:0], cell); !ok || len(out) != 4 || out[0]&0x80 != 0 || bytes.Equal(out, cell) {
			t.Fatalf("%d becomes %x", n, out)
		}
		if seen[[4]byte(out)] {
			t.Fatalf("%d collides", n)
		}
		seen[[4]byte(out)] = true
	}
}
