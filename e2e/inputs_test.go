package e2e

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

var inputs = sync.OnceValue(func() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone in the meantime
		}
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return fs.SkipDir
		}
		if _, err = os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
})

// noteInputs looks at every file of the module. The go command keeps the result of a test as long as the files
// that it looked at are the same, and does not otherwise know of those that the tested program is built from.
func noteInputs(t testing.TB) {
	t.Helper()
	if err := inputs(); err != nil {
		t.Fatal(err)
	}
}
