package clinic

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"pgveil/cmd/pgveil/cluster"
)

const patients = 200

// server holds a clinic in the database "clinic"; the tests of this package share it.
var server *cluster.Cluster

func TestMain(m *testing.M) {
	os.Exit(func() int {
		ctx := context.Background()
		c, err := cluster.Start(ctx, cluster.Options{})
		if err != nil {
			panic(err)
		}
		defer c.Stop()
		if err := c.Exec(ctx, "postgres", "CREATE DATABASE clinic"); err != nil {
			panic(err)
		}
		conn, err := c.Connect(ctx, "clinic")
		if err != nil {
			panic(err)
		}
		defer conn.Close(ctx)
		if err := Load(ctx, conn, Options{Patients: patients, Seed: 1}); err != nil {
			panic(err)
		}
		maintenance, err := c.Connect(ctx, "postgres")
		if err != nil {
			panic(err)
		}
		defer maintenance.Close(ctx)
		if err := InstallAuth(ctx, maintenance); err != nil {
			panic(err)
		}
		server = c
		return m.Run()
	}())
}

func connect(t *testing.T, u User, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.DSN(u.Name, u.Password, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func superuser(t *testing.T) *pgx.Conn {
	t.Helper()
	conn, err := server.Connect(t.Context(), "clinic")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func TestLoad(t *testing.T) {
	conn := superuser(t)
	var n, tables, schemas, phones int
	var sum string
	err := conn.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM patients), (SELECT checksum FROM ref.build),
		(SELECT count(*) FROM pg_class c WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace >= 2200 AND relnamespace::regnamespace::text <> 'information_schema'),
		(SELECT count(DISTINCT relnamespace) FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace >= 2200 AND relnamespace::regnamespace::text <> 'information_schema'),
		(SELECT count(*) FROM patients WHERE format_phone(phone) LIKE '(___) 555-01__')`).Scan(&n, &sum, &tables, &schemas, &phones)
	if err != nil {
		t.Fatal(err)
	}
	if n != patients || phones != patients || tables < 12 || schemas < 3 {
		t.Errorf("%d patients, %d phones, %d tables, %d schemas", n, phones, tables, schemas)
	}
	if want := Checksum(Options{Patients: patients, Seed: 1}); sum != want {
		t.Errorf("checksum %s, want %s", sum, want)
	}
	if err := Load(t.Context(), conn, Options{Patients: patients, Seed: 1}); !errors.Is(err, ErrLoaded) {
		t.Errorf("second Load: %v", err)
	}
	for _, bad := range []int{0, -1, maxPatients + 1} {
		if err := Load(t.Context(), conn, Options{Patients: bad}); err == nil || errors.Is(err, ErrLoaded) {
			t.Errorf("%d patients: %v", bad, err)
		}
	}
}

func TestLoadRefusesAForeignTable(t *testing.T) {
	if err := server.Exec(t.Context(), "postgres", "CREATE DATABASE other"); err != nil {
		t.Fatal(err)
	}
	conn, err := server.Connect(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "CREATE TABLE public.patients(mine int)"); err != nil {
		t.Fatal(err)
	}
	if err := Load(t.Context(), conn, Options{Patients: 1}); err == nil {
		t.Fatal("loaded over somebody's table")
	}
	var n int
	if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('billing')").Scan(&n); err != nil || n != 0 {
		t.Errorf("a failed load left %d relations: %v", n, err)
	}
}

// TestColumnsAreComplete keeps columns.txt in step with schema.sql.
func TestColumnsAreComplete(t *testing.T) {
	rows, err := superuser(t).Query(t.Context(), `SELECT format('%s.%s.%s', c.relnamespace::regnamespace, c.relname, a.attname)
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relnamespace >= 2200 AND c.relnamespace::regnamespace::text <> 'information_schema'
		AND a.attnum > 0 AND NOT a.attisdropped ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	want, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range Columns() {
		got = append(got, c.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		for _, c := range want {
			if !slices.Contains(got, c) {
				t.Errorf("columns.txt lacks %s", c)
			}
		}
		for _, c := range got {
			if !slices.Contains(want, c) {
				t.Errorf("columns.txt has %s, the schema has not", c)
			}
		}
	}
}

func TestUsers(t *testing.T) {
	for _, u := range Users {
		conn := connect(t, u, "clinic")
		for _, sql := range []string{
			"SELECT count(*) FROM patients JOIN encounters USING (patient_id)", "TABLE patient_directory LIMIT 1", "TABLE visit_summary LIMIT 1",
			"TABLE department_load", "TABLE billing.claim_totals", "TABLE diagnoses LIMIT 1", "SELECT * FROM find_patient('MRN00000000')",
			"SELECT billing.balance(claim_id) FROM billing.payments LIMIT 1", "SELECT ref.drug_label(1)", "CREATE TEMP TABLE mine(i int)", "TABLE portal.access_log LIMIT 1",
		} {
			if _, err := conn.Exec(t.Context(), sql); err != nil {
				t.Errorf("%s: %s: %v", u.Name, sql, err)
			}
		}
		_, err := conn.Exec(t.Context(), "BEGIN; UPDATE patients SET row_version = 2 WHERE patient_id = 1; ROLLBACK")
		if may := u != Analyst; (err == nil) != may {
			t.Errorf("%s: UPDATE: %v", u.Name, err)
		}
		if _, err := connect(t, u, "clinic").Exec(t.Context(), "CREATE TABLE public.mine(i int)"); err == nil {
			t.Errorf("%s may make tables", u.Name)
		}
	}
}

// TestAuthFunction: pgveil's own account reads the verifiers of ordinary users
// without being a superuser; nobody else reads any.
func TestAuthFunction(t *testing.T) {
	const query = "SELECT user_name, verifier LIKE 'SCRAM-SHA-256$%' FROM public.pgveil_auth($1)"
	conn := connect(t, Catalog, "postgres")
	for _, u := range Users {
		var name string
		var scram bool
		if err := conn.QueryRow(t.Context(), query, u.Name).Scan(&name, &scram); err != nil || name != u.Name || !scram {
			t.Errorf("%s: %q, %v, %v", u.Name, name, scram, err)
		}
	}
	for _, name := range []string{"postgres", "clinicians", "nobody-there"} {
		var scram *bool
		if err := conn.QueryRow(t.Context(), query, name).Scan(&name, &scram); !errors.Is(err, pgx.ErrNoRows) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var super bool
	if err := conn.QueryRow(t.Context(), "SELECT rolsuper OR rolcreaterole OR rolbypassrls FROM pg_roles WHERE rolname = current_user").Scan(&super); err != nil || super {
		t.Errorf("pgveil has more rights than it needs: %v", err)
	}
	if _, err := connect(t, Catalog, "clinic").Exec(t.Context(), "TABLE patients"); err == nil {
		t.Error("pgveil's account reads patients")
	}
	for _, u := range Users {
		if _, err := connect(t, u, "postgres").Exec(t.Context(), query, Clinician.Name); err == nil {
			t.Errorf("%s reads verifiers", u.Name)
		}
	}
}
