package masking

import (
	"regexp"
	"strings"
	"testing"
)

func TestLiterals(t *testing.T) {
	k := &Keys{}
	text, err := k.Compile(Column{Type: Type{OID: oidText, Mod: -1}, Spec: Spec{Method: Literals}, Session: Session{ClientEncoding: "UTF8"}})
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"": "",
		"FOREIGN KEY (person) REFERENCES people(id) ON DELETE CASCADE": "FOREIGN KEY (person) REFERENCES people(id) ON DELETE CASCADE",
		"CHECK ((ssn <> '123-45-6789'::text))":                         "CHECK ((ssn <> '***'::text))",
		"nextval('people_id_seq'::regclass)":                           "nextval('people_id_seq'::regclass)",
		"('a'::regclassy)":                                             "('***'::regclassy)",
		"(age > 42) AND (x = '-5'::integer) OR y = 1.5e-10":            "(age > 0) AND (x = '***'::integer) OR y = 0",
		"'it''s' || E'a\\'b' || B'101' || \"a\"\"b 7\"":                `'***' || E'***' || B'***' || "a""b 7"`,
		"$function$SELECT 'x'$function$ AND $1 = a$2":                  "'***' AND $1 = a$2",
		"t1.c2 -> 'k' ->> 3":                                           "t1.c2 -> '***' ->> 0",
		"ARRAY['a'::text, 'b'::text]":                                  "ARRAY['***'::text, '***'::text]",
		"0x1F + 1_000 + .5":                                            "0 + 0 + 0",
		"größe = 'größe'":                                              "größe = '***'",
		// What has no end, or could be anything.
		"'open":           redactedText,
		"a = E'open\\'":   redactedText,
		"\"open":          redactedText,
		"$$ open":         redactedText,
		"a $ b":           redactedText,
		"a -- 'x' secret": redactedText,
		"/* secret */ a":  redactedText,
		"U&'secret'":      redactedText,
		"a\xff = 'b'":     redactedText,
	} {
		got, ok := text.MaskCell([]byte("dst:"), []byte(in))
		if !ok || string(got) != "dst:"+want {
			t.Errorf("%s\n%s, want\n%s", in, got, want)
		}
	}
	for _, c := range []Column{
		{Type: Type{OID: 194, Mod: -1}}, {Type: Type{OID: oidName, Mod: -1}}, {Type: Type{OID: oidText, Mod: -1}, Session: Session{ClientEncoding: "SJIS"}},
	} {
		c.Spec.Method = Literals
		m, err := k.Compile(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := m.MaskCell(nil, []byte("people")); strings.Contains(string(got), "people") {
			t.Errorf("%+v: %q", c, got)
		}
	}
}

// FuzzLiterals: no digit and nothing that stands in quotes comes through, but for names.
func FuzzLiterals(f *testing.F) {
	for _, s := range []string{"CHECK ((a > 5) AND (b = 'x'))", "nextval('s'::regclass)", "$a$b$a$ E'\\'' \"q\"", "1e-5", "a--b", "U&'x'"} {
		f.Add([]byte(s))
	}
	name := regexp.MustCompile(`"(?:[^"]|"")*"|'(?:[^']|'')*'::regclass|[$A-Za-z_\x80-\xff][$\w\x80-\xff]*`)
	f.Fuzz(func(t *testing.T, in []byte) {
		out, ok := appendWithoutLiterals(nil, in)
		if !ok {
			return
		}
		left := name.ReplaceAllString(strings.ReplaceAll(string(out), hiddenString, "_"), "")
		if strings.ContainsAny(left, "123456789'") {
			t.Errorf("%q gives %q", in, out)
		}
	})
}
