package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// rehash gives a line the hash that its content needs, as a forger would.
func rehash(line []byte) []byte {
	var c chain
	body := bytes.TrimSuffix(line, []byte("\n"))
	d := c.digest(body)
	out := append([]byte{}, body[:len(body)-len(d)-len(lineTail)]...)
	return append(append(append(out, d[:]...), lineTail...), '\n')
}

// Every way to tamper with a file of records 1 (opened) to 10, and what Verify
// says about the first fault.
func TestTampering(t *testing.T) {
	edit := func(from, to string) func([][]byte) [][]byte {
		return func(l [][]byte) [][]byte {
			l[4] = bytes.Replace(l[4], []byte(from), []byte(to), 1)
			return l
		}
	}
	for _, c := range []struct {
		name   string
		tamper func(l [][]byte) [][]byte
		kind   Kind
		line   int
		seq    uint64
	}{
		{"edited user", edit(`"user":"bob"`, `"user":"eve"`), Edited, 5, 5},
		{"edited rows", edit(`"rows":1,`, `"rows":2,`), Edited, 5, 5},
		{"edited seq", edit(`"seq":5`, `"seq":6`), Edited, 5, 6},
		{"edited time", edit(`12:00:00.123456`, `12:00:00.123457`), Edited, 5, 5},
		{"blank added", edit(`"rows":1`, `"rows": 1`), Edited, 5, 5},
		{"edited and rehashed", func(l [][]byte) [][]byte {
			l[4] = rehash(bytes.Replace(l[4], []byte("bob"), []byte("eve"), 1))
			return l
		}, Edited, 6, 6},
		{"last edited and rehashed", func(l [][]byte) [][]byte {
			l[9] = rehash(bytes.Replace(l[9], []byte("bob"), []byte("eve"), 1))
			return l
		}, Edited, 10, 10},
		{"all rewritten", func(l [][]byte) [][]byte {
			prev := genesis
			for i := range l {
				n := bytes.LastIndex(l[i], []byte(linePrev)) + len(linePrev)
				copy(l[i][n:], prev[:])
				l[i] = rehash(bytes.Replace(l[i], []byte("bob"), []byte("eve"), 1))
				k, _ := parseLink(l[i][:len(l[i])-1])
				prev = k.hash
			}
			return l
		}, Edited, 10, 10},
		{"first removed", func(l [][]byte) [][]byte { return l[1:] }, Removed, 1, 2},
		{"first three removed", func(l [][]byte) [][]byte { return l[3:] }, Removed, 1, 4},
		{"one removed", func(l [][]byte) [][]byte { return append(l[:4], l[5:]...) }, Removed, 5, 5},
		{"three removed", func(l [][]byte) [][]byte { return append(l[:4], l[7:]...) }, Removed, 5, 5},
		{"neighbours swapped", func(l [][]byte) [][]byte { l[4], l[5] = l[5], l[4]; return l }, Reordered, 5, 5},
		{"moved back", func(l [][]byte) [][]byte {
			five := l[4]
			copy(l[4:], l[5:9])
			l[8] = five
			return l
		}, Reordered, 5, 5},
		{"last moved forward", func(l [][]byte) [][]byte {
			last := l[9]
			copy(l[5:], l[4:9])
			l[4] = last
			return l
		}, Reordered, 5, 5},
		{"repeated", func(l [][]byte) [][]byte { return append(l, l[4]) }, Reordered, 11, 5},
		{"last removed", func(l [][]byte) [][]byte { return l[:9] }, Truncated, 10, 10},
		{"half removed", func(l [][]byte) [][]byte { return l[:5] }, Truncated, 6, 6},
		{"all removed", func(l [][]byte) [][]byte { return nil }, Truncated, 1, 1},
		{"newline removed", func(l [][]byte) [][]byte { l[9] = bytes.TrimSuffix(l[9], []byte("\n")); return l }, Truncated, 10, 10},
		{"cut in a record", func(l [][]byte) [][]byte { l[9] = l[9][:100]; return l }, Truncated, 10, 10},
		{"line emptied", func(l [][]byte) [][]byte { l[4] = []byte("\n"); return l }, Malformed, 5, 5},
		{"no JSON", func(l [][]byte) [][]byte { l[4] = []byte("hello\n"); return l }, Malformed, 5, 5},
		{"JSON, no record", func(l [][]byte) [][]byte { l[4] = []byte("{}\n"); return l }, Malformed, 5, 5},
		{"record that is no JSON, rehashed", func(l [][]byte) [][]byte {
			l[4] = rehash(bytes.Replace(l[4], []byte(`"rows":1,`), []byte(`"rows":x,`), 1))
			return l
		}, Malformed, 5, 5},
		{"CRLF", func(l [][]byte) [][]byte { l[4] = append(bytes.TrimSuffix(l[4], []byte("\n")), "\r\n"...); return l }, Malformed, 5, 5},
		{"line too long", func(l [][]byte) [][]byte {
			l[4] = append(bytes.Repeat([]byte{'x'}, maxLine+1), '\n')
			return l
		}, Malformed, 5, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := tempLog(t)
			writeLog(t, file, 9)
			r := mustVerify(t, file)
			if r.Records != 10 || r.First != 1 || r.Last != 10 || !r.Anchored {
				t.Fatalf("before: %+v", r)
			}
			lines := readLines(t, file)
			lines[9] = append(lines[9], '\n')
			put(t, file, bytes.Join(c.tamper(lines), nil))
			r, err := Verify(file)
			if err != nil {
				t.Fatal(err)
			}
			if f := r.Fault; f == nil || f.Kind != c.kind || f.Line != c.line || f.Seq != c.seq || f.File != file {
				t.Fatalf("fault is %v, want %s at line %d, seq %d", f, c.kind, c.line, c.seq)
			}
			if !strings.Contains(r.String(), string(c.kind)) || !strings.Contains(r.String(), "FAILED") {
				t.Errorf("report says %s", r)
			}
			if strings.Contains(r.String(), "eve") || strings.Contains(r.String(), "SELECT") {
				t.Errorf("report shows a record's content: %s", r)
			}
		})
	}
}

