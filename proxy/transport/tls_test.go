package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"pgveil/proxy/session"
)

// certificate is a self-signed one.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func configurations(version uint16) (server, client *tls.Config) {
	server = &tls.Config{Certificates: []tls.Certificate{certificate()}, MaxVersion: version}
	return server, &tls.Config{InsecureSkipVerify: true, MaxVersion: version}
}

// overTLS lays TLS over both ends of a connection.
func overTLS(t *testing.T, serverEnd, clientEnd net.Conn) (server, client net.Conn) {
	t.Helper()
	serverConfig, clientConfig := configurations(tls.VersionTLS13)
	s, c := tls.Server(NewSocket(serverEnd), serverConfig), tls.Client(NewSocket(clientEnd), clientConfig)
	shaken := make(chan error, 1)
	go func() { shaken <- s.Handshake() }()
	if err := errors.Join(c.Handshake(), <-shaken); err != nil {
		t.Fatal(err)
	}
	return s, c
}

// TestSocketGivesRecordsInPieces holds crypto/tls to what the loops rest on: a
// read that finds nothing is an error that passes, at whatever byte a record is
// cut, and the end of the connection is only believed when the peer says it.
func TestSocketGivesRecordsInPieces(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		serverConfig, clientConfig := configurations(version)
		ours := NewSocket(near)
		server := tls.Server(ours, serverConfig)
		theirs := NewSocket(far)
		client := tls.Client(theirs, clientConfig)
		shaken := make(chan error, 1)
		// A session ticket comes after the handshake; the pipe has no room to keep it.
		serverConfig.SessionTicketsDisabled = true
		go func() { shaken <- client.Handshake() }()
		if err := errors.Join(server.Handshake(), <-shaken); err != nil {
			t.Fatal(err)
		}
		ours.taken, theirs.taken = true, true
		want := bytes.Repeat([]byte("0123456789"), 5000) // several records
		if _, err := client.Write(want); err != nil {
			t.Fatal(err)
		}
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		var got []byte
		buf := make([]byte, 1000)
		read := func() error {
			for {
				n, err := server.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					return err
				}
			}
		}
		for i, b := range theirs.out {
			ours.in = []byte{b}
			err := read()
			if i < len(theirs.out)-1 {
				if _, ok := err.(nothingYet); !ok {
					t.Fatalf("TLS %x: byte %d of %d: %v", version, i, len(theirs.out), err)
				}
			} else if err != io.EOF {
				t.Errorf("TLS %x: the end is %v", version, err)
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("TLS %x: %d bytes of %d, or others", version, len(got), len(want))
		}
		ours.out = nil
		if _, err := server.Write([]byte("after the peer's end")); err != nil || len(ours.out) == 0 {
			t.Errorf("TLS %x: %d bytes, %v", version, len(ours.out), err)
		}
	}
}

// What TLS has read beyond the login is not lost at the hand-over.
func TestHandOverWithBytesInTLS(t *testing.T) {
	for name, carry := range runners() {
		t.Run(name, func(t *testing.T) {
			st := &stage{t: t, result: make(chan error, 1)}
			nearClient, client := pair(t)
			nearServer, server := pair(t)
			nearClient, st.client = overTLS(t, nearClient, client)
			st.server, nearServer = overTLS(t, server, nearServer)
			st.send(st.client, append([]byte("x"), query...))
			var x [1]byte
			if _, err := nearClient.Read(x[:]); err != nil {
				t.Fatal(err)
			}
			st.carried = carry(nearClient, nearServer, session.New(session.Config{Judge: judge{}, Clear: true}), &Deps{Audit: &sink{}},
				st.done)
			st.expect(st.server, query)
			st.send(st.server, result)
			st.expect(st.client, result)
			st.send(st.client, terminate)
			st.expect(st.server, terminate)
			st.ends("")
		})
	}
}
