package catalog

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
)

// TestData reads every embedded file: each line parses, and lines are sorted.
func TestData(t *testing.T) {
	files, err := fs.Glob(knowledge, "data/extensions/*.jsonl")
	if err != nil || len(files) == 0 {
		t.Fatal("no extension files", err)
	}
	for _, file := range append(files, "data/functions.jsonl") {
		if m, err := readFunctions(knowledge, file); err != nil {
			t.Error(err)
		} else if len(m) == 0 {
			t.Errorf("%s is empty", file)
		}
	}
	if _, err := readRelations(knowledge, "data/relations.jsonl"); err != nil {
		t.Error(err)
	}
	for _, file := range append(files, "data/functions.jsonl", "data/relations.jsonl") {
		text, err := fs.ReadFile(knowledge, file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if !slices.IsSorted(lines) || bytes.Contains(text, []byte("\r")) {
			t.Errorf("%s is not sorted", file)
		}
	}
}

// TestCoverage: the data says something of every function, and of every column of
// every system relation, that the installed server has.
func TestCoverage(t *testing.T) {
	conn := newDatabase(t, `CREATE EXTENSION pg_trgm; CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION pgcrypto;
		CREATE EXTENSION "uuid-ossp"; CREATE EXTENSION unaccent; CREATE EXTENSION fuzzystrmatch`)("postgres")
	s, err := Load(t.Context(), conn)
	if err != nil {
		t.Fatal(err)
	}
	// No SQL expression has a value of these.
	uncallable := []string{"internal", "trigger", "event_trigger", "fdw_handler", "index_am_handler", "table_am_handler", "tsm_handler", "language_handler"}
	checked := 0
	for _, f := range s.Functions {
		if f.Schema == "information_schema" || f.Language == "plpgsql" || strings.HasPrefix(f.Name, "plpgsql_") {
			continue
		}
		special := slices.ContainsFunc(append([]OID{f.Result}, f.Args...), func(a OID) bool { return slices.Contains(uncallable, s.Type(a).Name) })
		if b := s.Behaviour(f); b.Known == special {
			t.Errorf("%s.%s: known %v, not callable %v", f.Schema, s.signature(f), b.Known, special)
		}
		checked++
	}
	for _, r := range s.Relations {
		if r.Schema != "pg_catalog" && r.Schema != "information_schema" || r.Kind == KindComposite {
			continue
		}
		for _, c := range r.Columns {
			if _, known := SystemColumn(r.Schema, r.Name, c.Name); !known {
				t.Errorf("%s.%s.%s is not in the data", r.Schema, r.Name, c.Name)
			}
			// By construction, whatever the review says: expression trees and anyarray values are not clear.
			if clear, _ := SystemColumn(r.Schema, r.Name, c.Name); clear && slices.Contains([]string{"pg_node_tree", "anyarray", "pg_mcv_list", "pg_dependencies"}, s.Type(c.Type).Name) {
				t.Errorf("%s.%s.%s is clear but of type %s", r.Schema, r.Name, c.Name, s.Type(c.Type).Name)
			}
		}
		checked++
	}
	if checked < 2000 {
		t.Errorf("only %d objects", checked)
	}
	// A volatile function is pure only by review, and none of these may ever be.
	for _, f := range s.Functions {
		if strings.HasPrefix(f.Name, "pg_read_") || strings.HasPrefix(f.Name, "pg_ls_") || strings.HasPrefix(f.Name, "lo") && f.Volatility == 'v' ||
			strings.Contains(f.Name, "_to_xml") || strings.HasPrefix(f.Name, "pg_stat_get") || strings.HasSuffix(f.Name, "def") && strings.HasPrefix(f.Name, "pg_get_") {
			if s.Behaviour(f).Pure {
				t.Errorf("%s is pure", s.signature(f))
			}
		}
	}
}

// builtin returns the data's line for a function of pg_catalog.
func builtin(t *testing.T, signature string) Behaviour {
	t.Helper()
	b, ok := builtinFunctions()[signature]
	if !ok {
		t.Fatalf("%s is not in the data", signature)
	}
	return b
}

func TestBehaviour(t *testing.T) {
	for _, c := range []struct {
		signatures string
		want       string // words in the order below
	}{
		{"lower(text)|upper(text)|textcat(text,text)|int4eq(int4,int4)|texteq(text,text)|int8(int4)|md5(text)|length(text)|jsonb_exists(jsonb,text)", "pure keeps total"},
		{"now()|current_user()|version()|pg_backend_pid()|current_database()", "pure keeps total"},
		{"count()|count(any)|sum(int4)|bool_and(bool)", "pure keeps total"},
		{"min(text)|max(int4)|any_value(anyelement)|first_value(anyelement)", "pure keeps total exact"},
		{"jsonb_object_field_text(jsonb,text)|array_length(anyarray,int4)", "pure total"},
		{"json_object_field_text(json,text)", "pure stored"},
		{"age(timestamptz,timestamptz)|date_mi(date,date)|float8(numeric)|sum(float8)", "pure keeps stored"},
		{"sum(numeric)|avg(numeric)", "pure keeps bounded"},
		{"array_eq(anyarray,anyarray)", "pure keeps compares"},
		{"int4pl(int4,int4)|int4div(int4,int4)|int4(text)|numeric_div(numeric,numeric)|record_eq(record,record)|date_in(cstring)|int4in(cstring)|chr(int4)|int4abs(int4)|cash_pl(money,money)", "pure keeps fails"},
		{"textlike(text,text)|to_char(int8,text)|date_pli(date,int4)|interval_pl(interval,interval)|bitand(bit,bit)|int4(int8)", "pure keeps fails"},
		{"substring(text,int4,int4)|split_part(text,text,int4)", "pure keeps faults=[2]"},
		{"textregexeq(text,text)|encode(bytea,text)", "pure keeps faults=[1]"},
		{"substring(text,text)|regexp_match(text,text)", "pure faults=[1]"},
		{"repeat(text,int4)", "pure keeps fails grows"},
		{"replace(text,text,text)|string_agg(text,text)", "pure keeps total grows"},
		{"random()|gen_random_uuid()|clock_timestamp()", "pure keeps total"},
		{"pg_get_viewdef(oid)|pg_get_constraintdef(oid)|obj_description(oid,name)|currval(regclass)|pg_read_file(text)|current_setting(text)|pg_stat_get_activity(int4)", "fails source"},
		{"set_config(text,text,bool)|setval(regclass,int8)|pg_notify(text,text)|pg_sleep(float8)|lo_put(oid,int8,bytea)|pg_advisory_lock(int8)|nextval(regclass)|setseed(float8)", "fails sink"},
		{"query_to_xml(text,bool,bool,text)|table_to_xml(regclass,bool,bool,text)|ts_stat(text)", "fails runner"},
		{"format_type(oid,int4)|pg_get_userbyid(oid)|pg_table_is_visible(oid)|pg_get_expr(pg_node_tree,oid)", "pure total"},
	} {
		for signature := range strings.SplitSeq(c.signatures, "|") {
			if signature == "int4(text)" { // there is no such cast function
				if _, ok := builtinFunctions()[signature]; ok {
					t.Error("int4(text) exists")
				}
				continue
			}
			if got := words(builtin(t, signature)); got != c.want {
				t.Errorf("%s: got %q, want %q", signature, got, c.want)
			}
		}
	}
}

// words puts a Behaviour into words.
func words(b Behaviour) string {
	var w []string
	add := func(said bool, word string) {
		if said {
			w = append(w, word)
		}
	}
	add(!b.Known, "unknown")
	add(b.Pure, "pure")
	add(b.KeepsNull, "keeps")
	add(b.Total, "total")
	add(b.Stored, "stored")
	add(b.Bounded, "bounded")
	add(b.Compares, "compares")
	add(b.Faults != nil, fmt.Sprintf("faults=%v", b.Faults))
	add(!b.Total && !b.Stored && !b.Bounded && !b.Compares && b.Faults == nil, "fails")
	add(b.Grows, "grows")
	add(b.Exact, "exact")
	add(b.Flow == FlowSource, "source")
	add(b.Flow == FlowSink, "sink")
	add(b.Flow == FlowRunner, "runner")
	return strings.Join(w, " ")
}

func TestMayFault(t *testing.T) {
	for _, c := range []struct {
		b    Behaviour
		i, n int
		want bool
	}{
		{Behaviour{}, 0, 1, true},
		{Behaviour{Known: true}, 0, 1, true},
		{Behaviour{Known: true, Total: true}, 0, 1, false},
		{Behaviour{Known: true, Faults: []int{1}}, 0, 2, false},
		{Behaviour{Known: true, Faults: []int{1}}, 1, 2, true},
		{Behaviour{Known: true, Faults: []int{1}}, 5, 2, true}, // the VARIADIC's further arguments
		{Behaviour{Known: true, Faults: []int{0}}, 5, 2, false},
		{Behaviour{Faults: []int{0}}, 1, 2, true},
	} {
		if got := c.b.MayFault(c.i, c.n); got != c.want {
			t.Errorf("%+v argument %d of %d: %v", c.b, c.i, c.n, got)
		}
	}
}

// TestBehaviourOfOthers: only what came with the server or an extension is known.
func TestBehaviourOfOthers(t *testing.T) {
	s, err := ReadJSON(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	plus := *s.FunctionsByName("pg_catalog", "int4pl")[0]
	if !s.Behaviour(&plus).Pure {
		t.Fatal("int4pl is not known")
	}
	for what, change := range map[string]func(*Function){
		"another schema":    func(f *Function) { f.Schema = "s" },
		"made later":        func(f *Function) { f.OID = 20000 },
		"another language":  func(f *Function) { f.Language = "plpgsql" },
		"other arguments":   func(f *Function) { f.Args = f.Args[:1] },
		"unknown extension": func(f *Function) { f.Extension = "x" },
		"known extension":   func(f *Function) { f.Extension = "citext" },
	} {
		f := plus
		change(&f)
		if b := s.Behaviour(&f); b.Known {
			t.Errorf("%s: known", what)
		}
	}
}

func TestSystemColumn(t *testing.T) {
	for _, c := range []struct {
		column       string
		clear, known bool
	}{
		{"pg_catalog.pg_class.relname", true, true},
		{"pg_catalog.pg_attribute.attmissingval", false, true},
		{"pg_catalog.pg_stats.most_common_vals", false, true},
		{"pg_catalog.pg_stats.tablename", true, true},
		{"pg_catalog.pg_statistic.stavalues1", false, true},
		{"pg_catalog.pg_statistic.stanumbers3", false, true},
		{"pg_catalog.pg_stat_activity.query", false, true},
		{"pg_catalog.pg_stat_activity.pid", true, true},
		{"pg_catalog.pg_authid.rolpassword", false, true},
		{"pg_catalog.pg_largeobject.data", false, true},
		{"pg_catalog.pg_sequences.last_value", false, true},
		{"pg_catalog.pg_settings.setting", true, true},
		{"pg_catalog.pg_db_role_setting.setconfig", false, true},
		{"pg_catalog.pg_description.description", false, true},
		{"pg_catalog.pg_views.definition", false, true},
		{"information_schema.columns.column_name", true, true},
		{"information_schema.columns.column_default", false, true},
		{"information_schema.views.view_definition", false, true},
		{"information_schema.triggers.action_statement", false, true},
		{"information_schema.triggers.action_timing", true, true},
		{"information_schema.check_constraints.check_clause", false, true},
		{"pg_catalog.pg_class.no_such", false, false},
		{"pg_catalog.no_such.relname", false, false},
		{"public.pg_class.relname", false, false},
	} {
		p := strings.Split(c.column, ".")
		if clear, known := SystemColumn(p[0], p[1], p[2]); clear != c.clear || known != c.known {
			t.Errorf("%s: clear %v, known %v", c.column, clear, known)
		}
	}
}

func BenchmarkBehaviour(b *testing.B) {
	s, err := ReadJSON(strings.NewReader(small))
	if err != nil {
		b.Fatal(err)
	}
	f := s.FunctionsByName("pg_catalog", "int4pl")[0]
	b.ReportAllocs()
	for b.Loop() {
		s.Behaviour(f)
	}
}
