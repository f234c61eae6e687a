package main

import (
	"encoding/json"
	"fmt"
	"os"

	"pgveil/config"
	"pgveil/masking"
)

const checkUsage = `Usage: pgveil check -c pgveil.yaml [--database NAME] [--format text|json]

Validates the file (errors as file:line:col: message), says of each role whether its masks conform to
HIPAA's Safe Harbor and to a limited data set, connects with the catalog account to the databases and
reports which columns are classified, which are not, and which rules, members and masks can never matter.
Exit status 1 on an error.

`

func runCheck(c *cli, args []string) error {
	fs := c.flags("check", checkUsage)
	file := fs.String("c", "pgveil.yaml", "configuration `file`")
	database := fs.String("database", "", "only this database; by default all that allow connections")
	offline := fs.Bool("offline", false, "validate the file only, connect to nothing")
	format := fs.String("format", "text", "`text` or json, one object")
	if err := parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return misuse(fs, "unexpected argument %q", fs.Arg(0))
	}
	if *format != "text" && *format != "json" {
		return misuse(fs, "--format is text or json, not %q", *format)
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
	report := newCheckReport(cfg, *file)
	if !*offline {
		if err := report.connect(c, cfg, *database); err != nil {
			return err
		}
	}
	if *format == "json" {
		encoder := json.NewEncoder(c.stdout)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(report); err != nil {
			return err
		}
	} else {
		report.print(c.stdout, c.stderr)
	}
	if n := report.misfits(); n > 0 {
		return fmt.Errorf("%d mask(s) do not fit their columns", n)
	}
	return nil
}
