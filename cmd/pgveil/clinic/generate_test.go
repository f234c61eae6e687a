package clinic

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"regexp"
	"strings"
	"testing"
)

func TestChecksum(t *testing.T) {
	small := Options{Patients: 200, Seed: 1}
	first := Checksum(small)
	if again := Checksum(small); again != first {
		t.Error("the same seed gave different rows")
	}
	for _, o := range []Options{{Patients: 200, Seed: 2}, {Patients: 201, Seed: 1}} {
		if Checksum(o) == first {
			t.Errorf("%+v gave the rows of %+v", o, small)
		}
	}
	// A change of the generator is meant to be seen: documents and tests quote its rows.
	const known = "3cff1dbd616cdab7dc354d7ef731e379ab2b493cadcb09eed7cebbb3a29f56ac"
	if first != known {
		t.Errorf("seed 1 with 200 patients is now %s", first)
	}
}

func TestPatientsKeepTheirRows(t *testing.T) {
	small, large := &generator{seed: 3, patients: 20}, &generator{seed: 3, patients: 50}
	for _, tab := range tables {
		s, l := small.make(&tab), large.make(&tab)
		if s.n == 0 {
			t.Errorf("%s has no rows", tab.name)
		}
		if !bytes.HasPrefix(l.buf, s.buf) {
			t.Errorf("%s: the first patients of a larger clinic differ", tab.name)
		}
	}
}

// generated gives every value of a column, NULL left out.
func generated(t *testing.T, name string, patients int) []string {
	t.Helper()
	cut := strings.LastIndexByte(name, '.')
	for _, tab := range tables {
		if tab.name != name[:cut] {
			continue
		}
		for i, c := range strings.Split(tab.columns, ", ") {
			if c != name[cut+1:] {
				continue
			}
			var out []string
			for line := range strings.Lines(string((&generator{seed: 1, patients: patients}).make(&tab).buf)) {
				if v := strings.Split(strings.TrimSuffix(line, "\n"), "\t")[i]; v != `\N` {
					out = append(out, v)
				}
			}
			return out
		}
	}
	t.Fatalf("no column %s", name)
	return nil
}

func TestReservedRanges(t *testing.T) {
	const patients = 10_000
	for _, c := range []struct{ column, pattern string }{
		{"public.patients.ssn", `^(666|9\d\d)-[0-4]\d-\d{4}$`},
		{"public.patients.phone", `^\d{3}-555-01\d\d$`},
		{"public.patients.fax", `^\d{3}-555-01\d\d$`},
		{"public.contacts.phone", `^\d{3}-555-01\d\d$`},
		{"public.patients.email", `^[a-z]+\.\d+@example\.(org|com|net)$`},
		{"portal.accounts.profile_url", `^https://portal\.example\.org/u/[a-z]+\d+$`},
		{"public.providers.npi", `^9\d{9}$`},
		{"public.devices.mac", `^00:00:5e:00:53:[0-9a-f]{2}$`},
	} {
		re, values := regexp.MustCompile(c.pattern), generated(t, c.column, patients)
		if len(values) == 0 {
			t.Errorf("%s has no values", c.column)
		}
		for _, v := range values {
			if !re.MatchString(v) {
				t.Errorf("%s: %q is not reserved", c.column, v)
				break
			}
		}
	}
	var nets []netip.Prefix
	for _, n := range []string{"192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"} {
		nets = append(nets, netip.MustParsePrefix(n))
	}
	for _, column := range []string{"portal.accounts.last_ip", "portal.access_log.client_ip"} {
	values:
		for _, v := range generated(t, column, patients) {
			ip, err := netip.ParseAddr(v)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nets {
				if n.Contains(ip) {
					continue values
				}
			}
			t.Errorf("%s: %s is not for documentation", column, v)
			break
		}
	}
	for _, column := range []string{"public.patients.ssn", "public.patients.mrn", "public.patients.patient_uuid"} {
		seen := map[string]bool{}
		for _, v := range generated(t, column, patients) {
			if seen[v] {
				t.Errorf("%s: %s twice", column, v)
			}
			seen[v] = true
		}
	}
}

func TestCopyText(t *testing.T) {
	r := &rows{}
	r.row("tab\tline\nback\\slash", nil, -3, true, 1.5, cents(-105), cents(7), []byte{0, 0xab}, []string{`a"b`, `c\d`, ""}, []string{})
	const want = `tab\tline\nback\\slash` + "\t\\N\t-3\tt\t1.5\t-1.05\t0.07\t\\\\x00ab\t" + `{"a\\"b","c\\\\d",""}` + "\t{}\n"
	if string(r.buf) != want {
		t.Errorf("got  %q\nwant %q", r.buf, want)
	}
}

func TestDocumentsAreJSON(t *testing.T) {
	for _, column := range []string{"public.documents.doc", "portal.access_log.detail"} {
		for _, v := range generated(t, column, 100) {
			if !json.Valid([]byte(strings.ReplaceAll(v, `\\`, `\`))) {
				t.Fatalf("%s: %s", column, v)
			}
		}
	}
}

func BenchmarkGenerate(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Checksum(Options{Patients: 1000, Seed: 1})
	}
}
