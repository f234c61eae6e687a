package catalog

import (
	"slices"
	"strings"
	"testing"
)

// TestDefinitionsAreKnown holds data/definitions.txt against the other data: every column is a sensitive one and
// every function a source.
func TestDefinitionsAreKnown(t *testing.T) {
	var lines []string
	for line := range definitions() {
		lines = append(lines, line)
		if call, ok := strings.CutSuffix(line, "()"); ok {
			_, fn, _ := strings.Cut(call, ".")
			found := false
			for sig, b := range builtinFunctions() {
				if strings.HasPrefix(sig, fn+"(") {
					found = true
					if b.Flow != FlowSource {
						t.Errorf("%s: %s is no source", line, sig)
					}
				}
			}
			if !found {
				t.Errorf("%s is no function", line)
			}
			continue
		}
		part := strings.Split(line, ".")
		if clear, known := SystemColumn(part[0], part[1], part[2]); !known || clear {
			t.Errorf("%s: known %v, clear %v", line, known, clear)
		}
	}
	var inFile []string
	for line := range strings.Lines(definitionsText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			name, kind, _ := strings.Cut(line, " ")
			if kind != "" && kind != "text" {
				t.Errorf("%s: kind %q", name, kind)
			}
			inFile = append(inFile, name)
		}
	}
	if !slices.IsSorted(inFile) || len(inFile) != len(lines) {
		t.Error("data/definitions.txt is not sorted, or has a line twice")
	}
}
