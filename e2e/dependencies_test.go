package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestDependenciesAreExplained: every module that go.mod requires directly has its line in docs/dependencies.md, and no other has.
func TestDependenciesAreExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "mod", "edit", "-json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var mod struct {
		Require []struct {
			Path     string
			Indirect bool
		}
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	direct := 0
	for _, r := range mod.Require {
		listed := strings.Contains(string(page), "| `"+r.Path+"` |")
		if !r.Indirect {
			direct++
		}
		if listed == r.Indirect {
			t.Errorf("%s: indirect %v, listed %v", r.Path, r.Indirect, listed)
		}
	}
	if lines := strings.Count(string(page), "\n| `"); lines != direct {
		t.Errorf("%d modules listed, %d required", lines, direct)
	}
}
