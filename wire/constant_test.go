package wire

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// always is a mask that gives the same for every cell, and does not say so; nil is NULL.
type always []byte

func (m always) MaskCell(dst, _ []byte) ([]byte, bool) {
	if m == nil {
		return dst, false
	}
	return append(dst, m...), true
}

// marked is always, and says so.
type marked struct{ always }

func (marked) Constant() {}

// TestConstants: what a rewriter keeps of a mask is what the mask gives cell by cell.
func TestConstants(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, value := range []always{nil, {}, always("***"), always("a,b\"c\td\\\n|'q"), always(`\.`), always("none"), always(strings.Repeat("x", keepConstant+1))} {
		for _, nulls := range []bool{false, true} {
			cells := func(m CellMasker) []Cell { return []Cell{{Masker: m, Nulls: nulls}, {}, {Masker: m}} }
			for range 100 {
				row := randomRow(rnd, 3)
				body := AppendDataRow(nil, row...)[HeaderSize:]
				want, err := NewRowRewriter(cells(value)).Append(nil, body)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := NewRowRewriter(cells(marked{value})).Append(nil, body); err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%q under %q: %q (%v), want %q", row, value, got, err, want)
				}
				for name, l := range layouts() {
					l.Cells = cells(value)
					data := copyWriter(l, [][][]byte{row, row})
					want, err := rewriteCut(l, data)
					if err != nil {
						t.Fatal(err)
					}
					l.Cells = cells(marked{value})
					if got, err := rewriteCut(l, data); err != nil || !bytes.Equal(got, want) {
						t.Fatalf("%s: %q under %q: %q (%v), want %q", name, data, value, got, err, want)
					}
				}
			}
		}
	}
}
