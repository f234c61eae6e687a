package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The design's names in the design's order, and event.
const members = "time seq event session user role client application database statement fingerprint verdict classes columns masks rows bytes duration_ms sqlstate reason prev hash"

func TestMembersInOrder(t *testing.T) {
	line, _ := appendRecord(nil, sample(), time.Now(), 7, &genesis)
	dec := json.NewDecoder(bytes.NewReader(line))
	var got []string
	depth, key := 0, true
	for {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			depth++
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			key = true
			continue
		}
		if depth == 1 {
			if key {
				got = append(got, tok.(string))
			}
			key = !key
		}
	}
	if s := strings.Join(got, " "); s != members {
		t.Errorf("members are\n%s, want\n%s", s, members)
	}
	var tags []string
	for f := range reflect.TypeFor[Record]().Fields() {
		if tag := f.Tag.Get("json"); tag != "-" {
			tags = append(tags, tag)
		}
	}
	if s := strings.Join(tags, " "); s != members {
		t.Errorf("fields of Record are\n%s, want\n%s", s, members)
	}
}

func TestGoldenLine(t *testing.T) {
	line, _ := appendRecord(nil, sample(), time.Now(), 7, &genesis)
	const want = `{"time":"2025-03-01T12:00:00.123456Z","seq":7,"event":"statement","session":42,"user":"bob","role":"developer","client":"10.0.0.7:51324","application":"psql","database":"clinic",` +
		`"statement":"SELECT p.last_name, p.ssn FROM public.patients p WHERE p.id = $1","fingerprint":"a0ead580058af585","verdict":"mask","classes":["name","ssn"],` +
		`"columns":["public.patients.last_name","public.patients.ssn"],"masks":["redact","partial(keep_last 4)"],"rows":1,"bytes":211,"duration_ms":1.375,"sqlstate":"00000","reason":"",` +
		`"prev":"0000000000000000000000000000000000000000000000000000000000000000"`
	body, hash, ok := strings.Cut(string(line), `,"hash":`)
	if !ok || body != want {
		t.Fatalf("line is\n%s\nwant\n%s", body, want)
	}
	sum := sha256.Sum256([]byte(want + "}"))
	if hash != `"`+hex.EncodeToString(sum[:])+"\"}\n" {
		t.Errorf("hash is %s, want the SHA-256 of the line without it", hash)
	}
}

// The commands in docs/audit.md check a record with standard tools alone.
func TestStandardToolsAgree(t *testing.T) {
	file := tempLog(t)
	writeLog(t, file, 3)
	doc, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, ok := strings.Cut(string(doc), "```sh verify\n")
	script, _, ok2 := strings.Cut(script, "```")
	if !ok || !ok2 {
		t.Fatal("docs/audit.md has no verify script")
	}
	run := func() (string, error) {
		cmd := exec.Command("sh", "-c", script, "sh", file)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := run(); err != nil || out != "" {
		t.Fatalf("a whole file: %v\n%s", err, out)
	}
	lines := readLines(t, file)
	lines[1] = bytes.Replace(lines[1], []byte("SELECT 0"), []byte("SELECT 9"), 1)
	put(t, file, bytes.Join(lines, nil))
	if out, err := run(); err == nil || !strings.Contains(out, "line 2") {
		t.Errorf("an edited line 2: %v\n%s", err, out)
	}
}

func TestStrings(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"", `""`},
		{`a"b\c`, `"a\"b\\c"`},
		{"a\nb\tc\rd\x00\x1b[2J\x7f", `"a\nb\tc\rd\u0000\u001b[2J\u007f"`},
		{"Zoë 日本 🏥", `"Zoë 日本 🏥"`},
		{"a\xffb\xc3", `"a` + "\ufffd" + `b` + "\ufffd" + `"`},
		{"\xed\xa0\x80", `"` + "\ufffd\ufffd\ufffd" + `"`}, // a surrogate is no UTF-8
		{"\u0085\u2028\u2029\u202e\ufeff", `"\u0085\u2028\u2029\u202e\ufeff"`},
		{"\U000e0001", `"\udb40\udc01"`},
		{"<script>&", `"<script>&"`},
	} {
		if got := string(appendString(nil, c.in, maxName)); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2025, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		in   time.Time
		want string
	}{
		{time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC), "2024-02-29T23:59:59.999999Z"},
		{time.Date(2024, 7, 1, 1, 0, 0, 1000, time.FixedZone("CEST", 7200)), "2024-06-30T23:00:00.000001Z"},
		{time.Date(7, 1, 1, 0, 0, 0, 0, time.UTC), "0007-01-01T00:00:00.000000Z"},
		{time.Time{}, "2025-01-02T03:04:05.000000Z"},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "2025-01-02T03:04:05.000000Z"},
		{time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC), "2025-01-02T03:04:05.000000Z"},
	} {
		p := newPending(&Record{Time: c.in}, func() time.Time { return now })
		if got := string(new(clock).append(nil, p.second, p.micros)); got != c.want {
			t.Errorf("%v: %s, want %s", c.in, got, c.want)
		}
	}
}

