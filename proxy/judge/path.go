package judge

import (
	"slices"
	"strings"

	"pgveil/catalog"
)

// startPath is the effective search path that a user's session starts with: the setting for the
// user in this database, for the user, for the database, or the server's own (PostgreSQL docs,
// sections 5.9.3 and 20.1.3), without schemas that do not exist or that the user may not use.
func startPath(s *catalog.Snapshot, user string) []string {
	setting, rank := s.SearchPath, 0
	var oid catalog.OID
	role := s.RoleByName(user)
	if role != nil {
		oid = role.OID
	}
	for _, rs := range s.Settings {
		if rs.Name != "search_path" || (rs.Role != 0 && rs.Role != oid) {
			continue
		}
		r := 1
		switch {
		case rs.Role != 0 && rs.Database:
			r = 3
		case rs.Role != 0:
			r = 2
		}
		if r > rank {
			setting, rank = rs.Value, r
		}
	}
	var out []string
	for _, name := range splitPath(setting) {
		if name == "$user" {
			name = user
		}
		i := slices.IndexFunc(s.Schemas, func(x catalog.Schema) bool { return x.Name == name })
		if i < 0 || slices.Contains(out, name) || !mayUse(s, &s.Schemas[i], role) {
			continue
		}
		out = append(out, name)
	}
	if !slices.Contains(out, "pg_catalog") {
		out = slices.Insert(out, 0, "pg_catalog")
	}
	return out
}

func mayUse(s *catalog.Snapshot, schema *catalog.Schema, role *catalog.Role) bool {
	if role != nil && role.Superuser {
		return true
	}
	for _, grantee := range schema.Usage {
		if grantee == 0 || role != nil && grantee == role.OID {
			return true
		}
		for i := range s.Roles {
			if r := &s.Roles[i]; r.OID == grantee && role != nil && s.MemberOf(role.Name, r.Name) {
				return true
			}
		}
	}
	return false
}

// splitPath cuts a search_path setting into names: unquoted ones fold to lower case.
func splitPath(setting string) []string {
	var out []string
	for i := 0; i < len(setting); {
		switch c := setting[i]; {
		case c == ',' || c == ' ' || c == '\t':
			i++
		case c == '"':
			var b strings.Builder
			for i++; i < len(setting); i++ {
				if setting[i] == '"' {
					if i+1 >= len(setting) || setting[i+1] != '"' {
						break
					}
					i++
				}
				b.WriteByte(setting[i])
			}
			i++
			out = append(out, b.String())
		default:
			j := i
			for j < len(setting) && setting[j] != ',' {
				j++
			}
			out = append(out, strings.ToLower(strings.TrimSpace(setting[i:j])))
			i = j
		}
	}
	return out
}

// parseNameArray reads the text form of a name[] as current_schemas gives it
// (PostgreSQL docs, section 8.15.6): {pg_catalog,public,"odd, name"}.
func parseNameArray(s string) []string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "{"), "}")
	var out []string
	for i := 0; i < len(s); {
		var b strings.Builder
		if s[i] == '"' {
			for i++; i < len(s) && s[i] != '"'; i++ {
				if s[i] == '\\' && i+1 < len(s) {
					i++
				}
				b.WriteByte(s[i])
			}
			i++ // the closing quote
		} else {
			for ; i < len(s) && s[i] != ','; i++ {
				b.WriteByte(s[i])
			}
		}
		out = append(out, b.String())
		i++ // the comma
	}
	return out
}
