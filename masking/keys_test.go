package masking

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func writeKey(t *testing.T, data []byte, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoadKeys(t *testing.T) {
	secret := testKeys().ring[0].secret[:]
	for _, form := range []string{
		string(secret),
		hex.EncodeToString(secret),
		strings.ToUpper(hex.EncodeToString(secret)) + "\r\n",
		base64.StdEncoding.EncodeToString(secret) + "\n",
		" " + base64.RawStdEncoding.EncodeToString(secret),
	} {
		for _, mode := range []os.FileMode{0o600, 0o400} {
			k, err := LoadKeys(writeKey(t, []byte(form), mode))
			if err != nil || !bytes.Equal(k.ring[0].secret[:], secret) {
				t.Errorf("%q: %v", form, err)
			}
		}
	}
	generated := GenerateKey()
	if k, err := LoadKeys(writeKey(t, []byte(generated), 0o600)); err != nil || hex.EncodeToString(k.ring[0].secret[:])+"\n" != generated {
		t.Errorf("a generated key is not read: %v", err)
	}
	if generated == GenerateKey() {
		t.Error("two generated keys are equal")
	}
}

func TestLoadKeysRefuses(t *testing.T) {
	good := []byte(hex.EncodeToString(testKeys().ring[0].secret[:]))
	for _, c := range []struct {
		data []byte
		mode os.FileMode
		want string
	}{
		{good, 0o640, "mode 0640"},
		{good, 0o604, "mode 0604"},
		{good, 0o700, "mode 0700"},
		{good[:62], 0o600, "32 random bytes"},
		{append(good[:63:63], 'x'), 0o600, "32 random bytes"},
		{nil, 0o600, "32 random bytes"},
		{[]byte("secretsecretsecretsecretsecretse"), 0o600, "32 random bytes"}, // 32 typed characters
		{bytes.Repeat([]byte("a"), 1<<16), 0o600, "over 16384 bytes"},
		{[]byte("# no key\n\n"), 0o600, "no key in it"},
		{append(good[:64:64], "\nnew"...), 0o600, "line 2: each line must hold 32 random bytes"},
		{[]byte(string(good) + "\n# again\n" + strings.ToUpper(string(good))), 0o600, "keys 1 and 2 are the same"},
		{[]byte(strings.Repeat(string(good)+"\n", 65)), 0o600, "65 keys"},
		{bytes.Repeat([]byte("0"), 64), 0o600, "all bytes are the same"},
		{make([]byte, 32), 0o600, "all bytes are the same"},
		{testKeys().ring[0].secret[:31], 0o600, "32 random bytes"},
	} {
		file := writeKey(t, c.data, c.mode)
		_, err := LoadKeys(file)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), file) {
			t.Errorf("%.40q mode %o: %v, want %q", c.data, c.mode, err, c.want)
		} else if len(c.data) > 8 && strings.Contains(err.Error(), string(c.data[:8])) {
			t.Errorf("the error quotes the key: %v", err)
		}
	}
	if _, err := LoadKeys(t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	if _, err := LoadKeys(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is no error")
	}
}

// TestKeyRing: the first key of a file is the newest.
func TestKeyRing(t *testing.T) {
	first, second := testRing(1).ring[0], testRing(2).ring[0]
	data := "# since May\n" + base64.StdEncoding.EncodeToString(second.secret[:]) + "\r\n\n  # before\n\t" + hex.EncodeToString(first.secret[:])
	k, err := LoadKeys(writeKey(t, []byte(data), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := k.IDs(), testRing(2, 1).IDs(); !slices.Equal(got, want) || k.ring[0].secret != second.secret {
		t.Errorf("ids %v, want %v", got, want)
	}
	if ids := (*Keys)(nil).IDs(); ids != nil {
		t.Errorf("no keys have the ids %v", ids)
	}
}

// TestAddKey: a new key stands before the old ones, which stay, and the file's mode and comments do.
func TestAddKey(t *testing.T) {
	old := testRing(1)
	secret := old.ring[0].secret[:]
	for _, form := range []string{string(secret), hex.EncodeToString(secret), "# first\n" + base64.StdEncoding.EncodeToString(secret) + "\n"} {
		for _, mode := range []os.FileMode{0o600, 0o400} {
			file := writeKey(t, []byte(form), mode)
			for n := 2; n <= 3; n++ {
				added, err := AddKey(file)
				if err != nil {
					t.Fatal(err)
				}
				loaded, err := LoadKeys(file)
				if err != nil {
					t.Fatal(err)
				}
				if ids := added.IDs(); len(ids) != n || ids[n-1] != old.IDs()[0] || !slices.Equal(ids, loaded.IDs()) {
					t.Errorf("%q: key ids %v, in the file %v", form, ids, loaded.IDs())
				}
			}
			info, err := os.Stat(file)
			if err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			data, _ := os.ReadFile(file)
			if strings.HasPrefix(form, "#") != strings.Contains(string(data), "\n# first\n") {
				t.Errorf("%q becomes %d bytes without the comment", form, len(data))
			}
			if entries, _ := os.ReadDir(filepath.Dir(file)); len(entries) != 1 {
				t.Errorf("%d files are left", len(entries))
			}
		}
	}
	for _, c := range []struct {
		data string
		mode os.FileMode
		want string
	}{{hex.EncodeToString(secret), 0o640, "mode 0640"}, {"new", 0o600, "line 1"}} {
		file := writeKey(t, []byte(c.data), c.mode)
		if _, err := AddKey(file); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.data, err)
		}
		if data, _ := os.ReadFile(file); string(data) != c.data {
			t.Errorf("%q became %q", c.data, data)
		}
	}
	if _, err := AddKey(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a missing file is no error")
	}
}

// TestAddKeyThroughLink: the file behind a symbolic link is replaced, not the link.
func TestAddKeyThroughLink(t *testing.T) {
	file := writeKey(t, []byte(GenerateKey()), 0o600)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	if _, err := AddKey(link); err != nil {
		t.Fatal(err)
	}
	if k, err := LoadKeys(file); err != nil || len(k.IDs()) != 2 {
		t.Errorf("the file has the keys %v, %v", k.IDs(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
}

// TestKeysNeverPrint: no way of printing keys shows a byte of them.
func TestKeysNeverPrint(t *testing.T) {
	k := testKeys()
	if _, err := k.ring[0].derive("hash", "mrn", 32); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+"\n", k)
		fmt.Fprintf(&out, verb+"\n", struct{ K *Keys }{k})
	}
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(handler).Info("key", "key", k)
	}
	if err := json.NewEncoder(&out).Encode(k); err != nil {
		t.Fatal(err)
	}
	shown := out.String()
	if n := strings.Count(shown, keyShown); n != 17 {
		t.Errorf("%d of 17 ways print %s:\n%s", n, keyShown, shown)
	}
	secret := k.ring[0].secret[:]
	for _, form := range []string{string(secret[:4]), hex.EncodeToString(secret[:4]), base64.StdEncoding.EncodeToString(secret[:6]), "0x1, 0x8, 0xf", "1 8 15"} {
		if strings.Contains(shown, form) {
			t.Errorf("%q of the key is printed:\n%s", form, shown)
		}
	}
}
