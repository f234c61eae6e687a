// Package roles decides what a user of a masking role may see: it classifies
// the columns of a database, finds the role of a user and turns the analysis of
// a statement into a decision: pass, mask or refuse.
package roles

import (
	"slices"
	"strings"

	"pgveil/masking"
)

// Policy is the part of the configuration that decides: classes of columns,
// roles, their members and masks. It is immutable once in use.
type Policy struct {
	Unlisted    string   // a column in no rule: "clear", "mask" or "deny"
	Rules       []Rule   // a later rule wins
	Roles       []Role   // the first role with a matching member is the user's
	DefaultRole string   // a user in no role; "" denies
	Reveals     int      // tokens that one user may have revealed in an hour
	Trusted     []string // user functions whose result depends on their arguments alone: "schema.name(type, …)"
}

// Rule gives the columns that match Pattern a class.
type Rule struct {
	Pattern   string // schema.table.column; * stands for any characters within a part
	Class     string // dotted; ClassClear lists a column as not protected
	Line, Col int    // where the rule stands in the file
}

// ClassClear is the class of a column that a rule lists as not protected.
const ClassClear = "clear"

// Classes that pgveil itself gives to columns.
const (
	ClassUnlisted = "unlisted" // a column in no rule under "unlisted: mask" or "deny"
	ClassSystem   = "system"   // a system catalog column or function that carries data or secrets

	// ClassDefinition is that of the texts of definitions as the server writes them: their literals are masked, and
	// tools may search and sort by them.
	ClassDefinition = "definition"
	// ClassDefinitionText is that of what people have written into them: comments and bodies of functions.
	ClassDefinitionText = "definition.text"
)

// Member says who is in a role.
type Member struct {
	Kind string // "user", "group" (of that PostgreSQL role, directly or not) or "any"
	Name string
}

// String gives m as the configuration writes it.
func (m Member) String() string {
	if m.Kind == "any" {
		return "*"
	}
	return m.Kind + ":" + m.Name
}

// Role is a masking role.
type Role struct {
	Name       string
	Members    []Member
	Masks      map[string]masking.Spec // by class; "*" for every other class
	Predicates string                  // "allow", "equality" or "deny"
	Writes     bool
	Overwrite  []string // classes whose values, seen masked, UPDATE may replace by what the client gives; "*" for all
	Reveal     []string // classes of which single tokens may be revealed; "*" for all
	DDL        string   // "deny", "temp" or "allow"

	Profile Profile         // whose masks serve the classes that Masks did not name; "" for none
	ready   map[string]bool // the classes whose masks are the profile's
}

// Clear reports whether the role sees every class clear.
func (r *Role) Clear() bool {
	if m, ok := r.Masks["*"]; !ok || m.Method != masking.Clear {
		return false
	}
	for _, m := range r.Masks {
		if m.Method != masking.Clear {
			return false
		}
	}
	return true
}

// Mask returns the role's mask for a class and the key of Masks that gave it: a mask for "date"
// serves "date.birth" too, the longest wins, then "*". A class without a mask is redacted.
func (r *Role) Mask(class string) (masking.Spec, string) {
	if class == ClassClear {
		return masking.Spec{Method: masking.Clear}, class
	}
	if class != ClassSystem && !definition(class) {
		for key := class; ; {
			if m, ok := r.Masks[key]; ok {
				return m, key
			}
			dot := strings.LastIndexByte(key, '.')
			if dot < 0 {
				break
			}
			key = key[:dot]
		}
		if m, ok := r.Masks["*"]; ok {
			return m, "*"
		}
	}
	if r.Clear() {
		return masking.Spec{Method: masking.Clear}, "*"
	}
	if class == ClassDefinition {
		return masking.Spec{Method: masking.Literals}, ""
	}
	return masking.Spec{Method: masking.Redact}, ""
}

// definition reports whether a class is of texts of definitions.
func definition(class string) bool { return class == ClassDefinition || class == ClassDefinitionText }

// covers reports whether a list of classes has the class, or one that it is a kind of.
func covers(list []string, class string) bool {
	for key := class; ; {
		if slices.Contains(list, key) {
			return true
		}
		dot := strings.LastIndexByte(key, '.')
		if dot < 0 {
			return slices.Contains(list, "*")
		}
		key = key[:dot]
	}
}

// match reports whether the glob pattern part matches s; * stands for any run of characters.
func match(pattern, s string) bool {
	for {
		star := strings.IndexByte(pattern, '*')
		if star < 0 {
			return pattern == s
		}
		if !strings.HasPrefix(s, pattern[:star]) {
			return false
		}
		s, pattern = s[star:], pattern[star+1:]
		next := strings.IndexByte(pattern, '*')
		if next < 0 {
			return strings.HasSuffix(s, pattern)
		}
		at := strings.Index(s, pattern[:next])
		if at < 0 {
			return false
		}
		s = s[at:]
	}
}

// splitPattern cuts a rule's pattern into schema, table and column. Dots within double quotes do not separate.
func splitPattern(p string) (parts [3]string, ok bool) {
	n, quoted := 0, false
	var b strings.Builder
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '"':
			quoted = !quoted
		case c == '.' && !quoted:
			if n == 2 {
				return parts, false
			}
			parts[n] = b.String()
			b.Reset()
			n++
		default:
			b.WriteByte(c)
		}
	}
	parts[n] = b.String()
	return parts, n == 2 && !quoted && parts[0] != "" && parts[1] != "" && parts[2] != ""
}

// ValidPattern reports whether p is a rule's pattern: schema.table.column.
func ValidPattern(p string) bool {
	_, ok := splitPattern(p)
	return ok
}
