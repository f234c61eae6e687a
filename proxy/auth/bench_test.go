package auth

import "testing"

// BenchmarkServer is the server's part of an exchange, key derivation left out.
func BenchmarkServer(b *testing.B) {
	v := rfcVerifier(b)
	b.ReportAllocs()
	for b.Loop() {
		s := NewServer(v, false, nil)
		s.newNonce = func() string { return rfcServerNonce }
		if _, err := s.First(MechanismSCRAM, []byte(rfcClientFirst)); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Final([]byte(rfcClientFinal)); err != nil {
			b.Fatal(err)
		}
	}
}
