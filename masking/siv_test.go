package masking

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestSIVVectors has the examples of RFC 5297, appendices A.1 and A.2.
func TestSIVVectors(t *testing.T) {
	for _, c := range []struct {
		key        string
		associated []string
		plain, out string
	}{
		{
			"fffefdfc fbfaf9f8 f7f6f5f4 f3f2f1f0 f0f1f2f3 f4f5f6f7 f8f9fafb fcfdfeff",
			[]string{"10111213 14151617 18191a1b 1c1d1e1f 20212223 24252627"},
			"11223344 55667788 99aabbcc ddee",
			"85632d07 c6e8f37f 950acd32 0a2ecc93 40c02b96 90c4dc04 daef7f6a fe5c",
		},
		{
			"7f7e7d7c 7b7a7978 77767574 73727170 40414243 44454647 48494a4b 4c4d4e4f",
			[]string{
				"00112233 44556677 8899aabb ccddeeff deaddada deaddada ffeeddcc bbaa9988 77665544 33221100",
				"10203040 50607080 90a0",
				"09f91102 9d74e35b d84156c5 635688c0",
			},
			"74686973 20697320 736f6d65 20706c61 696e7465 78742074 6f20656e 63727970 74207573 696e6720 5349562d 414553",
			"7bdb6e3b 432667eb 06f4d14b ff2fbd0f cb900f2f ddbe4043 26601965 c889bf17 dba77ceb 094fa663 b7a3f748 ba8af829 ea64ad54 4a272e9c 485b62a3 fd5c0d",
		},
	} {
		var associated [][]byte
		for _, a := range c.associated {
			associated = append(associated, unhex(t, a))
		}
		s, err := newSIV(unhex(t, c.key), associated...)
		if err != nil {
			t.Fatal(err)
		}
		var w sivState
		plain, want := unhex(t, c.plain), unhex(t, c.out)
		if got := s.seal(&w, nil, plain); !bytes.Equal(got, want) {
			t.Errorf("seal gives %x, want %x", got, want)
		}
		if got, ok := s.open(&w, []byte("head"), want); !ok || !bytes.Equal(got[4:], plain) {
			t.Errorf("open gives %x, %v", got, ok)
		}
	}
}

// TestSIVRefusesForgeries: no changed or cut ciphertext opens, at lengths on both sides of a block.
func TestSIVRefusesForgeries(t *testing.T) {
	s, err := newSIV(make([]byte, sivKeySize), []byte("mrn"))
	if err != nil {
		t.Fatal(err)
	}
	other, err := newSIV(make([]byte, sivKeySize), []byte("ssn"))
	if err != nil {
		t.Fatal(err)
	}
	var w sivState
	for n := range 70 {
		plain := bytes.Repeat([]byte{byte(n)}, n)
		sealed := s.seal(&w, nil, plain)
		if got, ok := s.open(&w, nil, sealed); !ok || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes do not come back: %x", n, got)
		}
		if _, ok := other.open(&w, nil, sealed); ok {
			t.Errorf("%d bytes open under other associated data", n)
		}
		for i := range sealed {
			forged := bytes.Clone(sealed)
			forged[i] ^= 1
			if got, ok := s.open(&w, []byte("head"), forged); ok || string(got) != "head" {
				t.Errorf("%d bytes, byte %d changed: opens", n, i)
			}
			if _, ok := s.open(&w, nil, sealed[:i]); ok {
				t.Errorf("%d bytes, cut to %d: opens", n, i)
			}
		}
	}
}
