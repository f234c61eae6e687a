package masking

import (
	"net/netip"
	"unsafe"
)

// maxPrefix is the longest prefix of an IPv4 address that still hides something.
const maxPrefix = 31

// Families of addresses in binary (PostgreSQL source, src/include/utils/inet.h).
const (
	netIPv4 = 2
	netIPv6 = 3
)

// prefixCell shows the network of an IP address: its first bits, the others
// zero. Of IPv6 addresses it shows twice as many bits: a site's network is a /48 where it
// is a /24 in IPv4. A network that is larger already keeps its length, its host bits become zero.
type prefixCell struct {
	typ      Type
	family   family
	format   int16
	bits     int
	redacted *constant
}

func newPrefixCell(c Column, redacted *constant) *prefixCell {
	return &prefixCell{typ: c.Type, family: familyOf(c.Type), format: c.Format, bits: int(c.Spec.Bucket), redacted: redacted}
}

func (p *prefixCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	prefix, ok := p.read(cell)
	if cell == nil || !ok {
		return p.redacted.MaskCell(dst, nil)
	}
	bits := p.bits
	if prefix.Addr().Is6() {
		bits *= 2
	}
	prefix = netip.PrefixFrom(prefix.Addr(), min(bits, prefix.Bits())).Masked()
	if p.family == famNet && p.format == binaryFormat {
		return p.appendBinary(dst, prefix), true
	}
	start := len(dst)
	dst = prefix.AppendTo(dst)
	n := len(dst) - start
	if limit := p.typ.length(); limit > 0 && n > limit {
		return p.redacted.MaskCell(dst[:start], nil)
	}
	return appendPadding(dst, p.typ, n), true
}

// read reads an address or a network.
func (p *prefixCell) read(cell []byte) (netip.Prefix, bool) {
	if p.family == famNet && p.format == binaryFormat {
		return readNetBinary(cell)
	}
	text := trimBpchar(p.typ, cell)
	if len(text) > len("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128") {
		return netip.Prefix{}, false
	}
	prefix, ok := parsePrefix(text)
	return prefix, ok
}

// parsePrefix reads 10.1.2.3, 10.1.2.3/8 and their like of IPv6. It allocates
// nothing for an address.
func parsePrefix(text []byte) (netip.Prefix, bool) {
	address, length := text, -1
	for i, c := range text {
		if c == '/' {
			n, ok := parseDigits(text[i+1:])
			if !ok || n < 0 || n > 128 || len(text)-i > 4 {
				return netip.Prefix{}, false
			}
			address, length = text[:i], int(n)
			break
		}
	}
	digits := 0
	for _, c := range address { // what is no address costs no error value
		switch {
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
			digits++
		case c != '.' && c != ':':
			return netip.Prefix{}, false
		}
	}
	if digits == 0 || digits == len(address) {
		return netip.Prefix{}, false
	}
	a, err := netip.ParseAddr(unsafe.String(&address[0], len(address))) // not kept: an Addr without zone has no string
	if err != nil || !a.IsValid() {
		return netip.Prefix{}, false
	}
	if length < 0 {
		length = a.BitLen()
	}
	p := netip.PrefixFrom(a, length)
	if a.Is4In6() { // it prints in another form than the server's; nobody stores such addresses
		return netip.Prefix{}, false
	}
	return p, p.IsValid()
}

// readNetBinary reads the form of inet_send (PostgreSQL source,
// src/backend/utils/adt/network.c): family, bits, is cidr, size, address.
func readNetBinary(cell []byte) (netip.Prefix, bool) {
	if len(cell) < 4 || int(cell[3]) != len(cell)-4 {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(cell[4:])
	if !ok || a.Is4In6() || cell[0] != netIPv4 && cell[0] != netIPv6 || a.Is4() != (cell[0] == netIPv4) {
		return netip.Prefix{}, false
	}
	p := netip.PrefixFrom(a, int(cell[1]))
	return p, p.IsValid()
}

func (p *prefixCell) appendBinary(dst []byte, prefix netip.Prefix) []byte {
	cidr := byte(0)
	if p.typ.OID == oidCIDR {
		cidr = 1
	}
	if prefix.Addr().Is4() {
		a := prefix.Addr().As4()
		return append(append(dst, netIPv4, byte(prefix.Bits()), cidr, 4), a[:]...)
	}
	a := prefix.Addr().As16()
	return append(append(dst, netIPv6, byte(prefix.Bits()), cidr, 16), a[:]...)
}
