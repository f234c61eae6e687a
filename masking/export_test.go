package masking

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// For tests that know the catalog's types, and so cannot stand in this package.
var (
	StartServer = startServer
	Connect     = connect
)

// CheckType runs every mask over values of a type, as TestServerTakesEveryMask does.
// sql is the type's name, values are literals of it.
func CheckType(ctx context.Context, t *testing.T, conn *pgconn.PgConn, s Session, sql string, typ Type, values ...string) {
	t.Helper()
	s.Year = testYear
	p := &propertyTest{conn: conn, session: testSession{name: "defined", session: s, exact: true}}
	p.run(ctx, t, typeCase{sql: sql, typ: typ, values: values})
	if p.masked == 0 {
		t.Errorf("%s: nothing was masked", sql)
	}
}
