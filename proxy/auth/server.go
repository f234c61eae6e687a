// Package auth holds the authentication exchanges of a PostgreSQL proxy as
// state machines over []byte, without I/O: SCRAM-SHA-256 and
// SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929; PostgreSQL docs, section
// 55.3) from both sides. The server side recovers the client's key from its
// proof; with it the client side logs in as the same user without a password.
package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
)

// The names of the SASL mechanisms.
const (
	MechanismSCRAM     = "SCRAM-SHA-256"
	MechanismSCRAMPlus = "SCRAM-SHA-256-PLUS"

	bindingType = "tls-server-end-point"
	// nonceBytes is the length of a nonce before its base64 encoding: PostgreSQL's SCRAM_RAW_NONCE_LEN.
	nonceBytes = 18
)

// ErrPassword says that the password was wrong, or that the user may not log
// in: which of these must not be told.
var ErrPassword = errors.New("password authentication failed")

var errOrder = errors.New("SCRAM messages out of order")

// Keys are what a login leaves behind: enough to log in elsewhere as the same
// user while the same verifier is stored there.
type Keys struct {
	Client Key
	Server Key
}

// Server is the server side of one SCRAM exchange.
type Server struct {
	verifier Verifier
	doomed   bool
	binding  []byte // tls-server-end-point data; nil: channel binding isn't offered
	newNonce func() string

	state  serverState
	first  clientFirst
	nonce  string
	reply  string // server-first-message
	client Key
}

type serverState uint8

const (
	serverWantsFirst serverState = iota
	serverWantsFinal
	serverSucceeded
	serverFailed
)

// NewServer starts an exchange against v. A doomed exchange goes through the
// same steps and fails at the end with ErrPassword. Binding is the
// tls-server-end-point data of the connection (see EndPoint), nil without TLS.
func NewServer(v Verifier, doomed bool, binding []byte) *Server {
	return &Server{verifier: v, doomed: doomed, binding: binding, newNonce: randomNonce}
}

func randomNonce() string {
	raw := make([]byte, nonceBytes)
	rand.Read(raw)
	return base64.StdEncoding.EncodeToString(raw)
}

// Mechanisms lists what a server offers, the preferred one first. Binding is as for [NewServer].
func Mechanisms(binding []byte) []string {
	if binding != nil {
		return []string{MechanismSCRAMPlus, MechanismSCRAM}
	}
	return []string{MechanismSCRAM}
}

// First takes the mechanism that the client selected and its first message,
// and returns server-first-message.
func (s *Server) First(mechanism string, data []byte) ([]byte, error) {
	if s.state != serverWantsFirst {
		return nil, errOrder
	}
	s.state = serverFailed
	plus := mechanism == MechanismSCRAMPlus
	if mechanism != MechanismSCRAM && !(plus && s.binding != nil) {
		return nil, &Error{Code: "08P01", Message: "client selected an invalid SASL authentication mechanism"}
	}
	m, err := parseClientFirst(data)
	if err != nil {
		return nil, err
	}
	switch {
	case m.flag == 'p' && !plus:
		return nil, protocol("the client selected SCRAM-SHA-256 without channel binding, but the SCRAM message includes channel binding data")
	case m.flag == 'p' && m.binding != bindingType:
		return nil, &Error{Code: "08P01", Message: "unsupported SCRAM channel-binding type"}
	case m.flag != 'p' && plus:
		return nil, protocol("the client selected SCRAM-SHA-256-PLUS, but the SCRAM message does not include channel binding data")
	case m.flag == 'y' && s.binding != nil:
		// Somebody between the two took -PLUS off the list (RFC 5802, section 6).
		return nil, binding("SCRAM channel binding negotiation error",
			"The client supports SCRAM channel binding but thinks the server does not. However, this server does support channel binding.")
	}
	s.first = m
	s.nonce = m.nonce + s.newNonce()
	s.reply = "r=" + s.nonce + ",s=" + base64.StdEncoding.EncodeToString(s.verifier.Salt) + ",i=" + strconv.Itoa(s.verifier.Iterations)
	s.state = serverWantsFinal
	return []byte(s.reply), nil
}

// Final takes the client's final message and returns server-final-message. The
// error is ErrPassword for a wrong proof.
func (s *Server) Final(data []byte) ([]byte, error) {
	if s.state != serverWantsFinal {
		return nil, errOrder
	}
	s.state = serverFailed
	m, err := parseClientFinal(data)
	if err != nil {
		return nil, err
	}
	var channel []byte
	if s.first.flag == 'p' {
		channel = s.binding
	}
	want := bindingAttribute(s.first.gs2, channel)
	if subtle.ConstantTimeCompare([]byte(m.binding), []byte(want)) != 1 {
		if s.first.flag == 'p' {
			return nil, binding("SCRAM channel binding check failed", "")
		}
		return nil, protocol("unexpected channel-binding attribute in client-final-message")
	}
	if subtle.ConstantTimeCompare([]byte(m.nonce), []byte(s.nonce)) != 1 {
		return nil, &Error{Code: "08P01", Message: "invalid SCRAM response", Detail: "Nonce does not match."}
	}
	authMessage := s.first.bare + "," + s.reply + "," + m.withoutProof
	signature := mac(s.verifier.StoredKey[:], authMessage)
	var client Key
	subtle.XORBytes(client[:], m.proof[:], signature[:])
	stored := Key(sha256.Sum256(client[:]))
	// Both are computed always, so that a doomed exchange takes as long as a wrong password.
	reply := mac(s.verifier.ServerKey[:], authMessage)
	fits := subtle.ConstantTimeCompare(stored[:], s.verifier.StoredKey[:]) == 1
	if !fits || s.doomed {
		return nil, ErrPassword
	}
	s.client = client
	s.state = serverSucceeded
	return []byte("v=" + base64.StdEncoding.EncodeToString(reply[:])), nil
}

// Bound reports whether the exchange was tied to the TLS channel.
func (s *Server) Bound() bool { return s.state == serverSucceeded && s.first.flag == 'p' }

// Keys returns what the client proved to know; ok is false before success.
func (s *Server) Keys() (k Keys, ok bool) {
	if s.state != serverSucceeded {
		return Keys{}, false
	}
	return Keys{Client: s.client, Server: s.verifier.ServerKey}, true
}
