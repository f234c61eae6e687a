// Command pgveil is a PostgreSQL wire-protocol proxy that masks protected
// health information by the role of who is asking.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"pgveil/config"
)

// version is set by the linker: -ldflags "-X main.version=1.2.3".
var version = ""

const usage = `pgveil shows each user of a PostgreSQL database what their masking role may see.

Usage:
  pgveil serve   -c pgveil.yaml                run the proxy; SIGHUP reloads, SIGTERM drains
  pgveil demo    [--once]                      a throw-away PostgreSQL, a synthetic clinic and the proxy
  pgveil check   -c pgveil.yaml                validate the file against the database
  pgveil explain -c pgveil.yaml --user NAME 'SQL'
                                               what a statement depends on and what would be masked
  pgveil passwd                                read a password and print its SCRAM verifier
  pgveil keygen                                print a new key file
  pgveil rekey   FILE                          put a new key before the others of a key file
  pgveil audit   verify FILE…                  check the hash chain of audit files
  pgveil audit   search [filters] FILE…        print matching audit records
  pgveil health  [-c pgveil.yaml]              exit 0 when the running proxy is ready
  pgveil version                               print the version

"pgveil COMMAND -h" describes a command. Exit status: 0 done, 1 failed, 2 wrong usage.
`

// command is one word of the command line.
type command struct {
	name string
	run  func(c *cli, args []string) error
}

// cli is what a command may touch of the outside.
type cli struct {
	ctx            context.Context // ends on SIGINT and SIGTERM
	stdin          io.Reader
	stdout, stderr io.Writer
}

var commands = []command{
	{"serve", runServe},
	{"demo", runDemo},
	{"check", runCheck},
	{"explain", runExplain},
	{"passwd", runPasswd},
	{"keygen", runKeygen},
	{"rekey", runRekey},
	{"audit", runAudit},
	{"health", runHealth},
	{"version", func(c *cli, _ []string) error { _, err := fmt.Fprintln(c.stdout, "pgveil", versionText()); return err }},
}

// errUsage ends the program with status 2; what was wrong has been printed.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(&cli{ctx, os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

// run carries out a command line and returns the exit status.
func run(c *cli, args []string) int {
	if len(args) == 0 {
		fmt.Fprint(c.stderr, usage)
		return 2
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		fmt.Fprint(c.stdout, usage)
		return 0
	}
	for _, cmd := range commands {
		if cmd.name != args[0] {
			continue
		}
		err := cmd.run(c, args[1:])
		var problems config.Problems
		if errors.As(err, &problems) { // one a line, so that editors find the places
			for _, p := range problems {
				fmt.Fprintln(c.stderr, p)
			}
			err = fmt.Errorf("%d problem(s) in the configuration", len(problems))
		}
		switch {
		case err == nil || errors.Is(err, flag.ErrHelp):
			return 0
		case errors.Is(err, errUsage):
			return 2
		default:
			fmt.Fprintln(c.stderr, "pgveil "+cmd.name+":", err)
			return 1
		}
	}
	fmt.Fprintf(c.stderr, "pgveil: unknown command %q\n\n%s", args[0], usage)
	return 2
}

// flags returns a flag set for a command; text is its synopsis and description.
func (c *cli) flags(name, text string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(c.stderr)
	fs.Usage = func() {
		fmt.Fprint(c.stderr, text)
		fs.PrintDefaults()
	}
	return fs
}

// parse parses args; -h is not an error, anything else that the flag package says is wrong usage.
func parse(fs *flag.FlagSet, args []string) error {
	switch err := fs.Parse(args); {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return err
	default:
		return errUsage
	}
}

// misuse prints what was wrong with the command line and the usage.
func misuse(fs *flag.FlagSet, format string, args ...any) error {
	fmt.Fprintf(fs.Output(), format+"\n\n", args...)
	fs.Usage()
	return errUsage
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
