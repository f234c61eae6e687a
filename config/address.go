package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
)

// DefaultPort is the port of a listening socket directory when no TCP address stands in the list.
const DefaultPort = 6432

// maxSocketPath is the longest path of a Unix-domain socket that Linux binds: sun_path has 108 bytes, one is the final zero (unix(7)).
const maxSocketPath = 107

// Address is a TCP address or a Unix-domain socket as PostgreSQL names it: a directory and a port.
type Address struct {
	Host string // an absolute path is a socket directory
	Port int    // 0: any free port (listen only)
}

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// Unix reports whether a is a Unix-domain socket.
func (a Address) Unix() bool { return strings.HasPrefix(a.Host, "/") }

// Network returns "tcp" or "unix", for package net.
func (a Address) Network() string {
	if a.Unix() {
		return "unix"
	}
	return "tcp"
}

// String returns host:port, or the path of the socket file, for package net.
func (a Address) String() string {
	switch {
	case a.IsZero():
		return ""
	case a.Unix():
		return filepath.Join(a.Host, ".s.PGSQL."+strconv.Itoa(a.Port))
	}
	return net.JoinHostPort(a.Host, strconv.Itoa(a.Port))
}

// Local reports whether a never leaves this machine: a socket or a loopback address.
func (a Address) Local() bool {
	if a.Unix() || a.Host == "localhost" { // RFC 6761, section 6.3: localhost is the loopback
		return true
	}
	ip, err := netip.ParseAddr(a.Host)
	return err == nil && ip.Unmap().IsLoopback()
}

// parseAddress reads host:port, [IPv6]:port or, when sockets is true, an absolute directory, whose Port stays 0.
func parseAddress(s string, sockets bool) (Address, error) {
	if strings.HasPrefix(s, "/") {
		if !sockets {
			return Address{}, errors.New("a socket directory cannot be used here: write host:port")
		}
		return Address{Host: filepath.Clean(s)}, nil
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		return Address{}, errors.New("not an address: write host:port, [IPv6 address]:port or a socket directory's absolute path")
	}
	if host == "" || host == "*" {
		return Address{}, errors.New("the host is missing: write 0.0.0.0:port or [::]:port for every interface")
	}
	if err := checkHost(host); err != nil {
		return Address{}, err
	}
	n, err := parseInt(port)
	if err != nil || n < 0 || n > 65535 {
		return Address{}, errors.New("the port must be a number from 0 to 65535")
	}
	return Address{Host: host, Port: int(n)}, nil
}

// checkHost accepts a host name or an IP address.
func checkHost(host string) error {
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	if len(host) > 253 {
		return errors.New("the host name is longer than 253 bytes")
	}
	for i := range len(host) {
		switch c := host[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return fmt.Errorf("not a host name or an IP address: %q cannot stand in one", host[i])
		}
	}
	return nil
}