// The longest record that Append can be given is a line that can be read back,
// and says where it was cut.
func TestLongestRecordFits(t *testing.T) {
	worst := strings.Repeat("\x01", 3*maxText)
	empty := make([]string, 3*maxText)
	r := &Record{Event: worst, User: worst, Role: worst, Client: worst, Application: worst, Database: worst, Statement: worst,
		Fingerprint: worst, Verdict: worst, SQLState: worst, Reason: worst, Session: 1<<64 - 1, Rows: -1 << 63, Bytes: -1 << 63,
		Classes: []string{worst}, Columns: empty, Masks: strings.Split(strings.Repeat("\x01\x02\x03 ", maxText), " "), DurationMS: -math.MaxFloat64}
	line, _ := appendRecord(nil, r, time.Now(), 1<<64-1, &genesis)
	if len(line) > maxLine {
		t.Fatalf("line has %d bytes, over the limit of %d", len(line), maxLine)
	}
	var back Record
	if err := json.Unmarshal(line, &back); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(back.Statement, "…[cut: "+strconv.Itoa(2*maxText)+" bytes]") {
		t.Errorf("the statement ends with %q", back.Statement[len(back.Statement)-40:])
	}
	if len(back.Classes) != 1 || back.Classes[0] != "…[cut: 1 more]" {
		t.Errorf("classes: %d", len(back.Classes))
	}
	kept := len(back.Columns) - 1
	if want := "…[cut: " + strconv.Itoa(len(empty)-kept) + " more]"; back.Columns[kept] != want {
		t.Errorf("the columns end with %q, want %q", back.Columns[kept], want)
	}
}

