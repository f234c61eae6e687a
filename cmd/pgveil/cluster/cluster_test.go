package cluster

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// helperEnv makes the test binary a parent that starts a cluster and hangs.
const helperEnv = "PGVEIL_CLUSTER_TEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) == "1" {
		c, err := Start(context.Background(), Options{Parent: os.Getenv("PGVEIL_CLUSTER_TEST_DIR")})
		if err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		fmt.Println(c.Pid())
		select {}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, o Options) *Cluster {
	t.Helper()
	c, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// processes are the pids of the running server: the postmaster and its children.
func processes(t *testing.T, c *Cluster) []int {
	t.Helper()
	conn, err := c.Connect(t.Context(), "postgres")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), "SELECT pid FROM pg_stat_activity")
	if err != nil {
		t.Fatal(err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return append(pids, c.Pid())
}

// gone waits until a process exists no more; the test's own deadline is the bound.
func gone(t *testing.T, pid int) {
	t.Helper()
	for !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		select {
		case <-t.Context().Done():
			t.Fatalf("process %d is still there", pid)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestStartStop(t *testing.T) {
	c := start(t, Options{Settings: map[string]string{"wal_level": "logical", "application_name": "it's"}})
	if c.Version() < MinVersion {
		t.Errorf("version %d", c.Version())
	}
	script := "CREATE ROLE ada LOGIN PASSWORD 'p@ss/word'; CREATE TABLE t(i int); INSERT INTO t VALUES (7); GRANT SELECT ON t TO ada;"
	if err := c.Exec(t.Context(), "postgres", script); err != nil {
		t.Fatal(err)
	}
	for _, dsn := range []string{
		c.DSN("ada", "p@ss/word", "postgres"),
		fmt.Sprintf("host=%s port=%d user=ada password=p@ss/word dbname=postgres", c.SocketDir(), c.Port),
	} {
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		var i int
		var wal string
		if err := conn.QueryRow(t.Context(), "SELECT i, current_setting('wal_level') FROM t").Scan(&i, &wal); err != nil {
			t.Fatal(err)
		}
		if i != 7 || wal != "logical" {
			t.Errorf("got %d, %q", i, wal)
		}
		if err := conn.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, dsn := range []string{c.DSN("ada", "wrong", "postgres"), c.DSN("postgres", "postgres", "postgres")} {
		if conn, err := pgx.Connect(t.Context(), dsn); err == nil {
			conn.Close(t.Context())
			t.Error("a wrong password was accepted")
		}
	}
	if err := c.Exec(t.Context(), "postgres", "SELECT 1; SELECT nothing"); err == nil {
		t.Error("a wrong script succeeded")
	}
	pids := processes(t, c)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, pid := range pids {
		gone(t, pid)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there: %v", c.Dir, err)
	}
	if err := c.Stop(); err != nil {
		t.Errorf("second Stop: %v", err)
	}
	if err := c.Resume(t.Context()); err == nil {
		t.Error("a stopped cluster was resumed")
	}
}

func TestHaltResumeKeep(t *testing.T) {
	c := start(t, Options{Keep: true, Parent: parent(t)})
	if err := c.Exec(t.Context(), "postgres", "CREATE TABLE t(i int)"); err != nil {
		t.Fatal(err)
	}
	pid, port := c.Pid(), c.Port
	c.Halt()
	gone(t, pid)
	if c.Pid() != 0 {
		t.Error("a halted server has a pid")
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c.Port != port {
		t.Errorf("port %d became %d", port, c.Port)
	}
	if err := c.Exec(t.Context(), "postgres", "TABLE t"); err != nil {
		t.Error(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.Dir, "server", "data", "PG_VERSION")); err != nil {
		t.Errorf("Keep did not keep: %v", err)
	}
}

// parent is a folder that is removed with the test and that the server's account may enter.
func parent(t *testing.T) string {
	t.Helper()
	a, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	above, err := a.parentFor("")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp(above, "pgveil-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestServerEndsWithItsParent(t *testing.T) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Log("only Linux ends a child with its parent")
		return
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"=1", "PGVEIL_CLUSTER_TEST_DIR="+parent(t))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	var pid int
	if _, err := fmt.Sscan(line, &pid); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Fatalf("the server does not run: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait()
	gone(t, pid)
}

func TestStartFailsCleanly(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name    string
		ctx     context.Context
		options Options
		want    string
	}{
		{"port taken", t.Context(), Options{Port: taken.Addr().(*net.TCPAddr).Port}, "the port is taken"},
		{"bad setting", t.Context(), Options{Settings: map[string]string{"no_such_setting": "1"}}, "no_such_setting"},
		{"file outside", t.Context(), Options{Files: map[string][]byte{"../x": nil}}, "not the name of a file"},
		{"cancelled", cancelled, Options{Binaries: found(t)}, "context canceled"},
		{"no such folder", t.Context(), Options{Parent: "/no/such/folder"}, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.options.Parent == "" {
				c.options.Parent = parent(t)
			}
			cl, err := Start(c.ctx, c.options)
			if err == nil {
				cl.Stop()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q has no %q", err, c.want)
			}
			if left, _ := filepath.Glob(filepath.Join(c.options.Parent, "*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func found(t *testing.T) Binaries {
	t.Helper()
	b, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})
	c := start(t, Options{
		Settings: map[string]string{"ssl": "on", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"},
		Files:    map[string][]byte{"server.crt": certPEM, "server.key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})},
		HBA:      []string{"hostnossl all all 127.0.0.1/32 reject"},
	})
	root := filepath.Join(t.TempDir(), "root.crt")
	if err := os.WriteFile(root, certPEM, 0o600); err != nil {
		t.Fatal(err)
	}
	dsn := strings.Replace(c.SuperDSN("postgres"), "sslmode=require", "sslmode=verify-full&sslrootcert="+root, 1)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var on bool
	if err := conn.QueryRow(t.Context(), "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").Scan(&on); err != nil || !on {
		t.Errorf("ssl %t, %v", on, err)
	}
	if conn, err := pgx.Connect(t.Context(), strings.Replace(c.SuperDSN("postgres"), "sslmode=require", "sslmode=disable", 1)); err == nil {
		conn.Close(t.Context())
		t.Error("the line of pg_hba.conf had no effect")
	}
}
