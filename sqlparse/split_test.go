package sqlparse

import (
	"slices"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		sql  string
		want []string
	}{
		{"", nil},
		{" ; -- nothing\n; /* ; */", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT 1; SELECT ';'; ", []string{"SELECT 1", "SELECT ';'"}},
		{"SELECT 1;SELEC 2;SELECT 3", []string{"SELECT 1", "SELEC 2", "SELECT 3"}},
		{"1; 'x'; a", []string{"1", "'x'", "a"}},
		{"-- first\nSELECT 1 /* ; */ + 1 -- ;\n; SELECT $$;$$, \"a;b\", E'\\';'", []string{"SELECT 1 /* ; */ + 1", "SELECT $$;$$, \"a;b\", E'\\';'"}},
		{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3", []string{"CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)", "SELECT 3"}},
		{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
			[]string{"CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END", "SELECT 3"}},
		{"BEGIN; SELECT 1; END; SELECT 2", []string{"BEGIN", "SELECT 1", "END", "SELECT 2"}},
		{"SELECT ); SELECT 2", []string{"SELECT )", "SELECT 2"}},
		{"SELECT 'ü'; SELECT 'é;'", []string{"SELECT 'ü'", "SELECT 'é;'"}},
		{"SELECT 1; SELECT 'open", []string{"SELECT 1; SELECT 'open"}},
		{"SELECT 1;\x00 SELECT 2", []string{"SELECT 1;\x00 SELECT 2"}},
	} {
		if got := Split(c.sql); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.sql, got, c.want)
		}
	}
}
