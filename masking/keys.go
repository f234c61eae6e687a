package masking

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// KeySize is the size of the secret in a key file, in bytes.
const KeySize = 32

// maxKeyFile is more than any accepted form of a key takes.
const maxKeyFile = 256

// Keys holds the secrets of the keyed masks. It prints as "[key]" in every
// form. It is safe for concurrent use; nil is valid where no mask is keyed.
type Keys struct {
	ring []*masterKey // the newest first: it masks, all of them unmask
}

// masterKey is one key of a key file.
type masterKey struct {
	secret  [KeySize]byte
	id      uint16   // tells tokens which key made them; derived from the secret
	derived sync.Map // info string -> []byte
}

// newMasterKey takes a secret of KeySize bytes.
func newMasterKey(secret []byte) (*masterKey, error) {
	m := &masterKey{secret: [KeySize]byte(secret)}
	id, err := m.derive("id", "", 2)
	if err != nil {
		return nil, err
	}
	m.id = binary.BigEndian.Uint16(id)
	return m, nil
}

// GenerateKey returns the contents of a new key file: 32 random bytes as 64
// hexadecimal digits and a newline.
func GenerateKey() string {
	var secret [KeySize]byte
	rand.Read(secret[:]) // never fails (crypto/rand)
	return hex.EncodeToString(secret[:]) + "\n"
}

// LoadKeys reads a key file: 32 bytes as they are, as 64 hexadecimal digits or
// in base64; white space around the two text forms is ignored. The file must
// be regular and of mode 0600 or stricter. Errors never quote the contents.
func LoadKeys(file string) (*Keys, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is not a regular file", file)
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o: others may use it; set it to 0600 (chmod 600 %s)", file, mode, file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	secret, err := decodeKey(data)
	clear(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", file, err)
	}
	m, err := newMasterKey(secret)
	clear(secret)
	if err != nil {
		return nil, err
	}
	return &Keys{ring: []*masterKey{m}}, nil
}

var errKeyForm = errors.New("it must hold 32 random bytes: raw, as 64 hexadecimal digits or in base64 (pgveil keygen makes one)")

func decodeKey(data []byte) ([]byte, error) {
	var secret []byte
	if len(data) == KeySize {
		if isPrintable(data) { // 32 typed or hexadecimal characters hold far less than 32 random bytes
			return nil, errKeyForm
		}
		secret = bytes.Clone(data)
	} else if len(data) <= maxKeyFile {
		text := string(bytes.TrimSpace(data))
		var err error
		if len(text) == hex.EncodedLen(KeySize) {
			secret, err = hex.DecodeString(text)
		} else {
			secret, err = base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(text, "="))
		}
		if err != nil { // the decoders' errors quote the offending byte
			return nil, errKeyForm
		}
	}
	if len(secret) != KeySize {
		return nil, errKeyForm
	}
	if bytes.Count(secret, secret[:1]) == KeySize {
		return nil, errors.New("all bytes are the same: that is no key (pgveil keygen makes one)")
	}
	return secret, nil
}

func isPrintable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// newest is the key that masks. A missing one is an error that names the mask.
func (k *Keys) newest(s Spec) (*masterKey, error) {
	if k == nil || len(k.ring) == 0 {
		return nil, fmt.Errorf("mask %s %w", s, errNoKey)
	}
	return k.ring[0], nil
}

// groupOf is the class group of a column with a keyed mask.
func (c Column) groupOf() (string, error) {
	if g := group(c.Class); g != "" {
		return g, nil
	}
	return "", fmt.Errorf("mask %s needs a class to derive its key from", c.Spec)
}

// derive gives the newest key of a column's method and class group, of
// sha256.Size bytes. Equal groups share a key, so that equal values stay equal
// across columns.
func (k *Keys) derive(c Column) ([]byte, error) {
	m, err := k.newest(c.Spec)
	if err != nil {
		return nil, err
	}
	g, err := c.groupOf()
	if err != nil {
		return nil, err
	}
	return m.derive(string(c.Spec.Method), g, sha256.Size)
}

// derive gives a key of the size for a purpose and class group: HKDF with
// SHA-256 (RFC 5869), no salt, the two names as info.
func (m *masterKey) derive(purpose, group string, size int) ([]byte, error) {
	info := "pgveil/1/" + purpose + "/" + group
	if key, ok := m.derived.Load(info); ok {
		return key.([]byte), nil
	}
	key, err := hkdf.Key(sha256.New, m.secret[:], nil, info, size)
	if err != nil {
		return nil, fmt.Errorf("deriving a key for %s: %w", purpose, err)
	}
	actual, _ := m.derived.LoadOrStore(info, key)
	return actual.([]byte), nil
}

// group is the part of a class that keyed masks share: date.birth -> date.
func group(class string) string {
	g, _, _ := strings.Cut(class, ".")
	return g
}

const keyShown = "[key]"

// Format makes every fmt verb print "[key]".
func (k *Keys) Format(f fmt.State, _ rune) { io.WriteString(f, keyShown) }

// LogValue makes log/slog print "[key]".
func (k *Keys) LogValue() slog.Value { return slog.StringValue(keyShown) }

// MarshalText makes encoders print "[key]".
func (k *Keys) MarshalText() ([]byte, error) { return []byte(keyShown), nil }
