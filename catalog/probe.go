package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Mark stands for the state of a catalog. Two Marks of one database are equal
// when nothing that a Snapshot holds has changed between them; the zero Mark
// equals none that Probe returns.
type Mark struct{ sums string }

// temporary gives the OIDs of temporary relations; see lastingType.
const temporary = `SELECT oid FROM pg_catalog.pg_class WHERE relpersistence = 't'`

// probed lists what a Mark covers: for each catalog, the rows and the key that
// tells them apart. A changed row is a new row version with another xmin
// (PostgreSQL docs, section 5.5), so a hash of xmin seeded with the key, summed
// over all rows, changes with every insert, update and delete, whatever the
// order in which transactions commit. VACUUM and freezing keep xmin, and the
// in-place updates of pg_class by ANALYZE and CREATE INDEX touch nothing that
// is loaded.
var probed = []struct{ from, key string }{
	{"pg_catalog.pg_namespace", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_class WHERE relkind NOT IN ('i', 'I', 't') AND relpersistence <> 't'", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_attribute WHERE attnum > 0 AND attrelid NOT IN (" + temporary + ")", "attrelid::pg_catalog.int8 * 65536 + attnum"},
	{"pg_catalog.pg_attrdef WHERE adrelid NOT IN (" + temporary + ")", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_rewrite WHERE ev_class NOT IN (" + temporary + ")", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_inherits WHERE inhrelid NOT IN (" + temporary + ")", "inhrelid::pg_catalog.int8 * 65536 + inhseqno"},
	{"pg_catalog.pg_index WHERE indisprimary AND indrelid NOT IN (" + temporary + ")", "indexrelid::pg_catalog.int8"},
	{"pg_catalog.pg_trigger WHERE tgrelid NOT IN (" + temporary + ")", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_constraint WHERE contypid <> 0", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_type t WHERE " + lastingType, "oid::pg_catalog.int8"},
	{"pg_catalog.pg_range", "rngtypid::pg_catalog.int8"},
	{"pg_catalog.pg_enum", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_proc", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_language", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_extension", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_depend WHERE deptype = 'e' AND classid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_type'::pg_catalog.regclass)", "objid::pg_catalog.int8"},
	{"pg_catalog.pg_operator", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_cast", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_auth_members", "roleid::pg_catalog.int8 * 65536 + member::pg_catalog.int8"},
	{"pg_catalog.pg_db_role_setting", "setrole::pg_catalog.int8"},
	{"pg_catalog.pg_database WHERE datname = pg_catalog.current_database()", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_event_trigger", "oid::pg_catalog.int8"},
	// Not loaded themselves; their names stand in definitions.
	{"pg_catalog.pg_collation", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_ts_config", "oid::pg_catalog.int8"},
	{"pg_catalog.pg_ts_dict", "oid::pg_catalog.int8"},
}

// probeSQL gives one row of text: a sum and a count for each entry of probed,
// one for pg_roles (a view without xmin, so by its contents) and the default search_path.
var probeSQL = func() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	for _, p := range probed {
		fmt.Fprintf(&b, "(SELECT pg_catalog.concat(pg_catalog.sum(pg_catalog.hashint8extended(xmin::pg_catalog.text::pg_catalog.int8, %s)), '/', pg_catalog.count(*)) FROM %s),\n",
			p.key, p.from)
	}
	b.WriteString(`(SELECT pg_catalog.concat(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.concat(rolcanlogin, rolsuper, rolname), oid::pg_catalog.int8)), '/', pg_catalog.count(*)) FROM pg_catalog.pg_roles),
(SELECT reset_val FROM pg_catalog.pg_settings WHERE name = 'search_path')`)
	return b.String()
}()

// probeColumns is the width of probeSQL's row.
var probeColumns = len(probed) + 2

func readMark(r *row) Mark {
	var b strings.Builder
	for range probeColumns {
		b.Write(r.cell())
		b.WriteByte('\n')
	}
	return Mark{b.String()}
}

// Probe tells cheaply, in one round trip, whether the catalog is still the one
// that a Snapshot was read from: it reads the same catalogs, but computes and
// sends no definitions.
func Probe(ctx context.Context, conn *pgx.Conn) (Mark, error) {
	if conn.PgConn().TxStatus() != 'I' {
		return Mark{}, errors.New("probe catalog: the connection is inside a transaction")
	}
	results, err := conn.PgConn().Exec(ctx, beginRead+probeSQL+endRead).ReadAll()
	if err != nil {
		err = rollback(ctx, conn, err)
		return Mark{}, fmt.Errorf("probe catalog: %w", err)
	}
	for _, res := range results {
		if len(res.Rows) == 1 {
			r := row{cells: res.Rows[0]}
			m := readMark(&r)
			if r.err != nil || r.next != len(r.cells) {
				break
			}
			return m, nil
		}
	}
	return Mark{}, errors.New("probe catalog: the server's answer is not understood")
}

// Mark returns the state of the catalog that s was read from.
func (s *Snapshot) Mark() Mark { return s.mark }
