package wire

import (
	"bytes"
	"testing"
)

func TestHeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		b      []byte
		size   int
		ok     bool
		failed bool
	}{
		{"empty", nil, 0, false, false},
		{"half a header", []byte{'Q', 0, 0}, 0, false, false},
		{"least", []byte{'S', 0, 0, 0, 4}, 5, true, false},
		{"body outstanding", []byte{'Q', 0, 0, 1, 0}, 257, true, false},
		{"length below 4", []byte{'Q', 0, 0, 0, 3}, 0, false, true},
		{"negative length", []byte{'Q', 0xff, 0xff, 0xff, 0xff}, 0, false, true},
		{"over 1 GB", []byte{'Q', 0x40, 0, 0, 0}, 0, false, true},
	} {
		_, size, ok, err := Header(c.b)
		if size != c.size || ok != c.ok || (err != nil) != c.failed {
			t.Errorf("%s: size %d, ok %v, err %v", c.name, size, ok, err)
		}
	}
}

func TestHeaderByDirection(t *testing.T) {
	long := func(typ byte) []byte { return []byte{typ, 0, 1, 0, 0} }
	if _, _, _, err := FrontendHeader(long(Sync)); err == nil {
		t.Error("a Sync of 64 KiB is accepted")
	}
	if _, size, ok, err := FrontendHeader(long(Bind)); err != nil || !ok || size != 1<<16+1 {
		t.Errorf("a Bind of 64 KiB: size %d, ok %v, err %v", size, ok, err)
	}
	if _, _, _, err := FrontendHeader([]byte{'!'}); err == nil {
		t.Error("an unknown frontend type is accepted")
	}
	if _, _, _, err := BackendHeader([]byte{'!'}); err == nil {
		t.Error("an unknown backend type is accepted")
	}
	if _, _, ok, err := BackendHeader(long(DataRow)); err != nil || !ok {
		t.Errorf("a DataRow of 64 KiB: ok %v, err %v", ok, err)
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("Q\x00\x00\x00\x05\x00"))
	f.Add([]byte("D\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, header := range []func([]byte) (byte, int, bool, error){Header, FrontendHeader, BackendHeader} {
			_, size, ok, err := header(b)
			if ok && (err != nil || size < HeaderSize || size > MaxMessage+1 || len(b) < HeaderSize) {
				t.Fatalf("%q: size %d, err %v", b, size, err)
			}
		}
	})
}

func TestBuildersFrame(t *testing.T) {
	for _, b := range [][]byte{
		AppendQuery(nil, "select 1"), AppendParse(nil, "s", "select $1", []uint32{23}), AppendBind(nil, "p", "s", 1),
		AppendDescribe(nil, 'P', "p"), AppendClose(nil, 'S', "s"), AppendExecute(nil, "p", 5), AppendEmpty(nil, Sync),
		AppendPassword(nil, "x"), AppendSASLInitialResponse(nil, "SCRAM-SHA-256", []byte("n,,")), AppendSASLResponse(nil, nil),
		AppendAuthentication(nil, AuthOK, nil), AppendAuthenticationSASL(nil, "SCRAM-SHA-256"),
		AppendBackendKeyData(nil, 1, []byte("abcd")), AppendParameterStatus(nil, "a", "b"),
		AppendNegotiateProtocolVersion(nil, 2, []string{"_pq_.x"}), AppendReadyForQuery(nil, 'I'),
		AppendCommandComplete(nil, "SELECT 1"), AppendRowDescription(nil, []Field{{Name: []byte("a")}}),
		AppendDataRow(nil, []byte("x"), nil), AppendErrorResponse(nil, Shutdown()), AppendNotification(nil, 1, []byte("c"), nil),
	} {
		if _, size, ok, err := Header(b); !ok || err != nil || size != len(b) {
			t.Errorf("%q: size %d, ok %v, err %v", b, size, ok, err)
		}
	}
}

func TestAppendStringCutsAtNUL(t *testing.T) {
	if got := AppendParameterStatus(nil, "a", "b\x00c"); !bytes.Equal(got, []byte("S\x00\x00\x00\x08a\x00b\x00")) {
		t.Errorf("%q", got)
	}
}
