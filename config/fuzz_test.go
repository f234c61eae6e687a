package config

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse wants an answer for any bytes: a valid configuration, or problems that stand inside the file and show no secret.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, file := range files {
			f.Add(readFile(f, file))
		}
	}
	s := newSite(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if strings.Contains(string(data), "/proc") || strings.Contains(string(data), "/sys") {
			return // files there can block or change the machine when they are opened
		}
		c, err := s.parse("pgveil.yaml", data)
		if err == nil {
			if !c.Valid() || len(c.Roles) == 0 || len(c.Listen) == 0 || c.Upstream.SSLMode == "" || c.Audit.File == "" || c.Catalog.Refresh <= 0 {
				t.Fatalf("accepted, but not whole: %+v", c)
			}
			for name, u := range c.Users {
				if u.Verifier == "" || u.UpstreamUser == "" {
					t.Fatalf("user %q is not whole", name)
				}
			}
			return
		}
		var ps Problems
		if c != nil || !errors.As(err, &ps) || len(ps) == 0 {
			t.Fatalf("%v, %T", c, err)
		}
		checkPlaces(t, data, ps)
		for line := range strings.Lines(err.Error() + "\n") {
			if !strings.HasPrefix(line, s.dir) {
				t.Fatalf("a message has more than one line: %q", err)
			}
		}
		if strings.Contains(err.Error(), secret) && !strings.Contains(string(data), secret) {
			t.Fatalf("a message shows what a variable holds: %v", err)
		}
	})
}

// FuzzExpand wants text without ${ to stay as it is, and $${ to come out as ${.
func FuzzExpand(f *testing.F) {
	for _, s := range []string{"", "$", "$$", "${A}", "$${A}", "${", "${}", "a${A}b${A}c", "$$${A}", "SCRAM-SHA-256$4096:x$y:z"} {
		f.Add(s)
	}
	env := func(name string) (string, bool) { return "<" + name + "${A}>", name != "UNSET" }
	f.Fuzz(func(t *testing.T, s string) {
		escaped := strings.ReplaceAll(s, "${", "$${")
		if !strings.Contains(s, "$$") {
			if out, expanded, problems := expand(escaped, env); out != s || expanded || problems != nil {
				t.Errorf("expand(%q) = %q, %v, %v", escaped, out, expanded, problems)
			}
		}
		if out, _, problems := expand(s, env); !strings.Contains(s, "${") && (out != s || problems != nil) {
			t.Errorf("expand(%q) = %q, %v", s, out, problems)
		}
	})
}
