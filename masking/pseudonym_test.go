package masking

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// pseudonymOf masks a text as a column of a class and a name.
func pseudonymOf(t testing.TB, spec Spec, class, column, value string) string {
	t.Helper()
	c, err := testKeys().Compile(Column{Type: base(oidText), Class: class, Name: column, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	out, ok := c.MaskCell(nil, []byte(value))
	if !ok {
		t.Fatalf("%s %s %q: NULL", class, column, value)
	}
	return string(out)
}

var plainPseudonym = Spec{Method: Pseudonym}

// TestPseudonymKinds: what comes out follows from the class and the column's name.
func TestPseudonymKinds(t *testing.T) {
	for _, c := range []struct{ class, column, value, want string }{
		{"name", "first_name", "Maria", `^[A-Z]\p{L}+$`},
		{"name.last", "", "Lopez", `^[A-Z][a-z]+$`},
		{"name", "full_name", "Maria Lopez", `^[A-Z]\p{L}+ [A-Z][a-z]+$`},
		{"name", "", "Lopez, Maria A.", `^[A-Z][a-z]+, [A-Z]\p{L}+ [A-Z]\.$`},
		{"name", "display_name", "Dr. Maria van der Berg, MD", `^Dr\. [A-Z]\p{L}+ [A-Z][a-z]+, MD$`},
		{"name", "last_name", "O'NEILL-SMITH", `^[A-Z]+$`},
		{"name", "username", "mlopez7", `^[a-z]+\d{4}$`},
		{"name", "", "B27", `^[A-Z][a-z]+$`},
		{"name", "", "12", `^\*\*\*$`},
		{"address", "street", "12 Larkspur Lane Apt 4", `^\d{1,4} [A-Z][a-z]+ [A-Z][a-z]+$`},
		{"address", "street", "Larkspur Lane", `^[A-Z][a-z]+ [A-Z][a-z]+$`},
		{"address.city", "x", "Fernhollow", `^[A-Z][a-z]+$`},
		{"address", "home", "12 Larkspur Lane, Fernhollow", `^\d{1,4} [A-Z][a-z]+ [A-Z][a-z]+, [A-Z][a-z]+$`},
		{"email", "", "Maria.Lopez@hospital.org", `^[a-z]+\.[a-z]+\d{4}@example\.(com|org|net)$`},
		{"email", "", "x@example.com", `^[a-z]*\d{4}@example\.(com|org|net)$`},
		{"email", "", "not an address", `@example\.(com|org|net)$`},
		{"phone", "", "(617) 555-0142", `^\([2-9][0-8]\d\) 555-01\d\d$`},
		{"phone", "", "6175550142", `^[2-9][0-8]\d55501\d\d$`},
		{"phone", "", "+1 617.555.0142", `^\+1 [2-9][0-8]\d\.555\.01\d\d$`},
		{"phone", "", "555-0142", `^555-01\d\d$`},
		{"phone", "", "+44 7911 123456", `^\+44 7700 900\d{3}$`},
		{"phone", "", "+49 30 12345678", `^\+49 30 23125\d{3}$`},
		{"phone", "", "+33 6 12 34 56 78", `^\+33 6 39 98 \d\d \d\d$`},
		{"fax", "", "617-555-0142 x12", `^[2-9][0-8]\d-555-01\d\d$`},
		{"fax", "", "none", `^[2-9][0-8]\d-555-01\d\d$`},
		{"ssn", "", "123-45-6789", `^9\d\d-[0-4]\d-\d{4}$`},
		{"ssn", "", "123456789", `^9\d\d[0-4]\d\d{4}$`},
		{"mrn", "", "MRN-00412a", `^[A-Z]{3}-\d{5}[a-z]$`},
		{"unique_id", "username", "maria_lopez", `^[a-z]+\.[a-z]+\d{4}$`},
		{"unique_id", "token", "x9", `^[a-z]\d$`},
		{"zip", "", "02139-4307", `^\d{5}-\d{4}$`},
		{"url", "", "https://portal.hospital.org/maria", `^https://www\.example\.org/[a-z2-9]{10}$`},
		{"ip", "", "10.1.2.3", `^(192\.0\.2|198\.51\.100|203\.0\.113)\.\d+$`},
		{"ip", "", "fe80::1", `^2001:db8:`},
		{"customer_name", "", "Maria Lopez", `^[A-Z]\p{L}+ [A-Z][a-z]+$`},
		{"free_text", "first_name", "Maria", `^\*\*\*$`},
		{"sensitive.result", "", "positive", `^\*\*\*$`},
		{"unlisted", "notes", "Maria came in", `^\*\*\*$`},
		{"name", "", strings.Repeat("x", 600), `^\*\*\*$`},
		{"name", "", "a b c d e f g h i j k l m", `^\*\*\*$`},
		{"name", "", "Maria\xff", `^\*\*\*$`},
		{"name", "", "", `^$`},
	} {
		got := pseudonymOf(t, plainPseudonym, c.class, c.column, c.value)
		if !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s %s %q: %q, want %s", c.class, c.column, c.value, got, c.want)
		}
		if c.value != "" && strings.Contains(strings.ToLower(got), strings.ToLower(c.value)) {
			t.Errorf("%s %s %q: %q shows it", c.class, c.column, c.value, got)
		}
		if c.class == "ip" {
			if _, err := netip.ParseAddr(got); err != nil {
				t.Error(err)
			}
		}
	}
	for _, as := range strings.Split(asNames(), ", ") {
		if got := pseudonymOf(t, Spec{Method: Pseudonym, As: as}, "free_text", "", "Maria Lopez 12"); got == "***" {
			t.Errorf("as %s: redacted", as)
		}
	}
}

// TestPseudonymPerson: a person is the same person in every column, form and class of names.
func TestPseudonymPerson(t *testing.T) {
	of := func(class, column, value string) string { return pseudonymOf(t, plainPseudonym, class, column, value) }
	first, last := of("name", "first_name", "Maria"), of("name", "last_name", "Lopez-Ortega")
	for _, c := range []struct{ class, column, value, want string }{
		{"name", "full_name", "Maria Lopez-Ortega", first + " " + last},
		{"name", "who", "Lopez-Ortega, Maria", last + ", " + first},
		{"name", "who", "MARIA LOPEZ-ORTEGA", strings.ToUpper(first + " " + last)},
		{"name.contact", "", "maria lopez-ortega", strings.ToLower(first + " " + last)},
		{"name", "who", "Mrs. Maria Lopez-Ortega", "Mrs. " + first + " " + last},
		{"name", "who", "Maria", first},
		{"name", "surname", "lopez-ortega", strings.ToLower(last)},
	} {
		if got := of(c.class, c.column, c.value); got != c.want {
			t.Errorf("%s %s %q: %q, want %q", c.class, c.column, c.value, got, c.want)
		}
	}
	simple := of("name", "last_name", "Lopez")
	mail := of("email", "", "Maria.Lopez@hospital.org")
	if want := strings.ToLower(first + "." + simple); !strings.HasPrefix(mail, want) {
		t.Errorf("e-mail %q, want %s…", mail, want)
	}
	if got := pseudonymOf(t, Spec{Method: Email}, "email", "", "Maria.Lopez@hospital.org"); got != mail {
		t.Errorf("mask email gives %q, pseudonym %q", got, mail)
	}
	if user := of("unique_id", "username", "maria.lopez"); !strings.HasPrefix(user, strings.ToLower(first+"."+simple)) {
		t.Errorf("user name %q of %s %s", user, first, simple)
	}
	if other := of("provider_name", "first_name", "Maria"); other == first {
		t.Errorf("a class of its own has the same names: %s", other)
	}
	// The sex of given names stays, whatever the locale.
	for _, locale := range Locales() {
		w := wordsOf(locale)
		for _, names := range [][]string{w.female, w.male} {
			for _, n := range names {
				want := givenNames()[strings.ToLower(n)]
				got := pseudonymOf(t, Spec{Method: Pseudonym, As: "first_name", Locale: locale}, "name", "", n)
				if s := givenNames()[strings.ToLower(got)]; want != sexUnknown && s != want && s != sexUnknown {
					t.Errorf("%s: %s becomes %s", locale, n, got)
				}
			}
		}
	}
}

// TestPseudonymLength: results fit varchar(n), and stay what they are.
func TestPseudonymLength(t *testing.T) {
	for _, as := range strings.Split(asNames(), ", ") {
		for _, n := range []int{1, 3, 8, 20, 40} {
			typ := typmod(oidVarchar, "varchar", int32(4+n))
			if spec := (Spec{Method: Pseudonym, As: as}); spec.Check(typ) != nil && (as == "email") == (n < minEmail) {
				continue
			}
			for i := range 50 {
				c, err := testKeys().Compile(Column{Type: typ, Class: "x", Spec: Spec{Method: Pseudonym, As: as, Locale: "de"}})
				if err != nil {
					t.Fatal(err)
				}
				out, _ := c.MaskCell(nil, fmt.Append(nil, "Value ", i)[:min(n, 7)])
				if utf8.RuneCount(out) > n || len(out) == 0 {
					t.Errorf("as %s in varchar(%d): %q", as, n, out)
				}
				if as == "email" && string(out) != strings.Repeat("*", min(n, 3)) && !strings.Contains(string(out), "@example.") {
					t.Errorf("as %s in varchar(%d): %q", as, n, out)
				}
			}
		}
	}
}

// TestPseudonymCollisions prints how many different results there are, and checks that few values share one.
func TestPseudonymCollisions(t *testing.T) {
	const values = 2000
	for _, c := range []struct {
		as      string
		value   func(i int) string
		atLeast int
	}{
		{"full_name", func(i int) string { return fmt.Sprintf("G%s F%s", letters(i), letters(i*7)) }, 1980},
		{"last_name", func(i int) string { return "F" + letters(i) }, 1050},
		{"street", func(i int) string { return fmt.Sprint(i, " Long Road") }, 1990},
		{"city", func(i int) string { return "Town" + letters(i) }, 900},
		{"email", func(i int) string { return fmt.Sprintf("user%d@hospital.org", i) }, 1700},
		{"phone", func(i int) string { return fmt.Sprintf("617%07d", i) }, 1900},
		{"ssn", func(i int) string { return fmt.Sprintf("123%06d", i) }, 1990},
		{"code", func(i int) string { return fmt.Sprintf("MRN-%07d", i) }, 1995},
	} {
		seen := map[string]bool{}
		for i := range values {
			seen[pseudonymOf(t, Spec{Method: Pseudonym, As: c.as}, "x", "", c.value(i))] = true
		}
		t.Logf("%s: %d different results of %d values", c.as, len(seen), values)
		if len(seen) < c.atLeast {
			t.Errorf("%s: %d different results of %d values", c.as, len(seen), values)
		}
	}
}

func letters(i int) string {
	out := ""
	for ; ; i /= 26 {
		out += string(rune('a' + i%26))
		if i < 26 {
			return out
		}
	}
}

// TestPseudonymEncodings: a client of another encoding reads the same, with ä as ae where it has to.
func TestPseudonymEncodings(t *testing.T) {
	spec := Spec{Method: Pseudonym, As: "first_name", Locale: "fr"}
	accented := 0
	for _, name := range wordsOf("en").female {
		get := func(encoding string) string {
			c, err := testKeys().Compile(Column{Type: base(oidText), Class: "name", Spec: spec, Session: Session{ClientEncoding: encoding}})
			if err != nil {
				t.Fatal(err)
			}
			out, _ := c.MaskCell(nil, []byte(name))
			return string(out)
		}
		want := get("UTF8")
		var latin1 []byte
		for _, r := range want {
			latin1 = append(latin1, byte(r))
		}
		if got := get("LATIN1"); got != string(latin1) {
			t.Errorf("LATIN1: %q, want %q", got, latin1)
		}
		if got := get("SJIS"); got != string(appendPlain(nil, want)) || !isASCII(got) {
			t.Errorf("SJIS: %q of %q", got, want)
		}
		if !isASCII(want) {
			accented++
		}
	}
	if accented < 20 {
		t.Errorf("%d names with accents", accented)
	}
}

// TestWords: the lists have no word twice, nothing odd, and ASCII forms for all their letters.
func TestWords(t *testing.T) {
	for _, locale := range Locales() {
		w := wordsOf(locale)
		for name, list := range map[string][]string{
			"female": w.female, "male": w.male, "family": w.family, "streets": w.streets, "streettypes": w.streetTypes, "cities": w.cities,
			"cityendings": w.cityEndings, "companies": w.companies,
		} {
			seen := map[string]bool{}
			for _, word := range list {
				if seen[word] {
					t.Errorf("%s %s: %s twice", locale, name, word)
				}
				seen[word] = true
				if plain := appendPlain(nil, word); !isASCII(plain) || len(plain) < utf8.RuneCountInString(word) {
					t.Errorf("%s %s: %q has no ASCII form", locale, name, word)
				}
			}
			if len(list) < 8 {
				t.Errorf("%s %s: %d words", locale, name, len(list))
			}
		}
		t.Logf("%s: %d female and %d male given names, %d family names, %d streets, %d towns", locale, len(w.female), len(w.male), w.familyCount, w.streetCount, w.townNum)
	}
}

// FuzzPseudonym: whatever the value, the result is text that fits and has nothing of the value in it.
func FuzzPseudonym(f *testing.F) {
	for i, v := range []string{"Maria Lopez", "Lopez-Ortega, Maria A.", "12 Larkspur Lane", "maria@hospital.org", "+44 7911 123456", "a", "Ü", "—", "1"} {
		f.Add(uint(i), v)
	}
	names := strings.Split(asNames(), ", ")
	f.Fuzz(func(t *testing.T, as uint, value string) {
		for _, locale := range Locales() {
			spec := Spec{Method: Pseudonym, As: names[as%uint(len(names))], Locale: locale}
			got := pseudonymOf(t, spec, "x", "", value)
			if !utf8.ValidString(got) || strings.ContainsRune(got, 0) {
				t.Errorf("%s %q: %q is no text", spec, value, got)
			}
			if got != "***" && value != "" && strings.Contains(strings.ToLower(got), strings.ToLower(value)) {
				t.Errorf("%s %q: %q shows it", spec, value, got)
			}
		}
	})
}
