package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
)

// Credentials is what a client logs in with: a password, or the keys that
// another login left behind.
type Credentials struct {
	Password string
	Keys     *Keys
}

// Client is the client side of one SCRAM exchange.
type Client struct {
	binding  []byte // nil: the connection has no channel to bind to
	newNonce func() string
	name     string // of the n attribute; PostgreSQL takes the user from the startup packet, so it stays empty

	state      clientState
	gs2        string
	channel    []byte
	bare       string
	nonce      string
	signature  Key
	mechanisms []string
}

type clientState uint8

const (
	clientStarts clientState = iota
	clientWantsFirst
	clientWantsFinal
	clientSucceeded
	clientFailed
)

// Errors of the client side.
var (
	ErrMechanism       = errors.New("the server offers no SASL mechanism that is supported (SCRAM-SHA-256)")
	ErrServerSignature = errors.New("the server did not prove that it knows the password's verifier")
)

// NewClient starts an exchange. Mechanisms is the server's list. Binding is the
// tls-server-end-point data of the connection, nil without TLS.
func NewClient(mechanisms []string, binding []byte) *Client {
	return &Client{mechanisms: mechanisms, binding: binding, newNonce: randomNonce}
}

// First returns the chosen mechanism and client-first-message.
func (c *Client) First() (mechanism string, data []byte, err error) {
	if c.state != clientStarts {
		return "", nil, errOrder
	}
	c.state = clientFailed
	switch {
	case c.binding != nil && slices.Contains(c.mechanisms, MechanismSCRAMPlus):
		mechanism, c.gs2, c.channel = MechanismSCRAMPlus, "p="+bindingType+",,", c.binding
	case !slices.Contains(c.mechanisms, MechanismSCRAM):
		return "", nil, ErrMechanism
	case c.binding != nil:
		mechanism, c.gs2 = MechanismSCRAM, "y,,"
	default:
		mechanism, c.gs2 = MechanismSCRAM, "n,,"
	}
	c.nonce = c.newNonce()
	c.bare = "n=" + c.name + ",r=" + c.nonce
	c.state = clientWantsFirst
	return mechanism, []byte(c.gs2 + c.bare), nil
}

// Final takes server-first-message and returns client-final-message. Nothing before it needs the credentials.
func (c *Client) Final(data []byte, credentials Credentials) ([]byte, error) {
	if c.state != clientWantsFirst {
		return nil, errOrder
	}
	c.state = clientFailed
	m, err := parseServerFirst(data)
	if err != nil {
		return nil, err
	}
	if len(m.nonce) <= len(c.nonce) || !strings.HasPrefix(m.nonce, c.nonce) {
		return nil, errors.New("the server's SCRAM nonce does not continue ours")
	}
	var client, server Key
	if k := credentials.Keys; k != nil {
		client, server = k.Client, k.Server
	} else if client, server, err = passwordKeys(credentials.Password, m.salt, m.iterations); err != nil {
		return nil, err
	}
	stored := sha256.Sum256(client[:])
	withoutProof := "c=" + bindingAttribute(c.gs2, c.channel) + ",r=" + m.nonce
	authMessage := c.bare + "," + string(data) + "," + withoutProof
	signature := mac(stored[:], authMessage)
	var proof Key
	subtle.XORBytes(proof[:], client[:], signature[:])
	c.signature = mac(server[:], authMessage)
	c.state = clientWantsFinal
	return []byte(withoutProof + ",p=" + base64.StdEncoding.EncodeToString(proof[:])), nil
}

// Finish takes server-final-message and checks the server's signature.
func (c *Client) Finish(data []byte) error {
	if c.state != clientWantsFinal {
		return errOrder
	}
	c.state = clientFailed
	signature, err := parseServerFinal(data)
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(signature[:], c.signature[:]) != 1 {
		return ErrServerSignature
	}
	c.state = clientSucceeded
	return nil
}

// Done reports whether the server has proved itself. A server that says
// AuthenticationOk before that is not the one that holds the verifier.
func (c *Client) Done() bool { return c.state == clientSucceeded }
