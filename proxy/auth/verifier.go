package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

const (
	// DefaultIterations is PostgreSQL's default of scram_iterations.
	DefaultIterations = 4096
	// maxIterations bounds what a hostile server may ask a client to compute: about a second of one core.
	maxIterations = 10_000_000
	// saltLength is PostgreSQL's SCRAM_DEFAULT_SALT_LEN, in bytes.
	saltLength = 16
	// maxSaltLength bounds the salt of a verifier that somebody else made, in bytes.
	maxSaltLength = 1024

	verifierPrefix = "SCRAM-SHA-256$"
)

// Key is a SHA-256 sized key of the SCRAM exchange (RFC 5802, section 3).
type Key [sha256.Size]byte

// LogValue keeps keys out of logs.
func (Key) LogValue() slog.Value { return slog.StringValue("[key]") }

// String keeps keys out of logs and messages.
func (Key) String() string { return "[key]" }

// GoString keeps keys out of logs and messages.
func (Key) GoString() string { return "[key]" }

// Verifier is what a server stores of a password for SCRAM-SHA-256 (PostgreSQL
// docs, section 53.8, pg_authid.rolpassword). With it a server checks a
// password without knowing it.
type Verifier struct {
	Iterations int
	Salt       []byte
	StoredKey  Key
	ServerKey  Key
}

// ErrNotSCRAM is returned for a stored password that is no SCRAM-SHA-256 verifier: an MD5 hash or plain text.
var ErrNotSCRAM = errors.New("not a SCRAM-SHA-256 verifier")

// ParseVerifier reads the form in which PostgreSQL stores a verifier:
// SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, salt and keys in base64.
// Its errors never contain the text.
func ParseVerifier(s string) (Verifier, error) {
	rest, ok := strings.CutPrefix(s, verifierPrefix)
	if !ok {
		return Verifier{}, ErrNotSCRAM
	}
	head, keys, ok := strings.Cut(rest, "$")
	if !ok {
		return Verifier{}, errors.New("malformed SCRAM-SHA-256 verifier: the keys are missing")
	}
	iterations, salt, ok := strings.Cut(head, ":")
	if !ok {
		return Verifier{}, errors.New("malformed SCRAM-SHA-256 verifier: the salt is missing")
	}
	stored, server, ok := strings.Cut(keys, ":")
	if !ok {
		return Verifier{}, errors.New("malformed SCRAM-SHA-256 verifier: the server key is missing")
	}
	var v Verifier
	var err error
	if v.Iterations, err = parseIterations(iterations); err != nil {
		return Verifier{}, fmt.Errorf("malformed SCRAM-SHA-256 verifier: %w", err)
	}
	if v.Salt, err = parseSalt(salt); err != nil {
		return Verifier{}, fmt.Errorf("malformed SCRAM-SHA-256 verifier: %w", err)
	}
	if !decodeKey(&v.StoredKey, stored) || !decodeKey(&v.ServerKey, server) {
		return Verifier{}, errors.New("malformed SCRAM-SHA-256 verifier: a key is not 32 bytes in base64")
	}
	return v, nil
}

// String prints the verifier as PostgreSQL stores it. It is a secret: whoever
// holds it can pretend to be the server, and try passwords.
func (v Verifier) String() string {
	enc := base64.StdEncoding
	return verifierPrefix + strconv.Itoa(v.Iterations) + ":" + enc.EncodeToString(v.Salt) + "$" +
		enc.EncodeToString(v.StoredKey[:]) + ":" + enc.EncodeToString(v.ServerKey[:])
}

// LogValue keeps verifiers out of logs.
func (Verifier) LogValue() slog.Value { return slog.StringValue("[verifier]") }

// MakeVerifier returns a verifier of the password with a fresh random salt and PostgreSQL's default number of iterations.
func MakeVerifier(password string) (Verifier, error) {
	if password == "" {
		return Verifier{}, errors.New("the password is empty")
	}
	salt := make([]byte, saltLength)
	rand.Read(salt)
	return derive(password, salt, DefaultIterations)
}

// derive computes the verifier of a password (RFC 5802, section 3).
func derive(password string, salt []byte, iterations int) (Verifier, error) {
	client, server, err := passwordKeys(password, salt, iterations)
	if err != nil {
		return Verifier{}, err
	}
	return Verifier{Iterations: iterations, Salt: salt, StoredKey: sha256.Sum256(client[:]), ServerKey: server}, nil
}

// passwordKeys computes ClientKey and ServerKey (RFC 5802, section 3).
func passwordKeys(password string, salt []byte, iterations int) (client, server Key, err error) {
	salted, err := pbkdf2.Key(sha256.New, prepare(password), salt, iterations, sha256.Size)
	if err != nil {
		return client, server, fmt.Errorf("derive the SCRAM keys: %w", err)
	}
	return mac(salted, "Client Key"), mac(salted, "Server Key"), nil
}

// mac is HMAC-SHA-256.
func mac(key []byte, text string) Key {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return Key(h.Sum(nil))
}

func parseIterations(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxIterations || s[0] == '+' {
		return 0, errors.New("bad iteration count")
	}
	return n, nil
}

func parseSalt(s string) ([]byte, error) {
	if len(s) > base64.StdEncoding.EncodedLen(maxSaltLength) {
		return nil, errors.New("the salt is too long")
	}
	salt, err := strictBase64.DecodeString(s)
	if err != nil || len(salt) == 0 {
		return nil, errors.New("bad salt")
	}
	return salt, nil
}

// strictBase64 refuses trailing bits that are not zero, so that each value has one form.
var strictBase64 = base64.StdEncoding.Strict()

func decodeKey(k *Key, s string) bool {
	if len(s) != base64.StdEncoding.EncodedLen(len(k)) {
		return false
	}
	b, err := strictBase64.DecodeString(s)
	if err != nil || len(b) != len(k) {
		return false
	}
	copy(k[:], b)
	return true
}
