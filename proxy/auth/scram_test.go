package auth

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
)

// The example exchange of RFC 7677, section 3.
const (
	rfcClientNonce = "rOprNGfwEbeRWgbNEkqO"
	rfcServerNonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	rfcClientFirst = "n,,n=user,r=" + rfcClientNonce
	rfcServerFirst = "r=" + rfcClientNonce + rfcServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcClientFinal = "c=biws,r=" + rfcClientNonce + rfcServerNonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcServerFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func rfcVerifier(t testing.TB) Verifier {
	t.Helper()
	m, err := parseServerFirst([]byte(rfcServerFirst))
	if err != nil {
		t.Fatal(err)
	}
	v, err := derive("pencil", m.salt, m.iterations)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func rfcServer(t testing.TB) *Server {
	s := NewServer(rfcVerifier(t), false, nil)
	s.newNonce = func() string { return rfcServerNonce }
	return s
}

func TestRFC7677Server(t *testing.T) {
	s := rfcServer(t)
	got, err := s.First(MechanismSCRAM, []byte(rfcClientFirst))
	if err != nil || string(got) != rfcServerFirst {
		t.Fatalf("server-first-message %q, %v", got, err)
	}
	if _, ok := s.Keys(); ok {
		t.Error("keys before the proof")
	}
	got, err = s.Final([]byte(rfcClientFinal))
	if err != nil || string(got) != rfcServerFinal {
		t.Fatalf("server-final-message %q, %v", got, err)
	}
	client, server, _ := passwordKeys("pencil", s.verifier.Salt, 4096)
	if k, ok := s.Keys(); !ok || k.Client != client || k.Server != server {
		t.Error("the recovered keys are not those of the password")
	}
}

func TestRFC7677Client(t *testing.T) {
	v := rfcVerifier(t)
	client, server, _ := passwordKeys("pencil", v.Salt, v.Iterations)
	for name, cred := range map[string]Credentials{
		"password": {Password: "pencil"},
		"keys":     {Keys: &Keys{Client: client, Server: server}},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewClient([]string{MechanismSCRAMPlus, MechanismSCRAM}, nil)
			c.newNonce = func() string { return rfcClientNonce }
			c.name = "user"
			mechanism, first, err := c.First()
			if err != nil || mechanism != MechanismSCRAM || string(first) != rfcClientFirst {
				t.Fatalf("%s %q %v", mechanism, first, err)
			}
			final, err := c.Final([]byte(rfcServerFirst), cred)
			if err != nil || string(final) != rfcClientFinal {
				t.Fatalf("%q %v", final, err)
			}
			if c.Done() {
				t.Error("done before the server's signature")
			}
			if err := c.Finish([]byte(rfcServerFinal)); err != nil || !c.Done() {
				t.Errorf("server-final-message: %v", err)
			}
		})
	}
}

func TestClientRefusesServer(t *testing.T) {
	for _, c := range []struct{ name, first, final string }{
		{"foreign nonce", "r=other" + rfcServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ""},
		{"nonce not extended", "r=" + rfcClientNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096", ""},
		{"no salt", "r=" + rfcClientNonce + rfcServerNonce + ",i=4096", ""},
		{"empty salt", "r=" + rfcClientNonce + rfcServerNonce + ",s=,i=4096", ""},
		{"zero iterations", "r=" + rfcClientNonce + rfcServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=0", ""},
		{"absurd iterations", "r=" + rfcClientNonce + rfcServerNonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=999999999999", ""},
		{"wrong signature", rfcServerFirst, "v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="},
		{"server error", rfcServerFirst, "e=invalid-proof"},
		{"empty", rfcServerFirst, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cl := NewClient([]string{MechanismSCRAM}, nil)
			cl.newNonce = func() string { return rfcClientNonce }
			if _, _, err := cl.First(); err != nil {
				t.Fatal(err)
			}
			_, err := cl.Final([]byte(c.first), Credentials{Password: "pencil"})
			if err == nil {
				err = cl.Finish([]byte(c.final))
			}
			if err == nil || cl.Done() {
				t.Errorf("accepted: %v, done %v", err, cl.Done())
			}
		})
	}
}

// exchange runs a client against a server and returns the first error of either.
func exchange(s *Server, c *Client, credentials Credentials) error {
	mechanism, first, err := c.First()
	if err != nil {
		return err
	}
	sf, err := s.First(mechanism, first)
	if err != nil {
		return err
	}
	cf, err := c.Final(sf, credentials)
	if err != nil {
		return err
	}
	done, err := s.Final(cf)
	if err != nil {
		return err
	}
	return c.Finish(done)
}

func TestExchange(t *testing.T) {
	v, err := MakeVerifier("s3cret")
	if err != nil {
		t.Fatal(err)
	}
	mock := NewMock([]byte("secret")).Verifier("nobody", 4096)
	channel := []byte("hash of the certificate")
	for _, c := range []struct {
		name             string
		verifier         Verifier
		doomed           bool
		password         string
		server, client   []byte
		want             error
		bound            bool
		clientMechanisms []string
	}{
		{name: "plain", verifier: v, password: "s3cret"},
		{name: "wrong password", verifier: v, password: "other", want: ErrPassword},
		{name: "doomed with the right password", verifier: v, doomed: true, password: "s3cret", want: ErrPassword},
		{name: "unknown user", verifier: mock, doomed: true, password: "s3cret", want: ErrPassword},
		{name: "bound", verifier: v, password: "s3cret", server: channel, client: channel, bound: true},
		{name: "client without binding under TLS", verifier: v, password: "s3cret", server: channel},
		{name: "other certificate", verifier: v, password: "s3cret", server: channel, client: []byte("of a man in the middle"), want: &Error{}},
		{name: "downgraded", verifier: v, password: "s3cret", server: channel, client: channel, want: &Error{}, clientMechanisms: []string{MechanismSCRAM}},
		{name: "server without TLS data", verifier: v, password: "s3cret", client: channel},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewServer(c.verifier, c.doomed, c.server)
			mechanisms := c.clientMechanisms
			if mechanisms == nil {
				mechanisms = Mechanisms(c.server)
			}
			err := exchange(s, NewClient(mechanisms, c.client), Credentials{Password: c.password})
			var shown *Error
			switch {
			case c.want == nil && err != nil:
				t.Fatal(err)
			case c.want == ErrPassword && !errors.Is(err, ErrPassword):
				t.Fatalf("got %v", err)
			case c.want != nil && c.want != ErrPassword && !errors.As(err, &shown):
				t.Fatalf("got %v", err)
			}
			if _, ok := s.Keys(); ok != (c.want == nil) {
				t.Errorf("keys given: %v", ok)
			}
			if s.Bound() != c.bound {
				t.Errorf("bound %v", s.Bound())
			}
		})
	}
}

