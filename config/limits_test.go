package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// least is a file that is accepted, to put other things beside.
const least = `upstream: {host: 127.0.0.1}
catalog: {user: pgveil}
audit: {file: audit.jsonl}
`

// wantProblem parses data and wants a problem with that text.
func wantProblem(t *testing.T, data, text string) Problems {
	t.Helper()
	_, err := newSite(t).parse("pgveil.yaml", []byte(data))
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatalf("no problem, want %q", text)
	}
	checkPlaces(t, []byte(data), ps)
	if !strings.Contains(err.Error(), text) {
		t.Fatalf("got %v\nwant %q", ps[0], text)
	}
	return ps
}

func TestHugeFile(t *testing.T) {
	wantProblem(t, strings.Repeat("#\n", maxBytes), "the file is larger than 1MB")
}

func TestAliasBomb(t *testing.T) {
	var b strings.Builder
	b.WriteString(least)
	b.WriteString("roles:\n- &r\n  name: a\n  members: [user:a]\n  masks: {")
	for i := range 2000 {
		fmt.Fprintf(&b, "c%d: redact, ", i)
	}
	b.WriteString("}\n")
	b.WriteString(strings.Repeat("- *r\n", 2000)) // eight million masks, were they all read
	ps := wantProblem(t, b.String(), "more than 200000 keys and values")
	if len(ps) > maxList+1 {
		t.Errorf("%d problems", len(ps))
	}
}

func TestManyRoles(t *testing.T) {
	wantProblem(t, least+"roles:\n"+strings.Repeat("- {name: a}\n", 70_000), "more than 200000 keys and values")
}

// What a file brings into a message cannot break its line.
func TestOneLine(t *testing.T) {
	for _, data := range []string{
		least + `roles: [{name: a, members: [user:a], masks: {ssn: {mask: partial, "keep\nlast": 4}}}]`,
		least + `roles: [{name: "a\nb", members: ["user:a\nb", "x\ny"], "k\nk": 1}]`,
		`"k\nk": 1`,
		least + `roles: [{name: a, members: [user:a]}]` + "\nusers: {\"a\\nb\": {}}",
	} {
		for _, p := range wantProblem(t, data, ": ") {
			if strings.ContainsAny(p.Message, "\n\r") {
				t.Errorf("%q", p.Message)
			}
		}
	}
}

func TestFileNames(t *testing.T) {
	s := newSite(t)
	for _, tc := range []struct{ name, want string }{
		{s.dir + "/x/../audit.jsonl", s.dir + "/audit.jsonl"},
		{"./dir.d/audit.jsonl", s.dir + "/dir.d/audit.jsonl"},
	} {
		c, err := s.parse("pgveil.yaml", []byte(strings.Replace(least, "audit.jsonl", tc.name, 1)+"roles: [{name: a, members: [user:a]}]"))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
		} else if c.Audit.File != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, c.Audit.File, tc.want)
		}
	}
	for _, name := range []string{`"a\0b"`, `"dir.d"`, `"\0/a"`} {
		wantProblem(t, strings.Replace(least, "audit.jsonl", name, 1), "audit.file: ")
	}
}

func TestAliasInItself(t *testing.T) {
	wantProblem(t, least+"roles: &r [*r]\n", "roles[0]: it must be a mapping")
	wantProblem(t, least+"roles:\n- &r {name: a, members: [user:a], masks: {ssn: *r}}\n", "the key mask is missing")
}

func TestManyProblems(t *testing.T) {
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "key_number_%d: x\n", i)
	}
	ps := wantProblem(t, b.String(), "more problems")
	if len(ps) != maxList+1 {
		t.Errorf("%d problems, want %d", len(ps), maxList+1)
	}
}

func TestLoad(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(s.dir, "pgveil.yaml")
	_, err := Load(file, s.lookup)
	if want := file + ":1:1: the file cannot be read: no such file or directory"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := Load(s.dir, s.lookup); err == nil || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("a directory: %v", err)
	}
	if err := os.WriteFile(file, readFile(t, "testdata/good/least.yaml"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := Load(file, s.lookup)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Valid() || c.File != file || c.Audit.File != filepath.Join(s.dir, "audit.jsonl") {
		t.Errorf("%v %q %q", c.Valid(), c.File, c.Audit.File)
	}
}

// A user whose name looks like the path of another's key does not stand in for that key.
func TestDottedNames(t *testing.T) {
	verifier := `"SCRAM-SHA-256$1:c2E=$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="`
	data := least + "roles: [{name: a, members: [user:a]}]\nusers:\n  a.verifier: {verifier: " + verifier + "}\n  a: {}\n"
	ps := wantProblem(t, data, "users.a.verifier is missing")
	if len(ps) != 1 {
		t.Error(ps)
	}
}
