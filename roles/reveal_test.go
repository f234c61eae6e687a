package roles_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"pgveil/roles"
)

// TestRevealGroups: a token tells its class group, so a role needs every class of it.
func TestRevealGroups(t *testing.T) {
	p := testPolicy()
	p.Rules = append(p.Rules, roles.Rule{Pattern: "hr.person.city", Class: "date.seen"})
	b := testBound(t, p)
	for list, want := range map[string]string{
		"": "", "mrn": "mrn", "date": "date", "date.birth": "", "date.birth date.seen": "date", "mrn ssn fax": "mrn ssn", "*": "date free_text mrn name secret sensitive ssn",
	} {
		r := roleNamed(t, p, "developer")
		r.Reveal = strings.Fields(list)
		if got := strings.Join(slices.Sorted(maps.Keys(b.RevealGroups(r))), " "); got != want {
			t.Errorf("reveal %q: groups %q, want %q", list, got, want)
		}
	}
	if n := len(b.RevealGroups(roleNamed(t, p, "clinician"))); n != 7 {
		t.Errorf("a role that sees everything: %d groups", n)
	}
	r := roleNamed(t, p, "developer")
	r.Reveal = []string{"date"}
	if got := b.RevealGroups(r)["date"]; !slices.Equal(got, []string{"date.birth", "date.seen"}) {
		t.Errorf("classes for the record: %q", got)
	}
}