// Without the head file a cut at a record's end cannot be seen; the report says so.
func TestNoHead(t *testing.T) {
	file := tempLog(t)
	writeLog(t, file, 9)
	if err := os.Remove(file + headSuffix); err != nil {
		t.Fatal(err)
	}
	lines := readLines(t, file)
	put(t, file, bytes.Join(lines[:6], nil))
	r := mustVerify(t, file)
	if r.Anchored || r.Last != 6 || !strings.Contains(r.String(), "no head file") {
		t.Errorf("report: %s", r)
	}
}

func TestDamagedHead(t *testing.T) {
	for _, head := range []string{"", "{", "null", `{"seq":1}`, `{"seq":10,"hash":"xx","record":0,"size":5,"open":false}`,
		`{"seq":10,"hash":"` + strings.Repeat("a", 64) + `","record":9,"size":5,"open":false}`,
		`{"seq":10,"hash":"` + strings.Repeat("a", 64) + `","record":-1,"size":5,"open":false}`,
		`{"seq":10,"hash":"` + strings.Repeat("a", 64) + `","record":0,"size":9000000000000,"open":false}`,
		`{"seq":0,"hash":"` + strings.Repeat("a", 64) + `","record":0,"size":0,"open":false}`} {
		file := tempLog(t)
		writeLog(t, file, 2)
		put(t, file+headSuffix, []byte(head))
		r, err := Verify(file)
		if err != nil {
			t.Fatal(err)
		}
		if f := r.Fault; f == nil || f.Kind != Malformed || f.File != file+headSuffix {
			t.Errorf("%s: fault is %v", head, f)
		}
		if _, err := Open(Options{File: file}); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: Open: %v", head, err)
		}
	}
}

