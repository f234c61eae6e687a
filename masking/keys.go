package masking

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
)

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

// keyID is a key's id as tokens carry it, in hexadecimal digits.
type keyID [4]byte

func (id keyID) String() string { return string(id[:]) }

func (m *masterKey) keyID() (id keyID) {
	hex.Encode(id[:], binary.BigEndian.AppendUint16(nil, m.id))
	return id
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

// newRing makes the keys of secrets, the newest first. Two keys of one id are an
// error: tokens could not tell them apart.
func newRing(secrets [][]byte) (*Keys, error) {
	k := &Keys{}
	for i, secret := range secrets {
		m, err := newMasterKey(secret)
		if err != nil {
			return nil, err
		}
		for j, other := range k.ring {
			switch {
			case other.secret == m.secret:
				return nil, fmt.Errorf("keys %d and %d are the same: delete one", j+1, i+1)
			case other.id == m.id:
				return nil, fmt.Errorf("keys %d and %d have the same id %s: replace the newer one, if no token was made with it yet", j+1, i+1, m.keyID())
			}
		}
		k.ring = append(k.ring, m)
	}
	return k, nil
}

// IDs lists the ids of the keys as tokens carry them, the newest first.
func (k *Keys) IDs() (ids []string) {
	if k == nil {
		return nil
	}
	for _, m := range k.ring {
		ids = append(ids, m.keyID().String())
	}
	return ids
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
