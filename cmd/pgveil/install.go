package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"pgveil/cmd/pgveil/cluster"
)

// aptPackages are PostgreSQL's server in the distribution's own version, with psql.
var aptPackages = []string{"postgresql", "postgresql-client"}

// findServer finds PostgreSQL's server binaries. When there are none and install is
// set it installs them with apt, and tells w what it does.
func findServer(ctx context.Context, w io.Writer, install bool) (cluster.Binaries, error) {
	b, err := cluster.Find(ctx)
	switch {
	case err == nil || !errors.Is(err, cluster.ErrNoServer):
		return b, err
	case !install:
		return b, fmt.Errorf("%w\n--install installs them with apt", err)
	case os.Getenv(cluster.BinEnv) != "":
		return b, err // what was asked for is not what apt would bring
	}
	if err := installServer(ctx, w); err != nil {
		return b, err
	}
	return cluster.Find(ctx)
}

// installServer installs PostgreSQL with apt, through sudo when not root.
func installServer(ctx context.Context, w io.Writer) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil {
		return fmt.Errorf("PostgreSQL's server is not installed, and there is no apt-get to install it: install your system's package (postgresql-server, postgresql), or set %s", cluster.BinEnv)
	}
	var prefix []string
	if os.Geteuid() != 0 {
		sudo, err := exec.LookPath("sudo")
		if err != nil {
			return fmt.Errorf("PostgreSQL's server is not installed, and installing it takes root's rights: run apt-get install %s as root", strings.Join(aptPackages, " "))
		}
		prefix = []string{sudo}
	}
	fmt.Fprintln(w, "PostgreSQL's server is not installed: installing it with apt. (The package may start a server of its own on port 5432; pgveil does not touch that one.)")
	for _, args := range [][]string{
		{"update"},
		append([]string{"install", "--yes", "--no-install-recommends"}, aptPackages...),
	} {
		argv := append(append([]string{}, prefix...), "env", "DEBIAN_FRONTEND=noninteractive", apt)
		argv = append(argv, args...)
		fmt.Fprintln(w, "+", strings.Join(argv, " "))
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, w, w
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(argv, " "), errors.Join(ctx.Err(), err))
		}
	}
	return nil
}
