package clinic

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgveil/catalog"
	"pgveil/config"
	"pgveil/masking"
	"pgveil/sqlparse"
)

var update = flag.Bool("update", false, "write docker/pgveil.yaml anew")

// dockerFile is the configuration of docker/compose.yaml.
const dockerFile = "../../../docker/pgveil.yaml"

func TestDockerFile(t *testing.T) {
	want, err := YAML(File{Listen: "0.0.0.0:6432", Host: "postgres", Port: 5432, Password: "${PGVEIL_CATALOG_PASSWORD}",
		Key: "/var/lib/pgveil/pgveil.key", Audit: "/var/lib/pgveil/audit.jsonl", Metrics: "127.0.0.1:9432"})
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(dockerFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(dockerFile)
	if err != nil || string(got) != want {
		t.Errorf("docker/pgveil.yaml is not what the template gives; -update writes it (%v)", err)
	}
}

// TestClassification compares what pgveil.yaml says of every column, read by
// the program's own parser and bound to a real catalog, with columns.txt.
func TestClassification(t *testing.T) {
	dir := t.TempDir()
	text, err := YAML(File{Listen: "127.0.0.1:0", Host: "127.0.0.1", Port: server.Port, Password: Catalog.Password,
		Key: filepath.Join(dir, "pgveil.key"), Audit: filepath.Join(dir, "audit.jsonl")})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pgveil.key"), []byte(masking.GenerateKey()), 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "pgveil.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(file, os.LookupEnv)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := catalog.Load(t.Context(), connect(t, Catalog, "clinic"))
	if err != nil {
		t.Fatal(err)
	}
	bound := cfg.Policy().Bind(snapshot)
	for _, err := range bound.Misfits() {
		t.Error(err)
	}
	report := bound.Report()
	for _, list := range [][]string{report.DeadMembers, report.DeadMasks, report.EmptyRoles, report.DeadTrusted} {
		if len(list) > 0 {
			t.Errorf("without effect: %v", list)
		}
	}
	if len(report.DeadRules)+len(report.ViewRules) > 0 {
		t.Errorf("rules that match nothing: %v, only views: %v", report.DeadRules, report.ViewRules)
	}
	want := map[string]string{}
	for _, c := range Columns() {
		want[c.Name] = c.Class
	}
	partitions := 0
	for _, rel := range snapshot.Relations {
		switch rel.Schema {
		case "public", "ref", "billing", "portal":
		default:
			continue
		}
		if rel.Kind != catalog.KindTable && rel.Kind != catalog.KindPartitionedTable {
			continue
		}
		table := rel.Name
		if strings.HasPrefix(table, "lab_results_") { // a partition's columns have the classes of its table's
			table = "lab_results"
			partitions++
		}
		for _, col := range rel.Columns {
			got := strings.Join(bound.Classes(sqlparse.Source{Relation: rel.OID, Column: col.Num, Schema: rel.Schema, Table: rel.Name, Name: col.Name}), ", ")
			class, known := want[rel.Schema+"."+table+"."+col.Name]
			if !known || got != class {
				t.Errorf("%s.%s.%s has class %q, should have %q", rel.Schema, rel.Name, col.Name, got, class)
			}
		}
	}
	if partitions != 3 {
		t.Errorf("%d partitions", partitions)
	}
	for _, u := range Users {
		if role := bound.RoleOf(u.Name); role == nil || role.Name != u.Role {
			t.Errorf("%s is not in role %s", u.Name, u.Role)
		}
	}
}
