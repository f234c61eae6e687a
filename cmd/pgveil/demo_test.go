package main

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
	"pgveil/config"
)

func testCLI(t *testing.T) (*cli, *bytes.Buffer, *bytes.Buffer) {
	var out, errs bytes.Buffer
	return &cli{t.Context(), strings.NewReader(""), &out, &errs}, &out, &errs
}

// demoFolder is where a demo said that it keeps its files.
func demoFolder(t *testing.T, out string) string {
	t.Helper()
	m := regexp.MustCompile(`The configuration is in (\S+)/pgveil\.yaml`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no folder in the output:\n%s", out)
	}
	return m[1]
}

func TestDemoOnce(t *testing.T) {
	c, out, errs := testCLI(t)
	if code := run(c, []string{"demo", "--once", "--patients", "50"}); code != 0 {
		t.Fatalf("exit status %d\n%s\n%s", code, out, errs)
	}
	text := out.String()
	for _, want := range []string{"ada, clinician", "bob, developer", "carol, analyst", "PGPASSWORD=bob-demo psql -h 127.0.0.1 -p ", "ERROR:", `"user":"carol"`, `"verdict":"refuse"`} {
		if !strings.Contains(text, want) {
			t.Errorf("the output lacks %q:\n%s", want, text)
		}
	}
	// A social security number in full is to be seen in the clinician's rows only.
	clear := text[strings.Index(text, "ada, clinician"):strings.Index(text, "bob, developer")]
	ssn := regexp.MustCompile(`\b(9\d\d|666)-\d\d-\d{4}\b`)
	if !ssn.MatchString(clear) {
		t.Errorf("the clinician sees no number:\n%s", clear)
	}
	if hit := ssn.FindString(strings.Replace(text, clear, "", 1)); hit != "" {
		t.Errorf("%s is shown outside the clinician's rows:\n%s", hit, text)
	}
	if _, err := os.Stat(demoFolder(t, text)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// transparent is a proxy that masks nothing: PostgreSQL itself.
type transparent struct{ addr string }

func (p transparent) Addr() string { return p.addr }
func (p transparent) Stop() error  { return nil }

func TestDemoFailsWhenNothingIsMasked(t *testing.T) {
	c, out, _ := testCLI(t)
	var file string
	err := demo(c, demoOptions{once: true, patients: 20}, func(_ context.Context, cfg *config.Config, _ *slog.Logger) (startedProxy, error) {
		file = cfg.File
		return transparent{cfg.Upstream.Address().String()}, nil
	})
	if err == nil || !strings.Contains(err.Error(), "wrong for "+clinic.Developer.Name) {
		t.Errorf("error %v\n%s", err, out)
	}
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", file, err)
	}
}

func TestDemoEndsWithItsContext(t *testing.T) {
	c, out, _ := testCLI(t)
	ctx, cancel := context.WithCancel(c.ctx)
	c.ctx = ctx
	err := demo(c, demoOptions{patients: 20}, func(context.Context, *config.Config, *slog.Logger) (startedProxy, error) {
		cancel()
		return nil, errors.New("noise")
	})
	if err == nil || err.Error() != "interrupted" {
		t.Errorf("error %v\n%s", err, out)
	}
}

func TestDemoUsage(t *testing.T) {
	for _, args := range [][]string{{"now"}, {"--patients", "0"}, {"--port", "70000"}, {"--key", "x"}, {"--no-such"}} {
		c, out, errs := testCLI(t)
		if code := run(c, append([]string{"demo"}, args...)); code != 2 || out.Len() > 0 || errs.Len() == 0 {
			t.Errorf("%v: exit status %d, output %q, errors %q", args, code, out, errs)
		}
	}
}

func TestLoad(t *testing.T) {
	server, err := cluster.Start(t.Context(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Stop() })
	if err := server.Exec(t.Context(), "postgres", "CREATE DATABASE clinic"); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(t.TempDir(), "pgveil.key")
	var kept []byte
	for _, want := range []string{"Loaded 30 patients into clinic.", "The clinic is there already."} {
		c, out, errs := testCLI(t)
		if code := run(c, []string{"demo", "--load", server.SuperDSN("clinic"), "--patients", "30", "--key", key}); code != 0 || strings.TrimSpace(out.String()) != want {
			t.Fatalf("exit status %d, output %q, errors %q", code, out, errs)
		}
		content, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		if kept != nil && !bytes.Equal(kept, content) {
			t.Error("the key was replaced")
		}
		kept = content
	}
	if st, err := os.Stat(key); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st.Mode(), err)
	}
	conn, err := pgx.Connect(t.Context(), server.DSN(clinic.Analyst.Name, clinic.Analyst.Password, "clinic"))
	if err != nil {
		t.Fatal(err)
	}
	conn.Close(t.Context())
}

func TestInstallSaysWhatIsMissing(t *testing.T) {
	t.Setenv(cluster.BinEnv, t.TempDir())
	for _, install := range []bool{true, false} {
		if _, err := findServer(t.Context(), &bytes.Buffer{}, install); !errors.Is(err, cluster.ErrNoServer) || !strings.Contains(err.Error(), cluster.BinEnv) {
			t.Errorf("install %t: %v", install, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	if err := installServer(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "apt-get") {
		t.Errorf("error %v", err)
	}
}

// TestInstall runs against a stand-in for apt-get.
func TestInstall(t *testing.T) {
	dir := t.TempDir()
	calls := filepath.Join(dir, "calls")
	script := "#!/bin/sh\necho \"$DEBIAN_FRONTEND $*\" >> " + calls + "\nif [ -e " + dir + "/broken ]; then exit 100; fi\n"
	for name, content := range map[string]string{"apt-get": script, "sudo": "#!/bin/sh\nexec \"$@\"\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	var said bytes.Buffer
	if err := installServer(t.Context(), &said); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(calls)
	if want := "noninteractive update\nnoninteractive install --yes --no-install-recommends postgresql postgresql-client\n"; err != nil || string(got) != want {
		t.Errorf("called %q, %v", got, err)
	}
	if !strings.Contains(said.String(), "apt-get install --yes") {
		t.Errorf("said %q", said.String())
	}
	if err := os.WriteFile(filepath.Join(dir, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := installServer(t.Context(), &said); err == nil || !strings.Contains(err.Error(), "update") {
		t.Errorf("error %v", err)
	}
}

// TestReadmeShowsDemo: the README has the demo's statements, and what it says that each user sees.
func TestReadmeShowsDemo(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{indent(demoQuery), indent(demoOracle)}
	for _, u := range clinic.Users {
		wanted = append(wanted, u.Name+", "+u.Role+": "+sees[u.Role]+"\n")
	}
	for _, want := range wanted {
		if !strings.Contains(string(data), want) {
			t.Errorf("README.md lacks\n%s\nput in what pgveil demo --once prints", want)
		}
	}
}