func TestCutAtRune(t *testing.T) {
	s := strings.Repeat("a", maxName-1) + "日本"
	got := string(appendString(nil, s, maxName))
	if want := `"` + strings.Repeat("a", maxName-1) + `…[cut: 6 bytes]"`; got != want {
		t.Errorf("ends with %s", got[maxName-5:])
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("bob", "SELECT 1", "a,b", uint64(1), int64(5), 1.5, int64(0))
	f.Add("\x00\xff\"\\", "line\nbreak\u2028", ",,\x7f", uint64(1<<63), int64(-1), -0.0005, int64(1<<62))
	f.Add("🏥\u202e", strings.Repeat("é", 3000), "\xed\xa0\x80", uint64(0), int64(0), 1e300, int64(-1<<62))
	f.Fuzz(func(t *testing.T, name, text, list string, n uint64, i int64, ms float64, unix int64) {
		items := strings.Split(list, ",")
		r := &Record{Time: time.Unix(unix, i&0x3fffffff), Event: name, Session: n, User: name, Role: text, Client: list, Application: name,
			Database: text, Statement: text, Fingerprint: name, Verdict: list, Classes: items, Columns: items, Masks: items[1:],
			Rows: i, Bytes: -i, DurationMS: ms, SQLState: name, Reason: text}
		now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
		seq := n | 1
		line, hash := appendRecord(nil, r, now, seq, &genesis)
		if want := reference(r, now, seq, &genesis); string(line) != want {
			t.Fatalf("line is\n%s\nwant\n%s", line, want)
		}
		if bytes.IndexByte(line, '\n') != len(line)-1 || !utf8.Valid(line) {
			t.Fatalf("not one line of UTF-8: %q", line)
		}
		var got Record
		dec := json.NewDecoder(bytes.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		want := *r
		want.Seq, want.Prev, want.Hash = seq, string(genesis[:]), string(hash[:])
		for _, s := range []*string{&want.Event, &want.User, &want.Role, &want.Client, &want.Application, &want.Database, &want.Statement,
			&want.Fingerprint, &want.Verdict, &want.SQLState, &want.Reason} {
			limit := maxName
			if s == &want.Statement || s == &want.Reason {
				limit = maxText
			}
			*s = reread(*s, limit)
		}
		var clean []string
		for _, s := range items {
			clean = append(clean, reread(s, maxText))
		}
		want.Classes, want.Columns, want.Masks = clean, clean, append([]string{}, clean[1:]...)
		want.Time = want.Time.UTC().Truncate(time.Microsecond)
		if y := want.Time.Year(); y < 0 || y > 9999 || r.Time.IsZero() {
			want.Time = now
		}
		if math.IsNaN(ms) || math.IsInf(ms, 0) {
			want.DurationMS = 0
		} else {
			want.DurationMS, _ = strconv.ParseFloat(strconv.FormatFloat(ms, 'f', 3, 64), 64)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("read back\n%+v, want\n%+v", got, want)
		}
		c := chain{}
		if l, fault := c.next(line[:len(line)-1]); seq > 1 && (fault != nil || l.seq != seq) {
			t.Fatalf("the line does not verify: %v", fault)
		}
	})
}

// reference is the line of a record by the format's description, member by member.
func reference(r *Record, now time.Time, seq uint64, prev *digest) string {
	text := func(s string, limit int) string { return string(appendString(nil, s, limit)) }
	list := func(l []string) string { return string(appendList(nil, l)) }
	at := r.Time.UTC()
	if at.IsZero() || at.Year() < 0 || at.Year() > 9999 {
		at = now
	}
	millis := "null"
	if !math.IsNaN(r.DurationMS) && !math.IsInf(r.DurationMS, 0) {
		millis = strconv.FormatFloat(r.DurationMS, 'f', 3, 64)
	}
	hashed := fmt.Sprintf(`{"time":"%s","seq":%d,"event":%s,"session":%d,"user":%s,"role":%s,"client":%s,"application":%s,"database":%s,`+
		`"statement":%s,"fingerprint":%s,"verdict":%s,"classes":%s,"columns":%s,"masks":%s,`+
		`"rows":%d,"bytes":%d,"duration_ms":%s,"sqlstate":%s,"reason":%s,"prev":"%s"`,
		at.Format("2006-01-02T15:04:05.000000Z"), seq, text(r.Event, maxName), r.Session, text(r.User, maxName), text(r.Role, maxName),
		text(r.Client, maxName), text(r.Application, maxName), text(r.Database, maxName),
		text(r.Statement, maxText), text(r.Fingerprint, maxName), text(r.Verdict, maxName), list(r.Classes), list(r.Columns), list(r.Masks),
		r.Rows, r.Bytes, millis, text(r.SQLState, maxName), text(r.Reason, maxText), prev[:])
	return fmt.Sprintf("%s,\"hash\":\"%x\"}\n", hashed, sha256.Sum256([]byte(hashed+"}")))
}

// What is encoded once for many records, and by one encoder behind another line, is
// what each record alone would have been.
func TestSharedMembersAreTheSame(t *testing.T) {
	at := time.Date(2025, 3, 1, 23, 59, 59, 999_999_000, time.UTC)
	e := encoder{seq: 8, hash: genesis}
	seq, prev := uint64(8), genesis
	for i, r := range []*Record{sample(), {}, {Event: EventLogin, User: "Zoë \"\x00\u202e"}, numbered(3), {Session: 1 << 63, Statement: "\n", Masks: []string{""}}} {
		for j := range 3 {
			r.Time = at.Add(time.Duration(i*j*j) * 300 * time.Millisecond) // seconds that stay, go on and go back
			seq++
			want := reference(r, at, seq, &prev)
			given := r
			if j > 0 {
				given = shared(r)
				given.User, given.Statement, given.Columns = "not looked at", "not looked at", []string{"not looked at"}
			}
			p := newPending(given, time.Now)
			if got := string(e.append(nil, &p)); got != want {
				t.Errorf("line is\n%s\nwant\n%s", got, want)
			}
			prev = e.hash
		}
	}
}

func TestMillis(t *testing.T) {
	for _, v := range []float64{0, math.Copysign(0, -1), 0.0004, 0.0005, 0.0015, 0.001, 0.999, 1, 1.0005, 12.345, -1.5, 123456.789,
		999999999999.999, 1e12, 1e15 + 0.125, 1e300, math.SmallestNonzeroFloat64, math.MaxFloat64} {
		if got, want := string(appendMillis(nil, v)), strconv.FormatFloat(v, 'f', 3, 64); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
	for micros := int64(1); micros < 1e15; micros += micros/7 + 1 {
		v := float64(micros) / 1000
		if got, want := string(appendMillis(nil, v)), strconv.FormatFloat(v, 'f', 3, 64); got != want {
			t.Errorf("%d µs: %s, want %s", micros, got, want)
		}
	}
}

// reread is s as encoding/json reads it back after our cut, by its own means.
func reread(s string, limit int) string {
	if len(s) > limit {
		keep := limit
		for keep > limit-utf8.UTFMax && !utf8.RuneStart(s[keep]) {
			keep--
		}
		s = s[:keep] + "…[cut: " + strconv.Itoa(len(s)-keep) + " bytes]"
	}
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	var out string
	if err := json.Unmarshal(b, &out); err != nil {
		panic(err)
	}
	return out
}
