package main

import (
	"fmt"
	"os"

	"pgveil/config"
	"pgveil/masking"
	"pgveil/roles"
)

const checkUsage = `Usage: pgveil check -c pgveil.yaml [--database NAME]

Validates the file (errors as file:line:col: message), connects with the catalog account to the
databases and reports which columns are classified, which are not, and which rules, members and
masks can never matter. Exit status 1 on an error.

`

func runCheck(c *cli, args []string) error {
	fs := c.flags("check", checkUsage)
	file := fs.String("c", "pgveil.yaml", "configuration `file`")
	database := fs.String("database", "", "only this database; by default all that allow connections")
	offline := fs.Bool("offline", false, "validate the file only, connect to nothing")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return misuse(fs, "unexpected argument %q", fs.Arg(0))
	}
	cfg, err := config.Load(*file, os.LookupEnv)
	if err != nil {
		return err
	}
	if cfg.Keys.File != "" {
		if _, err := masking.LoadKeys(cfg.Keys.File); err != nil {
			return err
		}
	}
	fmt.Fprintf(c.stdout, "%s: valid\n", *file)
	if *offline {
		return nil
	}
	names, err := databases(c.ctx, cfg, *database)
	if err != nil {
		return err
	}
	misfits, found := 0, map[int]bool{}
	policy := cfg.Policy()
	for _, name := range names {
		snapshot, err := load(c.ctx, cfg, name)
		if err != nil {
			return err
		}
		b := policy.Bind(snapshot)
		r := b.Report()
		if len(r.Classified)+len(r.Unclassified) == 0 && len(names) > 1 {
			continue // an empty database has nothing to say
		}
		dead := map[int]bool{}
		for _, x := range r.DeadRules {
			dead[x.Line<<16|x.Col] = true
		}
		for _, x := range policy.Rules {
			if !dead[x.Line<<16|x.Col] {
				found[x.Line<<16|x.Col] = true
			}
		}
		misfits += printReport(c, name, b, r)
	}
	for _, x := range policy.Rules {
		if !found[x.Line<<16|x.Col] {
			fmt.Fprintf(c.stdout, "%s:%d:%d: rule %s matches no column\n", cfg.File, x.Line, x.Col, x.Pattern)
		}
	}
	if misfits > 0 {
		return fmt.Errorf("%d mask(s) do not fit their columns", misfits)
	}
	return nil
}

// printReport prints what binding found in one database and returns the number of errors.
func printReport(c *cli, name string, b *roles.Bound, r roles.Report) int {
	fmt.Fprintf(c.stdout, "\ndatabase %s: %d columns classified, %d in scope and unclassified (unlisted: %s)\n", name, len(r.Classified), len(r.Unclassified), b.Policy.Unlisted)
	for _, s := range r.Classified {
		fmt.Fprintln(c.stdout, "  classified   "+s)
	}
	for _, s := range r.Unclassified {
		fmt.Fprintln(c.stdout, "  unclassified "+s)
	}
	for _, x := range r.ViewRules {
		fmt.Fprintf(c.stdout, "warning: line %d: rule %s matches columns of views only: a view's columns follow its tables'\n", x.Line, x.Pattern)
	}
	for _, s := range r.DeadMembers {
		fmt.Fprintln(c.stdout, "warning: member matches no PostgreSQL role: "+s)
	}
	for _, s := range r.EmptyRoles {
		fmt.Fprintln(c.stdout, "warning: role without members: "+s)
	}
	for _, s := range r.DeadMasks {
		fmt.Fprintln(c.stdout, "warning: mask for a class that no column has: "+s)
	}
	for _, s := range r.DeadTrusted {
		fmt.Fprintln(c.stdout, "warning: trusted function does not exist: "+s)
	}
	misfits := b.Misfits()
	for _, err := range misfits {
		fmt.Fprintln(c.stderr, "error:", err)
	}
	return len(misfits)
}
