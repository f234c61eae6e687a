package masking

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"testing"
)

// TestNoise: results stay within the reach, keep sign, digits and range, and
// never are the value.
func TestNoise(t *testing.T) {
	percent := func(p float64) Spec { return Spec{Method: Noise, Percent: p} }
	amount := func(a float64) Spec { return Spec{Method: Noise, Amount: a} }
	for _, c := range []struct {
		typ         Type
		spec        Spec
		in          string
		least, most float64
		digits      int // after the point
	}{
		{base(oidInt4), percent(10), "1000", 900, 1100, 0},
		{base(oidInt4), percent(10), "-1000", -1100, -900, 0},
		{base(oidInt4), percent(10), "3", 2, 4, 0},
		{base(oidInt4), percent(10), "1", 2, 2, 0},
		{base(oidInt4), percent(10), "0", 1, 1, 0},
		{base(oidInt4), percent(10), "-1", -2, -2, 0},
		{base(oidInt4), percent(100), "2147483647", 1, 2147483646, 0},
		{base(oidInt2), amount(1e12), "-32768", -32768, -1, 0},
		{base(oidInt8), percent(1), "-9223372036854775808", -9223372036854775807, -9130000000000000000, 0},
		{base(oidInt8), percent(100), "9223372036854775807", 1, math.MaxInt64, 0},
		{base(oidNumeric), percent(5), "1234.50", 1172.77, 1296.23, 2},
		{base(oidNumeric), amount(0.5), "-7.25", -7.75, -6.75, 2},
		{base(oidNumeric), percent(1), "0.00", 0.01, 0.01, 2},
		{typmod(oidNumeric, "numeric", 4+3<<16), percent(50), "999", 500, 998, 0},
		{typmod(oidNumeric, "numeric", 4+2<<16+2), amount(0.9), "0.99", 0.01, 0.98, 2},
		{base(oidFloat8), percent(10), "98.6", 88.7, 108.5, -1},
		{base(oidFloat8), amount(2), "-0.5", -2.5, 0, -1},
		{base(oidFloat4), percent(0.001), "16777217", 16777000, 16777400, -1},
		{base(oidFloat8), percent(1), "5e-324", 0, 1e-323, -1},
	} {
		got, ok := compile(t, c.typ, textFormat, c.spec, Session{}).MaskCell(nil, []byte(c.in))
		f, err := strconv.ParseFloat(string(got), 64)
		if !ok || err != nil || string(got) == c.in || f < c.least || f > c.most {
			t.Errorf("%s of %s %s: %s, want %v to %v", c.spec, c.typ, c.in, got, c.least, c.most)
		}
		if d := (&decimal{}); c.digits > 0 {
			if _, scale, ok := d.unscaled(got, textFormat); !ok || scale != c.digits {
				t.Errorf("%s of %s %s: %s has %d digits after the point, want %d", c.spec, c.typ, c.in, got, scale, c.digits)
			}
		}
	}
	for _, in := range []string{"NaN", "Infinity", "1234567890123456789.5", "x", ""} {
		if got, _ := compile(t, base(oidNumeric), textFormat, percent(5), Session{}).MaskCell(nil, []byte(in)); string(got) != "0" {
			t.Errorf("numeric %s became %s", in, got)
		}
	}
}

// TestNoiseAgrees: equal whole numbers get equal noise whichever type carries them, and noise spreads.
func TestNoiseAgrees(t *testing.T) {
	spec, seen := Spec{Method: Noise, Percent: 10}, map[string]bool{}
	for v := range 1000 {
		v += 100_000
		want, _ := compile(t, base(oidInt8), textFormat, spec, Session{}).MaskCell(nil, fmt.Append(nil, v))
		for _, typ := range []Type{base(oidInt4), base(oidNumeric)} {
			if got, _ := compile(t, typ, textFormat, spec, Session{}).MaskCell(nil, fmt.Append(nil, v)); string(got) != string(want) {
				t.Errorf("%d: int8 %s, %s %s", v, want, typ, got)
			}
		}
		n, err := strconv.Atoi(string(want))
		if err != nil {
			t.Fatal(err)
		}
		seen[strconv.Itoa(n-v)] = true
	}
	if len(seen) < 900 {
		t.Errorf("%d different moves of 1000 values", len(seen))
	}
}

// FuzzNoise: text and binary agree, and no result is the value.
func FuzzNoise(f *testing.F) {
	f.Add(int64(42), uint(2))
	f.Add(int64(math.MinInt64), uint(0))
	f.Fuzz(func(t *testing.T, v int64, scale uint) {
		spec := Spec{Method: Noise, Percent: 25}
		for _, typ := range []Type{base(oidInt8), base(oidNumeric), base(oidFloat8)} {
			text, bin := fmt.Append(nil, v), binary.BigEndian.AppendUint64(nil, uint64(v))
			switch typ.OID {
			case oidNumeric:
				if v < -maxExact || v > maxExact {
					continue
				}
				digits := int(scale % 19)
				text, bin = appendScaled(nil, textFormat, v, digits), appendScaled(nil, binaryFormat, v, digits)
			case oidFloat8:
				text = appendFloat(nil, textFormat, typ.OID, float64(v))
				bin = appendFloat(nil, binaryFormat, typ.OID, float64(v))
			}
			asText, _ := compile(t, typ, textFormat, spec, Session{}).MaskCell(nil, text)
			asBinary, _ := compile(t, typ, binaryFormat, spec, Session{}).MaskCell(nil, bin)
			if string(asText) == string(text) {
				t.Errorf("%s %s stays", typ, text)
			}
			switch typ.OID {
			case oidInt8:
				if n, _ := parseInt(asBinary, binaryFormat, oidInt8); strconv.FormatInt(n, 10) != string(asText) {
					t.Errorf("%s: text %s, binary %d", text, asText, n)
				}
			case oidNumeric:
				var d decimal
				n, s, ok := d.unscaled(asBinary, binaryFormat)
				if got := appendScaled(nil, textFormat, n, s); ok && string(got) != string(asText) {
					t.Errorf("%s: text %s, binary %s", text, asText, got)
				}
			case oidFloat8:
				n, _ := parseFloat(asBinary, binaryFormat, oidFloat8)
				if got := appendFloat(nil, textFormat, oidFloat8, n); string(got) != string(asText) {
					t.Errorf("%s: text %s, binary %s", text, asText, got)
				}
			}
		}
	})
}
