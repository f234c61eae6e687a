package e2e

import (
	"bufio"
	"bytes"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rooms says which of pgveil's packages each room may import, directly. Data flows
// one way: wire → proxy → sqlparse → roles → masking → wire.
var rooms = map[string][]string{
	"wire":     {},
	"catalog":  {},
	"masking":  {},
	"audit":    {},
	"sqlparse": {"catalog"},
	"roles":    {"catalog", "masking", "sqlparse"},
	"config":   {"masking", "roles"},
	"proxy":    {"wire", "catalog", "sqlparse", "masking", "roles", "audit", "config"},
	"cmd":      {"wire", "catalog", "sqlparse", "masking", "roles", "audit", "config", "proxy"},
	"e2e":      {"cmd", "wire"},
	"bench":    {"cmd", "wire", "proxy"},
}

// libraries says which modules from elsewhere a room may import, directly; rooms not listed may import what go.mod lists.
var libraries = map[string][]string{
	"wire":     {"github.com/jackc/pgx/v5/pgproto3"},
	"catalog":  {"github.com/jackc/pgx/v5"},
	"masking":  {"github.com/jackc/pgx/v5/pgtype"},
	"audit":    {"golang.org/x/sys"},
	"sqlparse": {"github.com/pganalyze/pg_query_go/v6", "github.com/hashicorp/golang-lru/v2", "google.golang.org/protobuf"},
	"roles":    {},
}

func TestRooms(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "pgveil/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	seen := map[string]bool{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		room, inner, _ := strings.Cut(strings.TrimPrefix(fields[0], "pgveil/"), "/")
		allowed, ok := rooms[room]
		if !ok {
			t.Errorf("package %s is in no room", fields[0])
			continue
		}
		seen[room] = true
		generator := inner == "gen" // a program that makes data, run by hand
		for _, imp := range fields[1:] {
			if own, ok := strings.CutPrefix(imp, "pgveil/"); ok {
				to, _, _ := strings.Cut(own, "/")
				if to != room && !slices.Contains(allowed, to) {
					t.Errorf("%s imports %s: %s may import %v only", fields[0], imp, room, allowed)
				}
				continue
			}
			host, _, _ := strings.Cut(imp, "/")
			libs, limited := libraries[room]
			if !limited || generator || !strings.Contains(host, ".") {
				continue
			}
			if !slices.ContainsFunc(libs, func(l string) bool { return imp == l || strings.HasPrefix(imp, l+"/") }) {
				t.Errorf("%s imports %s: %s may import %v only", fields[0], imp, room, libs)
			}
		}
	}
	for room := range rooms {
		if !seen[room] && room != "e2e" {
			t.Errorf("room %s has no package", room)
		}
	}
}
