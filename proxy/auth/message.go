package auth

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
)

// maxMessage bounds a SCRAM message, in bytes: PostgreSQL's PG_MAX_SASL_MESSAGE_LENGTH.
const maxMessage = 1024

// clientFirst is client-first-message (RFC 5802, section 7).
type clientFirst struct {
	flag    byte   // gs2-cbind-flag: n, y or p
	binding string // channel binding type after p=
	gs2     string // the gs2-header, its last comma included
	bare    string // client-first-message-bare
	nonce   string
}

// clientFinal is client-final-message (RFC 5802, section 7).
type clientFinal struct {
	binding      string // value of c=, still in base64
	nonce        string
	proof        Key
	withoutProof string
}

// serverFirst is server-first-message (RFC 5802, section 7).
type serverFirst struct {
	nonce      string
	salt       []byte
	iterations int
}

var errMalformed = errors.New("malformed SCRAM message")

// attribute cuts "x=value" off the front of s. last is true when no comma followed.
func attribute(s string, name byte) (value, rest string, last, ok bool) {
	if len(s) < 2 || s[0] != name || s[1] != '=' {
		return "", "", false, false
	}
	value, rest, found := strings.Cut(s[2:], ",")
	return value, rest, !found, true
}

// text checks what holds for every message: bounded, and free of NUL.
func text(data []byte) (string, error) {
	if len(data) == 0 || len(data) > maxMessage || bytes.IndexByte(data, 0) >= 0 {
		return "", errMalformed
	}
	return string(data), nil
}

// validNonce reports whether s is made of the printable characters that RFC 5802 permits in a nonce.
func validNonce(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e || s[i] == ',' {
			return false
		}
	}
	return s != ""
}

func parseClientFirst(data []byte) (clientFirst, error) {
	var m clientFirst
	s, err := text(data)
	if err != nil {
		return m, protocol("the first SCRAM message is empty, too long or contains a NUL byte")
	}
	m.flag = s[0]
	rest := s[1:]
	switch m.flag {
	case 'n', 'y':
	case 'p':
		value, _, last, ok := attribute(s, 'p')
		if !ok || last {
			return m, protocol("the channel binding type is missing")
		}
		m.binding = value
		rest = s[2+len(value):]
	default:
		return m, protocol("unexpected channel-binding flag")
	}
	if !strings.HasPrefix(rest, ",") {
		return m, protocol("comma expected after the channel-binding flag")
	}
	rest = rest[1:]
	// An authorization identity would ask for another user than the one of the startup packet.
	if strings.HasPrefix(rest, "a=") {
		return m, unsupported("the client uses an authorization identity")
	}
	if !strings.HasPrefix(rest, ",") {
		return m, protocol("unexpected attribute in client-first-message")
	}
	m.bare = rest[1:]
	m.gs2 = s[:len(s)-len(m.bare)]
	rest = m.bare
	if strings.HasPrefix(rest, "m=") {
		return m, unsupported("the client requires a SCRAM extension")
	}
	// The name here is ignored: the startup packet named the user.
	_, rest, last, ok := attribute(rest, 'n')
	if !ok || last {
		return m, protocol("the user name attribute is missing")
	}
	m.nonce, _, _, ok = attribute(rest, 'r')
	if !ok || !validNonce(m.nonce) {
		return m, protocol("bad nonce in client-first-message")
	}
	return m, nil
}

func parseClientFinal(data []byte) (clientFinal, error) {
	var m clientFinal
	s, err := text(data)
	if err != nil {
		return m, protocol("the final SCRAM message is empty, too long or contains a NUL byte")
	}
	var rest string
	var last, ok bool
	if m.binding, rest, last, ok = attribute(s, 'c'); !ok || last {
		return m, protocol("channel binding data is missing")
	}
	if m.nonce, _, last, ok = attribute(rest, 'r'); !ok || last {
		return m, protocol("the nonce is missing from client-final-message")
	}
	// Extensions may stand before the proof, which is the last attribute.
	i := strings.LastIndex(s, ",p=")
	if i < 0 || strings.IndexByte(s[i+1:], ',') >= 0 || !decodeKey(&m.proof, s[i+len(",p="):]) {
		return m, protocol("malformed proof in client-final-message")
	}
	m.withoutProof = s[:i]
	return m, nil
}

func parseServerFirst(data []byte) (serverFirst, error) {
	var m serverFirst
	s, err := text(data)
	if err != nil {
		return m, err
	}
	var rest, salt, count string
	var last, ok bool
	if m.nonce, rest, last, ok = attribute(s, 'r'); !ok || last || !validNonce(m.nonce) {
		return m, errMalformed
	}
	if salt, rest, last, ok = attribute(rest, 's'); !ok || last {
		return m, errMalformed
	}
	if m.salt, err = parseSalt(salt); err != nil {
		return m, errMalformed
	}
	if count, _, _, ok = attribute(rest, 'i'); !ok {
		return m, errMalformed
	}
	if m.iterations, err = parseIterations(count); err != nil {
		return m, errMalformed
	}
	return m, nil
}

// parseServerFinal returns the server's signature, or an error for "e=…".
func parseServerFinal(data []byte) (Key, error) {
	var k Key
	s, err := text(data)
	if err != nil {
		return k, err
	}
	value, _, _, ok := attribute(s, 'v')
	if !ok || !decodeKey(&k, value) {
		return k, errMalformed
	}
	return k, nil
}

// bindingAttribute is the value that c= must have: the gs2-header and the channel's data.
func bindingAttribute(gs2 string, data []byte) string {
	return base64.StdEncoding.EncodeToString(append([]byte(gs2), data...))
}
