// Package clinic is a synthetic clinic for demonstrations and tests: a database of
// four schemas with protected columns and others that only look like them, made
// from a seed, and the configuration that classifies it.
//
// Nobody in it exists. Identifiers come from ranges that are never given out:
// social security numbers of areas 666 and 900–999, telephone numbers 555-0100 to
// 555-0199, example.org, the networks and hardware addresses for documentation.
package clinic

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/jackc/pgx/v5"
)

// DefaultPatients is the size of the demo's clinic.
const DefaultPatients = 10_000

// maxPatients keeps the numbers of what belongs to a patient (ten each) within int.
const maxPatients = math.MaxInt32/10 - 1

// DefaultSeed is the demo's seed.
const DefaultSeed = 1

// Options say what clinic is wanted.
type Options struct {
	Patients int    // at least 1
	Seed     uint64 // the same seed gives the same rows
}

// User is an account of the clinic.
type User struct {
	Name, Password, Role string // Role: the masking role in pgveil.yaml
}

// The accounts that Load makes. Their passwords are public: they are for
// throw-away databases.
var (
	Clinician = User{"ada", "ada-demo", "clinician"}
	Developer = User{"bob", "bob-demo", "developer"}
	Analyst   = User{"carol", "carol-demo", "analyst"}
	Catalog   = User{Name: "pgveil", Password: "pgveil-demo"} // pgveil's own
)

// Users are those who work with the data.
var Users = []User{Clinician, Developer, Analyst}

//go:embed schema.sql
var schemaSQL string

//go:embed indexes.sql
var indexesSQL string

//go:embed roles.sql
var rolesSQL string

//go:embed auth.sql
var authSQL string

// ErrLoaded says that the database has a clinic already.
var ErrLoaded = errors.New("the database has a synthetic clinic already")

// Load makes the clinic and its accounts in the database of conn, whose user must be a
// superuser, in one transaction. It refuses a database that has tables of the same names; one that
// holds a clinic already is ErrLoaded.
func Load(ctx context.Context, conn *pgx.Conn, o Options) error {
	if o.Patients < 1 || o.Patients > maxPatients {
		return fmt.Errorf("%d patients: use 1 to %d", o.Patients, maxPatients)
	}
	var loaded bool
	if err := conn.QueryRow(ctx, "SELECT pg_catalog.to_regclass('ref.build') IS NOT NULL AND pg_catalog.to_regclass('public.patients') IS NOT NULL").Scan(&loaded); err != nil {
		return err
	}
	if loaded {
		return ErrLoaded
	}
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx) // after Commit it does nothing
	run := func(name, script string) error {
		if _, err := conn.PgConn().Exec(ctx, script).ReadAll(); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
	// Values are written in these formats, whatever the server's or the account's settings are.
	if err := run("settings", "SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL client_encoding = 'UTF8'; SET LOCAL search_path = pg_catalog, pg_temp"); err != nil {
		return err
	}
	if err := run("schema", schemaSQL); err != nil {
		return err
	}
	g, sum := &generator{seed: o.Seed, patients: o.Patients}, newChecksum()
	for _, t := range tables {
		r := g.make(&t)
		sum.add(&t, r)
		tag, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(r.buf), "COPY "+t.name+" ("+t.columns+") FROM STDIN")
		if err != nil {
			return fmt.Errorf("load %s: %w", t.name, err)
		}
		if tag.RowsAffected() != int64(r.n) {
			return fmt.Errorf("load %s: %d of %d rows", t.name, tag.RowsAffected(), r.n)
		}
	}
	if _, err := tx.Exec(ctx, "INSERT INTO ref.build (patients, seed, checksum) VALUES ($1, $2, $3)", o.Patients, int64(o.Seed), sum.text()); err != nil {
		return fmt.Errorf("load ref.build: %w", err)
	}
	for _, s := range []struct{ name, script string }{{"indexes", indexesSQL}, {"roles", rolesSQL}} {
		if err := run(s.name, s.script); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// InstallAuth makes the function that pgveil.yaml's auth.query calls. conn is a
// superuser's connection to the database postgres, where pgveil reads verifiers, of a
// server that has the clinic's accounts.
func InstallAuth(ctx context.Context, conn *pgx.Conn) error {
	if _, err := conn.PgConn().Exec(ctx, authSQL).ReadAll(); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

//go:embed columns.txt
var columnsText string

// Column is a column of the clinic's tables with its class.
type Column struct {
	Name  string // schema.table.column
	Class string // "" is not protected
}

// Columns are all columns of the clinic's tables, partitions and views left out.
func Columns() []Column {
	var list []Column
	for line := range strings.Lines(columnsText) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, class, _ := strings.Cut(line, " ")
		if class == "-" {
			class = ""
		}
		list = append(list, Column{Name: name, Class: class})
	}
	return list
}
