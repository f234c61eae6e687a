package wire

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// bindBody builds a Bind with parameters, for tests.
func bindBody(portal, statement string, formats []uint16, params [][]byte, results []uint16) []byte {
	b := append([]byte(portal+"\x00"+statement), 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(formats)))
	for _, f := range formats {
		b = binary.BigEndian.AppendUint16(b, f)
	}
	b = append(b, AppendDataRow(nil, params...)[HeaderSize:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(results)))
	for _, f := range results {
		b = binary.BigEndian.AppendUint16(b, f)
	}
	return b
}

func TestParseBind(t *testing.T) {
	m, err := ParseBind(bindBody("p", "s", []uint16{0, 1, 0}, [][]byte{[]byte("one"), []byte("\x00\x01"), nil}, []uint16{1, 0}))
	if err != nil || string(m.Portal) != "p" || string(m.Statement) != "s" || m.Params() != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	var texts []string
	m.TextParams(func(v []byte) bool { texts = append(texts, string(v)); return true })
	if len(texts) != 1 || texts[0] != "one" {
		t.Errorf("text parameters %q", texts)
	}
	if ResultFormat(m.Formats(), 0) != 1 || ResultFormat(m.Formats(), 1) != 0 {
		t.Errorf("formats %v", m.Formats())
	}
	if !CheckFormats(m.Formats(), 2) || CheckFormats(m.Formats(), 3) || !CheckFormats(nil, 3) || !CheckFormats([]byte{0, 1}, 3) {
		t.Error("CheckFormats")
	}
	for name, b := range map[string][]byte{
		"two formats, three parameters": bindBody("", "", []uint16{0, 0}, [][]byte{nil, nil, nil}, nil),
		"format 2":                      bindBody("", "", []uint16{2}, [][]byte{nil}, nil),
		"result format 2":               bindBody("", "", nil, nil, []uint16{2}),
		"trailing":                      append(bindBody("", "", nil, nil, nil), 0),
	} {
		if _, err := ParseBind(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParsersRefuseCutsAndTrailingBytes(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		parse   func([]byte) error
	}{
		"Query":       {AppendQuery(nil, "select 1"), func(b []byte) error { _, err := QueryText(b); return err }},
		"Parse":       {AppendParse(nil, "s", "select 1", []uint32{23, 25}), func(b []byte) error { _, err := ParseParse(b); return err }},
		"Bind":        {AppendBind(nil, "p", "s", 1), func(b []byte) error { _, err := ParseBind(b); return err }},
		"Describe":    {AppendDescribe(nil, 'S', "s"), func(b []byte) error { _, _, err := ParseObject(b); return err }},
		"Execute":     {AppendExecute(nil, "p", 5), func(b []byte) error { _, _, err := ParseExecute(b); return err }},
		"Ready":       {AppendReadyForQuery(nil, 'T'), func(b []byte) error { _, err := ParseReadyForQuery(b); return err }},
		"Parameter":   {AppendParameterStatus(nil, "a", "b"), func(b []byte) error { _, _, err := ParseParameterStatus(b); return err }},
		"Notify":      {AppendNotification(nil, 1, []byte("c"), []byte("p")), func(b []byte) error { _, _, _, err := ParseNotification(b); return err }},
		"Complete":    {AppendCommandComplete(nil, "SELECT 5"), func(b []byte) error { _, _, err := CommandTag(b); return err }},
		"Negotiate":   {AppendNegotiateProtocolVersion(nil, 0, []string{"_pq_.a"}), func(b []byte) error { _, _, err := ParseNegotiateProtocolVersion(b); return err }},
		"Error":       {AppendErrorResponse(nil, Shutdown()), func(b []byte) error { _, err := ParseError(b); return err }},
		"SASLInitial": {AppendSASLInitialResponse(nil, "SCRAM-SHA-256", []byte("n,,")), func(b []byte) error { _, _, err := ParseSASLInitialResponse(b); return err }},
		"MD5":         {AppendAuthentication(nil, AuthMD5, []byte("salt")), func(b []byte) error { _, _, err := ParseAuthentication(b); return err }},
	} {
		whole := c.message[HeaderSize:]
		if err := c.parse(whole); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for i := range whole {
			if err := c.parse(whole[:i]); err == nil {
				t.Errorf("%s cut at %d is accepted", name, i)
			}
		}
		if err := c.parse(append(whole[:len(whole):len(whole)], 'x')); err == nil {
			t.Errorf("%s with a trailing byte is accepted", name)
		}
	}
}

func TestCommandTag(t *testing.T) {
	for tag, rows := range map[string]int64{
		"SELECT 5": 5, "INSERT 0 12": 12, "BEGIN": -1, "": -1, "5": -1, "COPY 0": 0, "SELECT 99999999999999999999": -1,
	} {
		got, n, err := CommandTag(append([]byte(tag), 0))
		if err != nil || string(got) != tag || n != rows {
			t.Errorf("%q: %q %d %v", tag, got, n, err)
		}
	}
}

func TestErrorRoundTrip(t *testing.T) {
	e := Refused("42501", "column is protected", "patients.ssn is ssn", "leave it out", 8)
	got, err := ParseError(AppendErrorResponse(nil, e)[HeaderSize:])
	if err != nil {
		t.Fatal(err)
	}
	got.Name = e.Name
	if *got != *e {
		t.Errorf("%+v", got)
	}
}

// Every kind has a name of its own, a five-character SQLSTATE and words for the user.
func TestKinds(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.Name] || k.Name == "" || k.Meaning == "" || k.Action == "" {
			t.Errorf("%+v", k)
		}
		seen[k.Name] = true
		if len(k.Code) != 5 && k.Code != "*" {
			t.Errorf("%s: SQLSTATE %q", k.Name, k.Code)
		}
		if k.Severity != SeverityError && k.Severity != SeverityFatal {
			t.Errorf("%s: severity %q", k.Name, k.Severity)
		}
		if !bytes.Contains([]byte(ErrorTable()), []byte("| `"+k.Name+"` |")) {
			t.Errorf("%s is not in the table", k.Name)
		}
	}
}

