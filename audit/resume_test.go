package audit

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// crashed leaves a file as a killed process does: records after the head, the
// head saying that the log is open.
func crashed(t *testing.T, n int) (file string) {
	t.Helper()
	live := tempLog(t)
	l := openLog(t, Options{File: live, Sync: true, every: time.Hour})
	for i := range n {
		if err := wait(l, numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	file = tempLog(t) // another folder: a copy of the moment of the crash
	copyFile(t, live, file)
	copyFile(t, live+headSuffix, file+headSuffix)
	return file
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	put(t, to, b)
}

// A crash may cut the last record at every byte. It is set aside, the chain
// goes on, and a record tells of it.
func TestTornAtEveryByte(t *testing.T) {
	source := crashed(t, 3)
	whole, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	last := readLines(t, source)[3]
	start := len(whole) - len(last) - 1
	for _, withHead := range []bool{true, false} {
		dir := t.TempDir()
		for cut := start; cut < len(whole); cut++ {
			file := filepath.Join(dir, "audit.jsonl")
			put(t, file, whole[:cut])
			if withHead {
				copyFile(t, source+headSuffix, file+headSuffix)
			} else if err := os.RemoveAll(file + headSuffix); err != nil {
				t.Fatal(err)
			}
			l, err := Open(Options{File: file, Sync: true})
			if err != nil {
				t.Fatalf("cut at %d: %v", cut-start, err)
			}
			if err := wait(l, sample()); err != nil {
				t.Fatal(err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			mustVerify(t, file)
			torn, err := filepath.Glob(file + tornSuffix + "*")
			if err != nil {
				t.Fatal(err)
			}
			all := records(t, file)
			if cut == start && withHead {
				if len(torn) != 0 || len(l.Notes()) != 0 || len(all) != 4 {
					t.Fatalf("cut between records: %v %v", torn, l.Notes())
				}
				continue
			}
			note := all[3]
			if note.Event != EventRecovered || len(all) != 5 || len(l.Notes()) == 0 {
				t.Fatalf("cut at %d: no recovered record: %+v", cut-start, note)
			}
			if cut == start {
				continue
			}
			if len(torn) != 1 || !strings.Contains(note.Reason, filepath.Base(torn[0])) {
				t.Fatalf("cut at %d: %v, reason %q", cut-start, torn, note.Reason)
			}
			b, err := os.ReadFile(torn[0])
			if err != nil || !bytes.Equal(b, whole[start:cut]) {
				t.Fatalf("cut at %d: %q was set aside, %v", cut-start, b, err)
			}
			if err := os.Remove(torn[0]); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// The very first record may be torn too.
func TestTornFirstRecord(t *testing.T) {
	file := crashed(t, 0)
	h, err := readHead(file)
	if err != nil {
		t.Fatal(err)
	}
	h.position = position{hash: genesis}
	if err := writeHead(file, *h); err != nil {
		t.Fatal(err)
	}
	lines := readLines(t, file)
	put(t, file, lines[0][:50])
	l := openLog(t, Options{File: file})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	mustVerify(t, file)
	if e := events(records(t, file)); len(e) != 2 || e[0] != EventOpened || e[1] != EventRecovered {
		t.Errorf("events: %v", e)
	}
}

// A power failure may leave zeros, with or without newlines behind them.
func TestZeroedTail(t *testing.T) {
	for _, tail := range []string{"\x00\x00\x00", "\x00\x00\x00\n", "\x00\x00{\"half\n{\"time\n"} {
		file := crashed(t, 2)
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		put(t, file, append(whole, tail...))
		l := openLog(t, Options{File: file})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if r := mustVerify(t, file); r.Records != 4 {
			t.Errorf("%q: %v", tail, r)
		}
	}
}

// What is no crash is refused, and nothing is changed.
func TestTamperedFileDoesNotOpen(t *testing.T) {
	for _, c := range []struct {
		name   string
		closed bool
		tamper func([]byte) []byte
		want   string
	}{
		{"edited behind the head", false, func(b []byte) []byte { return bytes.Replace(b, []byte("SELECT 1"), []byte("SELECT 7"), 1) }, "edited"},
		{"removed behind the head", false, func(b []byte) []byte {
			l := bytes.SplitAfter(b, []byte("\n"))
			return bytes.Join(append(l[:2], l[3:]...), nil)
		}, "removed"},
		{"garbage line at the end", false, func(b []byte) []byte { return append(b, "garbage\n"...) }, "malformed"},
		{"truncated", true, func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }, "truncated"},
		{"cut in the last record", true, func(b []byte) []byte { return b[:len(b)-5] }, "truncated"},
		{"last edited", true, func(b []byte) []byte { return bytes.Replace(b, []byte("SELECT 2"), []byte("SELECT 7"), 1) }, "head file names"},
		{"emptied", true, func(b []byte) []byte { return nil }, ""},
		{"grown", true, func(b []byte) []byte { return append(b, "x"...) }, "grown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := tempLog(t)
			if c.closed {
				writeLog(t, file, 3)
			} else {
				file = crashed(t, 3)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			bad := c.tamper(b)
			put(t, file, bad)
			if c.want == "" {
				// Empty after an orderly close is a rotation; the chain shows it.
				l := openLog(t, Options{File: file})
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				if r := mustVerify(t, file); r.First != 5 {
					t.Errorf("the emptied file starts at %d", r.First)
				}
				return
			}
			if _, err := Open(Options{File: file}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open: %v, want %q", err, c.want)
			}
			if after, _ := os.ReadFile(file); !bytes.Equal(after, bad) {
				t.Error("the file was changed")
			}
		})
	}
}

// Rotated after the last close: the chain goes on from the head.
func TestRotatedWhileStopped(t *testing.T) {
	file := tempLog(t)
	writeLog(t, file, 3)
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	writeLog(t, file, 2)
	if r := mustVerify(t, file+".1", file); r.Records != 7 {
		t.Errorf("%v", r)
	}
	all := records(t, file)
	if all[0].Event != EventOpened || all[0].Seq != 5 || all[0].Prev != records(t, file+".1")[3].Hash {
		t.Errorf("first record of the new file: %+v", all[0])
	}
}

// Rotated, then killed before the new file was begun: found under its new
// name, with records after the head and a torn one.
func TestRotatedThenCrashed(t *testing.T) {
	for _, name := range []string{".1", "-20250131"} {
		file := crashed(t, 3)
		put(t, file+".bak", []byte("something else"))
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		put(t, file+name, append(b, `{"time":"20`...))
		l := openLog(t, Options{File: file, Sync: true})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if r := mustVerify(t, file+name, file); r.Records != 6 {
			t.Errorf("%v", r)
		}
	}
}

// The file is gone and the log was not closed: no silent new beginning, also
// not at the second try.
func TestFileTakenAway(t *testing.T) {
	file := crashed(t, 3)
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := Open(Options{File: file}); err == nil || !strings.Contains(err.Error(), "missing or empty") {
			t.Fatalf("Open: %v", err)
		}
	}
	if err := os.Remove(file + headSuffix); err != nil {
		t.Fatal(err)
	}
	openLog(t, Options{File: file})
}

func TestHeadTakenAway(t *testing.T) {
	file := tempLog(t)
	writeLog(t, file, 3)
	if err := os.Remove(file + headSuffix); err != nil {
		t.Fatal(err)
	}
	writeLog(t, file, 1)
	mustVerify(t, file)
	if r := records(t, file)[4]; r.Event != EventRecovered || !strings.Contains(r.Reason, ".head was missing") {
		t.Errorf("%+v", r)
	}
}
