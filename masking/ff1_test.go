package masking

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"
)

// TestFF1Vectors has NIST's nine examples for FF1 (SP 800-38G, FF1samples.pdf).
func TestFF1Vectors(t *testing.T) {
	data, err := os.ReadFile("testdata/ff1.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Key, Tweak, PT, CT string
		Radix              int
	}
	if err := json.Unmarshal(data, &vectors); err != nil || len(vectors) != 9 {
		t.Fatal(len(vectors), err)
	}
	for _, v := range vectors {
		f, err := newFF1(unhex(t, v.Key), unhex(t, v.Tweak))
		if err != nil {
			t.Fatal(err)
		}
		d, ok := f.domain(uint32(v.Radix), uint32(len(v.PT)))
		if !ok {
			t.Fatalf("%+v is not served", v)
		}
		halves := func(s string) [2]uint64 {
			high, err1 := strconv.ParseUint(s[:len(s)/2], v.Radix, 64)
			low, err2 := strconv.ParseUint(s[len(s)/2:], v.Radix, 64)
			if err1 != nil || err2 != nil {
				t.Fatal(err1, err2)
			}
			return [2]uint64{high, low}
		}
		var w ff1State
		plain, want := halves(v.PT), halves(v.CT)
		if high, low := f.encrypt(&w, &d, plain[0], plain[1]); [2]uint64{high, low} != want {
			t.Errorf("%+v: got %d and %d", v, high, low)
		}
		if high, low := f.decrypt(&w, &d, want[0], want[1]); [2]uint64{high, low} != plain {
			t.Errorf("%+v: back to %d and %d", v, high, low)
		}
	}
}

// TestFF1Permutes: small domains, odd and even, are permuted, and each tweak does it in its own way.
func TestFF1Permutes(t *testing.T) {
	for _, c := range []struct{ radix, n uint32 }{{2, 2}, {2, 11}, {3, 7}, {10, 3}, {10, 4}, {62, 2}} {
		seen := map[[2]uint64]bool{}
		f, _ := newFF1(make([]byte, 32), []byte("mrn"))
		other, _ := newFF1(make([]byte, 32), []byte("mrn, and sixteen more"))
		d, ok := f.domain(c.radix, c.n)
		e, okOther := other.domain(c.radix, c.n)
		if !ok || !okOther {
			t.Fatalf("radix %d with %d numerals is not served", c.radix, c.n)
		}
		same := 0
		var w ff1State
		for high := range d.highs {
			for low := range d.lows {
				h, l := f.encrypt(&w, &d, high, low)
				if h >= d.highs || l >= d.lows || seen[[2]uint64{h, l}] {
					t.Fatalf("radix %d, %d numerals: %d %d becomes %d %d", c.radix, c.n, high, low, h, l)
				}
				seen[[2]uint64{h, l}] = true
				if ph, pl := f.decrypt(&w, &d, h, l); ph != high || pl != low {
					t.Fatalf("radix %d, %d numerals: %d %d comes back as %d %d", c.radix, c.n, high, low, ph, pl)
				}
				if oh, ol := other.encrypt(&w, &e, high, low); oh == h && ol == l {
					same++
				}
			}
		}
		if same > len(seen)/4+2 {
			t.Errorf("radix %d, %d numerals: two tweaks agree on %d of %d", c.radix, c.n, same, len(seen))
		}
	}
	f, _ := newFF1(make([]byte, 32), nil)
	for _, c := range []struct{ radix, n uint32 }{{10, 1}, {10, 38}, {1, 10}, {2, 127}, {62, 22}, {1 << 16, 8}, {1<<16 + 1, 2}} {
		if _, ok := f.domain(c.radix, c.n); ok {
			t.Errorf("radix %d with %d numerals is served", c.radix, c.n)
		}
	}
	if _, err := newFF1(make([]byte, 32), make([]byte, maxTweak+1)); err == nil {
		t.Error("a long tweak is served")
	}
}

// FuzzFF1: what is encrypted comes back, for all lengths, radices and tweaks.
func FuzzFF1(f *testing.F) {
	f.Add(uint32(10), uint32(9), "ssn", uint64(12345), uint64(6789))
	f.Add(uint32(2), uint32(126), "", uint64(1)<<62, uint64(1))
	f.Add(uint32(62), uint32(20), "0123456789abcdefg", uint64(1), uint64(0))
	f.Fuzz(func(t *testing.T, radix, n uint32, tweak string, high, low uint64) {
		c, err := newFF1(make([]byte, 32), []byte(tweak))
		if err != nil {
			return
		}
		d, ok := c.domain(radix, n)
		if !ok {
			return
		}
		high, low = high%d.highs, low%d.lows
		var w ff1State
		h, l := c.encrypt(&w, &d, high, low)
		if h >= d.highs || l >= d.lows {
			t.Fatalf("%d %d is outside", h, l)
		}
		if ph, pl := c.decrypt(&w, &d, h, l); ph != high || pl != low {
			t.Errorf("radix %d, %d numerals: %d %d comes back as %d %d", radix, n, high, low, ph, pl)
		}
	})
}
