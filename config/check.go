package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"

	"pgveil/masking"
	"pgveil/roles"
)

// check looks at what several settings say together.
func (p *parser) check() {
	p.checkTLS()
	p.checkUpstream()
	p.checkRoles()
	p.applyProfiles()
	p.checkKeys()
	if m := p.config.Metrics.Listen; !m.IsZero() && m.Port != 0 {
		for _, a := range p.config.Listen {
			if a == m {
				p.problemAt(p.at["metrics.listen"], "metrics.listen: %s is an address of listen too", p.shown["metrics.listen"])
			}
		}
	}
}

// given reports whether the file gives a value to path, good or bad.
func (p *parser) given(path string) bool {
	_, ok := p.at[path]
	return ok
}

func (p *parser) checkTLS() {
	t := &p.config.TLS
	need := func(path, why string) {
		if !p.given(path) {
			p.problemAt(p.at["tls.mode"], "tls.mode: %s needs %s%s", t.Mode, path, why)
		}
	}
	switch t.Mode {
	case TLSVerifyFull:
		need("tls.client_ca", ", the authorities that sign client certificates")
		fallthrough
	case TLSAllow, TLSRequire:
		need("tls.cert", "")
		need("tls.key", "")
	}
	switch {
	case p.given("tls.cert") && !p.given("tls.key"):
		p.problemAt(p.at["tls.cert"], "tls.cert: the key of the certificate is missing: give tls.key")
	case p.given("tls.key") && !p.given("tls.cert"):
		p.problemAt(p.at["tls.key"], "tls.key: the certificate of the key is missing: give tls.cert")
	}
	if t.Cert != "" && t.Key != "" {
		if _, err := tls.LoadX509KeyPair(t.Cert, t.Key); err != nil {
			p.problemAt(p.at["tls.cert"], "tls.cert and tls.key do not fit: %v", err)
		}
	}
	p.checkAuthorities("tls.client_ca", t.ClientCA)
	p.checkAuthorities("upstream.sslrootcert", p.config.Upstream.SSLRootCert)
}

// checkAuthorities wants at least one certificate in a file.
func (p *parser) checkAuthorities(path, file string) {
	if file == "" {
		return
	}
	pem, err := os.ReadFile(file)
	if err == nil && !x509.NewCertPool().AppendCertsFromPEM(pem) {
		err = errors.New("the file holds no certificate in PEM form")
	}
	if err != nil {
		p.problemAt(p.at[path], "%s: %v", path, fileError("the file cannot be used", err))
	}
}

func (p *parser) checkUpstream() {
	u := &p.config.Upstream
	if u.Host == "" {
		return // missing or bad, and reported
	}
	switch {
	case !p.given("upstream.sslmode") && u.Address().Local():
		u.SSLMode = SSLDisable
	case !p.given("upstream.sslmode"):
		u.SSLMode = SSLVerifyFull
	case u.Address().Unix() && u.SSLMode != "" && u.SSLMode != SSLDisable:
		p.problemAt(p.at["upstream.sslmode"], "upstream.sslmode: PostgreSQL has no TLS on a Unix-domain socket: write disable, or a host")
	case u.SSLMode == SSLRequire && p.given("upstream.sslrootcert"):
		p.problemAt(p.at["upstream.sslmode"], "upstream.sslmode: require does not look at upstream.sslrootcert: write verify-ca or verify-full, or remove the file")
	}
}

func (p *parser) checkRoles() {
	c := p.config
	seen := map[string]string{}
	everyone := ""                                               // where the role stands that has everyone as a member
	unresolved := p.given("default_role") && c.DefaultRole == "" // bad, and reported
	for i, r := range c.Roles {
		path := indexed("roles", i)
		at := p.at[path]
		name := p.shown[path+".name"]
		if n, ok := p.at[path+".name"]; ok {
			at = n
		}
		if r.Name == "" {
			continue // missing or bad, and reported
		}
		if first, dup := seen[r.Name]; dup {
			p.problemAt(at, "%s.name: %s is the name of %s too", path, name, first)
		} else {
			seen[r.Name] = path
		}
		switch {
		case r.Name == "deny":
			p.problemAt(at, "%s.name: deny is what default_role says for no role; choose another name", path)
		case everyone != "":
			p.problemAt(at, "%s: the role %s is never reached: every user is a member of %s above it", path, name, everyone)
		case !p.given(path+".members") && !unresolved && c.DefaultRole != r.Name:
			p.problemAt(at, "%s: the role %s has no members and default_role does not name it", path, name)
		}
		for _, m := range r.Members {
			if m.Kind == "any" && everyone == "" {
				everyone = path
			}
		}
	}
	if c.DefaultRole == "deny" {
		c.DefaultRole = ""
		return
	}
	if _, ok := seen[c.DefaultRole]; !ok && c.DefaultRole != "" {
		names := []string{"deny"}
		for _, r := range c.Roles {
			names = append(names, r.Name)
		}
		hint := ""
		if shown := p.shown["default_role"]; shown == show(c.DefaultRole) { // not from the environment
			hint = didYouMean(c.DefaultRole, names)
		}
		p.problemAt(p.at["default_role"], "default_role: no role is named %s%s", p.shown["default_role"], hint)
	}
}

// applyProfiles gives the roles the ready-made masks that the file asks for.
func (p *parser) applyProfiles() {
	for i := range p.config.Roles {
		r := &p.config.Roles[i]
		if r.Profile == "" && len(r.Masks) == 0 {
			r.Profile = roles.Profile(p.config.Profile)
		}
		if r.Profile != "" {
			r.Profile.Apply(r)
		}
	}
}

// checkKeys wants the key file that masks need, and a key in it.
func (p *parser) checkKeys() {
	if !p.given("keys.file") {
		for _, m := range p.keyed {
			p.problemAt(m.place, "%s: the mask %s needs a key: make one with pgveil keygen and name its file as keys.file", m.path, m.spec.Method)
		}
		for _, m := range p.revealing {
			p.problemAt(m.place, "%s: tokens are revealed with the key that made them: name its file as keys.file", m.path)
		}
		return
	}
	if p.config.Keys.File == "" {
		return // bad, and reported
	}
	if _, err := masking.LoadKeys(p.config.Keys.File); err != nil {
		p.problemAt(p.at["keys.file"], "keys.file: %v", err)
	}
}
