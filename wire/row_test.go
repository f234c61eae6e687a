package wire

import (
	"bytes"
	"testing"
)

// stars is a mask for tests: every cell becomes stars of its length.
type stars struct{}

func (stars) MaskCell(dst, cell []byte) ([]byte, bool) {
	for range cell {
		dst = append(dst, '*')
	}
	return dst, true
}

type null struct{}

func (null) MaskCell(dst, _ []byte) ([]byte, bool) { return dst, false }

// constant also masks NULL when asked to.
type constant string

func (c constant) MaskCell(dst, _ []byte) ([]byte, bool) { return append(dst, c...), true }

// shrinker breaks the rule to append.
type shrinker struct{}

func (shrinker) MaskCell(dst, _ []byte) ([]byte, bool) { return dst[:0], true }

// joined shows what a mask sees of another cell.
type joined struct{}

func (joined) MaskCell(dst, _ []byte) ([]byte, bool) { return append(dst, "alone"...), true }

func (joined) MaskPair(dst, cell, other []byte) ([]byte, bool) {
	if other == nil {
		return dst, false
	}
	return append(append(append(dst, cell...), '|'), other...), true
}

// with is a cell that is masked with another column's.
func with(column int) Cell { return Cell{Masker: joined{}, Pair: joined{}, Other: column} }

func body(cells ...[]byte) []byte { return AppendDataRow(nil, cells...)[HeaderSize:] }

func TestRowRewriter(t *testing.T) {
	a, b, c := []byte("alpha"), []byte("beta"), []byte("")
	m := Cell{Masker: stars{}}
	pass := Cell{}
	for _, tc := range []struct {
		name  string
		cells []Cell
		in    [][]byte
		want  [][]byte
	}{
		{"nothing masked", []Cell{pass, pass}, [][]byte{a, nil}, [][]byte{a, nil}},
		{"no columns", nil, nil, nil},
		{"all", []Cell{m, m}, [][]byte{a, b}, [][]byte{[]byte("*****"), []byte("****")}},
		{"first", []Cell{m, pass, pass}, [][]byte{a, b, c}, [][]byte{[]byte("*****"), b, c}},
		{"middle", []Cell{pass, m, pass}, [][]byte{a, b, c}, [][]byte{a, []byte("****"), c}},
		{"last", []Cell{pass, pass, m}, [][]byte{a, b, c}, [][]byte{a, b, c}},
		{"NULL stays", []Cell{m, {Masker: constant("x")}}, [][]byte{nil, nil}, [][]byte{nil, nil}},
		{"NULL masked", []Cell{pass, {Masker: constant("x"), Nulls: true}}, [][]byte{nil, nil}, [][]byte{nil, []byte("x")}},
		{"to NULL", []Cell{{Masker: null{}}, pass}, [][]byte{a, b}, [][]byte{nil, b}},
		{"with another", []Cell{with(2), with(2), m}, [][]byte{a, nil, b}, [][]byte{[]byte("alpha|beta"), nil, []byte("****")}},
		{"with an earlier one", []Cell{m, with(0), with(2), pass}, [][]byte{a, b, c, nil}, [][]byte{[]byte("*****"), []byte("beta|alpha"), []byte("|"), nil}},
		{"with NULL", []Cell{pass, with(0)}, [][]byte{nil, b}, [][]byte{nil, nil}},
		{"empty is not NULL", []Cell{{Masker: constant("x")}}, [][]byte{c}, [][]byte{[]byte("x")}},
	} {
		r := NewRowRewriter(tc.cells)
		got, err := r.Append([]byte("before"), body(tc.in...))
		want := AppendDataRow([]byte("before"), tc.want...)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %q, err %v; want %q", tc.name, got, err, want)
		}
		if r.Columns() != len(tc.cells) {
			t.Errorf("%s: %d columns", tc.name, r.Columns())
		}
	}
}