func TestServerRefusesMessages(t *testing.T) {
	const nonce = rfcClientNonce + rfcServerNonce
	for _, c := range []struct{ name, mechanism, first, final, code string }{
		{name: "unknown mechanism", mechanism: "SCRAM-SHA-1", first: rfcClientFirst, code: "08P01"},
		{name: "plus without TLS", mechanism: MechanismSCRAMPlus, first: "p=tls-server-end-point,,n=,r=abc", code: "08P01"},
		{name: "binding in plain", first: "p=tls-server-end-point,,n=,r=abc", code: "08P01"},
		{name: "empty", first: "", code: "08P01"},
		{name: "NUL", first: rfcClientFirst + "\x00", code: "08P01"},
		{name: "flag", first: "x,,n=,r=abc", code: "08P01"},
		{name: "flag alone", first: "n", code: "08P01"},
		{name: "binding type alone", first: "p=", code: "08P01"},
		{name: "authorization identity", first: "n,a=admin,n=,r=abc", code: "0A000"},
		{name: "extension", first: "n,,m=x,n=,r=abc", code: "0A000"},
		{name: "no name", first: "n,,r=abc", code: "08P01"},
		{name: "no nonce", first: "n,,n=user", code: "08P01"},
		{name: "empty nonce", first: "n,,n=user,r=", code: "08P01"},
		{name: "nonce with a space", first: "n,,n=user,r=a b", code: "08P01"},
		{name: "too long", first: "n,,n=,r=" + strings.Repeat("a", maxMessage), code: "08P01"},
		{name: "foreign nonce", first: rfcClientFirst, final: "c=biws,r=" + nonce + "x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", code: "08P01"},
		{name: "other header", first: rfcClientFirst, final: "c=eSws,r=" + nonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", code: "08P01"},
		{name: "no proof", first: rfcClientFirst, final: "c=biws,r=" + nonce, code: "08P01"},
		{name: "short proof", first: rfcClientFirst, final: "c=biws,r=" + nonce + ",p=AAAA", code: "08P01"},
		{name: "proof not last", first: rfcClientFirst, final: rfcClientFinal + ",x=1", code: "08P01"},
		{name: "empty final", first: rfcClientFirst, final: " ", code: "08P01"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := rfcServer(t)
			if c.mechanism == "" {
				c.mechanism = MechanismSCRAM
			}
			_, err := s.First(c.mechanism, []byte(c.first))
			if c.final != "" && err == nil {
				_, err = s.Final([]byte(c.final))
			}
			var shown *Error
			if !errors.As(err, &shown) || shown.Code != c.code {
				t.Errorf("got %v", err)
			}
			if _, err := s.Final([]byte(rfcClientFinal)); err == nil {
				t.Error("a failed exchange went on")
			}
		})
	}
}

func TestMockIsStableAndDistinct(t *testing.T) {
	m := NewMock([]byte("secret"))
	a, b := m.Verifier("a", 4096), m.Verifier("b", 4096)
	if string(a.Salt) != string(m.Verifier("a", 4096).Salt) {
		t.Error("the salt of one user changes")
	}
	if string(a.Salt) == string(b.Salt) || a.StoredKey == b.StoredKey {
		t.Error("two users share a salt or key")
	}
	if string(a.Salt) == string(NewMock([]byte("other")).Verifier("a", 4096).Salt) {
		t.Error("the salt doesn't depend on the secret")
	}
	if len(a.Salt) != saltLength {
		t.Errorf("salt of %d bytes", len(a.Salt))
	}
}

func TestMD5Response(t *testing.T) {
	// As computed by SELECT 'md5' || md5(convert_to(md5('secret' || 'alice'), 'UTF8') || '\x01020304').
	if got := MD5Response("alice", "secret", [4]byte{1, 2, 3, 4}); got != "md598a0412b9c31436fc53776e863350083" {
		t.Errorf("got %s", got)
	}
}

func TestEndPoint(t *testing.T) {
	for alg, size := range map[x509.SignatureAlgorithm]int{
		x509.SHA1WithRSA: 32, x509.SHA256WithRSA: 32, x509.ECDSAWithSHA384: 48, x509.SHA512WithRSAPSS: 64, x509.PureEd25519: 0,
	} {
		if got := EndPoint(&x509.Certificate{SignatureAlgorithm: alg, Raw: []byte("certificate")}); len(got) != size {
			t.Errorf("%v: %d bytes", alg, len(got))
		}
	}
}
