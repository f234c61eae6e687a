package masking

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"sync"
	"unicode/utf8"
)

// A text token is tok_, four hexadecimal digits that name the key, and
// AES-SIV's output over the value in unpadded base64url (RFC 4648, section 5):
// it needs no quoting in SQL strings, URLs, CSV and JSON.
const (
	tokenPrefix = "tok_"
	tokenHead   = len(tokenPrefix) + 4
)

// maxToken bounds a token that is read, in bytes. It is more than a token of
// any value that an index of PostgreSQL could hold.
const maxToken = 1 << 14

// maxTokenValue bounds the value of a token, in bytes: longer ones are redacted.
const maxTokenValue = (maxToken-tokenHead)/4*3 - sivTag

var tokenEncoding = base64.RawURLEncoding.Strict()

// tokenLength is the length of a value's token, in bytes and characters.
func tokenLength(value int) int { return tokenHead + tokenEncoding.EncodedLen(sivTag+value) }

func (s Spec) checkToken(t Type) error {
	switch familyOf(t) {
	case famText:
		if n := t.length(); n > 0 && n < tokenLength(1) {
			return s.misfit(t, fmt.Sprintf("the shortest token has %d characters; hash and fpe are shorter", tokenLength(1)))
		}
		return nil
	case famInt, famUUID:
		return nil
	case famNumeric:
		switch precision, scale, ok := t.numericMod(); {
		case ok && scale != 0:
			return s.misfit(t, "it gives whole numbers, so it serves numeric without a scale")
		case ok && precision < minTokenPrecision:
			return s.misfit(t, fmt.Sprintf("it needs at least %d digits", minTokenPrecision))
		}
		return nil
	}
	return s.misfit(t, "it serves text types, integers, numeric without a scale and uuid")
}

// tokenKeys open and make the tokens of one class group.
type tokenKeys struct {
	newest keyID          // of the key that makes tokens
	seal   *siv           // that key
	byID   map[keyID]*siv // all keys
}

// tokens prepares the keys of a class group.
func (k *Keys) tokens(group string) (*tokenKeys, error) {
	t := &tokenKeys{byID: map[keyID]*siv{}}
	for i, m := range k.ring {
		key, err := m.derive(string(Token), group, sivKeySize)
		if err != nil {
			return nil, err
		}
		s, err := newSIV(key, []byte(group))
		if err != nil {
			return nil, fmt.Errorf("mask token: %w", err)
		}
		t.byID[m.keyID()] = s
		if i == 0 {
			t.seal, t.newest = s, m.keyID()
		}
	}
	return t, nil
}

// tokenState is what making or opening one token writes to.
type tokenState struct {
	siv           sivState
	value, sealed []byte
}

var tokenPool = sync.Pool{New: func() any { return new(tokenState) }}

func (w *tokenState) release() {
	if cap(w.value) <= maxKept && cap(w.sealed) <= maxKept {
		tokenPool.Put(w)
	}
}

// append makes the token of w.value.
func (t *tokenKeys) append(w *tokenState, dst []byte) []byte {
	w.sealed = t.seal.seal(&w.siv, w.sealed[:0], w.value)
	dst = append(dst, tokenPrefix...)
	dst = append(dst, t.newest[:]...)
	return tokenEncoding.AppendEncode(dst, w.sealed)
}

// open leaves a token's value in w.value. It is false for what is no token of
// these keys.
func (t *tokenKeys) open(w *tokenState, token []byte) bool {
	if len(token) < tokenLength(0) || len(token) > maxToken || string(token[:len(tokenPrefix)]) != tokenPrefix {
		return false
	}
	s := t.byID[keyID(token[len(tokenPrefix):tokenHead])]
	if s == nil || bytes.ContainsAny(token, "\r\n") { // base64 reads over line ends
		return false
	}
	var err error
	if w.sealed, err = tokenEncoding.AppendDecode(w.sealed[:0], token[tokenHead:]); err != nil {
		return false
	}
	var ok bool
	w.value, ok = s.open(&w.siv, w.value[:0], w.sealed)
	return ok
}

