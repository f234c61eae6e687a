package masking

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
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

// Keys holds the secret of the keyed masks. It prints as "[key]" in every
// form. It is safe for concurrent use; nil is valid where no mask is keyed.
type Keys struct {
	secret  [KeySize]byte
	derived sync.Map // info string -> []byte
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
	k := &Keys{}
	copy(k.secret[:], secret)
	clear(secret)
	return k, nil
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

// derive gives the key of a method and class group: HKDF with SHA-256
// (RFC 5869), no salt, the two names as info. Equal groups share a key, so that equal
// values stay equal across columns.
func (k *Keys) derive(method Method, group string) ([]byte, error) {
	info := "pgveil/1/" + string(method) + "/" + group
	if key, ok := k.derived.Load(info); ok {
		return key.([]byte), nil
	}
	key, err := hkdf.Key(sha256.New, k.secret[:], nil, info, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving a key for mask %s: %w", method, err)
	}
	actual, _ := k.derived.LoadOrStore(info, key)
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
