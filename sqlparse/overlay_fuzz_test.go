package sqlparse

import (
	"encoding/json"
	"testing"

	"pgveil/catalog"
)

// FuzzLearn feeds arbitrary answers of a server, after arbitrary statements. What is learnt must be of the answer alone, and
// nothing may be taken for known that was not seen being made.
func FuzzLearn(f *testing.F) {
	f.Add([]byte(`{"s":"pg_temp_3","r":[{"o":20000,"n":"t","k":"r","c":false,"d":null,"a":[{"n":1,"a":"a","t":25,"m":-1}]}]}`), "t", "a", true, false)
	f.Add([]byte(`{"s":"pg_temp_3","r":[{"o":20000,"n":"t","k":"v","c":false,"d":"SELECT 1","a":[{"n":2,"a":"b","t":25,"m":-1},{"n":1,"a":"a","t":23,"m":4}]},{"o":20000,"n":"t","k":"r"}]}`), "t", "a", false, true)
	f.Add([]byte(`{"s":"pg_temp_3","r":null}`), "", "", true, true)
	f.Add([]byte(`{"s":"","r":[{"o":1}]}`), "x", "y", false, false)
	f.Add([]byte(`[1,{"s":`), "x", "y", false, false)
	f.Fuzz(func(t *testing.T, state []byte, table, column string, settled, fires bool) {
		flow := Flow{Exact: []Source{{Relation: 16400, Column: 3, Schema: "hr", Table: "person", Name: "ssn"}}}
		made := &TempEffect{Changes: true, Fires: fires, Creates: []TempCreation{{Name: table, Kind: catalog.KindTable, Columns: []TempColumn{{Name: column, Flow: flow}}}}}
		o := NoOverlay.Forward(made, false)
		next, err := o.Learn(state, settled)
		if err != nil {
			if next != nil {
				t.Fatal("an overlay beside an error")
			}
			return
		}
		var s tempState
		if json.Unmarshal(state, &s) != nil {
			t.Fatal("learnt from what is no answer")
		}
		if len(next.byOID) != len(s.Relations) || len(next.byName) != len(s.Relations) {
			t.Fatalf("%d relations learnt of %d", len(next.byOID), len(s.Relations))
		}
		for oid, r := range next.byOID {
			for _, c := range r.rel.Columns {
				got, known := next.Flow(oid, c.Num)
				switch {
				case !known:
				case fires, r.rel.Name != table, c.Name != column, len(r.rel.Columns) != 1:
					t.Fatalf("something is known of %s.%s", r.rel.Name, c.Name)
				case !got.equal(flow):
					t.Fatalf("%s.%s: %+v", r.rel.Name, c.Name, got)
				}
			}
		}
		again, err := next.Learn(state, settled)
		if err != nil || again.Version() != next.Version() {
			t.Fatalf("the same answer again: version %d after %d, %v", again.Version(), next.Version(), err)
		}
	})
}
