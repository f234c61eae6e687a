package catalog

import (
	"bytes"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// TestData reads every embedded file: each line parses, and lines are sorted.
func TestData(t *testing.T) {
	files, err := fs.Glob(knowledge, "data/extensions/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no extension files", err)
	}
	for _, file := range append(files, "data/functions.jsonl") {
		if m, err := readFunctions(knowledge, file); err != nil {
			t.Error(err)
		} else if len(m) == 0 {
			t.Errorf("%s is empty", file)
		}
	}
	if _, err := readRelations(knowledge, "data/relations.jsonl"); err != nil {
		t.Error(err)
	}
	for _, file := range append(files, "data/functions.jsonl", "data/relations.jsonl") {
		text, err := fs.ReadFile(knowledge, file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if !slices.IsSorted(lines) || bytes.Contains(text, []byte("\r")) {
			t.Errorf("%s is not sorted", file)
		}
	}
}