// Reveal gives the value of a text token of a class group, in UTF-8. ok is
// false for what is no token of this group under any key of the ring.
func (k *Keys) Reveal(token []byte, class string) (value []byte, ok bool) {
	g := group(class)
	if k == nil || g == "" {
		return nil, false
	}
	t, err := k.tokens(g)
	if err != nil {
		return nil, false
	}
	var w tokenState
	if !t.open(&w, token) {
		return nil, false
	}
	return w.value, true
}

// textToken masks text by tokens. What goes in is the value's UTF-8 without
// char(n)'s padding, so that equal values get equal tokens in every text type and client encoding.
type textToken struct {
	keys     *tokenKeys
	typ      Type
	charset  charset
	redacted *constant
}

func (k *Keys) compileToken(c Column, st style, redacted *constant) (Cell, error) {
	switch familyOf(c.Type) {
	case famInt, famNumeric:
		numbers, err := k.exchange(c)
		if err != nil {
			return nil, err
		}
		return &numberToken{numbers, redacted}, nil
	case famUUID:
		return k.compileUUIDToken(c, redacted)
	}
	keys, err := k.tokensOf(c)
	if err != nil {
		return nil, err
	}
	return &textToken{keys: keys, typ: c.Type, charset: st.charset, redacted: redacted}, nil
}

// tokensOf prepares the keys of a column's class group.
func (k *Keys) tokensOf(c Column) (*tokenKeys, error) {
	if _, err := k.newest(c.Spec); err != nil {
		return nil, err
	}
	g, err := c.groupOf()
	if err != nil {
		return nil, err
	}
	return k.tokens(g)
}

func (t *textToken) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell == nil || len(cell) > maxTokenValue {
		return t.redacted.MaskCell(dst, nil)
	}
	w := tokenPool.Get().(*tokenState)
	defer w.release()
	var ok bool
	w.value, ok = appendUTF8(w.value[:0], trimBpchar(t.typ, cell), t.charset)
	n := tokenLength(len(w.value))
	if limit := t.typ.length(); !ok || n > maxToken || limit > 0 && n > limit || t.typ.OID == oidName && n > maxName {
		return t.redacted.MaskCell(dst, nil)
	}
	return appendPadding(t.keys.append(w, dst), t.typ, n), true
}

// Unmask implements [Reverser].
func (t *textToken) Unmask(dst, cell []byte) ([]byte, bool) {
	w := tokenPool.Get().(*tokenState)
	defer w.release()
	if !t.keys.open(w, trimBpchar(t.typ, cell)) {
		return dst, false
	}
	out, characters, ok := appendCharset(dst, w.value, t.charset)
	if limit := t.typ.length(); !ok || limit > 0 && characters > limit || t.typ.OID == oidName && len(out)-len(dst) > maxName {
		return dst, false
	}
	return appendPadding(out, t.typ, characters), true
}

// appendUTF8 appends text of the session's encoding in UTF-8. It is false for
// text that the encoding does not allow, and where no table of the encoding is at hand.
func appendUTF8(dst, text []byte, from charset) ([]byte, bool) {
	switch from {
	case charsetUTF8:
		return append(dst, text...), utf8.Valid(text)
	case charsetLatin1:
		for _, c := range text {
			dst = appendLatin1(dst, c)
		}
		return dst, true
	case charsetSingle, charsetOther:
		return append(dst, text...), isASCII(text)
	}
	return dst, false
}

// appendCharset is appendUTF8's inverse; it counts characters, too.
func appendCharset(dst, text []byte, to charset) (out []byte, characters int, ok bool) {
	characters = utf8.RuneCount(text)
	switch to {
	case charsetUTF8:
		return append(dst, text...), characters, utf8.Valid(text)
	case charsetLatin1:
		out = dst
		for len(text) > 0 {
			r, size := utf8.DecodeRune(text)
			if r > 0xff || r == utf8.RuneError && size == 1 {
				return dst, 0, false
			}
			out, text = append(out, byte(r)), text[size:]
		}
		return out, characters, true
	case charsetSingle, charsetOther:
		return append(dst, text...), characters, isASCII(text)
	}
	return dst, 0, false
}
