package config

import (
	"testing"

	"pgveil/masking"
	"pgveil/roles"
)

// TestProfile: which masks a role has follows from its own, its profile and that of the file.
func TestProfile(t *testing.T) {
	c, err := newSite(t).parse("profile.yaml", []byte(`
profile: safe_harbor
upstream: {host: 127.0.0.1}
catalog: {user: pgveil}
roles:
  - {name: none, members: [user:a]}
  - {name: empty, members: [user:b], masks: {}}
  - {name: own, members: [user:c], masks: {ssn: {mask: partial, keep_last: 4}}}
  - {name: clear, members: [user:d], masks: {"*": clear}}
  - {name: limited, members: [user:e], profile: limited_data_set}
  - {name: both, members: [user:f], profile: safe_harbor, masks: {"*": clear, zip: redact, date.visit: {mask: generalize, to: decade}}}
audit: {file: audit.jsonl}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []map[string]string{
		{"name": "redact", "zip": "generalize(zip3)", "date.birth": "generalize(year)", "sensitive": "redact", "address.city": "redact", "address.state": "clear", "free_text": "redact"},
		{"zip": "generalize(zip3)"},
		{"ssn": "partial(keep_last 4)", "zip": "redact", "date": "redact"},
		{"zip": "clear", "ssn": "clear"},
		{"zip": "clear", "date.birth": "clear", "address": "redact", "address.city": "clear", "address.state": "clear", "unique_id": "redact", "ssn": "redact"},
		{"zip": "redact", "ssn": "redact", "free_text": "redact", "sensitive": "clear", "date.birth": "generalize(year)", "date.visit": "generalize(decade)", "age": "generalize(age90)"},
	} {
		r := &c.Policy().Roles[i]
		for class, mask := range want {
			if got, _ := r.Mask(class); got.String() != mask {
				t.Errorf("role %s, class %s: %s, want %s", r.Name, class, got, mask)
			}
		}
	}
	if c.Roles[3].Profile != "" || !c.Roles[3].Clear() || c.Roles[0].Profile != roles.SafeHarbor || c.Roles[2].Masks["ssn"].Method != masking.Partial {
		t.Errorf("%+v", c.Roles)
	}
}