func FuzzFrontendParsers(f *testing.F) {
	f.Add([]byte("select 1\x00"))
	f.Add(AppendParse(nil, "s", "select $1", []uint32{23})[HeaderSize:])
	f.Add(bindBody("p", "s", []uint16{0}, [][]byte{[]byte("one"), nil}, []uint16{1}))
	f.Add([]byte("\x00\x00\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = QueryText(b)
		if m, err := ParseParse(b); err == nil {
			types := make([]uint32, m.Types())
			for i := range types {
				types[i] = m.Type(i)
			}
			if !bytes.Equal(AppendParse(nil, string(m.Name), string(m.SQL), types)[HeaderSize:], b) {
				t.Fatalf("Parse %q does not come back", b)
			}
		}
		if m, err := ParseBind(b); err == nil {
			n := 0
			m.TextParams(func([]byte) bool { n++; return true })
			if n > m.Params() {
				t.Fatalf("%d text parameters of %d", n, m.Params())
			}
			for i := range 5 {
				if f := ResultFormat(m.Formats(), i); f > 1 {
					t.Fatalf("format %d", f)
				}
			}
		}
		_, _, _ = ParseObject(b)
		_, _, _ = ParseExecute(b)
		_, _, _ = ParseSASLInitialResponse(b)
	})
}

func FuzzBackendParsers(f *testing.F) {
	f.Add(AppendErrorResponse(nil, RoleDenied("bob"))[HeaderSize:])
	f.Add([]byte("SELECT 5\x00"))
	f.Add(AppendNegotiateProtocolVersion(nil, 2, []string{"_pq_.a"})[HeaderSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ParseReadyForQuery(b)
		_, _, _ = ParseParameterStatus(b)
		_, _, _ = ParseBackendKeyData(b)
		if pid, c, p, err := ParseNotification(b); err == nil && !bytes.Equal(AppendNotification(nil, pid, c, p)[HeaderSize:], b) {
			t.Fatalf("Notification %q does not come back", b)
		}
		_, _, _ = CommandTag(b)
		if _, data, err := ParseAuthentication(b); err == nil {
			_, _ = ParseSASLMechanisms(data)
		}
		if _, options, err := ParseNegotiateProtocolVersion(b); err == nil && len(options) > len(b) {
			t.Fatal("more options than bytes")
		}
		if _, err := ParseError(b); err == nil {
			_ = ReportField(b, 'C')
		}
	})
}