func TestRowRewriterRefuses(t *testing.T) {
	m, pass := Cell{Masker: stars{}}, Cell{}
	for _, tc := range []struct {
		name  string
		cells []Cell
		body  []byte
	}{
		{"empty", []Cell{m}, nil},
		{"half a count", []Cell{m}, []byte{0}},
		{"another column that is not there", []Cell{with(1)}, body([]byte("a"))},
		{"another cell beyond the end", []Cell{with(1), pass}, []byte("\x00\x02\x00\x00\x00\x01a\x00\x00\x00\x09b")},
		{"too few columns", []Cell{m, m}, body([]byte("a"))},
		{"too many columns", []Cell{m}, body([]byte("a"), []byte("b"))},
		{"cell beyond the end", []Cell{m}, []byte("\x00\x01\x00\x00\x00\x09a")},
		{"passing cell beyond the end", []Cell{pass}, []byte("\x00\x01\x00\x00\x00\x09a")},
		{"length -2", []Cell{m}, []byte("\x00\x01\xff\xff\xff\xfe")},
		{"passing length -2", []Cell{pass}, []byte("\x00\x01\xff\xff\xff\xfe")},
		{"count lies", []Cell{m, pass}, []byte("\x00\x02\x00\x00\x00\x01a")},
		{"trailing", []Cell{m}, append(body([]byte("a")), 'x')},
		{"trailing, nothing masked", []Cell{pass}, append(body([]byte("a")), 'x')},
		{"a mask that shrinks", []Cell{{Masker: shrinker{}}}, body([]byte("a"))},
	} {
		got, err := NewRowRewriter(tc.cells).Append([]byte("before"), tc.body)
		if err == nil || string(got) != "before" {
			t.Errorf("%s: %q, err %v", tc.name, got, err)
		}
	}
}

func FuzzRowRewriter(f *testing.F) {
	f.Add(body([]byte("secret"), nil, []byte("clear")), uint8(0b101))
	f.Add([]byte("\x00\x01\x7f\xff\xff\xffa"), uint8(1))
	f.Fuzz(func(t *testing.T, row []byte, mask uint8) {
		if len(row) < 2 {
			return
		}
		n := int(row[0])<<8 | int(row[1])
		cells := make([]Cell, n)
		for i := range cells {
			if mask>>(i%8)&1 == 1 {
				cells[i].Masker = stars{}
			}
		}
		out, err := NewRowRewriter(cells).Append(nil, row)
		if err != nil {
			if len(out) != 0 {
				t.Fatalf("bytes with an error: %q", out)
			}
			return
		}
		if len(out) != HeaderSize+len(row) {
			t.Fatalf("stars keep the length: %d became %d", len(row), len(out)-HeaderSize)
		}
		pos := 2
		for i := range n {
			got, next, ok := cellAt(out[HeaderSize:], pos)
			was, _, _ := cellAt(row, pos)
			if !ok || (got == nil) != (was == nil) {
				t.Fatalf("column %d of %q is broken in %q", i, row, out)
			}
			want := was
			if cells[i].Masker != nil {
				want = bytes.Repeat([]byte{'*'}, len(was))
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("column %d: %q", i, got)
			}
			pos = next
		}
	})
}

func FuzzParseRowDescription(f *testing.F) {
	f.Add(AppendRowDescription(nil, []Field{{Name: []byte("a"), Table: 1, Column: 2, Type: 25, Size: -1, Mod: -1}})[HeaderSize:])
	f.Add([]byte("\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		fields, err := ParseRowDescription(b, nil)
		if err == nil && !bytes.Equal(AppendRowDescription(nil, fields)[HeaderSize:], b) {
			t.Fatalf("%q came back as %q", b, AppendRowDescription(nil, fields))
		}
	})
}

func TestParseRowDescriptionRefuses(t *testing.T) {
	good := AppendRowDescription(nil, []Field{{Name: []byte("a")}, {Name: []byte("b")}})[HeaderSize:]
	for i := range good {
		if _, err := ParseRowDescription(good[:i], nil); err == nil {
			t.Errorf("cut at %d is accepted", i)
		}
	}
	if _, err := ParseRowDescription(append(good[:len(good):len(good)], 0), nil); err == nil {
		t.Error("a trailing byte is accepted")
	}
	if _, err := ParseRowDescription(AppendRowDescription(nil, []Field{{Format: 2}})[HeaderSize:], nil); err == nil {
		t.Error("format 2 is accepted")
	}
}

func BenchmarkRowRewriter(b *testing.B) {
	cells := make([]Cell, 12)
	row := make([][]byte, 12)
	for i := range cells {
		row[i] = []byte("a value of twenty by")
		if i%2 == 0 {
			cells[i].Masker = stars{}
		}
	}
	r, in := NewRowRewriter(cells), body(row...)
	out := make([]byte, 0, 4096)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		var err error
		if out, err = r.Append(out[:0], in); err != nil {
			b.Fatal(err)
		}
	}
}
