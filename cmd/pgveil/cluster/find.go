package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinVersion is the oldest major version of PostgreSQL that is accepted.
const MinVersion = 13

// BinEnv names the environment variable that points at the folder of the
// server's binaries. When it is set nothing else is looked at.
const BinEnv = "PGVEIL_PG_BIN"

// needed are the programs that a folder must hold to be of use.
var needed = []string{"postgres", "initdb"}

// installed are the places where packages put the server's binaries: Debian and
// Ubuntu, the PGDG packages for RPM systems, Homebrew, a build from source.
var installed = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/opt/homebrew/opt/postgresql@*/bin",
	"/usr/local/opt/postgresql@*/bin",
	"/usr/local/pgsql/bin",
}

// Binaries is a folder with PostgreSQL's server programs.
type Binaries struct {
	Dir     string // absolute, symbolic links resolved
	Version int    // major version
}

// ErrNoServer is in the error of Find when no usable server is installed.
var ErrNoServer = errors.New("no PostgreSQL server binaries")

// Find looks for server binaries of MinVersion or newer: in $PGVEIL_PG_BIN alone
// when that is set, else in PATH, in what pg_config names, then where packages
// install them, the newest first. The error says where it looked and what was
// wrong there.
func Find(ctx context.Context) (Binaries, error) {
	if dir, ok := os.LookupEnv(BinEnv); ok && dir != "" {
		b, err := probe(ctx, dir)
		if err != nil {
			return Binaries{}, fmt.Errorf("%w: %s: %w", ErrNoServer, BinEnv, err)
		}
		return b, nil
	}
	var problems []string
	try := func(what, dir string) (Binaries, bool) {
		b, err := probe(ctx, dir)
		if err != nil {
			problems = append(problems, what+": "+err.Error())
		}
		return b, err == nil
	}
	if p, err := exec.LookPath("postgres"); err == nil {
		if b, ok := try("PATH", programDir(p)); ok {
			return b, nil
		}
	}
	if p, err := exec.LookPath("pg_config"); err == nil {
		out, err := output(ctx, p, "--bindir")
		if err == nil {
			// Debian's pg_config names the client's folder, which often has no server.
			if b, ok := try("pg_config --bindir", out); ok {
				return b, nil
			}
		} else {
			problems = append(problems, "pg_config --bindir: "+err.Error())
		}
	}
	var found []Binaries
	for _, pattern := range installed {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return Binaries{}, err
		}
		for _, dir := range dirs {
			if b, ok := try(pattern, dir); ok {
				found = append(found, b)
			}
		}
	}
	if len(found) == 0 {
		problems = append(problems, "nothing usable in "+strings.Join(installed, ", "))
		return Binaries{}, fmt.Errorf("%w of version %d or newer (install PostgreSQL's server package, or set %s to the folder with initdb and postgres): %s",
			ErrNoServer, MinVersion, BinEnv, strings.Join(problems, "; "))
	}
	return slices.MaxFunc(found, func(a, b Binaries) int { return cmp.Compare(a.Version, b.Version) }), nil
}

// programDir is the folder of a program with its symbolic links resolved:
// initdb looks for postgres beside itself, not beside a link to itself.
func programDir(path string) string {
	if p, err := filepath.EvalSymlinks(path); err == nil {
		path = p
	}
	return filepath.Dir(path)
}

// probe checks that dir holds the needed programs in a version of use.
func probe(ctx context.Context, dir string) (Binaries, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, err
	}
	for _, name := range needed {
		st, err := os.Stat(filepath.Join(dir, name))
		switch {
		case err != nil:
			return Binaries{}, err
		case !st.Mode().IsRegular() || st.Mode().Perm()&0o111 == 0:
			return Binaries{}, fmt.Errorf("%s is not a program", filepath.Join(dir, name))
		}
	}
	out, err := output(ctx, filepath.Join(dir, "postgres"), "--version")
	if err != nil {
		return Binaries{}, fmt.Errorf("%s --version: %w", filepath.Join(dir, "postgres"), err)
	}
	version, err := parseVersion(out)
	if err != nil {
		return Binaries{}, err
	}
	if version < MinVersion {
		return Binaries{}, fmt.Errorf("%s holds PostgreSQL %d; %d or newer is needed", dir, version, MinVersion)
	}
	return Binaries{Dir: dir, Version: version}, nil
}

// parseVersion takes the major version from "postgres (PostgreSQL) 15.13 (Debian …)",
// "… 18beta1" or "… 19devel".
func parseVersion(s string) (int, error) {
	_, rest, ok := strings.Cut(s, "(PostgreSQL) ")
	if ok {
		digits := 0
		for digits < len(rest) && digits < 4 && rest[digits] >= '0' && rest[digits] <= '9' {
			digits++
		}
		if v, err := strconv.Atoi(rest[:digits]); err == nil {
			return v, nil
		}
	}
	return 0, fmt.Errorf("not a version of PostgreSQL: %q", s)
}

// output runs a program that is expected to print one line at once.
func output(ctx context.Context, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).Output()
	return strings.TrimSpace(string(out)), err
}
