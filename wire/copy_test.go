package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// replaced masks every cell with the same text, which needs care in every format.
type replaced string

func (m replaced) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell != nil && string(cell) == "gone" {
		return dst, false
	}
	return append(dst, m...), true
}

// TestCopyPair: a mask sees the value of another column as it is, in each format.
func TestCopyPair(t *testing.T) {
	cells := []Cell{with(1), {Masker: stars{}}, with(1), with(3), {}}
	for _, l := range []*CopyLayout{
		{Format: CopyText, Delimiter: '\t', Null: `\N`, Cells: cells},
		{Format: CopyCSV, Delimiter: ',', Quote: '"', Escape: '"', Null: "", Cells: cells},
		{Format: CopyBinary, Cells: cells},
	} {
		x, y, z, empty := []byte("x\ty,\"z\""), []byte("a\nb\t\"c"), []byte("plain"), []byte("")
		in := [][][]byte{{x, y, z, nil, empty}, {z, nil, x, y, nil}, {nil, z, y, empty, x}}
		want := [][][]byte{
			{[]byte("x\ty,\"z\"|a\nb\t\"c"), []byte("******"), []byte("plain|a\nb\t\"c"), nil, empty},
			{nil, nil, nil, []byte("a\nb\t\"c|a\nb\t\"c"), nil},
			{nil, []byte("*****"), []byte("a\nb\t\"c|plain"), []byte("|"), x},
		}
		r := NewCopyRewriter(l, 1<<20)
		got, err := r.Append(nil, copyWriter(l, in))
		if err == nil {
			err = r.End()
		}
		if err != nil || !bytes.Equal(got, copyWriter(l, want)) {
			t.Errorf("format %d: %q, err %v; want %q", l.Format, got, err, copyWriter(l, want))
		}
	}
}

