package masking

import (
	"strings"
	"testing"
)

func TestParseSpec(t *testing.T) {
	type options = map[string]string
	for _, c := range []struct {
		method  string
		options options
		want    string // the spec's String
		err     string // or a part of the error
	}{
		{"clear", nil, "clear", ""},
		{"redact", options{}, "redact", ""},
		{"null", nil, "null", ""},
		{"hash", nil, "hash", ""},
		{"fixed", options{"value": "n/a"}, "fixed(n/a)", ""},
		{"fixed", options{"value": ""}, "fixed()", ""},
		{"partial", options{"keep_last": "4"}, "partial(keep_last 4)", ""},
		{"partial", options{"keep_first": "1", "keep_last": "2", "char": "#"}, "partial(keep_first 1, keep_last 2, char #)", ""},
		{"partial", options{"keep_first": "3", "char": "•"}, "partial(keep_first 3, char •)", ""},
		{"generalize", options{"to": "year"}, "generalize(year)", ""},
		{"generalize", options{"to": "zip3"}, "generalize(zip3)", ""},
		{"generalize", options{"to": "bucket 10"}, "generalize(bucket 10)", ""},

		{"", nil, "", `unknown mask ""`},
		{"Redact", nil, "", `unknown mask "Redact"`},
		{"encrypt", nil, "", "unknown mask"},
		{"token", nil, "token", ""},
		{"fpe", nil, "fpe", ""},
		{"fpe", options{"alphabet": "digits"}, "fpe(alphabet digits)", ""},
		{"fpe", options{"alphabet": "alnum_upper", "check": "none"}, "fpe(alphabet alnum_upper, check none)", ""},
		{"fpe", options{"check": "npi"}, "fpe(check npi)", ""},
		{"fpe", options{"alphabet": ""}, "", "alphabet must be alnum, alnum_lower, alnum_upper or digits"},
		{"fpe", options{"alphabet": "hex"}, "", `not "hex"`},
		{"fpe", options{"check": "isbn"}, "", "check must be aba, dea, gtin, iban, luhn, mbi, nhs, npi, vin or none"},
		{"fpe", options{"check": ""}, "", "check must be"},
		{"fpe", options{"check": "npi", "alphabet": "digits"}, "", "leave alphabet out"},
		{"fpe", options{"radix": "10"}, "", "no option radix: it takes alphabet, check"},
		{"token", options{"char": "x"}, "", "takes no options"},
		{"shift", options{"days": "30"}, "shift(days 30)", ""},
		{"shift", options{"days": "30", "by": "patient_id"}, "shift(days 30, by patient_id)", ""},
		{"shift", nil, "", "needs the option days"},
		{"shift", options{"days": "0"}, "", "days must be a whole number from 1 to"},
		{"shift", options{"days": "40000"}, "", "days must be a whole number from 1 to"},
		{"shift", options{"days": "30", "by": ""}, "", "by must be the name of a column"},
		{"pseudonym", nil, "pseudonym", ""},
		{"pseudonym", options{"as": "full_name", "locale": "de"}, "pseudonym(as full_name, locale de)", ""},
		{"pseudonym", options{"as": "person"}, "", "as must be one of address, city,"},
		{"pseudonym", options{"locale": "xx"}, "", "locale must be one of de, en, es, fr"},
		{"pseudonym", options{"locale": ""}, "", "locale must be one of de, en, es, fr"},
		{"email", nil, "email", ""},
		{"scrub", nil, "scrub", ""},
		{"email", options{"keep_domain": "true"}, "", "takes no options"},
		{"noise", options{"percent": "10"}, "noise(percent 10)", ""},
		{"noise", options{"percent": "2.5%"}, "noise(percent 2.5)", ""},
		{"noise", options{"amount": "0.25"}, "noise(amount 0.25)", ""},
		{"noise", nil, "", "needs one of the options percent and amount"},
		{"noise", options{"amount": "1", "percent": "1"}, "", "needs one of the options percent and amount"},
		{"noise", options{"percent": "101"}, "", "percent must be a number above 0 and up to 100"},
		{"noise", options{"amount": "NaN"}, "", "amount must be a number above 0"},
		{"noise", options{"amount": "-1"}, "", "amount must be a number above 0"},
		{"generalize", options{"to": "hour"}, "generalize(hour)", ""},
		{"generalize", options{"to": "prefix 24"}, "generalize(prefix 24)", ""},
		{"generalize", options{"to": "prefix 32"}, "", "prefix needs a number of bits from 1 to 31"},
		{"generalize", options{"to": "prefix"}, "", "prefix needs a number of bits"},
		{"redact", options{"value": "x"}, "", "takes no options, but value is set"},
		{"hash", options{"keep_last": "4"}, "", "takes no options"},
		{"fixed", nil, "", "needs the option value"},
		{"fixed", options{"value": "a\x00"}, "", "NUL"},
		{"fixed", options{"value": "\xff"}, "", "UTF-8"},
		{"fixed", options{"value": strings.Repeat("x", maxValue+1)}, "", "bytes"},
		{"fixed", options{"value": "x", "char": "y"}, "", "no option char"},
		{"partial", nil, "", "keeps nothing"},
		{"partial", options{"keep_last": "0"}, "", "keeps nothing"},
		{"partial", options{"keep_last": "-1"}, "", "keep_last must be a whole number"},
		{"partial", options{"keep_first": "1.5"}, "", "keep_first must be a whole number"},
		{"partial", options{"keep_first": "1001"}, "", "keep_first must be a whole number"},
		{"partial", options{"keep_last": ""}, "", "keep_last must be"},
		{"partial", options{"keep_last": "4", "char": ""}, "", "char must be one"},
		{"partial", options{"keep_last": "4", "char": "ab"}, "", "char must be one"},
		{"partial", options{"keep_last": "4", "char": " "}, "", "char must be one"},
		{"partial", options{"keep_last": "4", "char": "\x00"}, "", "char must be one"},
		{"partial", options{"keep_last": "4", "char": "\xff"}, "", "char must be one"},
		{"generalize", nil, "", "needs the option to"},
		{"generalize", options{"to": "week"}, "", "to must be"},
		{"generalize", options{"to": "bucket"}, "", "bucket needs a width"},
		{"generalize", options{"to": "bucket 0"}, "", "bucket needs a width"},
		{"generalize", options{"to": "bucket -5"}, "", "bucket needs a width"},
		{"generalize", options{"to": "bucket 9223372036854775807"}, "", "bucket needs a width"},
		{"generalize", options{"to": "year", "days": "3"}, "", "no option days"},
	} {
		s, err := ParseSpec(c.method, c.options)
		switch {
		case c.err == "" && (err != nil || s.String() != c.want):
			t.Errorf("%s %v: got %q, %v, want %q", c.method, c.options, s, err, c.want)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s %v: got error %v, want %q", c.method, c.options, err, c.err)
		case c.err != "" && s != Spec{}:
			t.Errorf("%s %v: an error and a spec: %v", c.method, c.options, s)
		}
	}
}

func TestStricter(t *testing.T) {
	last4 := Spec{Method: Partial, KeepLast: 4, Char: '*'}
	first1 := Spec{Method: Partial, KeepFirst: 1, Char: '*'}
	hashed, redacted, null, open := Spec{Method: Hash}, Spec{Method: Redact}, Spec{Method: Null}, Spec{Method: Clear}
	for _, c := range []struct{ a, b, want Spec }{
		{open, open, open},
		{open, last4, last4},
		{open, redacted, redacted},
		{open, null, null},
		{last4, last4, last4},
		{last4, first1, redacted},
		{last4, hashed, redacted},
		{hashed, redacted, redacted},
		{redacted, null, null},
		{hashed, null, null},
		{Spec{}, hashed, redacted},
	} {
		if got := Stricter(c.a, c.b); got != c.want {
			t.Errorf("Stricter(%v, %v) = %v, want %v", c.a, c.b, got, c.want)
		}
		if got := Stricter(c.b, c.a); got != c.want {
			t.Errorf("Stricter(%v, %v) = %v, want %v", c.b, c.a, got, c.want)
		}
	}
}
