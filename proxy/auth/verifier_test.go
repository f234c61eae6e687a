package auth

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestVerifierRoundTrip(t *testing.T) {
	v, err := MakeVerifier("pässwörd")
	if err != nil {
		t.Fatal(err)
	}
	w, err := ParseVerifier(v.String())
	if err != nil {
		t.Fatal(err)
	}
	if w.Iterations != DefaultIterations || w.StoredKey != v.StoredKey || w.ServerKey != v.ServerKey || !bytes.Equal(w.Salt, v.Salt) {
		t.Errorf("%v became %v", v, w)
	}
	if _, err := MakeVerifier(""); err == nil {
		t.Error("an empty password has a verifier")
	}
}

func TestParseVerifierRefuses(t *testing.T) {
	good := rfcVerifier(t).String()
	for _, s := range []string{
		"", "md5a59e8d02cfd0e9f4b9d3f0f7d1e0d5b8", "secret", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096",
		strings.Replace(good, "4096", "0", 1),
		strings.Replace(good, "4096", "-1", 1),
		strings.Replace(good, "4096", "+4096", 1),
		strings.Replace(good, "4096", "99999999999999999999", 1),
		strings.Replace(good, "W22ZaJ0SNY7soEsUEjb6gQ==", "", 1),
		strings.Replace(good, "W22ZaJ0SNY7soEsUEjb6gQ==", "W22", 1),
		good + "A", good[:len(good)-1], good[:len(good)-2] + "\n=",
		strings.Replace(good, "SHA-256", "SHA-512", 1),
	} {
		if v, err := ParseVerifier(s); err == nil {
			t.Errorf("%q parsed as %v", s, v.Iterations)
		} else if len(s) > 20 && strings.Contains(err.Error(), s[15:]) {
			t.Errorf("the error shows the verifier: %v", err)
		}
	}
}

func TestSecretsStayOutOfLogs(t *testing.T) {
	v := rfcVerifier(t)
	var b bytes.Buffer
	slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "verifier", v, "key", v.StoredKey, "keys", fmt.Sprint(Keys{Client: v.StoredKey}))
	for _, secret := range []string{v.String()[20:], fmt.Sprint(v.StoredKey[:4])[1:10]} {
		if strings.Contains(b.String(), secret) {
			t.Errorf("logged: %s", b.String())
		}
	}
}

func TestPrepare(t *testing.T) {
	// The first four are the examples of RFC 4013, section 3, and what PostgreSQL does with those it can't prepare.
	for _, c := range []struct{ in, want string }{
		{"I\u00adX", "IX"},
		{"user", "user"},
		{"\u00aa", "a"},
		{"\u2168", "IX"},
		{"\u0007", "\u0007"},             // ASCII is never looked at
		{"\u06271", "\u06271"},           // right-to-left text must end so
		{"a\u00a0b", "a b"},              // no-break space
		{"\u00ad", "\u00ad"},             // nothing left
		{"pass\u0221", "pass\u0221"},     // unassigned in Unicode 3.2
		{"\xff\u00aa", "\xff\u00aa"},     // not UTF-8
		{"\u0627\u0628", "\u0627\u0628"}, // right-to-left
		{"\ufb01", "fi"},
		{"p\u00e4ss", "p\u00e4ss"},
		{"pa\u0308ss", "p\u00e4ss"},
		{"x\ue000", "x\ue000"}, // private use
	} {
		if got := prepare(c.in); got != c.want {
			t.Errorf("prepare(%+q) = %+q, want %+q", c.in, got, c.want)
		}
	}
}
