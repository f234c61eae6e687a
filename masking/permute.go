package masking

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"sync"
)

// number is a whole number of up to 128 bits.
type number struct{ high, low uint64 }

func (a number) less(b number) bool {
	return a.high < b.high || a.high == b.high && a.low < b.low
}

func (a number) bits() int {
	if a.high != 0 {
		return 64 + bits.Len64(a.high)
	}
	return bits.Len64(a.low)
}

func (a number) add(b uint64) number {
	low, carry := bits.Add64(a.low, b, 0)
	return number{a.high + carry, low}
}

func (a number) subtract(b uint64) number {
	low, borrow := bits.Sub64(a.low, b, 0)
	return number{a.high - borrow, low}
}

// times gives a·m + b; a product of over 128 bits is false.
func (a number) times(m, b uint64) (number, bool) {
	carry, low := bits.Mul64(a.low, m)
	over, high := bits.Mul64(a.high, m)
	low, c := bits.Add64(low, b, 0)
	high, c = bits.Add64(high, carry, c)
	return number{high, low}, over == 0 && c == 0
}

// divide gives a / m and the rest.
func (a number) divide(m uint64) (number, uint64) {
	high, rest := a.high/m, a.high%m
	low, rest := bits.Div64(rest, a.low, m)
	return number{high, low}, rest
}

// permutation is a keyed permutation of the numbers below size: FF1 over their
// bits, repeated while the result is outside (cycle walking, which takes less than two steps on average).
type permutation struct {
	cipher *ff1
	domain ff1Domain
	size   number
}

// newPermutation takes a size from 3 to 2^126.
func newPermutation(cipher *ff1, size number) (*permutation, error) {
	n := size.subtract(1).bits()
	d, ok := cipher.domain(2, uint32(n))
	if !ok {
		return nil, fmt.Errorf("there is no permutation of numbers of %d bits", n)
	}
	return &permutation{cipher: cipher, domain: d, size: size}, nil
}

func (p *permutation) apply(w *ff1State, x number, step ff1Step) number {
	lows := uint(bits.Len64(p.domain.lows - 1))
	mask := uint64(1)<<lows - 1
	for {
		high, low := step(p.cipher, w, &p.domain, x.high<<(64-lows)|x.low>>lows, x.low&mask)
		x = number{high >> (64 - lows), high<<lows | low}
		if x.less(p.size) {
			return x
		}
	}
}

func (p *permutation) encrypt(w *ff1State, x number) number { return p.apply(w, x, (*ff1).encrypt) }
func (p *permutation) decrypt(w *ff1State, x number) number { return p.apply(w, x, (*ff1).decrypt) }

// forth moves a number along a keyed cycle through all numbers below size,
// the conjugate of counting: no number stays in its place.
func (p *permutation) forth(w *ff1State, x number) number {
	x = p.encrypt(w, x).add(1)
	if !x.less(p.size) {
		x = number{}
	}
	return p.decrypt(w, x)
}

// back is forth's inverse.
func (p *permutation) back(w *ff1State, x number) number {
	x = p.encrypt(w, x)
	if x == (number{}) {
		x = p.size
	}
	return p.decrypt(w, x.subtract(1))
}

// ff1States are shared by all masks over FF1.
var ff1States = sync.Pool{New: func() any { return new(ff1State) }}

// tweakOf makes FF1's tweak of a class group and what else tells uses of one key apart.
func tweakOf(group, use string) []byte {
	tweak := group + "/" + use
	if len(tweak) > maxTweak/2 {
		sum := sha256.Sum256([]byte(tweak))
		return sum[:]
	}
	return []byte(tweak)
}

// permutation makes the newest key's permutation for one use of a column's method and class group.
func (k *Keys) permutation(c Column, use string, size number) (*permutation, error) {
	m, err := k.newest(c.Spec)
	if err != nil {
		return nil, err
	}
	g, err := c.groupOf()
	if err != nil {
		return nil, err
	}
	// Each use has a key of its own in place of a tweak, which would add a block to each round.
	key, err := m.derive(string(c.Spec.Method)+" permutation "+use, g, KeySize)
	if err != nil {
		return nil, err
	}
	cipher, err := newFF1(key, nil)
	if err != nil {
		return nil, err
	}
	return newPermutation(cipher, size)
}
