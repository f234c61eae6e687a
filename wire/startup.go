package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"
)

// StartupKind is the kind of an untyped packet, which a client sends before
// the typed messages begin.
type StartupKind uint8

// The kinds of startup packet.
const (
	StartupMessage StartupKind = iota + 1
	SSLRequest
	GSSENCRequest
	CancelRequest
	DirectTLS // no packet: the client begins with a TLS handshake (libpq's sslnegotiation=direct, PostgreSQL docs, section 55.2.10)
)

// tlsHandshake is the first byte of a TLS connection: the record type handshake
// (RFC 8446, 5.1). As the first byte of a length it would mean 352 MiB and more.
const tlsHandshake = 0x16

// BeginsTLS reports whether a connection's first bytes are those of a TLS handshake.
func BeginsTLS(b []byte) bool { return len(b) > 0 && b[0] == tlsHandshake }

// Codes in the place of the protocol version (pqcomm.h).
const (
	sslRequestCode    = 1234<<16 | 5679
	gssencRequestCode = 1234<<16 | 5680
	cancelRequestCode = 1234<<16 | 5678
)

// The newest protocol version that pgveil speaks, and the newest minor
// versions that exist for it. 3.1 was never used.
const (
	ProtocolMajor = 3
	ProtocolMinor = 2
)

// Limits of CancelRequest and BackendKeyData: the key has 4 bytes in protocol
// 3.0 and 4 to 256 in 3.2.
const (
	minCancelKey = 4
	maxCancelKey = 256
)

// Param is a parameter of a StartupMessage.
type Param struct{ Name, Value string }

// Startup is a parsed startup packet.
type Startup struct {
	Kind         StartupKind
	Major, Minor uint16   // StartupMessage: the version asked for
	Params       []Param  // StartupMessage: in order; names occur once; protocol options (_pq_.…) are not in it
	Options      []string // StartupMessage: names of the protocol options (_pq_.…), all unknown to pgveil
	PID          uint32   // CancelRequest
	Key          []byte   // CancelRequest: a copy
}

// Get returns the value of a parameter, "" when it is absent.
func (s *Startup) Get(name string) string {
	for _, p := range s.Params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// StartupHeader reads the length of the startup packet at the start of b, the
// four bytes of the length included. With ok false more bytes are needed. The
// error is for a length below 8 or above MaxStartup: whoever sends it does not
// speak this protocol.
func StartupHeader(b []byte) (size int, ok bool, err error) {
	if len(b) < 4 {
		return 0, false, nil
	}
	n := binary.BigEndian.Uint32(b)
	if n < 8 || n > MaxStartup {
		return 0, false, errors.New("invalid length of startup packet")
	}
	return int(n), true, nil
}

// ParseStartup parses a whole startup packet, length included. A major version
// other than 3 is not an error here: Params are then empty and the caller
// answers with UnsupportedProtocol.
func ParseStartup(packet []byte) (*Startup, error) {
	size, ok, err := StartupHeader(packet)
	switch {
	case err != nil:
		return nil, err
	case !ok || size > len(packet):
		return nil, errShort
	case size < len(packet):
		return nil, errTrailing
	}
	r := reader{b: packet[4:]}
	code := uint32(r.int32())
	switch code {
	case sslRequestCode:
		return &Startup{Kind: SSLRequest}, r.end()
	case gssencRequestCode:
		return &Startup{Kind: GSSENCRequest}, r.end()
	case cancelRequestCode:
		s := &Startup{Kind: CancelRequest, PID: uint32(r.int32())}
		if n := len(r.b); n < minCancelKey || n > maxCancelKey {
			return nil, errors.New("invalid length of cancel key")
		}
		s.Key = append([]byte(nil), r.b...)
		return s, nil
	}
	s := &Startup{Kind: StartupMessage, Major: uint16(code >> 16), Minor: uint16(code)}
	if s.Major != ProtocolMajor {
		return s, nil
	}
	for {
		name := string(r.cstring())
		if r.err != nil {
			return nil, r.err
		}
		if name == "" {
			break
		}
		value := string(r.cstring())
		if r.err != nil {
			return nil, r.err
		}
		if !utf8.ValidString(name) {
			return nil, errors.New("name of a startup parameter is not UTF-8")
		}
		if len(name) > 5 && name[:5] == "_pq_." {
			s.Options = append(s.Options, name)
			continue
		}
		for _, p := range s.Params {
			// The server takes the last one, other readers the first: nobody who
			// has a reason to decide by a parameter may be of two minds.
			if p.Name == name {
				return nil, fmt.Errorf("startup parameter %q is given twice", name)
			}
		}
		s.Params = append(s.Params, Param{name, value})
	}
	return s, r.end()
}

// AppendStartup appends a StartupMessage for protocol 3.minor.
func AppendStartup(dst []byte, minor uint16, params []Param) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, ProtocolMajor<<16|uint32(minor))
	for _, p := range params {
		dst = appendString(dst, p.Name)
		dst = appendString(dst, p.Value)
	}
	dst = append(dst, 0)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	return dst
}

// AppendSSLRequest appends an SSLRequest.
func AppendSSLRequest(dst []byte) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(dst, 8), sslRequestCode)
}

// AppendCancelRequest appends a CancelRequest.
func AppendCancelRequest(dst []byte, pid uint32, key []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(12+len(key)))
	dst = binary.BigEndian.AppendUint32(dst, cancelRequestCode)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	return append(dst, key...)
}
