package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

func readColumns(ctx context.Context, conn *pgx.Conn, found map[string]bool) error {
	rows, err := conn.Query(ctx, `
SELECT n.nspname || '.' || c.relname || '.' || a.attname
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('pg_catalog', 'information_schema') AND c.relkind IN ('r', 'v') AND a.attnum > 0 AND NOT a.attisdropped AND c.oid < 16384`)
	if err != nil {
		return err
	}
	var name string
	_, err = pgx.ForEachRow(rows, []any{&name}, func() error {
		found[name] = true
		return nil
	})
	return err
}

// writeRelations applies the rules of the review file: "clear PATTERN …" and "sensitive PATTERN …",
// where a pattern is schema.relation.column with * as of path.Match, and a
// later rule wins. A column that no rule names is left out, and so is not clear.
func writeRelations(review, file string, columns map[string]bool) error {
	f, err := os.Open(review)
	if err != nil {
		return err
	}
	defer f.Close()
	clear := make(map[string]bool)
	scan := bufio.NewScanner(f)
	word := ""
	for n := 1; scan.Scan(); n++ {
		l, _, _ := strings.Cut(scan.Text(), "#")
		fields := strings.Fields(l)
		if len(fields) == 0 {
			continue
		}
		if l[0] != ' ' {
			word, fields = fields[0], fields[1:]
			if word != "clear" && word != "sensitive" {
				return fmt.Errorf("%s:%d: %q is neither clear nor sensitive", review, n, word)
			}
		}
		for _, pattern := range fields {
			hit := false
			for c := range columns {
				if ok, err := path.Match(strings.ReplaceAll(pattern, ".", "/"), strings.ReplaceAll(c, ".", "/")); err != nil {
					return fmt.Errorf("%s:%d: %s: %w", review, n, pattern, err)
				} else if ok {
					hit = true
					clear[c] = word == "clear"
				}
			}
			if !hit {
				return fmt.Errorf("%s:%d: %s matches no column", review, n, pattern)
			}
		}
	}
	if err := scan.Err(); err != nil {
		return err
	}
	type line struct {
		Relation  string   `json:"relation"`
		Clear     []string `json:"clear,omitempty"`
		Sensitive []string `json:"sensitive,omitempty"`
	}
	relations := make(map[string]*line)
	undecided := 0
	for c := range columns {
		i := strings.LastIndexByte(c, '.')
		r := relations[c[:i]]
		if r == nil {
			r = &line{Relation: c[:i]}
			relations[c[:i]] = r
		}
		isClear, decided := clear[c]
		switch {
		case !decided:
			undecided++
			fmt.Println("undecided column", c)
		case isClear:
			r.Clear = append(r.Clear, c[i+1:])
		default:
			r.Sensitive = append(r.Sensitive, c[i+1:])
		}
	}
	var lines []string
	for _, r := range relations {
		slices.Sort(r.Clear)
		slices.Sort(r.Sensitive)
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		lines = append(lines, string(b))
	}
	fmt.Printf("%s: %d relations, %d undecided columns\n", file, len(lines), undecided)
	return writeLines(file, lines)
}
