package judge

import (
	"slices"
	"strings"
	"testing"

	"pgveil/catalog"
)

func TestSplitPath(t *testing.T) {
	for in, want := range map[string][]string{
		`"$user", public`:          {"$user", "public"},
		`$user,public`:             {"$user", "public"},
		`Billing, "Odd, ""Name"""`: {"billing", `Odd, "Name"`},
		``:                         nil,
		`""`:                       {""},
	} {
		if got := splitPath(in); !slices.Equal(got, want) {
			t.Errorf("splitPath(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestParseNameArray(t *testing.T) {
	for in, want := range map[string][]string{
		`{}`:                          nil,
		`{pg_catalog,public}`:         {"pg_catalog", "public"},
		`{"odd, \"name\"",pg_temp_3}`: {`odd, "name"`, "pg_temp_3"},
	} {
		if got := parseNameArray(in); !slices.Equal(got, want) {
			t.Errorf("parseNameArray(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestStartPath(t *testing.T) {
	s, err := catalog.ReadJSON(strings.NewReader(`{"database": "d", "server_version": 150000, "search_path": "\"$user\", public",
		"schemas": [{"oid": 11, "name": "pg_catalog", "usage": [0]}, {"oid": 20, "name": "public", "usage": [0, 100]},
			{"oid": 21, "name": "closed", "usage": [100]}, {"oid": 22, "name": "bob", "usage": [101]}],
		"roles": [{"oid": 100, "name": "owner"}, {"oid": 101, "name": "bob"}, {"oid": 102, "name": "eve", "member_of": [100]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user     string
		settings []catalog.RoleSetting
		want     []string
	}{
		{"bob", nil, []string{"pg_catalog", "bob", "public"}},
		{"owner", nil, []string{"pg_catalog", "public"}},
		{"bob", []catalog.RoleSetting{{Name: "search_path", Value: "closed, public"}}, []string{"pg_catalog", "public"}},
		{"eve", []catalog.RoleSetting{{Name: "search_path", Value: "closed, public"}}, []string{"pg_catalog", "closed", "public"}},
		{"bob", []catalog.RoleSetting{{Name: "search_path", Value: "closed"}, {Role: 101, Name: "search_path", Value: "public, pg_catalog"}}, []string{"public", "pg_catalog"}},
		{"nobody", nil, []string{"pg_catalog", "public"}},
	} {
		s.Settings = c.settings
		if got := startPath(s, c.user); !slices.Equal(got, c.want) {
			t.Errorf("startPath(%s, %v) = %q, want %q", c.user, c.settings, got, c.want)
		}
	}
}
