package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"pgveil/cmd/pgveil/clinic"
)

var sides atomic.Int32

// sideDatabase makes a database of its own for a test that changes definitions, and fills it. In it a
// protected value begins with "protected", another with "public".
func sideDatabase(t testing.TB, script string) string {
	t.Helper()
	name := fmt.Sprintf("side_%d", sides.Add(1))
	ctx := context.Background()
	if err := server.Exec(ctx, "postgres", "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Exec(ctx, "postgres", "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	if err := server.Exec(ctx, name, script); err != nil {
		t.Fatal(err)
	}
	return name
}

// classify adds rules to the clinic's configuration, and has the catalog looked at often.
func classify(rules ...string) func(string) string {
	return func(y string) string {
		y = strings.Replace(y, "refresh: 5s", "refresh: 100ms", 1)
		return strings.Replace(y, "\n  columns:\n", "\n  columns:\n    "+strings.Join(rules, "\n    ")+"\n", 1)
	}
}

// in is the connection string dsn with another database, and with settings to start with ("&name=value").
func in(dsn, db, settings string) string {
	return strings.Replace(dsn, "/"+database+"?", "/"+db+"?", 1) + settings
}

// catalogRead counts how often the proxy has found changed definitions.
func (p *pgveil) catalogRead() int { return strings.Count(p.log.String(), `"catalog read"`) }

// superIn runs a script as superuser, past the proxy.
func superIn(t testing.TB, db, script string) {
	t.Helper()
	if err := server.Exec(context.Background(), db, script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// veiledAndPlain connects u to a database through the proxy and without it.
func (p *pgveil) veiledAndPlain(t testing.TB, u clinic.User, db, settings string) (veiled, plain *rawConn) {
	t.Helper()
	return mustDial(t, in(p.dsn(u), db, settings)), mustDial(t, in(server.DSN(u.Name, u.Password, database), db, settings))
}
