package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgveil/roles"
)

func TestParseDuration(t *testing.T) {
	for _, tc := range []struct {
		text string
		want time.Duration
		bad  string
	}{
		{text: "10s", want: 10 * time.Second},
		{text: "10 s", want: 10 * time.Second},
		{text: "250ms", want: 250 * time.Millisecond},
		{text: "7us", want: 7 * time.Microsecond},
		{text: "2min", want: 2 * time.Minute},
		{text: "3h", want: 3 * time.Hour},
		{text: "1d", want: 24 * time.Hour},
		{text: "0", want: 0},
		{text: "-1s", want: -time.Second},
		{text: "10", bad: "needs a unit"},
		{text: "2m", bad: "did you mean min?"},
		{text: "2S", bad: "did you mean s?"},
		{text: "1h30min", bad: "unknown unit"},
		{text: "1.5s", bad: "not a whole number"},
		{text: "s", bad: "not a whole number"},
		{text: "", bad: "not a whole number"},
		{text: "+1s", bad: "not a whole number"},
		{text: "--1s", bad: "not a whole number"},
		{text: "1000000d", bad: "out of range"},
		{text: "-1000000d", bad: "out of range"},
		{text: "99999999999999999999s", bad: "out of range"},
	} {
		got, err := parseDuration(tc.text)
		checkValue(t, tc.text, got, err, tc.want, tc.bad)
	}
}

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64
		bad  string
	}{
		{text: "1MB", want: 1 << 20},
		{text: "64kB", want: 64 << 10},
		{text: "64 kB", want: 64 << 10},
		{text: "12345", want: 12345},
		{text: "12345B", want: 12345},
		{text: "2GB", want: 2 << 30},
		{text: "1TB", want: 1 << 40},
		{text: "9223372036854775807", want: math.MaxInt64},
		{text: "9223372036854775808", bad: "out of range"},
		{text: "8388608TB", bad: "out of range"},
		{text: "1KB", bad: "did you mean kB?"},
		{text: "1mb", bad: "did you mean MB?"},
		{text: "1MiB", bad: "did you mean MB?"},
		{text: "1M", bad: "did you mean MB?"},
		{text: "1k", bad: "did you mean kB?"},
		{text: "1e6", bad: "unknown unit"},
		{text: "0x10", bad: "unknown unit"},
	} {
		got, err := parseSize(tc.text)
		checkValue(t, tc.text, got, err, tc.want, tc.bad)
	}
}

func checkValue[T comparable](t *testing.T, text string, got T, err error, want T, bad string) {
	t.Helper()
	switch {
	case bad == "" && (err != nil || got != want):
		t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
	case bad != "" && (err == nil || !strings.Contains(err.Error(), bad)):
		t.Errorf("%q: got %v, %v, want %q", text, got, err, bad)
	}
}

