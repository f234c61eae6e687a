package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgveil/masking"
	"pgveil/roles"
)

var update = flag.Bool("update", false, "write the expected files anew")

// secret is what no message may show.
const secret = "hunter2"

// site is a directory with the files that the test configurations name, and the environment that they use.
type site struct {
	dir string
	env map[string]string
}

func (s *site) lookup(name string) (string, bool) {
	v, ok := s.env[name]
	return v, ok
}

func newSite(t testing.TB) *site {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, mode); err != nil {
			t.Fatal(err)
		}
	}
	cert, key := keyPair(t)
	_, other := keyPair(t)
	write("server.crt", 0o644, cert)
	write("root.crt", 0o644, cert)
	write("ca.crt", 0o644, cert)
	write("server.key", 0o600, key)
	write("other.key", 0o600, other)
	write("pgveil.key", 0o600, []byte(masking.GenerateKey()))
	write("loose.key", 0o644, []byte(masking.GenerateKey()))
	write("empty.txt", 0o600, nil)
	write("huge.crt", 0o644, make([]byte, maxFile+1))
	long := filepath.Join(dir, strings.Repeat("d", 90))
	for _, d := range []string{filepath.Join(dir, "dir.d"), long} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &site{dir, map[string]string{
		"CATALOG_PW": secret, "BI_PW": secret, "PGVEIL_CATALOG_PASSWORD": secret,
		"EMPTY": "", "DIR": dir, "LONGDIR": long,
	}}
}

func keyPair(t testing.TB) (cert, key []byte) {
	priv, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &priv.PublicKey, priv)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

// parse reads data as a file of that name in the site.
func (s *site) parse(name string, data []byte) (*Config, error) {
	return Parse(filepath.Join(s.dir, name), data, s.lookup)
}

// parser reads data without an end: for tests of what it remembers.
func (s *site) parser(name string, data []byte) (*parser, error) {
	p := newParser(filepath.Join(s.dir, name), s.lookup)
	p.document(data)
	if len(p.problems) > 0 {
		return p, p.problems.sorted()
	}
	return p, nil
}

