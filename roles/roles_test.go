package roles

import "testing"

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"patients", "patients", true},
		{"patients", "patient", false},
		{"*", "", true},
		{"*", "anything", true},
		{"*_name", "first_name", true},
		{"*_name", "first_names", false},
		{"c_*", "c_int", true},
		{"c_*", "xc_int", false},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "abc", true},
		{"a*b*c", "acb", false},
		{"a*a", "a", false},
		{"*a*", "bab", true},
	} {
		if got := match(c.pattern, c.s); got != c.want {
			t.Errorf("match(%q, %q) = %v, want %v", c.pattern, c.s, got, c.want)
		}
	}
}

func TestSplitPattern(t *testing.T) {
	for _, c := range []struct {
		in   string
		want [3]string
		ok   bool
	}{
		{"public.patients.ssn", [3]string{"public", "patients", "ssn"}, true},
		{`"odd.schema".t.c`, [3]string{"odd.schema", "t", "c"}, true},
		{"patients.ssn", [3]string{}, false},
		{"a.b.c.d", [3]string{}, false},
		{"a..c", [3]string{}, false},
		{`a."b.c`, [3]string{}, false},
	} {
		got, ok := splitPattern(c.in)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("splitPattern(%q) = %q, %v", c.in, got, ok)
		}
	}
}

func TestCanonicalType(t *testing.T) {
	for in, want := range map[string]string{
		"integer": "int4", "text[]": "text[]", "character varying": "varchar", "pg_catalog.int8": "int8",
		"timestamp with time zone[]": "timestamptz[]", "public.citext": "public.citext",
	} {
		if got := canonicalType(in); got != want {
			t.Errorf("canonicalType(%q) = %q, want %q", in, got, want)
		}
	}
}
