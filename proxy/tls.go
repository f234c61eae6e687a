package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"pgveil/config"
	"pgveil/proxy/auth"
)

// alpn is the protocol's registered name (IANA TLS ALPN protocol IDs); PostgreSQL 17 and its libpq use it.
const alpn = "postgresql"

// clientTLS is the encryption towards clients, as loaded at one time.
type clientTLS struct {
	mode    string
	config  *tls.Config // nil: off
	binding []byte      // tls-server-end-point data of the certificate; nil when it cannot be bound to
}

// loadClientTLS reads the files that the configuration names.
func loadClientTLS(c config.TLS) (*clientTLS, error) {
	t := &clientTLS{mode: c.Mode}
	switch c.Mode {
	case config.TLSOff:
		return t, nil
	case config.TLSAllow, config.TLSRequire, config.TLSVerifyFull:
	default:
		return nil, fmt.Errorf("tls.mode %q is not known", c.Mode)
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return nil, fmt.Errorf("tls.cert and tls.key: %w", err)
	}
	t.binding = auth.EndPoint(cert.Leaf)
	t.config = &tls.Config{
		MinVersion:             tls.VersionTLS12,
		Certificates:           []tls.Certificate{cert},
		NextProtos:             []string{alpn},
		SessionTicketsDisabled: true, // a resumed session would outlive a revoked client certificate
	}
	if c.Mode == config.TLSVerifyFull {
		pool, err := loadPool(c.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("tls.client_ca: %w", err)
		}
		t.config.ClientCAs = pool
		// A missing certificate is refused after the handshake, with an error that clients show.
		t.config.ClientAuth = tls.VerifyClientCertIfGiven
	}
	return t, nil
}

// required reports whether a client must come with TLS. A Unix-domain socket has none.
func (t *clientTLS) required() bool {
	return t.mode == config.TLSRequire || t.mode == config.TLSVerifyFull
}

// certificateNames reports whether the client's verified certificate is the
// user's: its common name or one of its alternative names is exactly the user name.
func certificateNames(state tls.ConnectionState, user string) bool {
	if len(state.VerifiedChains) == 0 || len(state.PeerCertificates) == 0 {
		return false
	}
	c := state.PeerCertificates[0]
	return c.Subject.CommonName == user || slices.Contains(c.DNSNames, user) || slices.Contains(c.EmailAddresses, user)
}

// serverTLS makes the TLS configuration for connections to the server; nil is none.
func serverTLS(u config.Upstream) (*tls.Config, error) {
	if u.Address().Unix() {
		return nil, nil // libpq ignores sslmode on Unix-domain sockets
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{alpn}, ServerName: u.Host}
	if u.SSLRootCert != "" {
		pool, err := loadPool(u.SSLRootCert)
		if err != nil {
			return nil, fmt.Errorf("upstream.sslrootcert: %w", err)
		}
		c.RootCAs = pool
	}
	switch u.SSLMode {
	case config.SSLDisable:
		return nil, nil
	case config.SSLRequire:
		c.InsecureSkipVerify = true // what the word means; config refuses a root certificate beside it
	case config.SSLVerifyCA:
		c.InsecureSkipVerify = true
		c.VerifyConnection = verifyChain(c.RootCAs)
	case config.SSLVerifyFull:
	default:
		return nil, fmt.Errorf("upstream.sslmode %q is not known", u.SSLMode)
	}
	return c, nil
}

// verifyChain checks a server's certificate but not its name; nil roots are the system's.
func verifyChain(roots *x509.CertPool) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		if len(state.PeerCertificates) == 0 {
			return errors.New("the server sent no certificate")
		}
		o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
		for _, c := range state.PeerCertificates[1:] {
			o.Intermediates.AddCert(c)
		}
		_, err := state.PeerCertificates[0].Verify(o)
		return err
	}
}

func loadPool(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}

// endPoint returns the channel binding data of a connection to the server, nil without TLS.
func endPoint(c net.Conn) []byte {
	t, ok := c.(*tls.Conn)
	if !ok {
		return nil
	}
	certs := t.ConnectionState().PeerCertificates
	if len(certs) == 0 {
		return nil
	}
	return auth.EndPoint(certs[0])
}

// prefixed is a connection of which some bytes have been read already: they come first.
type prefixed struct {
	net.Conn
	prefix []byte
}

// NetConn returns the connection below, as tls.Conn does.
func (p *prefixed) NetConn() net.Conn { return p.Conn }

func (p *prefixed) Read(b []byte) (int, error) {
	if len(p.prefix) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.prefix)
	p.prefix = p.prefix[n:]
	return n, nil
}
