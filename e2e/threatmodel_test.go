package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestThreatModelNamesItsTests: every channel of docs/threat-model.md names at least one test, and each of them exists.
func TestThreatModelNamesItsTests(t *testing.T) {
	page, err := os.ReadFile("../docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), "<!-- begin channels -->\n")
	table, _, ok2 := strings.Cut(rest, "<!-- end channels -->")
	if !ok || !ok2 {
		t.Fatal("docs/threat-model.md has no table of channels")
	}
	exist := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(b), -1) {
			exist[m[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for _, row := range strings.Split(strings.TrimSpace(table), "\n")[2:] {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if len(cells) != 4 {
			t.Errorf("a row has %d cells: %s", len(cells), row)
			continue
		}
		rows++
		tests := regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(cells[2], -1)
		if len(tests) == 0 {
			t.Errorf("channel %q names no test", strings.TrimSpace(cells[0]))
		}
		for _, m := range tests {
			if !exist[m[1]] {
				t.Errorf("channel %q names %s, which does not exist", strings.TrimSpace(cells[0]), m[1])
			}
		}
	}
	if rows < 20 {
		t.Errorf("%d channels", rows)
	}
}
