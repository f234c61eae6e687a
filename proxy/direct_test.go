package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"pgveil/wire"
)

// TestDirectTLS: a client may begin with the handshake, and then has to name the protocol.
func TestDirectTLS(t *testing.T) {
	upstreamServer(t)
	for _, mode := range []string{"off", "allow", "require"} {
		t.Run(mode, func(t *testing.T) {
			p := start(t, setup{extra: clientTLSYAML(mode)})
			for _, binding := range []string{"require", "disable"} {
				c, err := p.connect(t, "alice", "wonderland", "sslmode=require sslnegotiation=direct channel_binding="+binding)
				if (err == nil) != (mode != "off") || code(err) != "" {
					t.Errorf("channel_binding=%s: %v", binding, err)
				}
				if err == nil {
					// The request to cancel comes the same way.
					if err := c.PgConn().CancelRequest(t.Context()); err != nil {
						t.Error(err)
					}
					c.Close(context.Background())
				}
			}
			for _, names := range [][]string{nil, {"http/1.1"}, {"http/1.1", "postgresql"}} {
				c := tls.Client(p.dial(t), &tls.Config{InsecureSkipVerify: true, NextProtos: names})
				c.Write(startupPacket(0, "user", "alice"))
				var first [1]byte
				_, err := io.ReadFull(c, first[:])
				if want := mode != "off" && len(names) == 2; (err == nil) != want {
					t.Errorf("ALPN %v: %q, %v", names, first, err)
				}
			}
			if n := p.metrics.cancels.Load(); (n == 2) != (mode != "off") {
				t.Errorf("%d cancelled\n%s", n, p.log)
			}
		})
	}
}

// TestDirectTLSRefused: what follows from bytes that look like TLS is an end without a word, as TLS has none for it.
func TestDirectTLSRefused(t *testing.T) {
	dir, err := os.MkdirTemp("", "pgveil") // t.TempDir's path can be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	upstreamServer(t)
	for mode, network := range map[string]string{"off": "tcp", "require": "unix"} {
		s := setup{extra: clientTLSYAML(mode)}
		if network == "unix" {
			s.listen = "[" + dir + "]"
		}
		p := start(t, s)
		var c net.Conn
		if network == "unix" {
			c, err = net.Dial("unix", filepath.Join(dir, ".s.PGSQL.6432"))
		} else {
			c = p.dial(t)
		}
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Write([]byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"))
		if got, err := io.ReadAll(c); len(got) > 0 || err != nil && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: %q, %v", network, got, err)
		}
	}
}

// TestNegotiateProtocolVersion: the server may settle on an older version that was offered, once and first.
func TestNegotiateProtocolVersion(t *testing.T) {
	body := func(version uint32, options ...string) []byte {
		b := wire.AppendNegotiateProtocolVersion(nil, 0, options)[wire.HeaderSize:]
		b[0], b[1], b[2], b[3] = byte(version>>24), byte(version>>16), byte(version>>8), byte(version)
		return b
	}
	for _, c := range []struct {
		name  string
		asked uint16
		late  bool
		body  []byte
		want  uint16
		ok    bool
	}{
		{"3.0 of 3.2", 2, false, body(3 << 16), 0, true},
		{"the minor version alone", 2, false, body(0), 0, true},
		{"3.2 of 3.2", 2, false, body(3<<16 | 2), 2, true},
		{"3.2 of 3.0", 0, false, body(3<<16 | 2), 0, false},
		{"4.0", 2, false, body(4 << 16), 0, false},
		{"an option that nobody named", 2, false, body(3<<16, "_pq_.x"), 0, false},
		{"after the authentication began", 2, true, body(3 << 16), 0, false},
		{"short", 2, false, []byte{0, 3}, 0, false},
	} {
		l := &serverLogin{minor: c.asked, settled: c.late}
		err := l.negotiated(c.body)
		if (err == nil) != c.ok || c.ok && l.minor != c.want {
			t.Errorf("%s: 3.%d, %v", c.name, l.minor, err)
		}
		if c.ok && l.negotiated(c.body) == nil {
			t.Errorf("%s: twice", c.name)
		}
	}
}

// TestProtocol32Upstream: a server that speaks 3.0 alone is asked for 3.2 all the same.
func TestProtocol32Upstream(t *testing.T) {
	pg := upstreamServer(t)
	p := start(t, setup{upstream: "{host: 127.0.0.1, port: " + strconv.Itoa(pg.Port) + ", sslmode: disable, max_protocol_version: 3.2}"})
	p.mustConnect(t, "alice", "wonderland", "")
}

func TestAddHost(t *testing.T) {
	long := strings.Repeat("é", 40)
	for _, c := range []struct {
		in   []wire.Param
		want string
	}{
		{nil, "app - 10.1.2.3:5"},
		{[]wire.Param{{Name: "application_name", Value: "psql"}}, "psql - 10.1.2.3:5"},
		{[]wire.Param{{Name: "application_name", Value: ""}}, " - 10.1.2.3:5"},
		{[]wire.Param{{Name: "Application_Name", Value: "psql"}, {Name: "options", Value: "-c application_name=other"}}, "psql - 10.1.2.3:5"},
		{[]wire.Param{{Name: "options", Value: "-c work_mem=1MB -capplication-name=a\\ b"}}, "a b - 10.1.2.3:5"},
		{[]wire.Param{{Name: "options", Value: "-x nonsense"}}, "app - 10.1.2.3:5"},
		{[]wire.Param{{Name: "application_name", Value: long}}, long[:50] + " - 10.1.2.3:5"},
	} {
		got := addHost(append([]wire.Param{{Name: "datestyle", Value: "ISO"}}, c.in...), "10.1.2.3:5")
		last := got[len(got)-1]
		if last.Name != "application_name" || last.Value != c.want || len(last.Value) > maxApplicationName || got[0].Name != "datestyle" {
			t.Errorf("%v: %q", c.in, got)
		}
		for _, p := range got[:len(got)-1] {
			if strings.EqualFold(p.Name, "application_name") {
				t.Errorf("%v: twice in %v", c.in, got)
			}
		}
	}
}

// TestApplicationNameAddHost: the server sees where a client comes from.
func TestApplicationNameAddHost(t *testing.T) {
	pg := upstreamServer(t)
	p := start(t, setup{upstream: "{host: 127.0.0.1, port: " + strconv.Itoa(pg.Port) + ", sslmode: disable, application_name_add_host: true}"})
	for _, user := range []string{"alice", "postgres"} {
		c := p.mustConnect(t, user, map[string]string{"alice": "wonderland", "postgres": "super"}[user], "application_name=tool")
		want := "tool - " + c.PgConn().Conn().LocalAddr().String()
		var name string
		if err := c.QueryRow(t.Context(), "SELECT application_name FROM pg_catalog.pg_stat_activity WHERE pid = pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&name); err != nil || name != want {
			t.Errorf("%s: %q, want %q, %v", user, name, want, err)
		}
		if got := c.PgConn().ParameterStatus("application_name"); got != want {
			t.Errorf("%s: reported %q", user, got)
		}
	}
}
