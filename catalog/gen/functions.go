package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"pgveil/catalog"
)

// function is what servers say of a function, merged over their versions, and
// what the review decides.
type function struct {
	name, args string
	kind       string // prokind
	volatility string // the least predictable of all versions
	leakproof  bool   // in all versions
	uncallable bool   // takes or gives a type that no SQL expression can have
	decided    bool   // by a rule
	catalog.FunctionLine
}

func readFunctions(ctx context.Context, conn *pgx.Conn, found map[string]map[string]*function) error {
	rows, err := conn.Query(ctx, `
SELECT coalesce(x.extname, ''), p.proname,
       coalesce((SELECT string_agg(t.typname, ',' ORDER BY a.n) FROM unnest(p.proargtypes) WITH ORDINALITY AS a(oid, n) JOIN pg_catalog.pg_type t ON t.oid = a.oid), ''),
       p.prokind::text, p.provolatile::text, p.proleakproof,
       EXISTS (SELECT FROM pg_catalog.pg_type t WHERE t.oid = ANY (p.proargtypes::oid[] || p.prorettype)
               AND t.typname IN ('internal', 'trigger', 'event_trigger', 'fdw_handler', 'index_am_handler', 'table_am_handler', 'tsm_handler', 'language_handler'))
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
WHERE l.lanname IN ('internal', 'c', 'sql') AND (x.oid IS NOT NULL OR p.pronamespace = 'pg_catalog'::regnamespace AND p.oid < 16384)`)
	if err != nil {
		return err
	}
	var extension string
	var f function
	_, err = pgx.ForEachRow(rows, []any{&extension, &f.name, &f.args, &f.kind, &f.volatility, &f.leakproof, &f.uncallable}, func() error {
		if found[extension] == nil {
			found[extension] = make(map[string]*function)
		}
		f.Function = f.name + "(" + f.args + ")"
		known := found[extension][f.Function]
		if known == nil {
			c := f
			found[extension][f.Function] = &c
			return nil
		}
		known.volatility = max(known.volatility, f.volatility) // i < s < v
		known.leakproof = known.leakproof && f.leakproof
		known.uncallable = known.uncallable && f.uncallable
		return nil
	})
	return err
}

// writeFunctions applies what holds by construction, then the rules in
// order, and writes a line for each function that is decided.
func writeFunctions(review, file string, all map[string]*function, undecided bool) error {
	for _, f := range all {
		// An IMMUTABLE function's result depends on its arguments alone
		// (PostgreSQL docs, section 36.7), and a leakproof one doesn't throw. That is
		// taken on trust of PostgreSQL's own functions and contrib's.
		if f.volatility == "i" {
			f.Pure, f.decided = true, true
			f.Total = f.leakproof
		}
	}
	if err := applyRules(review, all); err != nil {
		return err
	}
	var lines, open []string
	for _, f := range all {
		if f.uncallable {
			continue
		}
		if !f.decided {
			open = append(open, f.Function+" "+f.volatility)
			continue
		}
		b, err := json.Marshal(f.FunctionLine)
		if err != nil {
			return err
		}
		lines = append(lines, string(b))
	}
	slices.Sort(open)
	fmt.Printf("%s: %d lines, %d undecided\n", file, len(lines), len(open))
	if undecided {
		fmt.Println(strings.Join(open, "\n"))
	}
	return writeLines(file, lines)
}

// applyRules reads a review file. A rule is "words : signature …", continued on lines that
// begin with a blank; # starts a comment. A signature is name(type,type), and
// name and types may be patterns as of path.Match, where * does not match a comma: "lower(text)",
// "int?eq(*,*)"; a lone ** stands for any arguments.
func applyRules(file string, all map[string]*function) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var words []string
	var problems []error
	for n, l := range strings.Split(string(text), "\n") {
		l, _, _ = strings.Cut(l, "#")
		body := strings.TrimSpace(l)
		if body == "" {
			continue
		}
		if l[0] != ' ' && l[0] != '\t' {
			head, rest, ok := strings.Cut(l, ":")
			if !ok {
				return fmt.Errorf("%s:%d: no colon", file, n+1)
			}
			words, body = strings.Fields(head), rest
		}
		for signature := range strings.FieldsSeq(body) {
			hit := false
			for _, f := range match(signature, all) {
				hit = true
				if err := f.apply(words); err != nil {
					return fmt.Errorf("%s:%d: %s: %w", file, n+1, f.Function, err)
				}
			}
			if !hit {
				problems = append(problems, fmt.Errorf("%s:%d: %s matches no function", file, n+1, signature))
			}
		}
	}
	return errors.Join(problems...)
}

func match(signature string, all map[string]*function) []*function {
	if f := all[signature]; f != nil {
		return []*function{f}
	}
	name, args, ok := strings.Cut(strings.TrimSuffix(signature, ")"), "(")
	if !ok {
		return nil
	}
	var hits []*function
	// A slash is what path.Match keeps apart: so arguments are matched with commas as slashes.
	for _, f := range all {
		if ok, _ := path.Match(name, f.name); !ok {
			continue
		}
		if args == "**" {
			hits = append(hits, f)
			continue
		}
		if ok, _ := path.Match(strings.ReplaceAll(args, ",", "/"), strings.ReplaceAll(f.args, ",", "/")); ok {
			hits = append(hits, f)
		}
	}
	return hits
}

// apply sets what a rule's words say.
func (f *function) apply(words []string) error {
	f.decided = true
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "pure":
			f.Pure, f.Flow = true, ""
		case "impure": // known, and neither pure nor a flow
			f.Pure, f.Flow = false, ""
		case "unknown": // reviewed: nothing is said of it
			f.decided, f.FunctionLine = false, catalog.FunctionLine{Function: f.Function}
		case "source", "sink", "runner":
			f.Pure, f.Flow = false, key
		case "total", "fails", "faults", "stored", "bounded", "compares":
			f.Total, f.Stored, f.Bounded, f.Compares, f.Faults = key == "total", key == "stored", key == "bounded", key == "compares", nil
			if key != "faults" {
				continue
			}
			for s := range strings.SplitSeq(value, ",") {
				i, err := strconv.Atoi(s)
				if err != nil {
					return err
				}
				f.Faults = append(f.Faults, i)
			}
		case "keeps":
			f.KeepsNull = true
		case "tells":
			f.KeepsNull = false
		case "exact":
			f.Exact = true
		case "grows":
			f.Grows = true
		case "literal":
			f.Literal = value
		default:
			return fmt.Errorf("word %q is unknown", w)
		}
	}
	return nil
}
