// Command gen writes the embedded knowledge of package catalog: what PostgreSQL's own
// functions do, and which columns of the system relations are clear.
//
// It reads running servers, one of each major version, and applies the review files
// beside this one. It is run by hand, from the repository's root, when a new
// major version appears or the review changes:
//
//	go run ./catalog/gen -dsn postgres://postgres@127.0.0.1:5414/postgres -dsn …
//
// The servers must have the extensions of -extensions created, for their functions to be seen.
// It fails when a rule of a review file matches nothing, so that no line there is dead, and
// prints what no rule has decided: that stays unknown.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

func main() {
	var dsns []string
	flag.Func("dsn", "a server to read; may be repeated", func(s string) error {
		dsns = append(dsns, s)
		return nil
	})
	dir := flag.String("dir", "catalog", "the package's folder")
	extensions := flag.String("extensions", "pg_trgm,hstore,citext,pgcrypto,uuid-ossp,unaccent,fuzzystrmatch,tablefunc,pg_stat_statements,dblink,postgres_fdw,lo,intarray,ltree,cube,earthdistance,btree_gin,btree_gist,pg_buffercache,isn,seg,pgstattuple,pageinspect,pgrowlocks,pg_visibility,pg_freespacemap,sslinfo,postgis", "extensions with a file in data/extensions")
	undecided := flag.Bool("undecided", false, "list what no rule has decided")
	flag.Parse()
	if len(dsns) == 0 {
		fmt.Fprintln(os.Stderr, "gen: no -dsn")
		os.Exit(2)
	}
	if err := run(context.Background(), *dir, dsns, strings.Split(*extensions, ","), *undecided); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, dsns, extensions []string, undecided bool) error {
	found := make(map[string]map[string]*function) // extension ("" for the server's own) → signature
	columns := make(map[string]bool)
	for _, dsn := range dsns {
		conn, err := pgx.Connect(ctx, dsn)
		if err != nil {
			return err
		}
		err = readFunctions(ctx, conn, found)
		if err == nil {
			err = readColumns(ctx, conn, columns)
		}
		conn.Close(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", conn.Config().Host, err)
		}
	}
	if err := writeFunctions(filepath.Join(dir, "gen", "review.txt"), filepath.Join(dir, "data", "functions.jsonl"), found[""], undecided); err != nil {
		return err
	}
	for _, x := range extensions {
		if len(found[x]) == 0 {
			return fmt.Errorf("no server has extension %s", x)
		}
		if err := writeFunctions(filepath.Join(dir, "gen", "extensions", x+".txt"), filepath.Join(dir, "data", "extensions", x+".jsonl"), found[x], undecided); err != nil {
			return err
		}
	}
	return writeRelations(filepath.Join(dir, "gen", "relations.txt"), filepath.Join(dir, "data", "relations.jsonl"), columns)
}

// writeLines writes sorted lines.
func writeLines(file string, lines []string) error {
	slices.Sort(lines)
	return os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o644)
}
