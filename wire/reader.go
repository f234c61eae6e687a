package wire

import (
	"bytes"
	"encoding/binary"
)

// reader takes fields from a message body. The first field that does not fit
// sets err; later reads give zeros.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail(errShort)
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) int16() int16 {
	if len(r.b) < 2 {
		r.fail(errShort)
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.b))
	r.b = r.b[2:]
	return v
}

func (r *reader) int32() int32 {
	if len(r.b) < 4 {
		r.fail(errShort)
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

// cstring takes a string up to its NUL.
func (r *reader) cstring() []byte {
	i := bytes.IndexByte(r.b, 0)
	if i < 0 {
		r.fail(errNoNUL)
		return nil
	}
	s := r.b[:i:i]
	r.b = r.b[i+1:]
	return s
}

// bytes takes n bytes.
func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail(errBadLength)
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

// count takes a 16-bit number of elements of at least min bytes each. It is
// unsigned where PostgreSQL reads it so: a statement has up to 65535 parameters.
func (r *reader) count(min int) int {
	n := int(uint16(r.int16()))
	if n*min > len(r.b) {
		r.fail(errBadCount)
		return 0
	}
	return n
}

// end returns the first error, or errTrailing when bytes are left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errTrailing
	}
	return r.err
}