func readFile(t testing.TB, name string) []byte {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestBad reads each testdata/bad/*.yaml and compares every problem with the .problems file beside it.
func TestBad(t *testing.T) {
	s := newSite(t)
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data := readFile(t, file)
			c, err := s.parse(filepath.Base(file), data)
			if c != nil || err == nil {
				t.Fatal("accepted")
			}
			var ps Problems
			if !errors.As(err, &ps) {
				t.Fatalf("%T", err)
			}
			checkPlaces(t, data, ps)
			got := strings.ReplaceAll(err.Error(), s.dir+"/", "") + "\n"
			if strings.Contains(got, secret) {
				t.Errorf("a message shows a secret:\n%s", got)
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".problems"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(readFile(t, golden)); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// checkPlaces wants every problem inside the file, in its order.
func checkPlaces(t testing.TB, data []byte, ps Problems) {
	t.Helper()
	lines := strings.Split(string(data), "\n")
	before := Problem{}
	for _, p := range ps {
		if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > len([]rune(lines[p.Line-1]))+1 {
			t.Errorf("outside the file: %v", p)
		}
		if p.Line < before.Line || p.Line == before.Line && p.Col < before.Col {
			t.Errorf("%v stands before %v", before, p)
		}
		if p.Message == "" {
			t.Errorf("no message: %v", p)
		}
		before = p
	}
}

func TestEveryKey(t *testing.T) {
	s := newSite(t)
	c, err := s.parse("pgveil.yaml", readFile(t, "testdata/good/design.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	verifier := "SCRAM-SHA-256$%:$AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
	want := &Config{
		File:     in("pgveil.yaml"),
		Listen:   []Address{{"127.0.0.1", 6432}, {"::1", 6433}, {s.dir, 6432}},
		TLS:      TLS{TLSVerifyFull, in("server.crt"), in("server.key"), in("ca.crt")},
		Upstream: Upstream{"db.example.org", 5433, SSLVerifyCA, in("ca.crt"), SSLNegotiationPostgres, Protocol30, false, time.Second},
		Catalog:  Catalog{"pgveil", secret, time.Minute},
		Auth:     Auth{AuthSCRAM, "SELECT usename, passwd FROM pgveil.user_verifier($1)", "postgres"},
		Users: map[string]User{
			"bi_tool":   {Secret(strings.Replace(verifier, "%:", "4096:c2FsdHNhbHRzYWx0c2E=", 1)), "reporting", secret},
			"same_name": {Secret(strings.Replace(verifier, "%:", "1:c2E=", 1)), "same_name", ""},
		},
		Keys: Keys{in("pgveil.key")},
		Classification: Classification{UnlistedMask, []roles.Rule{
			{Pattern: "public.patients.ssn", Class: "ssn", Line: 27, Col: 5},
			{Pattern: "public.patients.*_name", Class: "name", Line: 28, Col: 5},
			{Pattern: "public.patients.dob", Class: "date.birth", Line: 29, Col: 5},
			{Pattern: "*.*.email", Class: "email", Line: 30, Col: 5},
			{Pattern: `"odd.schema".t.c`, Class: "sensitive", Line: 31, Col: 5},
			{Pattern: "public.patients.nick_name", Class: "clear", Line: 32, Col: 5},
		}},
		Roles: []roles.Role{
			{Name: "clinician", Members: []roles.Member{{Kind: "group", Name: "clinicians"}},
				Masks: map[string]masking.Spec{"*": {Method: masking.Clear}}, Predicates: "equality", DDL: "deny"},
			{Name: "developer", Members: []roles.Member{{Kind: "group", Name: "developers"}, {Kind: "user", Name: "bob"}},
				Masks: map[string]masking.Spec{
					"ssn":      {Method: masking.Partial, KeepLast: 4, Char: '#'},
					"date":     {Method: masking.Generalize, To: "year"},
					"age":      {Method: masking.Generalize, To: "bucket", Bucket: 10},
					"email":    {Method: masking.Fixed, Value: "nobody@example.org"},
					"name":     {Method: masking.Fixed},
					"phone":    {Method: masking.Null},
					"mrn":      {Method: masking.Hash},
					"unlisted": {Method: masking.Redact},
					"*":        {Method: masking.Redact},
				}, Predicates: "deny", Writes: true, DDL: "temp"},
			{Name: "guest", Masks: map[string]masking.Spec{"*": {Method: masking.Redact}}, Predicates: "equality", DDL: "deny"},
			{Name: "everyone", Members: []roles.Member{{Kind: "any"}},
				Masks: map[string]masking.Spec{"*": {Method: masking.Redact}}, Predicates: "equality", DDL: "deny"},
		},
		DefaultRole: "guest",
		Functions:   Functions{[]string{"public.format_phone(text)"}},
		Audit:       Audit{in("audit.jsonl"), DurabilityAsync},
		Limits:      Limits{20, 1500 * ms, 0, 64 << 10, 1 << 20, 100},
		Transport:   Transport{200 * time.Microsecond},
		Metrics:     Metrics{Listen: Address{"127.0.0.1", 9432}},
		valid:       true,
	}
	compare(t, reflect.ValueOf(*c), reflect.ValueOf(*want), "")
}

// compare names each field that differs.
func compare(t *testing.T, got, want reflect.Value, path string) {
	t.Helper()
	if got.Kind() == reflect.Struct {
		for i := range got.NumField() {
			compare(t, got.Field(i), want.Field(i), path+"."+got.Type().Field(i).Name)
		}
		return
	}
	if got.CanInterface() && !reflect.DeepEqual(got.Interface(), want.Interface()) {
		t.Errorf("%s: got %v, want %v", path, got, want)
	}
}

func TestDefaults(t *testing.T) {
	s := newSite(t)
	c, err := s.parse("pgveil.yaml", readFile(t, "testdata/good/least.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		File:           c.File,
		Listen:         []Address{{"127.0.0.1", 6432}},
		TLS:            TLS{Mode: TLSOff},
		Upstream:       Upstream{"127.0.0.1", 5432, SSLDisable, "", SSLNegotiationPostgres, Protocol30, false, time.Second},
		Catalog:        Catalog{"pgveil", "", 30 * time.Second},
		Auth:           Auth{Method: AuthSCRAM, Database: "postgres"},
		Users:          map[string]User{},
		Classification: Classification{Unlisted: UnlistedClear},
		Roles: []roles.Role{{Name: "clinician", Members: []roles.Member{{Kind: "group", Name: "clinicians"}},
			Masks: map[string]masking.Spec{"*": {Method: masking.Clear}}, Predicates: "equality", DDL: "deny"}},
		Audit:     Audit{filepath.Join(s.dir, "audit.jsonl"), DurabilityBeforeResult},
		Transport: Transport{200 * time.Microsecond},
		Limits:    Limits{500, 10 * time.Second, 30 * time.Second, 1 << 20, 256 << 20, 100},
	}
	compare(t, reflect.ValueOf(*c), reflect.ValueOf(*want), "")
}

func TestSSLModeDefault(t *testing.T) {
	s := newSite(t)
	for _, tc := range []struct{ host, want string }{
		{"127.0.0.1", SSLDisable},
		{"127.8.9.1", SSLDisable},
		{"::1", SSLDisable},
		{"::ffff:127.0.0.1", SSLDisable},
		{"localhost", SSLDisable},
		{"${DIR}", SSLDisable},
		{"10.0.0.1", SSLVerifyFull},
		{"db.example.org", SSLVerifyFull},
		{"localhost.example.org", SSLVerifyFull},
		{"0.0.0.0", SSLVerifyFull},
	} {
		data := strings.Replace(string(readFile(t, "testdata/good/least.yaml")), "127.0.0.1", `"`+tc.host+`"`, 1)
		c, err := s.parse("pgveil.yaml", []byte(data))
		if err != nil {
			t.Errorf("%s: %v", tc.host, err)
		} else if c.Upstream.SSLMode != tc.want {
			t.Errorf("%s: %s, want %s", tc.host, c.Upstream.SSLMode, tc.want)
		}
	}
}
