package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// account is the operating system's user that the server runs as.
type account struct {
	name     string
	uid, gid uint32
	other    bool // not the user of this process
}

// serverAccount is this process's user, or for root another one, because
// PostgreSQL refuses to run as root.
func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 != nil || err2 != nil || uid == 0 {
			continue
		}
		return account{name: name, uid: uint32(uid), gid: uint32(gid), other: true}, nil
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as: start pgveil as an ordinary user")
}

// credential is what a child process needs to run as the account.
func (a account) credential() *syscall.Credential {
	if !a.other {
		return nil
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: []uint32{}}
}

// own gives a file or folder to the account.
func (a account) own(path string) error {
	if !a.other {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// traversable says whether the account may pass through dir and every folder above it.
func (a account) traversable(dir string) error {
	if !a.other {
		return nil
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	for {
		st, err := os.Stat(dir)
		if err != nil {
			return err
		}
		if !st.IsDir() {
			return &fs.PathError{Op: "open", Path: dir, Err: syscall.ENOTDIR}
		}
		bit := fs.FileMode(0o001)
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			switch {
			case sys.Uid == a.uid:
				bit = 0o100
			case sys.Gid == a.gid:
				bit = 0o010
			}
		}
		if st.Mode().Perm()&bit == 0 {
			return fmt.Errorf("user %s, which runs PostgreSQL, may not enter %s", a.name, dir)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
}

// tempParents are the places for a cluster's folder, in order of preference.
func tempParents() []string { return []string{os.TempDir(), "/tmp", "/var/tmp"} }

// parentFor picks the folder to make the cluster's folder in: asked, or the first
// temporary folder that the account may enter (root's own TMPDIR often is closed).
func (a account) parentFor(asked string) (string, error) {
	if asked != "" {
		dir, err := filepath.Abs(asked)
		if err != nil {
			return "", err
		}
		return dir, a.traversable(dir)
	}
	var problems []error
	for _, dir := range tempParents() {
		err := a.traversable(dir)
		if err == nil {
			return dir, nil
		}
		problems = append(problems, err)
	}
	return "", fmt.Errorf("no temporary folder for the server: %w", errors.Join(problems...))
}
