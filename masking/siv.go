package masking

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
)

// sivKeySize is the size of an AES-256-SIV key in bytes: one AES-256 key for the
// synthetic initialisation vector and one for the encryption.
const sivKeySize = 64

// sivTag is the size of the synthetic initialisation vector in bytes, by which a
// ciphertext is longer than its plaintext.
const sivTag = aes.BlockSize

// siv is deterministic authenticated encryption, AES-SIV (RFC 5297), under fixed
// associated data. It is safe for concurrent use: each caller brings a sivState.
type siv struct {
	mac, ctr cipher.Block
	k1, k2   [aes.BlockSize]byte // CMAC's subkeys (RFC 4493, section 2.3)
	head     [aes.BlockSize]byte // S2V's state after the associated data
}

// sivState is what one encryption writes to. Blocks that go through the
// cipher's interface would be allocated anew for each message otherwise.
type sivState struct {
	mac, last, block, counter [aes.BlockSize]byte
}

// newSIV prepares the key of 32, 48 or 64 bytes and the associated data.
func newSIV(key []byte, associated ...[]byte) (*siv, error) {
	if len(key)%2 != 0 {
		return nil, fmt.Errorf("an AES-SIV key has two halves, this one has %d bytes", len(key))
	}
	s := &siv{}
	var err error
	if s.mac, err = aes.NewCipher(key[:len(key)/2]); err != nil {
		return nil, err
	}
	if s.ctr, err = aes.NewCipher(key[len(key)/2:]); err != nil {
		return nil, err
	}
	s.mac.Encrypt(s.k1[:], s.k1[:])
	s.k1 = doubled(s.k1)
	s.k2 = doubled(s.k1)
	var w sivState
	s.cmac(&w, nil, make([]byte, aes.BlockSize))
	s.head = w.mac
	for _, a := range associated {
		s.head = doubled(s.head)
		s.cmac(&w, nil, a)
		subtle.XORBytes(s.head[:], s.head[:], w.mac[:])
	}
	return s, nil
}

// seal appends the tag and the ciphertext of plaintext, which must not overlap
// dst's free space.
func (s *siv) seal(w *sivState, dst, plaintext []byte) []byte {
	s.s2v(w, plaintext)
	dst = append(dst, w.mac[:]...)
	return s.xorStream(w, dst, plaintext)
}

// open appends the plaintext of what seal gave. It is false for anything else;
// dst then comes back as it was.
func (s *siv) open(w *sivState, dst, sealed []byte) ([]byte, bool) {
	if len(sealed) < sivTag {
		return dst, false
	}
	n := len(dst)
	copy(w.mac[:], sealed)
	out := s.xorStream(w, dst, sealed[sivTag:])
	s.s2v(w, out[n:])
	if subtle.ConstantTimeCompare(w.mac[:], sealed[:sivTag]) != 1 {
		clear(out[n:])
		return dst, false
	}
	return out, true
}

// s2v leaves the synthetic initialisation vector in w.mac (RFC 5297, section 2.4).
func (s *siv) s2v(w *sivState, plaintext []byte) {
	if len(plaintext) >= aes.BlockSize {
		s.cmac(w, &s.head, plaintext)
		return
	}
	w.block = [aes.BlockSize]byte{}
	copy(w.block[:], plaintext)
	w.block[len(plaintext)] = 0x80
	head := doubled(s.head)
	subtle.XORBytes(w.block[:], w.block[:], head[:])
	w.mac = [aes.BlockSize]byte{}
	subtle.XORBytes(w.mac[:], w.block[:], s.k1[:])
	s.mac.Encrypt(w.mac[:], w.mac[:])
}

// cmac leaves the CMAC (RFC 4493) of message in w.mac. The last 16 bytes of the
// message are combined with end first, when there is one (S2V's "xorend").
func (s *siv) cmac(w *sivState, end *[aes.BlockSize]byte, message []byte) {
	w.mac = [aes.BlockSize]byte{}
	offset := len(message) - aes.BlockSize // where end begins
	at := 0
	for ; len(message)-at > aes.BlockSize; at += aes.BlockSize {
		copy(w.last[:], message[at:])
		xorEnd(&w.last, end, at, offset)
		subtle.XORBytes(w.mac[:], w.mac[:], w.last[:])
		s.mac.Encrypt(w.mac[:], w.mac[:])
	}
	w.last = [aes.BlockSize]byte{}
	n := copy(w.last[:], message[at:])
	xorEnd(&w.last, end, at, offset)
	if n == aes.BlockSize {
		subtle.XORBytes(w.last[:], w.last[:], s.k1[:])
	} else {
		w.last[n] ^= 0x80
		subtle.XORBytes(w.last[:], w.last[:], s.k2[:])
	}
	subtle.XORBytes(w.mac[:], w.mac[:], w.last[:])
	s.mac.Encrypt(w.mac[:], w.mac[:])
}

// xorEnd combines the block that starts at a place of the message with the
// part of end that lies over it.
func xorEnd(block, end *[aes.BlockSize]byte, at, offset int) {
	if end == nil {
		return
	}
	for i := range block {
		if j := at + i - offset; j >= 0 && j < aes.BlockSize {
			block[i] ^= end[j]
		}
	}
}

// xorStream appends text combined with the key stream that starts at w.mac
// (RFC 5297, section 2.5): two bits of the counter are cleared.
func (s *siv) xorStream(w *sivState, dst, text []byte) []byte {
	w.counter = w.mac
	w.counter[8] &= 0x7f
	w.counter[12] &= 0x7f
	for len(text) > 0 {
		s.ctr.Encrypt(w.block[:], w.counter[:])
		n := min(len(text), aes.BlockSize)
		for i, c := range text[:n] {
			dst = append(dst, c^w.block[i])
		}
		text = text[n:]
		low := binary.BigEndian.Uint64(w.counter[8:]) + 1
		binary.BigEndian.PutUint64(w.counter[8:], low)
		if low == 0 {
			binary.BigEndian.PutUint64(w.counter[:], binary.BigEndian.Uint64(w.counter[:])+1)
		}
	}
	return dst
}

// doubled multiplies by x in the field of 2^128 elements (RFC 5297, section 2.3).
func doubled(b [aes.BlockSize]byte) [aes.BlockSize]byte {
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	carry := high >> 63
	binary.BigEndian.PutUint64(b[:8], high<<1|low>>63)
	binary.BigEndian.PutUint64(b[8:], low<<1^carry*0x87)
	return b
}
