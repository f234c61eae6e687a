package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"pgveil/masking"
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// maxReason is the longest reason for a reveal, in bytes.
const maxReason = 500

// reveal makes the answer to pgveil.reveal: the server gives one row of one NULL, in which the session puts the value.
func (j *userJudge) reveal(b *bound, role *roles.Role, p *sqlparse.Plan, s *session.Statement) *session.Statement {
	r := p.Veil.Reveal
	s.Answer, s.AnswerTag = "SELECT NULL::pg_catalog.text AS "+quoteIdentifier(r.Name), "SELECT 1"
	var params []string
	for _, a := range []sqlparse.RevealArgument{r.Token, r.Reason} {
		if a.Param > 0 {
			params = append(params, fmt.Sprintf("$%d::pg_catalog.text", a.Param))
		}
	}
	if len(params) > 0 { // so that it takes the same parameters
		s.Answer += " FROM (SELECT " + strings.Join(params, ", ") + ") AS given"
	}
	opener := &opener{
		keys: b.policy.compiler.keys, groups: b.RevealGroups(role), audit: s.Audit,
		user: j.user, limit: b.Policy.Reveals, attempts: j.attempts,
	}
	s.Reveal = &session.Reveal{Token: r.Token, Reason: r.Reason, Open: opener.open}
	return s
}

// opener reveals tokens to one user under one policy.
type opener struct {
	keys     *masking.Keys
	groups   map[string][]string // that may be revealed, and their classes
	audit    session.AuditInfo
	user     string
	limit    int
	attempts *attempts
}

func (o *opener) open(now time.Time, token, reason []byte) ([]byte, session.AuditInfo, *wire.Error) {
	info := o.audit
	text := strings.TrimSpace(string(reason))
	if text == "" || len(text) > maxReason || !utf8.ValidString(text) {
		return nil, info, wire.RevealReason(maxReason)
	}
	info.Reason = text
	if !o.attempts.take(o.user, o.limit, now) {
		return nil, info, wire.RevealLimit(o.limit)
	}
	// Every group is tried, so that how long it takes tells nothing of the token's own.
	var found []byte
	ok := false
	for _, group := range slices.Sorted(maps.Keys(o.groups)) {
		if value, opens := o.keys.Reveal(token, group); opens {
			found, ok = value, true
			info.Classes = o.groups[group]
		}
	}
	if !ok {
		return nil, info, wire.RevealRefused()
	}
	return found, info, nil
}

// attempts counts what users have had revealed in the last hour. The zero attempts has none.
type attempts struct {
	mu sync.Mutex
	of map[string][]time.Time // oldest first
}

// take counts an attempt, unless the user has had the limit.
func (a *attempts) take(user string, limit int, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	past := a.of[user]
	since := now.Add(-time.Hour)
	for len(past) > 0 && !past[0].After(since) {
		past = past[1:]
	}
	ok := len(past) < limit
	if ok {
		past = append(past, now)
	}
	if a.of == nil {
		a.of = map[string][]time.Time{}
	}
	if a.of[user] = past; len(past) == 0 {
		delete(a.of, user)
	}
	return ok
}
