package main

import (
	"fmt"
	"io"
	"os"

	"pgveil/config"
	"pgveil/proxy/judge"
)

const explainUsage = `Usage: pgveil explain -c pgveil.yaml --user NAME [--format text|json] 'SQL'
       pgveil explain -c pgveil.yaml --user NAME [--format text|json] -f FILE

Says for each output column of each statement what it depends on, the mask that the user's role
gives it and why; for a statement that would be refused, the rule and the place. Runs nothing.
FILE "-" is standard input; many statements are separated by semicolons. Example:

  pgveil explain -c pgveil.yaml --user bob 'SELECT ssn FROM patients'

`

func runExplain(c *cli, args []string) error {
	fs := c.flags("explain", explainUsage)
	file := fs.String("c", "pgveil.yaml", "configuration `file`")
	user := fs.String("user", "", "the `name` of the user who would run it")
	format := fs.String("format", "text", "text or json (one object a statement)")
	from := fs.String("f", "", "read the statements from this `file`; - is standard input")
	database := fs.String("database", "", "database `name`; needed when the server has several")
	fs.StringVar(database, "d", "", "short for --database")
	path := fs.String("search-path", "", "effective search path, `names` separated by commas; by default what the user starts with")
	if err := parse(fs, args); err != nil {
		return err
	}
	switch {
	case *user == "":
		return misuse(fs, "--user is missing")
	case *format != "text" && *format != "json":
		return misuse(fs, "--format is text or json, not %q", *format)
	case *from == "" && fs.NArg() != 1:
		return misuse(fs, "give one argument with the SQL, or -f FILE")
	case *from != "" && fs.NArg() != 0:
		return misuse(fs, "-f and SQL on the command line exclude each other")
	}
	sql, err := explainText(c, fs.Arg(0), *from)
	if err != nil {
		return err
	}
	cfg, err := config.Load(*file, os.LookupEnv)
	if err != nil {
		return err
	}
	db, err := oneDatabase(c.ctx, cfg, *database)
	if err != nil {
		return err
	}
	snapshot, err := load(c.ctx, cfg, db)
	if err != nil {
		return err
	}
	bound := cfg.Policy().Bind(snapshot)
	role := bound.RoleOf(*user)
	if role == nil {
		return fmt.Errorf("user %q is in no role and default_role is deny: every login is refused", *user)
	}
	for i, e := range judge.ExplainText(bound, role, *user, *path, sql) {
		if *format == "json" {
			fmt.Fprintln(c.stdout, e.JSON())
			continue
		}
		if i > 0 {
			fmt.Fprintln(c.stdout)
		}
		fmt.Fprintf(c.stdout, "%s\nRole: %s\n", e.Statement, role.Name)
		for _, l := range e.Lines() {
			fmt.Fprintln(c.stdout, l)
		}
	}
	return nil
}

// maxExplainInput bounds the text that explain reads, in bytes.
const maxExplainInput = 64 << 20

func explainText(c *cli, arg, from string) (string, error) {
	if from == "" {
		return arg, nil
	}
	in := c.stdin
	if from != "-" {
		f, err := os.Open(from)
		if err != nil {
			return "", err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxExplainInput+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxExplainInput {
		return "", fmt.Errorf("more than %d bytes of SQL", maxExplainInput)
	}
	return string(b), nil
}
