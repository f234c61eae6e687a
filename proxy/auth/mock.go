package auth

import "crypto/sha256"

// Mock makes up the verifiers of users who do not exist or may not log in, so
// that a client can't tell them from those who may: the salt is a function of a
// secret and the name, as with PostgreSQL's mock authentication nonce
// (PostgreSQL source, src/backend/libpq/auth-scram.c).
type Mock struct {
	secret Key
}

// NewMock takes the secret that salts are derived from. Proxies that serve the
// same users should share it: otherwise one could tell an invented salt by
// asking two of them.
func NewMock(secret []byte) *Mock {
	return &Mock{secret: mac(secret, "pgveil mock authentication")}
}

// Verifier returns the same verifier for the same user each time. No password fits it.
// Iterations is the count that real verifiers of the deployment have.
func (m *Mock) Verifier(user string, iterations int) Verifier {
	salt := mac(m.secret[:], "salt "+user)
	key := mac(m.secret[:], "stored key "+user)
	return Verifier{
		Iterations: iterations,
		Salt:       salt[:saltLength],
		// A second hash: nobody knows a ClientKey whose hash this would be.
		StoredKey: sha256.Sum256(key[:]),
		ServerKey: mac(m.secret[:], "server key "+user),
	}
}
