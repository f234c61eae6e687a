package proxy

import (
	"context"
	"fmt"
	"os"
	"unicode/utf8"

	"pgveil/config"
	"pgveil/proxy/auth"
)

// accounts are the users that the configuration itself names, and the secret
// behind the invented verifiers of those that nobody knows.
type accounts struct {
	mapped map[string]mappedAccount
	mock   *auth.Mock
}

// mappedAccount is a user of the proxy and its account on the server.
type mappedAccount struct {
	verifier     auth.Verifier
	upstreamUser string
	password     string // "": the client's key is used
}

func newAccounts(c *config.Config, process []byte) (*accounts, error) {
	a := &accounts{mapped: make(map[string]mappedAccount, len(c.Users))}
	for name, u := range c.Users {
		v, err := auth.ParseVerifier(u.Verifier.Value())
		if err != nil {
			return nil, fmt.Errorf("users.%s.verifier: %w", name, err)
		}
		a.mapped[name] = mappedAccount{verifier: v, upstreamUser: u.UpstreamUser, password: u.UpstreamPassword.Value()}
	}
	secret, err := mockSecret(c, process)
	if err != nil {
		return nil, err
	}
	a.mock = auth.NewMock(secret)
	return a, nil
}

// mockSecret finds a secret that lasts and that all proxies of a deployment
// share: the masking key, else the TLS key. A configured password would not
// do: the salts are public, and it could be guessed from them. With neither file it is
// the secret that lasts as long as the process.
func mockSecret(c *config.Config, process []byte) ([]byte, error) {
	file := c.Keys.File
	if file == "" {
		file = c.TLS.Key
	}
	if file == "" {
		return process, nil
	}
	return os.ReadFile(file)
}

// candidate is a user who is about to prove who it is.
type candidate struct {
	verifier     auth.Verifier
	doomed       bool   // the proof will not be accepted, whatever it is
	problem      string // why, for the log
	upstreamUser string
	password     string // of the mapped account; "" uses the client's key
	mapped       bool   // named by the configuration
}

// upstreamUser is the account on the server that a user's session would have.
func (a *accounts) upstreamUser(user string) string {
	if m, mapped := a.mapped[user]; mapped {
		return m.upstreamUser
	}
	return user
}

// find looks a user up. Every user costs one lookup on the server, also one that the
// configuration names and one that does not exist, so that the time tells nothing.
func (set *settings) find(ctx context.Context, user string) (candidate, error) {
	m, mapped := set.accounts.mapped[user]
	var got stored
	var err error
	if utf8.ValidString(user) {
		got, err = set.verifiers.lookup(ctx, user)
	} else {
		got = stored{problem: "the name is not UTF-8", iterations: auth.DefaultIterations}
	}
	switch {
	case mapped:
		// Whatever the server said, an error too.
		return candidate{verifier: m.verifier, upstreamUser: m.upstreamUser, password: m.password, mapped: true}, nil
	case err != nil:
		return candidate{}, err
	case got.problem != "":
		return candidate{verifier: set.accounts.mock.Verifier(user, got.iterations), doomed: true, problem: got.problem}, nil
	}
	return candidate{verifier: got.verifier, upstreamUser: user}, nil
}
