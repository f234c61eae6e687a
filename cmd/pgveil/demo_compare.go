package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"pgveil/audit"
	"pgveil/cmd/pgveil/clinic"
	"pgveil/cmd/pgveil/cluster"
)

// demoQuery is what every user asks.
const demoQuery = `SELECT patient_id, p.mrn, p.first_name, p.last_name, p.birth_date, p.ssn, p.zip,
       e.admitted_at, e.diagnosis_code, d.department_name
FROM patients p
JOIN encounters e USING (patient_id)
JOIN ref.departments d USING (department_id)
WHERE e.status = 'finished'
ORDER BY e.encounter_id LIMIT 4`

// demoOracle would tell a developer whose number begins with 9, masked or not: it is refused.
const demoOracle = `SELECT patient_id FROM patients WHERE ssn LIKE '9%'`

// shown says which columns of demoQuery each role sees as they are; all the others
// must come changed.
var shown = map[string][]string{
	clinic.Clinician.Role: {"patient_id", "mrn", "first_name", "last_name", "birth_date", "ssn", "zip", "admitted_at", "diagnosis_code", "department_name"},
	clinic.Developer.Role: {"patient_id", "department_name"},
	clinic.Analyst.Role:   {"patient_id", "diagnosis_code", "department_name"},
}

// sees says in a few words what a role is shown.
var sees = map[string]string{
	clinic.Clinician.Role: "clear",
	clinic.Developer.Role: "masked: redacted, years, the last four digits",
	clinic.Analyst.Role:   "pseudonyms, hashed keys, dates shifted by each patient's own number of days",
}

// answer is a result in PostgreSQL's text format.
type answer struct {
	columns []string
	rows    [][]string
}

// compareUsers runs the query as each user through the proxy and prints the results. It
// is an error when a user is shown something else than their role may see.
func compareUsers(ctx context.Context, w io.Writer, server *cluster.Cluster, proxy string) error {
	direct, err := ask(ctx, server.SuperDSN(demoDatabase), demoQuery)
	if err != nil {
		return fmt.Errorf("ask PostgreSQL itself: %w", err)
	}
	if len(direct.rows) == 0 {
		return errors.New("the clinic has no finished encounter to show: use more --patients")
	}
	fmt.Fprintf(w, "%s\n\n", indent(demoQuery))
	for _, u := range clinic.Users {
		got, err := ask(ctx, proxyDSN(proxy, u), demoQuery)
		if err != nil {
			return fmt.Errorf("ask as %s: %w", u.Name, err)
		}
		if err := verify(u, direct, got); err != nil {
			return err
		}
		fmt.Fprintf(w, "%s, %s: %s\n\n", u.Name, u.Role, sees[u.Role])
		printAnswer(w, got)
		fmt.Fprintln(w)
	}
	u := clinic.Developer
	_, err = ask(ctx, proxyDSN(proxy, u), demoOracle)
	pg, refused := errors.AsType[*pgconn.PgError](err)
	if !refused {
		return fmt.Errorf("%s was to be refused %q: %w", u.Name, demoOracle, err)
	}
	fmt.Fprintf(w, "%s asks what would give a protected value away:\n\n%s\n\n  %s:  %s (%s)\n", u.Name, indent(demoOracle), pg.Severity, pg.Message, pg.Code)
	for _, line := range [][2]string{{"DETAIL", pg.Detail}, {"HINT", pg.Hint}} {
		if line[1] != "" {
			fmt.Fprintf(w, "  %s:  %s\n", line[0], line[1])
		}
	}
	fmt.Fprintln(w)
	return nil
}

// verify compares what a user got with what PostgreSQL itself says.
func verify(u clinic.User, direct, got answer) error {
	if !slices.Equal(direct.columns, got.columns) || len(direct.rows) != len(got.rows) {
		return fmt.Errorf("%s got %d rows of %v, PostgreSQL has %d of %v", u.Name, len(got.rows), got.columns, len(direct.rows), direct.columns)
	}
	for i, row := range direct.rows {
		for k, column := range direct.columns {
			same := row[k] == got.rows[i][k]
			if same != slices.Contains(shown[u.Role], column) {
				return fmt.Errorf("row %d: column %s is wrong for %s: clear is %t", i+1, column, u.Name, same)
			}
		}
	}
	return nil
}

// ask runs one statement with the simple protocol, as psql does.
func ask(ctx context.Context, dsn, sql string) (answer, error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return answer{}, err
	}
	defer conn.Close(ctx)
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil {
		return answer{}, err
	}
	if len(results) != 1 {
		return answer{}, fmt.Errorf("%d results of one statement", len(results))
	}
	var a answer
	for _, f := range results[0].FieldDescriptions {
		a.columns = append(a.columns, f.Name)
	}
	for _, row := range results[0].Rows {
		values := make([]string, len(row))
		for i, v := range row {
			values[i] = string(v)
		}
		a.rows = append(a.rows, values)
	}
	return a, nil
}

func proxyDSN(addr string, u clinic.User) string {
	return (&url.URL{Scheme: "postgres", User: url.UserPassword(u.Name, u.Password), Host: addr, Path: "/" + demoDatabase,
		RawQuery: "sslmode=disable&application_name=demo"}).String()
}

// printAnswer prints a result as psql does.
func printAnswer(w io.Writer, a answer) {
	width := make([]int, len(a.columns))
	for _, row := range append([][]string{a.columns}, a.rows...) {
		for i, v := range row {
			width[i] = max(width[i], utf8.RuneCountInString(v))
		}
	}
	line := func(values []string) {
		var b strings.Builder
		for i, v := range values {
			if i > 0 {
				b.WriteString(" | ")
			}
			b.WriteString(v + strings.Repeat(" ", width[i]-utf8.RuneCountInString(v)))
		}
		fmt.Fprintln(w, "  "+strings.TrimRight(b.String(), " "))
	}
	line(a.columns)
	var rule []string
	for _, n := range width {
		rule = append(rule, strings.Repeat("-", n))
	}
	fmt.Fprintln(w, "  "+strings.Join(rule, "-+-"))
	for _, row := range a.rows {
		line(row)
	}
}

func indent(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n  ") }

// printAudit prints the records of the users' statements as they stand in the file.
// It is an error when a user has none.
func printAudit(w io.Writer, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	recorded := map[string]bool{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r audit.Record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if r.Event == audit.EventStatement || r.Event == audit.EventRefusal {
			recorded[r.User] = true
			fmt.Fprintf(w, "%s\n", lines.Bytes())
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	for _, u := range clinic.Users {
		if !recorded[u.Name] {
			return fmt.Errorf("%s has no record of what %s asked", file, u.Name)
		}
	}
	return nil
}

// starting says that a server could not be reached, or not yet.
func starting(err error) bool {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code == "57P03" // cannot_connect_now
	}
	_, network := errors.AsType[*net.OpError](err)
	return network
}
