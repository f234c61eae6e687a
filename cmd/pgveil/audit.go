package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"pgveil/audit"
)

const auditUsage = `Usage: pgveil audit verify FILE…
       pgveil audit search [filters] FILE…

verify checks the hash chain of one or more audit files, the oldest first, and finds an edited, a removed, a
re-ordered and a truncated record: exit status 1 then. search prints the records that all filters select.

Filters of search:
`

func runAudit(c *cli, args []string) error {
	fs := c.flags("audit", auditUsage)
	var f audit.Filter
	fs.StringVar(&f.User, "user", "", "records of this user `name`")
	fs.StringVar(&f.Role, "role", "", "records of this masking role `name`")
	fs.StringVar(&f.Database, "database", "", "records of this database `name`")
	fs.StringVar(&f.Event, "event", "", "statement, refusal, login, login_failed, cancel, reload …")
	fs.StringVar(&f.Verdict, "verdict", "", "pass, mask, refuse or reveal")
	fs.StringVar(&f.Class, "class", "", "records that touch this `class` or one below it")
	fs.StringVar(&f.Column, "column", "", "records that touch `schema.table.column`; * matches within a part")
	fs.StringVar(&f.Text, "text", "", "records with this `text` in statement, reason or application")
	fs.Func("session", "records of this session `number`", func(s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		f.Session = &n
		return err
	})
	fs.Func("since", "records from this `time` on (2006-01-02 or 2006-01-02T15:04:05Z)", timeFlag(&f.Since))
	fs.Func("until", "records before this `time`", timeFlag(&f.Until))
	if len(args) == 0 {
		return misuse(fs, "say verify or search")
	}
	if args[0] == "-h" || args[0] == "--help" || args[0] == "-help" {
		return parse(fs, args)
	}
	what := args[0]
	if err := parse(fs, args[1:]); err != nil {
		return err
	}
	if fs.NArg() == 0 {
		return misuse(fs, "name at least one audit file")
	}
	switch what {
	case "verify":
		if fs.NFlag() > 0 {
			return misuse(fs, "verify takes no filters")
		}
		report, err := audit.Verify(fs.Args()...)
		if err != nil {
			return err
		}
		fmt.Fprintln(c.stdout, report.String())
		if !report.OK() {
			return errors.New("the audit trail does not verify")
		}
		return nil
	case "search":
		return audit.Search(f, func(_ *audit.Record, line []byte) error {
			_, err := fmt.Fprintf(c.stdout, "%s\n", line)
			return err
		}, fs.Args()...)
	}
	return misuse(fs, "unknown audit command %q", what)
}

func timeFlag(t *time.Time) func(string) error {
	return func(s string) error {
		for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
			if v, err := time.Parse(layout, s); err == nil {
				*t = v
				return nil
			}
		}
		return errors.New("a time looks like 2006-01-02 or 2006-01-02T15:04:05Z")
	}
}
