package wire

import (
	"reflect"
	"strings"
	"testing"
)

func packet(body string) []byte {
	n := len(body) + 4
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, body...)
}

const version30, version32 = "\x00\x03\x00\x00", "\x00\x03\x00\x02"

func TestParseStartup(t *testing.T) {
	for _, c := range []struct {
		name string
		b    []byte
		want *Startup // nil: an error
	}{
		{"ssl", AppendSSLRequest(nil), &Startup{Kind: SSLRequest}},
		{"gssenc", packet("\x04\xd2\x16\x30"), &Startup{Kind: GSSENCRequest}},
		{"ssl with more", packet("\x04\xd2\x16\x2fx"), nil},
		{"cancel", AppendCancelRequest(nil, 7, []byte("abcd")), &Startup{Kind: CancelRequest, PID: 7, Key: []byte("abcd")}},
		{"cancel, no key", AppendCancelRequest(nil, 7, nil), nil},
		{"cancel, long key", AppendCancelRequest(nil, 7, make([]byte, 257)), nil},
		{"cancel, key of 256", AppendCancelRequest(nil, 7, make([]byte, 256)), &Startup{Kind: CancelRequest, PID: 7, Key: make([]byte, 256)}},
		{"message", AppendStartup(nil, 0, []Param{{"user", "bob"}, {"database", "clinic"}}),
			&Startup{Kind: StartupMessage, Major: 3, Params: []Param{{"user", "bob"}, {"database", "clinic"}}}},
		{"options", packet(version32 + "user\x00bob\x00_pq_.x\x001\x00\x00"),
			&Startup{Kind: StartupMessage, Major: 3, Minor: 2, Params: []Param{{"user", "bob"}}, Options: []string{"_pq_.x"}}},
		{"protocol 2", packet("\x00\x02\x00\x00whatever"), &Startup{Kind: StartupMessage, Major: 2}},
		{"no end", packet(version30 + "user\x00bob\x00"), nil},
		{"no value", packet(version30 + "user\x00"), nil},
		{"bytes behind the end", packet(version30 + "user\x00bob\x00\x00x"), nil},
		{"twice", packet(version30 + "user\x00bob\x00user\x00eve\x00\x00"), nil},
		{"name not UTF-8", packet(version30 + "us\xffer\x00bob\x00\x00"), nil},
		{"length lies, long", append([]byte{0, 0, 0, 99}, version30...), nil},
		{"length lies, short", append(packet(version30+"\x00"), 'x'), nil},
		{"length 1 GiB", []byte{0x40, 0, 0, 0}, nil},
		{"HTTP", []byte("GET / HTTP/1.1\r\n"), nil},
		{"empty", nil, nil},
	} {
		got, err := ParseStartup(c.b)
		if err != nil {
			got = nil
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, err %v", c.name, got, err)
		}
	}
	if s, err := ParseStartup(AppendStartup(nil, 0, []Param{{"user", "bob"}})); err != nil || s.Get("user") != "bob" || s.Get("x") != "" {
		t.Errorf("Get: %+v, %v", s, err)
	}
}

func FuzzParseStartup(f *testing.F) {
	f.Add(AppendSSLRequest(nil))
	f.Add(AppendCancelRequest(nil, 1, []byte("abcd")))
	f.Add(AppendStartup(nil, 2, []Param{{"user", "bob"}, {"options", "-c a=b"}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStartup(b)
		if err != nil || s.Kind != StartupMessage || s.Major != ProtocolMajor || len(s.Options) > 0 {
			return
		}
		again := AppendStartup(nil, s.Minor, s.Params)
		if string(again) != string(b) {
			t.Fatalf("%q came back as %q", b, again)
		}
		for _, p := range s.Params {
			if strings.ContainsRune(p.Name+p.Value, 0) {
				t.Fatalf("NUL in %q", p)
			}
		}
	})
}
