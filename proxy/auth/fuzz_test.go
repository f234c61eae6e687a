package auth

import (
	"testing"
)

func FuzzParseVerifier(f *testing.F) {
	f.Add(rfcVerifier(f).String())
	f.Add("SCRAM-SHA-256$1:AAAA$:")
	f.Add("md5")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVerifier(s)
		if err != nil {
			return
		}
		w, err := ParseVerifier(v.String())
		if err != nil || w.String() != v.String() {
			t.Errorf("%q prints as %q, which parses to %q, %v", s, v.String(), w.String(), err)
		}
	})
}

// FuzzServer: whatever a client sends that doesn't know the password, it isn't let in.
func FuzzServer(f *testing.F) {
	f.Add(false, rfcClientFirst, "c=biws,r="+rfcClientNonce+rfcServerNonce+",p=AAAAZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	f.Add(true, "p=tls-server-end-point,,n=,r=abc", "c=,r=,p=")
	f.Add(false, "y,,n=,r=abc", "c=eSws,r=abc,p=")
	v, err := MakeVerifier("unknown to the fuzzer")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, plus bool, first, final string) {
		mechanism, channel := MechanismSCRAM, []byte(nil)
		if plus {
			mechanism, channel = MechanismSCRAMPlus, []byte("channel")
		}
		s := NewServer(v, false, channel)
		s.newNonce = func() string { return rfcServerNonce }
		if _, err := s.First(mechanism, []byte(first)); err != nil {
			return
		}
		if _, err := s.Final([]byte(final)); err == nil {
			t.Errorf("let in by %q and %q", first, final)
		}
	})
}

func FuzzClient(f *testing.F) {
	f.Add(rfcServerFirst, rfcServerFinal)
	f.Add("r=,s=,i=", "e=other-error")
	f.Fuzz(func(t *testing.T, first, final string) {
		k := rfcKeys
		c := NewClient([]string{MechanismSCRAM}, nil)
		c.newNonce = func() string { return rfcClientNonce }
		if _, _, err := c.First(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Final([]byte(first), Credentials{Keys: &k}); err != nil {
			return
		}
		if c.Finish([]byte(final)) == nil {
			t.Errorf("trusted a server that said %q and %q", first, final)
		}
	})
}

// rfcKeys are no keys of any password: no server can sign with them.
var rfcKeys = Keys{Client: Key{1}, Server: Key{2}}
