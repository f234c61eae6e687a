package sqlparse

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
)

// normalize writes the tokens of one statement with every literal replaced by
// the next free $n, without comments, white space as single spaces. values
// says that what follows SET … TO or = is a value whatever it looks like.
// The fingerprint is the same for statements that differ in literals, white
// space, comments or the case of unquoted words only.
func normalize(sql string, tokens []token, values bool) (text, fingerprint string) {
	next := 1
	for _, t := range tokens {
		if t.kind == tokParam {
			if n, err := strconv.Atoi(sql[t.start+1 : t.end]); err == nil && n >= next && n < 1<<16 {
				next = n + 1
			}
		}
	}
	var b strings.Builder
	h := sha256.New()
	value := false
	for i, t := range tokens {
		if i > 0 && t.start > tokens[i-1].end {
			b.WriteByte(' ')
		}
		word := sql[t.start:t.end]
		switch {
		case t.literal() || value && (t.kind == tokWord || t.kind == tokQuoted):
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(next))
			next++
			h.Write([]byte{0, 'v'})
			continue
		case t.kind == tokWord:
			if values && (wordIs(sql, t, "to") || wordIs(sql, t, "zone") || wordIs(sql, t, "as")) {
				value = true
			}
			h.Write([]byte(strings.ToLower(word)))
		default:
			if values && word == "=" {
				value = true
			}
			h.Write([]byte(word))
		}
		h.Write([]byte{0})
		b.WriteString(word)
	}
	return b.String(), hex.EncodeToString(h.Sum(nil)[:8])
}
