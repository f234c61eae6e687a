package auth

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// prepare normalises a password as PostgreSQL does before hashing it: SASLprep
// (RFC 4013), except that a password which is pure ASCII, not valid UTF-8 or
// prohibited by SASLprep is used byte for byte (PostgreSQL source,
// src/common/saslprep.c and scram-common.c).
func prepare(password string) string {
	if isASCII(password) || !utf8.ValidString(password) {
		return password
	}
	var b strings.Builder
	for _, r := range password {
		switch {
		case unicode.Is(nonASCIISpace, r):
			b.WriteByte(' ')
		case unicode.Is(mappedToNothing, r):
		default:
			b.WriteRune(r)
		}
	}
	if b.Len() == 0 {
		return password
	}
	out := norm.NFKC.String(b.String())
	var left, right bool
	for _, r := range out {
		if unicode.Is(prohibited, r) || unicode.Is(unassigned, r) {
			return password
		}
		left = left || unicode.Is(lCat, r)
		right = right || unicode.Is(randALCat, r)
	}
	if right {
		first, _ := utf8.DecodeRuneInString(out)
		last, _ := utf8.DecodeLastRuneInString(out)
		if left || !unicode.Is(randALCat, first) || !unicode.Is(randALCat, last) {
			return password
		}
	}
	return out
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
