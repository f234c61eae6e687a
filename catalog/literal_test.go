package catalog

import (
	"strings"
	"testing"
)

func TestRefine(t *testing.T) {
	const none = "\x00" // an argument that is no literal
	for _, c := range []struct {
		signature string
		literals  []string
		want      string
	}{
		{"date_trunc(text,timestamp)", []string{"month", none}, "pure keeps stored"},
		{"date_trunc(text,timestamp)", []string{"MONTH", none}, "pure keeps stored"},
		{"date_trunc(text,timestamp)", []string{"fortnight", none}, "pure keeps fails"},
		{"date_trunc(text,timestamp)", []string{none, none}, "pure keeps fails"},
		{"date_trunc(text,timestamp)", []string{"week", none}, "pure keeps stored"},
		{"date_trunc(text,interval)", []string{"year", none}, "pure keeps total"},
		{"date_trunc(text,interval)", []string{"week", none}, "pure keeps fails"},
		{"extract(text,timestamp)", []string{"year", none}, "pure total"},
		{"extract(text,timestamp)", []string{"Timezone", none}, "pure fails"},
		{"extract(text,timestamp)", []string{none, none}, "pure fails"},
		{"int8pl(int8,int8)", []string{none, "1"}, "pure keeps stored"},
		{"int8pl(int8,int8)", []string{"-1", none}, "pure keeps stored"},
		{"int8pl(int8,int8)", []string{none, "1001"}, "pure keeps fails"},
		{"int8pl(int8,int8)", []string{none, none}, "pure keeps fails"},
		{"date_pli(date,int4)", []string{none, "30"}, "pure keeps stored"},
		{"numeric_mul(numeric,numeric)", []string{none, "1.19"}, "pure keeps bounded"},
		{"numeric_mul(numeric,numeric)", []string{none, "1e131000"}, "pure keeps fails"},
		{"numeric_mul(numeric,numeric)", []string{none, "NaN"}, "pure keeps fails"},
		{"numeric_mul(numeric,numeric)", []string{none, strings.Repeat("9", 100)}, "pure keeps fails"},
		{"json_build_object(any)", []string{"a", none, "b", none}, "pure keeps total"},
		{"json_build_object(any)", []string{"a", none, none, none}, "pure keeps fails"},
		{"json_build_object(any)", []string{"a", none, "b"}, "pure keeps fails"},
		{"textlike(text,text)", []string{none, "A%"}, "pure keeps total"},
		{"textlike(text,text)", []string{none, `A\`}, "pure keeps fails"},
		{"textlike(text,text)", []string{none, none}, "pure keeps fails"},
		{"textlike(text,text)", []string{"A%", none}, "pure keeps fails"},
		{"to_char(int8,text)", []string{none, "999"}, "pure keeps total"},
		{"to_char(int8,text)", []string{none, "9V99"}, "pure keeps fails"},
		{"to_char(int8,text)", []string{none, "9v99"}, "pure keeps fails"},
		{"int4div(int4,int4)", []string{none, "2"}, "pure keeps total"},
		{"int4div(int4,int4)", []string{none, "0"}, "pure keeps fails"},
		{"int4div(int4,int4)", []string{none, "-1"}, "pure keeps fails"},
		{"int4div(int4,int4)", []string{none, "x"}, "pure keeps fails"},
		{"int4div(int4,int4)", []string{"2", none}, "pure keeps fails"},
		{"int4mod(int4,int4)", []string{none, "-1"}, "pure keeps total"},
		{"int4mod(int4,int4)", []string{none, "0"}, "pure keeps fails"},
		{"format(text,any)", []string{"%s-%L %%", none, none}, "pure keeps total grows"},
		{"format(text,any)", []string{"%s-%s", none}, "pure keeps fails grows"},
		{"format(text,any)", []string{"%I", none}, "pure keeps fails grows"},
		{"format(text,any)", []string{"%*s", none, none}, "pure keeps fails grows"},
		{"format(text,any)", []string{"%", none}, "pure keeps fails grows"},
		{"format(text,any)", []string{none, none}, "pure keeps fails grows"},
		{"current_setting(text)", []string{"server_version"}, "pure fails"},
		{"current_setting(text)", []string{"my.v"}, "fails source"},
		{"current_setting(text)", []string{none}, "fails source"},
		{"current_setting(text)", []string{""}, "fails source"},
		{"lpad(text,int4)", []string{none, "10"}, "pure keeps total"},
		{"lpad(text,int4)", []string{none, "1000000000"}, "pure keeps faults=[1] grows"},
		{"repeat(text,int4)", []string{none, "3"}, "pure keeps total grows"},
		{"repeat(text,int4)", []string{none, "1000000000"}, "pure keeps fails grows"},
		{"replace(text,text,text)", []string{none, "-", ""}, "pure keeps total"},
		{"replace(text,text,text)", []string{none, "-", "xx"}, "pure keeps total grows"},
		{"replace(text,text,text)", []string{none, none, ""}, "pure keeps total grows"},
		{"substring(text,int4,int4)", []string{none, "1", "5"}, "pure keeps total"},
		{"substring(text,int4,int4)", []string{none, "1", "-5"}, "pure keeps faults=[2]"},
		{"substring(text,int4,int4)", []string{none, "1"}, "pure keeps faults=[2]"},
	} {
		literals := make([]*string, len(c.literals))
		for i := range c.literals {
			if c.literals[i] != none {
				literals[i] = &c.literals[i]
			}
		}
		b := builtin(t, c.signature)
		refined, mattered := b.Refine(literals)
		if got := words(refined); got != c.want {
			t.Errorf("%s %q: got %q, want %q", c.signature, c.literals, got, c.want)
		}
		if changed := words(refined) != words(b); changed != mattered || !b.Refinable() {
			t.Errorf("%s %q: mattered %v, changed %v", c.signature, c.literals, mattered, changed)
		}
	}
	if _, mattered := builtin(t, "lower(text)").Refine(nil); mattered {
		t.Error("a literal mattered to lower")
	}
}