// Three files of one chain, as rotation leaves them.
func rotated(t *testing.T) []string {
	t.Helper()
	file := tempLog(t)
	l := openLog(t, Options{File: file, Sync: true})
	var files []string
	for i := range 3 {
		for k := range 3 {
			if err := wait(l, numbered(10*i+k)); err != nil {
				t.Fatal(err)
			}
		}
		if i < 2 {
			old := file + [...]string{".2", ".1"}[i]
			if err := os.Rename(file, old); err != nil {
				t.Fatal(err)
			}
			if err := l.Reopen(); err != nil {
				t.Fatal(err)
			}
			files = append(files, old)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return append(files, file)
}

func TestRotatedFiles(t *testing.T) {
	files := rotated(t)
	if r := mustVerify(t, files...); r.Records != 12 || r.First != 1 || !r.Anchored {
		t.Errorf("all: %+v", r)
	}
	if r := mustVerify(t, files[1:]...); r.First != 5 || !strings.Contains(r.String(), "older files were not given") {
		t.Errorf("without the oldest: %v", r)
	}
	for _, c := range []struct {
		name  string
		files []string
		kind  Kind
		file  int
		line  int
		seq   uint64
	}{
		{"middle missing", []string{files[0], files[2]}, Truncated, 0, 5, 5},
		{"wrong order", []string{files[1], files[0], files[2]}, Reordered, 0, 1, 1},
		{"twice", []string{files[0], files[0]}, Reordered, 0, 1, 1},
	} {
		r, err := Verify(c.files...)
		if err != nil {
			t.Fatal(err)
		}
		if f := r.Fault; f == nil || f.Kind != c.kind || f.File != files[c.file] || f.Line != c.line || f.Seq != c.seq {
			t.Errorf("%s: fault is %v", c.name, f)
		}
	}

	// Cut the end off the middle file.
	lines := readLines(t, files[1])
	put(t, files[1], bytes.Join(lines[:2], nil))
	r, err := Verify(files...)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Fault; f == nil || f.Kind != Truncated || f.File != files[1] || f.Line != 3 || f.Seq != 7 {
		t.Errorf("middle cut: %v", f)
	}
	// Cut the start off the last file.
	lines = readLines(t, files[2])
	put(t, files[2], bytes.Join(lines[1:], nil))
	r, err = Verify(files[2])
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Fault; f == nil || f.Kind != Removed || f.Line != 1 || f.Seq != 10 {
		t.Errorf("start cut: %v", f)
	}
}

// A file that is being written verifies at every moment.
func TestVerifyWhileWriting(t *testing.T) {
	file := tempLog(t)
	l := openLog(t, Options{File: file, Sync: true, every: time.Millisecond})
	stop := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				ended <- nil
				return
			default:
			}
			if err := wait(l, numbered(i)); err != nil {
				ended <- err
				return
			}
		}
	}()
	for range 50 {
		mustVerify(t, file)
	}
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, file)
}

func TestVerifyUnreadable(t *testing.T) {
	if _, err := Verify(); err == nil {
		t.Error("no file: no error")
	}
	if _, err := Verify(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// Verify reads anything without failing, and accepts only what it can prove.
func FuzzVerify(f *testing.F) {
	// The same bytes in every worker: no clock.
	var whole []byte
	at, prev, last := sample().Time, genesis, 0
	for i, r := range []*Record{{Event: EventOpened}, numbered(1), numbered(2)} {
		last = len(whole)
		whole, prev = appendRecord(whole, r, at, uint64(i+1), &prev)
	}
	head := fmt.Appendf(nil, `{"seq":3,"hash":"%s","record":%d,"size":%d,"open":false}`, prev[:], last, len(whole))
	f.Add(whole, head)
	f.Add(whole[:len(whole)-1], head)
	f.Add([]byte(lineHead+strings.Repeat("0", 400)), []byte("{}"))
	f.Add([]byte(lineHead+strings.Repeat("1", timeWidth)+lineSeq+strings.Repeat("0", 400)+"\n"), []byte{})
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b, head []byte) {
		file := filepath.Join(dir, "fuzz")
		put(t, file, b)
		put(t, file+headSuffix, head)
		r, err := Verify(file)
		if err != nil {
			t.Fatal(err)
		}
		if r.OK() && !bytes.Equal(b, whole) && r.Records > 0 && r.Last == 3 {
			t.Fatalf("other bytes verify as the same trail: %s", r)
		}
		if r.OK() && r.Records != uint64(bytes.Count(b, []byte("\n"))) {
			t.Fatalf("%d records verified in %q", r.Records, b)
		}
	})
}
