package masking

import (
	"math"
	"strconv"
	"testing"
)

// TestPermutation: forth goes through all numbers in one cycle, and back goes back.
func TestPermutation(t *testing.T) {
	for _, size := range []uint64{3, 4, 5, 100, 1000, 4096, 4097} {
		cipher, err := newFF1(make([]byte, 32), []byte("mrn"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := newPermutation(cipher, number{low: size})
		if err != nil {
			t.Fatal(err)
		}
		var w ff1State
		x, steps := number{}, uint64(0)
		for {
			y := p.forth(&w, x)
			if !y.less(p.size) || p.back(&w, y) != x || y == x {
				t.Fatalf("size %d: %v becomes %v and comes back as %v", size, x, y, p.back(&w, y))
			}
			x, steps = y, steps+1
			if x == (number{}) {
				break
			}
		}
		if steps != size {
			t.Errorf("size %d: a cycle of %d numbers", size, steps)
		}
	}
	cipher, _ := newFF1(make([]byte, 32), nil)
	for _, size := range []number{{high: 1 << 62, low: 1}, {high: math.MaxUint64, low: math.MaxUint64}, {low: 2}, {low: 1}} {
		if _, err := newPermutation(cipher, size); err == nil {
			t.Errorf("a permutation of %v numbers", size)
		}
	}
	p, err := newPermutation(cipher, number{high: 1 << 62})
	if err != nil {
		t.Fatal(err)
	}
	var w ff1State
	for _, x := range []number{{}, {low: math.MaxUint64}, {high: 1<<62 - 1, low: math.MaxUint64}, {high: 1}} {
		if y := p.forth(&w, x); y == x || !y.less(p.size) || p.back(&w, y) != x {
			t.Errorf("%v becomes %v, back %v", x, y, p.back(&w, y))
		}
	}
}

// TestNumberTokens: a number has one token in every type that holds it, its sign
// stays, no number stays as it is, and each comes back.
func TestNumberTokens(t *testing.T) {
	keys, spec := testKeys(), Spec{Method: Token}
	numeric := func(precision int32) Type { return typmod(oidNumeric, "numeric", 4+precision<<16) }
	types := []Type{base(oidInt2), base(oidInt4), base(oidInt8), base(oidNumeric), numeric(5), numeric(9), numeric(10), numeric(12), numeric(18), numeric(19), numeric(38)}
	limits := func(typ Type) (low, high float64) {
		if size := intSize(typ.OID); size > 0 {
			return float64(minInt(size)), float64(maxInt(size))
		}
		if precision, _, ok := typ.numericMod(); ok && precision < 19 {
			return 1 - math.Pow10(precision), math.Pow10(precision) - 1
		}
		return math.MinInt64, math.MaxInt64
	}
	agree := func(a, b Type) bool { // types of which neither has a small range of its own
		low, _ := limits(a)
		other, _ := limits(b)
		return low <= math.MinInt32 && other <= math.MinInt32
	}
	for _, n := range []int64{0, 1, -1, 42, 5551234, 32767, -32768, 32768, 99999, -99998, -99999, 2147483647, -2147483648, 2147483648, 9999999999, -9999999999,
		999999999999999999, -999999999999999999, math.MaxInt64, math.MinInt64} {
		tokens := map[string]string{}
		for _, typ := range types {
			low, high := limits(typ)
			if float64(n) < low || float64(n) > high {
				continue
			}
			c := column(typ, textFormat, spec)
			text := strconv.FormatInt(n, 10)
			token := maskOf(t, keys, c, text)
			x, err := strconv.ParseInt(token, 10, 64)
			if err != nil || x == n || (x < 0) != (n < 0) || float64(x) < low || float64(x) > high {
				t.Errorf("%s of %s becomes %s", text, typ, token)
			}
			if got, ok := reverser(t, keys, c).Unmask([]byte("head"), []byte(token)); !ok || string(got) != "head"+text {
				t.Errorf("%s of %s: %s comes back as %s, %v", text, typ, token, got, ok)
			}
			for other, theirs := range tokens {
				for _, o := range types {
					if o.String() == other && agree(typ, o) && float64(n) >= math.MinInt32 && float64(n) <= math.MaxInt32 && theirs != token {
						t.Errorf("%d is %s in %s and %s in %s", n, theirs, other, token, typ)
					}
				}
			}
			tokens[typ.String()] = token
			b := c
			b.Format = binaryFormat
			cell := appendInt(nil, binaryFormat, typ.OID, n)
			want := appendInt(nil, binaryFormat, typ.OID, x)
			if typ.OID == oidNumeric {
				cell, want = appendNumericInt(nil, binaryFormat, n), appendNumericInt(nil, binaryFormat, x)
			}
			if n == math.MinInt64 && typ.OID == oidNumeric && string(cell) == "" {
				continue
			}
			if got := maskOf(t, keys, b, string(cell)); got != string(want) {
				t.Errorf("%s of %s in binary: %x, want %x", text, typ, got, want)
			}
			if got, ok := reverser(t, keys, b).Unmask(nil, want); !ok || string(got) != string(cell) {
				t.Errorf("%s of %s in binary comes back as %x, %v", text, typ, got, ok)
			}
		}
		if len(tokens) < 4 {
			t.Errorf("%d was tried on %d types", n, len(tokens))
		}
	}
	other := column(base(oidInt8), textFormat, spec)
	other.Class = "account"
	if a, b := maskOf(t, keys, other, "42"), maskOf(t, keys, column(base(oidInt8), textFormat, spec), "42"); a == b {
		t.Errorf("two groups agree on %s", a)
	}
	for typ, cells := range map[uint32][]string{
		oidInt4:    {"2147483648", "", "x", "1.0"},
		oidNumeric: {"1.5", "NaN", "Infinity", "9223372036854775808", "-9223372036854775809", "1e5", "", "99999999999999999999"},
	} {
		for _, cell := range cells {
			c := column(base(typ), textFormat, spec)
			if got := maskOf(t, keys, c, cell); got != "0" {
				t.Errorf("%q becomes %s", cell, got)
			}
			if got, ok := reverser(t, keys, c).Unmask([]byte("head"), []byte(cell)); ok || string(got) != "head" {
				t.Errorf("%q comes back as %s", cell, got)
			}
		}
	}
	if got, want := maskOf(t, keys, column(base(oidNumeric), textFormat, spec), "42.00"), maskOf(t, keys, column(base(oidNumeric), textFormat, spec), "42"); got != want {
		t.Errorf("42.00 becomes %s, 42 %s", got, want)
	}
}

// TestUUIDTokens: version and variant stay, and each UUID comes back in both formats.
func TestUUIDTokens(t *testing.T) {
	keys := testKeys()
	c := column(base(oidUUID), textFormat, Spec{Method: Token})
	b := c
	b.Format = binaryFormat
	for _, id := range []string{"123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", "0189f7e6-7c3c-7bbf-8e2a-000000000001"} {
		token := maskOf(t, keys, c, id)
		u, ok := parseUUID([]byte(token))
		raw, _ := parseUUID([]byte(id))
		if !ok || token == id || token[14] != id[14] || u[8]>>6 != raw[8]>>6 {
			t.Errorf("%s becomes %s", id, token)
		}
		if got, ok := reverser(t, keys, c).Unmask(nil, []byte(token)); !ok || string(got) != id {
			t.Errorf("%s becomes %s and comes back as %s, %v", id, token, got, ok)
		}
		if got := maskOf(t, keys, b, string(raw[:])); got != string(u[:]) {
			t.Errorf("%s in binary becomes %x, in text %s", id, got, token)
		}
		if got, ok := reverser(t, keys, b).Unmask(nil, u[:]); !ok || string(got) != string(raw[:]) {
			t.Errorf("%s in binary comes back as %x, %v", id, got, ok)
		}
	}
	if got, ok := reverser(t, keys, c).Unmask(nil, []byte("123")); ok {
		t.Errorf("123 comes back as %s", got)
	}
}
