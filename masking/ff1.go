package masking

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"math/bits"
)

// maxTweak bounds FF1's tweak here, in bytes.
const maxTweak = 128

// ff1Bits bounds FF1's domain here: a numeral string of more bits is refused,
// because its halves would not fit machine words.
const ff1Bits = 126

// ff1 is the FF1 mode of format-preserving encryption (NIST SP 800-38G) under a
// fixed tweak: a permutation of all strings of n numerals of a radix. It is
// safe for concurrent use: each caller brings an ff1State.
type ff1 struct {
	block cipher.Block
	tweak []byte
}

// ff1State is what one encryption writes to: what goes through the cipher's
// interface would be allocated anew for each value otherwise.
type ff1State struct {
	head  [aes.BlockSize]byte // P, encrypted
	sum   [aes.BlockSize]byte // R
	input [maxTweak + aes.BlockSize*2]byte
}

func newFF1(key, tweak []byte) (*ff1, error) {
	if len(tweak) > maxTweak {
		return nil, errors.New("the tweak is too long")
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return &ff1{block: block, tweak: tweak}, nil
}

// ff1Domain is the set of strings of n numerals of a radix, and what FF1 counts with.
type ff1Domain struct {
	radix        uint32
	n            uint32 // numerals
	highs, lows  uint64 // numbers that the first n/2 and the other numerals write
	inputs, pads int    // b: bytes of a half in Q; zeros before it
	drawn        int    // d: bytes of the round function's result that are used
}

// domain prepares lengths. It is false beyond ff1Bits, and below two numerals.
func (f *ff1) domain(radix, n uint32) (d ff1Domain, ok bool) {
	d = ff1Domain{radix: radix, n: n}
	if radix < 2 || radix > 1<<16 || n < 2 || n > ff1Bits {
		return d, false
	}
	if d.highs, ok = power(radix, n/2); !ok {
		return d, false
	}
	if d.lows, ok = power(radix, n-n/2); !ok {
		return d, false
	}
	d.inputs = (bits.Len64(d.lows-1) + 7) / 8
	d.drawn = 4*((d.inputs+3)/4) + 4
	d.pads = aes.BlockSize - 1 - (len(f.tweak)+d.inputs)%aes.BlockSize
	return d, true
}

// power is false when radix^n exceeds half of ff1Bits.
func power(radix, n uint32) (uint64, bool) {
	p := uint64(1)
	for range n {
		high, low := bits.Mul64(p, uint64(radix))
		if high != 0 || low > 1<<(ff1Bits/2) {
			return 0, false
		}
		p = low
	}
	return p, true
}

const ff1Rounds = 10

// encrypt takes a numeral string as the numbers that its first n/2 numerals and
// the others write (SP 800-38G, algorithm 7).
func (f *ff1) encrypt(w *ff1State, d *ff1Domain, high, low uint64) (uint64, uint64) {
	f.begin(w, d)
	for i := range ff1Rounds {
		modulus := d.highs
		if i%2 == 1 {
			modulus = d.lows
		}
		sum, carry := bits.Add64(high, f.round(w, d, byte(i), low, modulus), 0)
		if carry != 0 || sum >= modulus { // both are below the modulus
			sum -= modulus
		}
		high, low = low, sum
	}
	return high, low
}

// decrypt is encrypt's inverse (SP 800-38G, algorithm 8).
func (f *ff1) decrypt(w *ff1State, d *ff1Domain, high, low uint64) (uint64, uint64) {
	f.begin(w, d)
	for i := ff1Rounds - 1; i >= 0; i-- {
		modulus := d.highs
		if i%2 == 1 {
			modulus = d.lows
		}
		difference, borrow := bits.Sub64(low, f.round(w, d, byte(i), high, modulus), 0)
		if borrow != 0 {
			difference += modulus
		}
		high, low = difference, high
	}
	return high, low
}

// begin encrypts P, and lays out Q's tweak and zeros.
func (f *ff1) begin(w *ff1State, d *ff1Domain) {
	p := &w.head
	p[0], p[1], p[2] = 1, 2, 1
	p[3], p[4], p[5] = byte(d.radix>>16), byte(d.radix>>8), byte(d.radix)
	p[6], p[7] = ff1Rounds, byte(d.n/2)
	binary.BigEndian.PutUint32(p[8:], d.n)
	binary.BigEndian.PutUint32(p[12:], uint32(len(f.tweak)))
	f.block.Encrypt(p[:], p[:])
	clear(w.input[copy(w.input[:], f.tweak):])
}

// round is the round function's number modulo the modulus.
func (f *ff1) round(w *ff1State, d *ff1Domain, i byte, half, modulus uint64) uint64 {
	at := len(f.tweak) + d.pads
	w.input[at] = i
	for j := d.inputs; j > 0; j-- {
		w.input[at+j] = byte(half)
		half >>= 8
	}
	w.sum = w.head
	for q := w.input[:at+1+d.inputs]; len(q) > 0; q = q[aes.BlockSize:] {
		subtle.XORBytes(w.sum[:], w.sum[:], q[:aes.BlockSize])
		f.block.Encrypt(w.sum[:], w.sum[:])
	}
	var y uint64 // of 8 or 12 bytes
	for words := w.sum[:d.drawn]; len(words) > 0; words = words[4:] {
		word := uint64(binary.BigEndian.Uint32(words))
		_, y = bits.Div64(y>>32, y<<32|word, modulus) // y is below the modulus, so y>>32 is
	}
	return y
}
