package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fakeServer is a folder whose postgres prints a version.
func fakeServer(t *testing.T, version string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range needed {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho 'postgres (PostgreSQL) "+version+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestFind(t *testing.T) {
	old, recent, newest := fakeServer(t, "12.4"), fakeServer(t, "16.1 (Debian 16.1-1)"), fakeServer(t, "18beta1")
	saved := installed
	t.Cleanup(func() { installed = saved })
	for _, c := range []struct {
		name      string
		env, path string
		installed []string
		dir       string
		version   int
		err       string
	}{
		{"environment first", recent, newest, nil, recent, 16, ""},
		{"environment alone", old, newest, []string{newest}, "", 0, "PostgreSQL 12; 13 or newer"},
		{"path", "", recent, []string{newest}, recent, 16, ""},
		{"path too old", "", old, []string{recent, newest}, newest, 18, ""},
		{"newest of the installed", "", "", []string{recent, newest, old}, newest, 18, ""},
		{"nothing", "", "", []string{"/no/such/*"}, "", 0, "set PGVEIL_PG_BIN"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(BinEnv, c.env)
			t.Setenv("PATH", c.path+":/no/such/folder")
			installed = c.installed
			// The stand-ins are shell scripts with absolute interpreters: no PATH needed.
			b, err := Find(t.Context())
			if c.err != "" {
				if !errors.Is(err, ErrNoServer) || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if b.Dir != c.dir || b.Version != c.version {
				t.Errorf("found %+v", b)
			}
		})
	}
}

func TestFindFollowsLinks(t *testing.T) {
	server, links := fakeServer(t, "17.0"), t.TempDir()
	if err := os.Symlink(filepath.Join(server, "postgres"), filepath.Join(links, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv(BinEnv, "")
	t.Setenv("PATH", links)
	b, err := Find(t.Context())
	if err != nil || b.Dir != server {
		t.Fatalf("found %+v, %v", b, err)
	}
}

func TestParseVersion(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int // 0: an error
	}{
		{"postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)", 15},
		{"postgres (PostgreSQL) 19devel", 19},
		{"postgres (PostgreSQL) 9.6.24", 9},
		{"postgres (PostgreSQL) ", 0},
		{"postgres (PostgreSQL) x", 0},
		{"postgres (EnterpriseDB) 15", 0},
		{"", 0},
	} {
		got, err := parseVersion(c.in)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("%q: %d, %v", c.in, got, err)
		}
	}
}

func TestTraversable(t *testing.T) {
	dir := t.TempDir()
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := account{name: "stranger", uid: 4242, gid: 4242, other: true}
	if err := stranger.traversable(filepath.Join(closed, "in")); err == nil || !strings.Contains(err.Error(), closed) {
		t.Errorf("error %v", err)
	}
	if err := stranger.traversable("/"); err != nil {
		t.Error(err)
	}
	if err := (account{}).traversable(filepath.Join(closed, "in")); err != nil {
		t.Errorf("this process's own user: %v", err)
	}
}
