package config

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"math"
	"strings"
)

var errVerifier = errors.New("not a SCRAM verifier: write SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey, as pgveil passwd prints it")

// setVerifier accepts what pg_authid.rolpassword holds for a SCRAM password (PostgreSQL docs,
// 53.8 "pg_authid"): a count, then salt and two SHA-256 digests in base64.
func setVerifier(p *parser, s *setting, text string, field any) error {
	rest, ok := strings.CutPrefix(text, "SCRAM-SHA-256$")
	params, keys, ok2 := strings.Cut(rest, "$")
	count, salt, ok3 := strings.Cut(params, ":")
	stored, server, ok4 := strings.Cut(keys, ":")
	if !ok || !ok2 || !ok3 || !ok4 {
		return errVerifier
	}
	n, err := parseInt(count)
	if err != nil || n < 1 || n > math.MaxInt32 {
		return errVerifier
	}
	if b, err := base64.StdEncoding.Strict().DecodeString(salt); err != nil || len(b) == 0 {
		return errVerifier
	}
	for _, k := range []string{stored, server} {
		if b, err := base64.StdEncoding.Strict().DecodeString(k); err != nil || len(b) != sha256.Size || strings.ContainsAny(k, "\r\n") {
			return errVerifier
		}
	}
	return setText(p, s, text, field)
}
