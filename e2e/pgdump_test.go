package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// TestMaskedPgDump: a masked role's dump is whole and masked.
func TestMaskedPgDump(t *testing.T) {
	t.Parallel()
	s := canaries(t)
	p := start(t, server, nil)
	for name, args := range map[string][]string{"COPY": nil, "INSERT": {"--inserts"}, "definitions": {"--schema-only"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*wait)
		defer cancel()
		cmd := exec.CommandContext(ctx, server.Bin("pg_dump"), append(args, "--dbname", p.dsn(clinic.Developer), "-n", "public", "-n", "billing",
			"--exclude-table-data=providers")...) // names of staff, who share the patients'
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, &stderr)
			continue
		}
		rows := strings.Count(string(out), "\n")
		if !strings.Contains(string(out), "CREATE TABLE public.patients (") || name != "definitions" && rows < patients {
			t.Errorf("%s: %d lines, of which none makes the table", name, rows)
		}
		if leaks := s.find(out, ""); len(leaks) > 0 {
			t.Errorf("%s leaks %s", name, leaks)
		}
	}
}
