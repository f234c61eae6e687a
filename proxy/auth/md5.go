package auth

import (
	"crypto/md5"
	"encoding/hex"
)

// MD5Response answers AuthenticationMD5Password (PostgreSQL docs, section
// 55.2.1): "md5" and the hex of md5(md5(password user) salt), without a final NUL.
func MD5Response(user, password string, salt [4]byte) string {
	inner := md5.Sum([]byte(password + user))
	outer := md5.Sum(append([]byte(hex.EncodeToString(inner[:])), salt[:]...))
	return "md5" + hex.EncodeToString(outer[:])
}
