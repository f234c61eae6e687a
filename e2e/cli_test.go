package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

// keysOf checks that an object has the wanted keys, and others only from may.
func keysOf(t *testing.T, what string, o map[string]any, want string, may ...string) {
	t.Helper()
	for _, k := range strings.Fields(want) {
		if _, ok := o[k]; !ok {
			t.Errorf("%s has no %q: %v", what, k, o)
		}
	}
	for k := range maps.Keys(o) {
		if !slices.Contains(strings.Fields(want), k) && !slices.Contains(may, k) {
			t.Errorf("%s has the key %q", what, k)
		}
	}
}

func objects(t *testing.T, v any) []map[string]any {
	t.Helper()
	l, ok := v.([]any)
	if !ok {
		t.Fatalf("%v is no list", v)
	}
	var out []map[string]any
	for _, x := range l {
		o, ok := x.(map[string]any)
		if !ok {
			t.Fatalf("%v is no object", x)
		}
		out = append(out, o)
	}
	return out
}

// explainJSON runs pgveil explain and returns its objects, one a line, with their shape checked.
func explainJSON(t *testing.T, p *pgveil, user string, args ...string) []map[string]any {
	t.Helper()
	out, errs, code := run(t, append([]string{"explain", "-c", p.path("pgveil.yaml"), "--database", database, "--user", user, "--format", "json"}, args...)...)
	if code != 0 {
		t.Fatalf("explain %q: status %d, %s", args, code, errs)
	}
	var all []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		keysOf(t, "a statement", o, "statement verdict columns predicates effects", "refusal")
		if v := o["verdict"]; v != "pass" && v != "mask" && v != "refuse" {
			t.Errorf("verdict %v", v)
		}
		for _, c := range objects(t, o["columns"]) {
			keysOf(t, "a column", c, "name type sources mask reason", "options")
			for _, s := range objects(t, c["sources"]) {
				keysOf(t, "a source", s, "column class exact")
				if !regexp.MustCompile(`^\w+\.\w+\.\w+$`).MatchString(s["column"].(string)) {
					t.Errorf("source %v", s)
				}
			}
		}
		for _, c := range objects(t, o["predicates"]) {
			keysOf(t, "a predicate", c, "column use allowed position")
		}
		for _, c := range objects(t, o["effects"]) {
			keysOf(t, "an effect", c, "kind", "name", "target", "sources", "position")
		}
		r, refused := o["refusal"].(map[string]any)
		if refused != (o["verdict"] == "refuse") {
			t.Errorf("verdict %v with refusal %v", o["verdict"], o["refusal"])
		}
		if refused {
			keysOf(t, "a refusal", r, "sqlstate message", "detail", "hint", "position", "rule")
		}
		all = append(all, o)
	}
	return all
}