func TestFormatUnits(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0", time.Second: "1s", 90 * time.Second: "90s", 120 * time.Second: "2min", 24 * time.Hour: "1d", 1500 * time.Millisecond: "1500ms"} {
		if got := formatDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
	for n, want := range map[int64]string{1 << 20: "1MB", 1<<20 + 1: "1048577B", 1 << 30: "1GB", 64 << 10: "64kB"} {
		if got := formatSize(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestExpand(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"A": "1", "B_2": "${A}", "EMPTY": ""}[name]
		return v, ok
	}
	for _, tc := range []struct {
		in, out  string
		expanded bool
		problems int
	}{
		{in: "plain", out: "plain"},
		{in: "${A}", out: "1", expanded: true},
		{in: "x${A}y${A}z", out: "x1y1z", expanded: true},
		{in: "${B_2}", out: "${A}", expanded: true}, // once only
		{in: "${EMPTY}", out: "", expanded: true},
		{in: "$A $ $$ $(A) 5$", out: "$A $ $$ $(A) 5$"},
		{in: "SCRAM-SHA-256$4096:s$k:k", out: "SCRAM-SHA-256$4096:s$k:k"},
		{in: "$${A}", out: "${A}"},
		{in: "$${A}${A}", out: "${A}1", expanded: true},
		{in: "${A}$${A}", out: "1${A}", expanded: true},
		{in: "${UNSET} ${ALSO}", out: " ", expanded: true, problems: 2},
		{in: "${", expanded: true, problems: 1},
		{in: "${}", expanded: true, problems: 1},
		{in: "${1A}", expanded: true, problems: 1},
		{in: "${A:-x}", expanded: true, problems: 1},
		{in: "${A", expanded: true, problems: 1},
	} {
		out, expanded, problems := expand(tc.in, env)
		if out != tc.out || expanded != tc.expanded || len(problems) != tc.problems {
			t.Errorf("%q: got %q, %v, %v", tc.in, out, expanded, problems)
		}
	}
}

func TestNearest(t *testing.T) {
	words := []string{"listen", "tls", "upstream", "sslmode", "max_connections"}
	for in, want := range map[string]string{
		"lisen": "listen", "listne": "listen", "Listen": "listen", "tsl": "tls", "upstraem": "upstream", "ssl_mode": "sslmode",
		"x": "", "password": "", "max_conections": "max_connections", strings.Repeat("a", 1000): "", "": "",
	} {
		if got := nearest(in, words); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// TestSettings holds the table to its own rules.
func TestSettings(t *testing.T) {
	s := newSite(t)
	p := newParser("x", s.lookup)
	seen := map[string]bool{}
	for _, row := range settings {
		if seen[row.path] {
			t.Errorf("%s stands twice", row.path)
		}
		seen[row.path] = true
		if row.doc == "" || !strings.HasSuffix(row.doc, ".") || strings.Contains(row.doc, "|") || strings.Contains(row.doc, "\n") {
			t.Errorf("%s: the doc is not a line of sentences for a table", row.path)
		}
		if (row.typ.scalar == nil) == (row.typ.node == nil) {
			t.Errorf("%s: a type has either scalar or node", row.path)
		}
		if !row.required && row.def == "" && row.defText == "" {
			t.Errorf("%s: the docs would not say the default", row.path)
		}
		if row.restart && strings.ContainsAny(row.path, "[*") {
			t.Errorf("%s: Diff compares settings of the file, not of an item", row.path)
		}
		if row.def != "" {
			p.setDefault(row, &target{config: p.config, user: &User{}, role: &roles.Role{}})
		}
	}
}

func TestAddress(t *testing.T) {
	for _, tc := range []struct {
		a               Address
		text, network   string
		local, unix, no bool
	}{
		{Address{}, "", "tcp", false, false, true},
		{Address{"127.0.0.1", 6432}, "127.0.0.1:6432", "tcp", true, false, false},
		{Address{"::1", 6432}, "[::1]:6432", "tcp", true, false, false},
		{Address{"db.example.org", 0}, "db.example.org:0", "tcp", false, false, false},
		{Address{"/run/pgveil", 6432}, "/run/pgveil/.s.PGSQL.6432", "unix", true, true, false},
	} {
		if tc.a.String() != tc.text || tc.a.Network() != tc.network || tc.a.Local() != tc.local || tc.a.Unix() != tc.unix || tc.a.IsZero() != tc.no {
			t.Errorf("%+v: %q %q %v %v %v", tc.a, tc.a, tc.a.Network(), tc.a.Local(), tc.a.Unix(), tc.a.IsZero())
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s := newSite(t)
	c, err := s.parse("pgveil.yaml", readFile(t, "testdata/good/design.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if c.Catalog.Password.Value() != secret || c.Users["bi_tool"].UpstreamPassword.Value() != secret {
		t.Fatal("the secret is lost")
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t"} {
		fmt.Fprintf(&out, verb+"\n", *c)
		fmt.Fprintf(&out, verb+"\n", c.Catalog)
		fmt.Fprintf(&out, verb+"\n", c.Users["bi_tool"])
		fmt.Fprintf(&out, verb+"\n", c.Catalog.Password)
	}
	data, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(data)
	for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
		slog.New(h).Info("loaded", "config", c, "catalog", c.Catalog, "user", c.Users["bi_tool"], "password", c.Catalog.Password)
	}
	for _, bad := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), "AAECAwQFBgcI", "104 117 110"} {
		if strings.Contains(out.String(), bad) {
			t.Errorf("%q is printed", bad)
		}
	}
	if !strings.Contains(out.String(), redacted) || !strings.Contains(out.String(), "sslmode=verify-ca") {
		t.Errorf("nothing is printed: %s", &out)
	}
	if Secret("").String() != "" {
		t.Error("no secret prints as one")
	}
}

func TestZeroConfig(t *testing.T) {
	var none *Config
	for _, c := range []*Config{none, {}} {
		if c.Valid() {
			t.Error("a Config that no parser made is valid")
		}
		if p := c.Policy(); p.DefaultRole != "" || len(p.Roles) != 0 || p.Unlisted != UnlistedDeny {
			t.Errorf("its policy lets users in: %+v", p)
		}
		if got := c.LogValue().String(); got != "invalid" {
			t.Errorf("it logs as %q", got)
		}
	}
}

func TestPolicy(t *testing.T) {
	c, err := newSite(t).parse("pgveil.yaml", readFile(t, "testdata/good/design.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	p := c.Policy()
	if p.Unlisted != "mask" || len(p.Rules) != 6 || len(p.Roles) != 4 || p.DefaultRole != "guest" || !slices.Equal(p.Trusted, []string{"public.format_phone(text)"}) {
		t.Errorf("%+v", p)
	}
}

func TestDiff(t *testing.T) {
	s := newSite(t)
	base := string(readFile(t, "testdata/good/design.yaml"))
	old, err := s.parse("pgveil.yaml", []byte(base))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, to string
		want     []string
	}{
		{"# Every", "# each", nil},
		{"port: 5433", "port: 5434", []string{"upstream.port"}},
		{"refresh: 1min", "refresh: 2min", []string{"catalog.refresh"}},
		{"${CATALOG_PW}", "${BI_PW}2", []string{"catalog.password"}},
		{"max_row_bytes: 1 MB", "max_row_bytes: 2MB", nil},
		{"keep_last: 4", "keep_last: 2", nil},
		{"mode: verify-full", "mode: require", nil},
		{"max_connections: 20", "max_connections: 21", nil},
		{"listen: [127.0.0.1:6432", "listen: [127.0.0.1:6431", []string{"listen"}},
		{"file: audit.jsonl", "file: other.jsonl", []string{"audit.file"}},
		{"durability: async", "durability: before-result", []string{"audit.durability"}},
		{"metrics: {listen: 127.0.0.1:9432}", "", []string{"metrics.listen"}},
	} {
		if strings.Count(base, tc.from) != 1 {
			t.Fatalf("%q does not stand once in the file", tc.from)
		}
		c, err := s.parse("pgveil.yaml", []byte(strings.Replace(base, tc.from, tc.to, 1)))
		if err != nil {
			t.Fatal(err)
		}
		if got := Diff(old, c); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %v, want %v", tc.to, got, tc.want)
		}
	}
}
