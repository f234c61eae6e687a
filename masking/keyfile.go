package masking

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// KeySize is the size of each secret in a key file, in bytes.
const KeySize = 32

// Limits of a key file.
const (
	maxKeyFile = 1 << 14 // bytes
	maxRing    = 64      // keys
)

// GenerateKey returns the contents of a new key file: 32 random bytes as 64
// hexadecimal digits and a newline.
func GenerateKey() string {
	var secret [KeySize]byte
	rand.Read(secret[:]) // never fails (crypto/rand)
	return hex.EncodeToString(secret[:]) + "\n"
}

// LoadKeys reads a key file: one key a line, the newest first, each 64
// hexadecimal digits or base64. White space around a key, empty lines and lines that
// start with # are ignored. A file of exactly 32 bytes, as they are, is one key, too. The file must be regular and
// of mode 0600 or stricter. Errors never quote the contents.
func LoadKeys(file string) (*Keys, error) {
	data, _, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	k, err := decodeKeys(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", file, err)
	}
	return k, nil
}

// readKeyFile reads a file that only its owner may use.
func readKeyFile(file string) ([]byte, fs.FileInfo, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("key file %s is not a regular file", file)
	}
	if mode := info.Mode().Perm(); mode&^0o600 != 0 {
		return nil, nil, fmt.Errorf("key file %s has mode %04o: others may use it; set it to 0600 (chmod 600 %s)", file, mode, file)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, nil, fmt.Errorf("key file: %w", err)
	}
	if len(data) > maxKeyFile {
		return nil, nil, fmt.Errorf("key file %s: %w; it has over %d bytes", file, errKeyForm, maxKeyFile)
	}
	return data, info, nil
}

var (
	errKeyForm = errors.New("each line must hold 32 random bytes as 64 hexadecimal digits or in base64 (pgveil keygen makes one)")
	errSame    = errors.New("all bytes are the same: that is no key (pgveil keygen makes one)")
)

// isRaw tells the form that is one key as it is. 32 typed or hexadecimal
// characters hold far less than 32 random bytes.
func isRaw(data []byte) bool { return len(data) == KeySize && !isPrintable(data) }

func decodeKeys(data []byte) (*Keys, error) {
	var secrets [][]byte
	if isRaw(data) {
		secrets = [][]byte{data}
	} else {
		number := 0
		for line := range bytes.Lines(data) {
			number++
			line = bytes.TrimSpace(line)
			if len(line) == 0 || line[0] == '#' {
				continue
			}
			secret := decodeKey(line)
			defer clear(secret)
			if len(secret) != KeySize {
				return nil, fmt.Errorf("line %d: %w", number, errKeyForm)
			}
			secrets = append(secrets, secret)
		}
	}
	switch n := len(secrets); {
	case n == 0:
		return nil, fmt.Errorf("there is no key in it: %w", errKeyForm)
	case n > maxRing:
		return nil, fmt.Errorf("there are %d keys in it: at most %d are allowed", n, maxRing)
	}
	for _, secret := range secrets {
		if bytes.Count(secret, secret[:1]) == KeySize {
			return nil, errSame
		}
	}
	return newRing(secrets)
}

// decodeKey gives the secret of one line, nil when it is none. The decoders'
// errors would quote it.
func decodeKey(line []byte) []byte {
	var secret []byte
	var err error
	if len(line) == hex.EncodedLen(KeySize) {
		secret, err = hex.AppendDecode(nil, line)
	} else {
		secret, err = base64.RawStdEncoding.Strict().AppendDecode(nil, bytes.TrimRight(line, "="))
	}
	if err != nil {
		return nil
	}
	return secret
}

func isPrintable(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// AddKey puts a new key before the others of a key file and gives all keys as
// they are now. The file is replaced in one step, keeps its owner and
// gets mode 0600; on an error it is as it was.
func AddKey(file string) (*Keys, error) {
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target // a link stays one
	}
	data, info, err := readKeyFile(file)
	if err != nil {
		return nil, err
	}
	defer clear(data)
	old, err := decodeKeys(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", file, err)
	}
	if isRaw(data) {
		data = append(hex.AppendEncode(nil, data), '\n')
	}
	for {
		key := GenerateKey()
		added, err := decodeKeys([]byte(key))
		if err != nil {
			return nil, err
		}
		if slices.Contains(old.IDs(), added.IDs()[0]) {
			continue // one in 65536
		}
		data = slices.Concat([]byte(key), data)
		break
	}
	defer clear(data)
	k, err := decodeKeys(data)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", file, err)
	}
	if err := replaceFile(file, info, data); err != nil {
		return nil, fmt.Errorf("key file %s is as it was: %w", file, err)
	}
	return k, nil
}

// replaceFile puts a file with the same owner in place of one, on disk before
// it is seen.
func replaceFile(file string, old fs.FileInfo, data []byte) error {
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, "."+filepath.Base(file)+".") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(data)
	if err = errors.Join(err, sameOwner(f, old), f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), file); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil // replaced; only a crash of the machine now could bring the old file back
	}
	defer d.Close()
	d.Sync()
	return nil
}

// sameOwner gives a new file the owner of an old one, for a key file that root
// changes for the account of the proxy.
func sameOwner(f *os.File, old fs.FileInfo) error {
	owner, ok := old.Sys().(*syscall.Stat_t)
	if !ok || int(owner.Uid) == os.Geteuid() {
		return nil
	}
	return f.Chown(int(owner.Uid), int(owner.Gid))
}
