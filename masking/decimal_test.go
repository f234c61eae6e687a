package masking

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestDecimalForms: text and binary of a numeric read as the same value, and
// its floor is what math/big says.
func TestDecimalForms(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	digits := func(most int) string {
		var b strings.Builder
		for range random.IntN(most + 1) {
			b.WriteByte("0001234567899"[random.IntN(13)])
		}
		return b.String()
	}
	values := []string{"0", "0.0001", "10000", "99990000", "999999999999999999", "1000000000000000000", "10000000000000000000000", "18446744073709551616", "36893488147419103232.5"}
	for range 20_000 {
		value := "0" + digits(26)
		if fraction := digits(12); fraction != "" {
			value += "." + fraction
		}
		values = append(values, value)
	}
	limit := big.NewInt(maxExact)
	for _, value := range values {
		for _, sign := range []string{"", "-"} {
			var d, back decimal
			if !d.parseText([]byte(sign + value)) {
				t.Fatalf("%q is not read", sign+value)
			}
			text := string(d.appendText(nil))
			binary := d.appendBinary(nil)
			if !back.parseBinary(binary) || string(back.appendText(nil)) != text {
				t.Fatalf("%q: text %s, binary %x is %s", sign+value, text, binary, back.appendText(nil))
			}
			exact, ok := new(big.Rat).SetString(text)
			if !ok {
				t.Fatalf("%q becomes %q", sign+value, text)
			}
			if number, _ := new(big.Rat).SetString(sign + value); number.Cmp(exact) != 0 {
				t.Fatalf("%q becomes %q", sign+value, text)
			}
			whole := new(big.Int).Quo(exact.Num(), exact.Denom())
			fits := new(big.Int).Abs(whole).Cmp(limit) <= 0
			if exact.Sign() < 0 && !exact.IsInt() {
				whole.Sub(whole, big.NewInt(1))
			}
			for format, cell := range [][]byte{[]byte(text), binary} {
				n, ok := floorNumeric(cell, int16(format))
				if ok != fits || ok && n != whole.Int64() {
					t.Fatalf("floor of %s in format %d: %d, %v, want %s, %v", text, format, n, ok, whole, fits)
				}
			}
		}
	}
}
