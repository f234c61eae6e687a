package sqlparse

import (
	"os"
	"strings"
	"testing"
)

// TestStatementsPage holds docs/statements.md against the decisions on the statements of the grammar.
func TestStatementsPage(t *testing.T) {
	text, err := os.ReadFile("../docs/statements.md")
	if err != nil {
		t.Fatal(err)
	}
	rules := map[string]string{}
	for line := range strings.SplitSeq(string(text), "\n") {
		cells := strings.Split(line, " | ")
		name := strings.TrimPrefix(cells[0], "| ")
		if len(cells) != 3 || !strings.HasSuffix(name, "Stmt") {
			continue
		}
		if rules[name] != "" {
			t.Errorf("%s has two rows", name)
		}
		rules[name] = strings.TrimSuffix(cells[2], " |")
	}
	// Not statements of SQL: the wrapper of each, an assignment of PL/pgSQL, and RETURN within a function's body.
	parts := map[string]bool{"RawStmt": true, "PlassignStmt": true, "ReturnStmt": true}
	statements := 0
	for name := range nodeKinds(t) {
		if !strings.HasSuffix(name, "Stmt") || parts[name] || nodeRoles[name] == roleInternal {
			continue
		}
		statements++
		rule := rules[name]
		if rule == "" {
			t.Errorf("docs/statements.md has no row for %s", name)
			continue
		}
		if refused := rule == "Refused." || strings.HasPrefix(rule, "Refused:"); refused != (nodeRoles[name] == roleRefused) {
			t.Errorf("docs/statements.md says of %s: %q; the analyser's decision is %v", name, rule, nodeRoles[name])
		}
		delete(rules, name)
	}
	for name := range rules {
		t.Errorf("docs/statements.md has a row for %s, which is no statement", name)
	}
	if statements < 100 {
		t.Errorf("only %d statements", statements)
	}
}
