package judge

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/proxy/session"
	"pgveil/roles"
)

// changingSource is a catalog that changed after it was read, and cannot be read again.
type changingSource struct {
	snapshot *catalog.Snapshot
	stale    bool
}

var errUnread = errors.New("the catalog would be read")

func (s *changingSource) Latest() *catalog.Snapshot {
	if s.stale {
		return nil
	}
	return s.snapshot
}

func (s *changingSource) Current(context.Context) (*catalog.Snapshot, error) {
	if s.stale {
		return nil, errUnread
	}
	return s.snapshot, nil
}

func (s *changingSource) Stale() { s.stale = true }
func (s *changingSource) Close() {}

// TestDefinitionsDoNotWait: in a session of a role that sees everything, a script of definitions does not wait for the
// catalog to be read after each, and whatever touches data does. A masked role always waits.
func TestDefinitionsDoNotWait(t *testing.T) {
	s, err := catalog.ReadJSON(strings.NewReader(`{"database": "d", "server_version": 150000, "search_path": "public",
		"schemas": [{"oid": 11, "name": "pg_catalog", "usage": [0]}, {"oid": 20, "name": "public", "usage": [0]}],
		"roles": [{"oid": 100, "name": "ada"}, {"oid": 101, "name": "bob"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	source := &changingSource{snapshot: s}
	policy := &roles.Policy{Unlisted: "clear", Roles: []roles.Role{
		{Name: "clear", Members: []roles.Member{{Kind: "user", Name: "ada"}}, Masks: map[string]masking.Spec{"*": {Method: masking.Clear}}},
		{Name: "masked", Members: []roles.Member{{Kind: "any"}}, Predicates: "equality", DDL: "allow", Writes: true},
	}}
	d := New(Options{Policy: policy, Log: slog.New(slog.DiscardHandler), Open: func(string) (Source, error) { return source, nil }})
	defer d.Close()
	judges := map[string]session.Judge{}
	for _, user := range []string{"ada", "bob"} {
		l, err := d.Bind(t.Context(), "d", user, "1")
		if err != nil {
			t.Fatal(err)
		}
		judges[user] = l.Judge
	}
	judges["ada"].Changed()
	for sql, waits := range map[string]bool{
		"BEGIN": false, "COMMIT": false, "SET work_mem = '1MB'": false, "SHOW work_mem": false,
		"CREATE TABLE t (a int)": false, "ALTER TABLE t ADD b int": false, "DROP TABLE t": false, "CREATE INDEX ON t (a)": false,
		"CREATE VIEW v AS SELECT 1 AS a": false, "GRANT SELECT ON t TO ada": false, "COMMENT ON TABLE t IS 'x'": false,
		"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'": false, "BEGIN; CREATE TABLE t (a int); COMMIT": false,
		"SELECT 1": true, "SELECT a FROM t": true, "INSERT INTO t VALUES (1)": true, "CREATE TABLE u AS SELECT * FROM t": true,
		"SELECT a INTO u FROM t": true, "COPY t TO STDOUT": true, "TRUNCATE t": true, "PREPARE p AS SELECT a FROM t": true,
		"EXECUTE p": true, "CREATE TABLE t (a int); SELECT a FROM t": true, "": true,
	} {
		for user, j := range judges {
			v, err := j.Decide(t.Context(), session.Query{SQL: sql, SearchPath: "{public}"})
			switch must := waits || user == "bob"; {
			case must && !errors.Is(err, errUnread):
				t.Errorf("%s, %s: %v, want the newest catalog", user, sql, err)
			case !must && err != nil:
				t.Errorf("%s, %s: %v", user, sql, err)
			case !must && v.Statements[0].Action != session.Pass:
				t.Errorf("%s, %s: action %d", user, sql, v.Statements[0].Action)
			}
		}
	}
}