// copyWriter writes rows as PostgreSQL does (docs, COPY, File Formats). nil is NULL.
func copyWriter(l *CopyLayout, rows [][][]byte) []byte {
	var out []byte
	quoted := func(v []byte, force bool) {
		special := force || string(v) == l.Null || len(l.Cells) == 1 && string(v) == `\.`
		if !special && !bytes.ContainsAny(v, string([]byte{l.Delimiter, l.Quote, '\n', '\r'})) {
			out = append(out, v...)
			return
		}
		out = append(out, l.Quote)
		for _, c := range v {
			if c == l.Quote || c == l.Escape {
				out = append(out, l.Escape)
			}
			out = append(out, c)
		}
		out = append(out, l.Quote)
	}
	escaped := func(v []byte) {
		for _, c := range v {
			if i := strings.IndexByte("\b\f\n\r\t\v\\", c); i >= 0 {
				out = append(out, '\\', `bfnrtv\`[i])
			} else if c == l.Delimiter {
				out = append(out, '\\', c)
			} else {
				out = append(out, c)
			}
		}
	}
	line := func(cells [][]byte, header bool) {
		for i, v := range cells {
			if i > 0 {
				out = append(out, l.Delimiter)
			}
			switch {
			case v == nil:
				out = append(out, l.Null...)
			case l.Format == CopyText:
				escaped(v)
			default:
				quoted(v, !header && l.ForceQuote != nil && l.ForceQuote[i])
			}
		}
		out = append(out, '\n')
	}
	if l.Format == CopyBinary {
		out = append(out, copySignature...)
		for _, row := range rows {
			out = append(out, AppendDataRow(nil, row...)[HeaderSize:]...)
		}
		return append(out, 0xff, 0xff)
	}
	if l.Header != nil {
		var names [][]byte
		for _, n := range l.Header {
			names = append(names, []byte(n))
		}
		line(names, true)
	}
	for _, row := range rows {
		line(row, false)
	}
	return out
}

// rewriteCut rewrites data that comes in the given pieces.
func rewriteCut(l *CopyLayout, pieces ...[]byte) ([]byte, error) {
	r := NewCopyRewriter(l, 1<<16)
	var out []byte
	for _, p := range pieces {
		var err error
		if out, err = r.Append(out, p); err != nil {
			return out, err
		}
	}
	return out, r.End()
}

func layouts() map[string]*CopyLayout {
	text := func(change func(*CopyLayout)) *CopyLayout {
		l := &CopyLayout{Delimiter: '\t', Null: `\N`}
		change(l)
		return l
	}
	csv := func(change func(*CopyLayout)) *CopyLayout {
		l := &CopyLayout{Format: CopyCSV, Delimiter: ',', Quote: '"', Escape: '"'}
		change(l)
		return l
	}
	return map[string]*CopyLayout{
		"text":             text(func(*CopyLayout) {}),
		"text delimiter":   text(func(l *CopyLayout) { l.Delimiter = '|' }),
		"text header":      text(func(l *CopyLayout) { l.Header = []string{"a", "b\tc", "d"} }),
		"csv":              csv(func(*CopyLayout) {}),
		"csv header":       csv(func(l *CopyLayout) { l.Header = []string{"a", `b"c`, ""} }),
		"csv null":         csv(func(l *CopyLayout) { l.Null = "none" }),
		"csv escape":       csv(func(l *CopyLayout) { l.Escape, l.Quote = '\\', '\'' }),
		"csv comma escape": csv(func(l *CopyLayout) { l.Escape = ',' }),
		"csv letters":      csv(func(l *CopyLayout) { l.Escape, l.Quote, l.Delimiter = 'e', 'q', 'a' }),
		"csv forced":       csv(func(l *CopyLayout) { l.ForceQuote = []bool{true, false, true} }),
		"binary":           {Format: CopyBinary},
	}
}

func randomRow(r *rand.Rand, columns int) [][]byte {
	words := []string{"", "x", "gone", "none", `\N`, `\.`, `\`, `"`, "'", "a,b", "a\tb", "line\nline", "\r\n", "\b\f\v", "ümlaut", "|", "e", "q", "qaqe", `""`, "***", "\x00"}
	row := make([][]byte, columns)
	for i := range row {
		switch r.IntN(4) {
		case 0:
		case 1:
			row[i] = []byte(words[r.IntN(len(words))])
		default:
			row[i] = []byte(words[r.IntN(len(words))] + words[r.IntN(len(words))] + words[r.IntN(len(words))])
		}
	}
	return row
}

// TestCopyRewriter compares, for random rows, what comes of the rewriter with the rows that the
// server would have sent had it held the masked values.
func TestCopyRewriter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for name, l := range layouts() {
		for round := range 400 {
			mask := replaced([]string{"***", "a\tb\\,\"'\n|q", "", `\.`, "none"}[rnd.IntN(5)])
			l.Cells = make([]Cell, 3)
			for i := range l.Cells {
				if rnd.IntN(2) == 0 {
					l.Cells[i] = Cell{Masker: mask, Nulls: rnd.IntN(3) == 0}
				}
			}
			var rows, want [][][]byte
			for range rnd.IntN(4) {
				row := randomRow(rnd, 3)
				masked := slices.Clone(row)
				for i, c := range l.Cells {
					switch {
					case c.Masker == nil || row[i] == nil && !c.Nulls:
					case row[i] != nil && string(row[i]) == "gone":
						masked[i] = nil
					default:
						masked[i] = append([]byte{}, mask...)
					}
				}
				rows, want = append(rows, row), append(want, masked)
			}
			data, wanted := copyWriter(l, rows), copyWriter(l, want)
			check := func(how string, pieces ...[]byte) {
				got, err := rewriteCut(l, pieces...)
				if err != nil || !bytes.Equal(got, wanted) {
					t.Fatalf("%s, round %d, %s:\n%q\nbecame %q (%v)\n, want %q", name, round, how, data, got, err, wanted)
				}
			}
			check("whole", data)
			var single [][]byte
			for i := range data {
				single = append(single, data[i:i+1])
			}
			check("byte by byte", single...)
			if round < 40 {
				for i := range data {
					check(fmt.Sprintf("cut at %d", i), data[:i], data[i:])
				}
			}
		}
	}
}

// TestCopyRewriterRefuses has data that is not as the layout says. Nothing of a row that cannot be
// read may come out.
func TestCopyRewriterRefuses(t *testing.T) {
	star := []Cell{{}, {Masker: replaced("***")}}
	text := &CopyLayout{Delimiter: '\t', Null: `\N`, Cells: star}
	csv := &CopyLayout{Format: CopyCSV, Delimiter: ',', Quote: '"', Escape: '"', Cells: star}
	escape := &CopyLayout{Format: CopyCSV, Delimiter: ',', Quote: '"', Escape: '\\', Cells: star}
	header := &CopyLayout{Format: CopyCSV, Delimiter: ',', Quote: '"', Escape: '"', Cells: star, Header: []string{"a", "b"}}
	bin := &CopyLayout{Format: CopyBinary, Cells: star}
	tuple := func(cells ...string) string {
		var b [][]byte
		for _, c := range cells {
			b = append(b, []byte(c))
		}
		return string(body(b...))
	}
	for _, c := range []struct {
		layout *CopyLayout
		data   string
		err    error
	}{
		{text, "secret\n", errRowColumns},
		{text, "1\t2\tsecret\n", errRowColumns},
		{text, "1\\\tsecret\n", errRowColumns},
		{text, "1\tsecret\\", errCopyEnd},
		{text, "1\tsecret\\\n", errCopyRow},
		{text, "1\tsecret\\q\n", errCopyRow},
		{text, "1\tsecret", errCopyEnd},
		{csv, "secret\n", errRowColumns},
		{csv, "1,2,secret\n", errRowColumns},
		{csv, "1,\"secret\n", errCopyEnd},
		{csv, "1,sec\"ret\n", errCopyRow},
		{csv, "1,\"sec\"ret\n", errCopyRow},
		{csv, "\"1,\nsecret\n", errCopyEnd},
		{escape, "1,\"sec\\ret\"\n", errCopyRow},
		{header, "1,secret\n", errCopyHeader},
		{header, "a,b,c\n", errRowColumns},
		{bin, "PGCOPY", errCopyEnd},
		{bin, copySignature, errCopyEnd},
		{bin, "PGCOPY\n\xff\r\n\x00\x00\x01\x00\x00\x00\x00\x00\x00", errCopyHeader},
		{bin, copySignature + tuple("1", "2", "secret"), errRowColumns},
		{bin, copySignature + "\x00\x02\x00\x00\x00\x01", errCopyEnd},
		{bin, copySignature + "\x00\x02\xff\xff\xff\xfe", errBadLength},
		{bin, copySignature + "\x00\x02\x7f\xff\xff\xff", errBadLength},
		{bin, copySignature + "\xff\xff" + tuple("1", "secret"), errCopyRow},
	} {
		got, err := rewriteCut(c.layout, []byte(c.data))
		if !errors.Is(err, c.err) {
			t.Errorf("%q: error %v, want %v", c.data, err, c.err)
		}
		var single [][]byte
		for i := range c.data {
			single = append(single, []byte(c.data[i:i+1]))
		}
		cut, cutErr := rewriteCut(c.layout, single...)
		if bytes.Contains(got, []byte("secret")) || bytes.Contains(cut, []byte("secret")) || !errors.Is(cutErr, c.err) {
			t.Errorf("%q: came out as %q, byte by byte %q (%v)", c.data, got, cut, cutErr)
		}
	}
}

// TestCopyRowTooLong bounds what is held of a row.
func TestCopyRowTooLong(t *testing.T) {
	for _, l := range layouts() {
		l.Header, l.ForceQuote, l.Cells = nil, nil, []Cell{{Masker: replaced("*")}}
		r := NewCopyRewriter(l, 1000)
		data := bytes.Repeat([]byte("x"), 600)
		if l.Format == CopyBinary {
			data = append([]byte(copySignature+"\x00\x01\x00\x00\x07\xd0"), data...)
		}
		var err error
		for range 2 {
			if err == nil {
				_, err = r.Append(nil, data)
			}
		}
		if !errors.Is(err, errCopyRowSize) && !errors.Is(err, errBadLength) {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

func TestParseCopyResponse(t *testing.T) {
	m := AppendCopyResponse(nil, CopyOutResponse, 1, 3)
	if f, n, err := ParseCopyResponse(m[HeaderSize:]); f != 1 || n != 3 || err != nil {
		t.Errorf("format %d, %d columns, %v", f, n, err)
	}
	for _, bad := range []string{"", "\x00", "\x00\x00", "\x00\x00\x01", "\x02\x00\x00", "\x01\x00\x01\x00\x00", "\x00\x00\x00x", "\x00\xff\xff\x00\x00"} {
		if _, _, err := ParseCopyResponse([]byte(bad)); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// FuzzCopyRewriter gives any bytes: what comes out does not depend on where they are cut, and
// without masks it is what went in.
func FuzzCopyRewriter(f *testing.F) {
	f.Add(uint8(0), "1\tsecret\n\\N\t\\\\\n", uint16(3))
	f.Add(uint8(3), "1,\"se\"\"c\n\"\n", uint16(5))
	f.Add(uint8(10), copySignature+"\x00\x02\xff\xff\xff\xff\x00\x00\x00\x01x\xff\xff", uint16(21))
	all := layouts()
	var names []string
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	f.Fuzz(func(t *testing.T, which uint8, data string, at uint16) {
		l := *all[names[int(which)%len(names)]]
		l.Header, l.ForceQuote = nil, nil
		cut := min(int(at), len(data))
		for _, cells := range [][]Cell{{{}, {Masker: replaced("***")}}, {{}, {}}} {
			l.Cells = cells
			whole, err := rewriteCut(&l, []byte(data))
			parts, partsErr := rewriteCut(&l, []byte(data[:cut]), []byte(data[cut:]))
			if !bytes.Equal(whole, parts) || (err == nil) != (partsErr == nil) {
				t.Fatalf("%q cut at %d: %q (%v), whole %q (%v)", data, cut, parts, partsErr, whole, err)
			}
			long := NewCopyRewriter(&l, 1<<16)
			long.mark = '\n' // in every row: each is read as one with escapes and quotes
			out, longErr := long.Append(nil, []byte(data))
			if longErr == nil {
				longErr = long.End()
			}
			if !bytes.Equal(whole, out) || err != longErr {
				t.Fatalf("%q: %q (%v), read the long way %q (%v)", data, whole, err, out, longErr)
			}
			if cells[1].Masker == nil && !strings.HasPrefix(data, string(whole)) {
				t.Fatalf("%q without masks: %q", data, whole)
			}
		}
		if _, _, err := ParseCopyResponse([]byte(data)); err == nil && len(data) != 3+2*int(binary.BigEndian.Uint16([]byte(data[1:]))) {
			t.Fatalf("%q is taken for a CopyOutResponse", data)
		}
	})
}

func BenchmarkCopyRewriter(b *testing.B) {
	cells := make([]Cell, 8)
	cells[2].Masker, cells[5].Masker = replaced("***"), replaced("0001-01-01")
	plain := [][]byte{[]byte("1234567"), []byte("finished"), []byte("123-45-6789"), []byte("some text of a note; not long"), []byte("x"), []byte("1970-02-03"), []byte("t"), []byte("99.95")}
	marked := slices.Clone(plain) // of which text and CSV escape or quote something
	marked[3], marked[4] = []byte("some text of a note, not long"), nil
	for _, name := range []string{"text", "text plain", "csv", "csv plain", "binary"} {
		b.Run(name, func(b *testing.B) {
			name, values := name, marked
			if cut, ok := strings.CutSuffix(name, " plain"); ok {
				name, values = cut, plain
			}
			l := layouts()[name]
			l.Cells = cells
			r := NewCopyRewriter(l, 1<<20)
			var head, data []byte
			if one := copyWriter(l, [][][]byte{values}); l.Format == CopyBinary {
				head, data = one[:len(copySignature)], one[len(copySignature):len(one)-2]
			} else {
				data = one
			}
			out, err := r.Append(nil, head)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if out, err = r.Append(out[:0], data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