// TestExplain: what would happen, and that it is what happens.
func TestExplain(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	const sql = "SELECT patient_id, ssn, upper(email) AS u, birth_date FROM patients WHERE ssn = 'x'"
	o := explainJSON(t, p, "bob", sql)[0]
	if o["statement"] != sql || o["verdict"] != "mask" {
		t.Errorf("%v", o)
	}
	var got []string
	for _, c := range objects(t, o["columns"]) {
		s := objects(t, c["sources"])[0]
		got = append(got, fmt.Sprint(c["name"], " ", c["type"], " ", c["mask"], " ", s["column"], " ", s["class"], " ", s["exact"]))
	}
	want := []string{
		"patient_id int4 clear public.patients.patient_id  true",
		"ssn text partial public.patients.ssn ssn true",
		"u text redact public.patients.email email false",
		"birth_date date generalize public.patients.birth_date date.birth true",
	}
	if !slices.Equal(got, want) {
		t.Errorf("columns\n%s, want\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	pr := objects(t, o["predicates"])[0]
	if pr["column"] != "public.patients.ssn" || pr["allowed"] != true || int(pr["position"].(float64)) != strings.Index(sql, "ssn =")+1 && int(pr["position"].(float64)) != strings.Index(sql, "= 'x'")+1 {
		t.Errorf("predicate %v", pr)
	}
	const no = "SELECT 'ü', ssn FROM patients ORDER BY last_name"
	refusal := explainJSON(t, p, "bob", no)[0]["refusal"].(map[string]any)
	if refusal["sqlstate"] != "42501" || !strings.Contains(refusal["message"].(string), "public.patients.last_name") || int(refusal["position"].(float64)) != len([]rune(no[:strings.Index(no, "last_name")]))+1 {
		t.Errorf("refusal %v", refusal)
	}
	if o := explainJSON(t, p, "ada", no)[0]; o["verdict"] != "pass" {
		t.Errorf("the clinician's verdict: %v", o)
	}
	if o := explainJSON(t, p, "bob", "INSERT INTO ref.icd10 SELECT ssn, ssn, 1 FROM patients")[0]; len(objects(t, o["effects"])) == 0 || o["verdict"] != "refuse" {
		t.Errorf("a flow to another table: %v", o)
	}
	if o := explainJSON(t, p, "bob", "SELEC 1")[0]; o["verdict"] != "refuse" || o["refusal"].(map[string]any)["sqlstate"] != "42601" {
		t.Errorf("a syntax error: %v", o)
	}
	// The verdicts are those of a session.
	c := p.connect(clinic.Developer)
	for _, st := range statements(t, developerSQL) {
		o := explainJSON(t, p, "bob", st.sql)[0]
		r := c.query(simple, st.sql)
		if refused := sqlState(r.err) == "42501"; refused != (o["verdict"] == "refuse") {
			t.Errorf("%s\nis explained as %v and gives %v", st.sql, o["verdict"], r.err)
		}
		if st.line > 30 { // enough: each starts the program and reads the catalog
			break
		}
	}
}

// TestExplainText: many statements from a file and from standard input, for readers.
func TestExplainText(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	const text = "-- a file\nSELECT ssn FROM patients; SELECT ';' /* ; */;\nSELEC 1;\nSELECT name FROM ref.drugs;\nSELECT nothing FROM ref.drugs\n;;"
	p.write("many.sql", text)
	all := explainJSON(t, p, "bob", "-f", p.path("many.sql"))
	var got []string
	for _, o := range all {
		got = append(got, fmt.Sprint(o["verdict"], " ", o["statement"]))
	}
	want := []string{"mask SELECT ssn FROM patients", "pass SELECT ';' /* ; */", "refuse SELEC 1", "pass SELECT name FROM ref.drugs", "refuse SELECT nothing FROM ref.drugs"}
	if len(got) != len(want) {
		t.Fatalf("statements %q, want %q", got, want)
	}
	for i := range want {
		// Comments at the ends may stay or go.
		if got[i] != want[i] && !strings.HasPrefix(want[i], got[i]) {
			t.Errorf("statement %d: %q, want %q", i, got[i], want[i])
		}
	}
	args := []string{"explain", "-c", p.path("pgveil.yaml"), "--database", database, "--user", "bob"}
	fromFile, errs, code := run(t, append(args, "-f", p.path("many.sql"))...)
	if code != 0 {
		t.Fatalf("status %d: %s", code, errs)
	}
	cmd := exec.Command(binary, append(args, "-f", "-")...)
	cmd.Stdin = strings.NewReader(text)
	fromStdin, err := cmd.CombinedOutput()
	if err != nil || string(fromStdin) != fromFile {
		t.Errorf("from standard input: %v\n%s\nfrom the file\n%s", err, fromStdin, fromFile)
	}
	for _, w := range []string{"SELECT ssn FROM patients\nRole: developer\nVerdict: mask\nColumn ssn text: partial (keep_last 4)", "from public.patients.ssn (class ssn, exact)", "Refused: 42601"} {
		if !strings.Contains(fromFile, w) {
			t.Errorf("the text lacks %q:\n%s", w, fromFile)
		}
	}
	if o := explainJSON(t, p, "bob", "--search-path", "ref, public", "SELECT name FROM drugs")[0]; o["verdict"] != "pass" {
		t.Errorf("with another search path: %v", o)
	}
	// EXPLAIN (PGVEIL) prints the same lines.
	out, _, _ := run(t, append(args, "SELECT ssn, 1 AS x FROM patients WHERE ssn = 'x'")...)
	lines := strings.Join(column(t, p.wire(clinic.Developer).ask(query("EXPLAIN (PGVEIL) SELECT ssn, 1 AS x FROM patients WHERE ssn = 'x'")), 0), "\n")
	clean := regexp.MustCompile(`at character \d+`)
	if !strings.Contains(clean.ReplaceAllString(out, ""), clean.ReplaceAllString(lines, "")) || !strings.Contains(lines, "Verdict: mask") {
		t.Errorf("EXPLAIN (PGVEIL)\n%s\npgveil explain\n%s", lines, out)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--user", "nobody", "SELECT 1"}, 1, "in no role"},
		{[]string{"SELECT 1"}, 2, "--user"},
		{[]string{"--user", "bob"}, 2, "SQL"},
		{[]string{"--user", "bob", "--format", "xml", "SELECT 1"}, 2, "xml"},
		{[]string{"--user", "bob", "-f", "/no/such/file"}, 1, "no such file"},
		{[]string{"--user", "bob", "--database", "nowhere", "SELECT 1"}, 1, "nowhere"},
	} {
		out, errs, code := run(t, append([]string{"explain", "-c", p.path("pgveil.yaml"), "--database", database}, c.args...)...)
		if code != c.code || !strings.Contains(errs, c.want) || out != "" {
			t.Errorf("explain %q: status %d, %s%s", c.args, code, out, errs)
		}
	}
}

// TestCheck: what pgveil check says of files, good and bad.
func TestCheck(t *testing.T) {
	t.Parallel()
	p := start(t, server, nil)
	file := p.path("pgveil.yaml")
	check := func(edit func(string) string) (string, string, int) {
		p.configure(server, edit)
		return run(t, "check", "-c", file, "--database", database)
	}
	out, errs, code := check(nil)
	if code != 0 || errs != "" || !strings.Contains(out, "valid") || !regexp.MustCompile(`database clinic: \d+ columns classified, \d+ in scope and unclassified`).MatchString(out) ||
		!strings.Contains(out, "public.patients.ssn: ssn") || !strings.Contains(out, "public.patients.risk_tier") || strings.Contains(out, "warning") {
		t.Errorf("a good file: status %d\n%s%s", code, out, errs)
	}
	replace := func(old, new string) func(string) string {
		return func(y string) string {
			if !strings.Contains(y, old) {
				t.Fatalf("the file has no %q", old)
			}
			return strings.Replace(y, old, new, 1)
		}
	}
	for _, c := range []struct {
		name string
		edit func(string) string
		code int
		want []string // patterns, in the output or the errors
	}{
		{"unknown keys, all at once", func(y string) string { return y + "nonsense: true\nlimits: {max_conections: 1, login_timeout: soon}\n" }, 1,
			[]string{`pgveil\.yaml:\d+:1: .*nonsense`, `pgveil\.yaml:\d+:\d+: .*max_conections`, `pgveil\.yaml:\d+:\d+: .*login_timeout`}},
		{"broken YAML", replace("roles:", "roles: ["), 1, []string{`pgveil\.yaml:\d+:\d+: `}},
		{"key twice", func(y string) string { return y + "listen: [127.0.0.1:1]\n" }, 1, []string{`pgveil\.yaml:\d+:1: .*listen`}},
		{"unknown mask", replace("ssn: hash", "ssn: hush"), 1, []string{`pgveil\.yaml:\d+:\d+: .*hush`}},
		{"unset variable", replace(`password: "pgveil-demo"`, "password: ${NO_SUCH_VARIABLE}"), 1, []string{`pgveil\.yaml:\d+:\d+: .*NO_SUCH_VARIABLE`}},
		{"mask that does not fit a type", replace("ssn: {mask: partial, keep_last: 4}", "photo: {mask: generalize, to: year}"), 1, []string{`error: .*photo.*generalize|error: .*generalize.*photo`}},
		{"dead rule", replace("  columns:\n", "  columns:\n    public.patients.no_such_column: ssn\n"), 0, []string{`pgveil\.yaml:\d+:\d+: rule .*no_such_column.* matches no column`}},
		{"dead member", replace("[group:developers]", "[group:developers, group:nobodies, user:noone]"), 0, []string{`warning: .*group:nobodies`, `warning: .*user:noone`}},
		{"role without members", replace("members: [group:analysts]", "members: [group:nobodies]"), 0, []string{`warning: role without members: analyst`}},
		{"dead mask", replace("ssn: hash", "ssn: hash\n      fingerprint: hash"), 0, []string{`warning: mask for a class that no column has: .*fingerprint`}},
		{"dead function", replace("public.format_phone(text)", "public.no_such_function(text)"), 0, []string{`warning: .*no_such_function`}},
		{"wrong catalog password", replace(`password: "pgveil-demo"`, "password: wrong"), 1, []string{"catalog account", "password authentication failed"}},
		{"unreachable server", replace(fmt.Sprintf("port: %d", server.Port), fmt.Sprintf("port: %d", freePort(t))), 1, []string{"connect"}},
	} {
		out, errs, code := check(c.edit)
		if code != c.code {
			t.Errorf("%s: status %d\n%s%s", c.name, code, out, errs)
		}
		for _, w := range c.want {
			if !regexp.MustCompile(w).MatchString(out + errs) {
				t.Errorf("%s: nothing matches %q in\n%.3000s%s", c.name, w, out, errs)
			}
		}
		if strings.Contains(out+errs, "pgveil-demo") {
			t.Errorf("%s: the password is shown", c.name)
		}
	}
	if out, errs, code := run(t, "check", "-c", "/no/such/file.yaml"); code != 1 || !strings.Contains(errs, "/no/such/file.yaml") {
		t.Errorf("no file: status %d, %s%s", code, out, errs)
	}
	// serve refuses what check refuses, before it listens.
	p.configure(server, func(y string) string { return y + "nonsense: true\n" })
	if out, errs, code := run(t, "serve", "-c", file); code != 1 || !strings.Contains(out+errs, "nonsense") {
		t.Errorf("serve with a bad file: status %d, %s%s", code, out, errs)
	}
}

// TestRekey: a new key stands before the old one, and a bad file stays as it was.
func TestRekey(t *testing.T) {
	key, _, _ := run(t, "keygen")
	file := filepath.Join(t.TempDir(), "pgveil.key")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, code := run(t, "rekey", file)
	data, err := os.ReadFile(file)
	if err != nil || code != 0 || stderr != "" || !regexp.MustCompile(`has 2 keys, the newest first: [0-9a-f]{4} [0-9a-f]{4}\n$`).MatchString(stdout) {
		t.Errorf("exit status %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if !strings.HasSuffix(string(data), "\n"+key) || len(data) != 2*len(key) {
		t.Errorf("the file has %d bytes, and the old key is not its last line", len(data))
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := run(t, "rekey", file); code != 1 || !strings.Contains(stderr, "mode 0640") {
		t.Errorf("a file that others may read: exit status %d, %q", code, stderr)
	}
	if _, _, code := run(t, "rekey"); code != 2 {
		t.Errorf("no file: exit status %d", code)
	}
}
