package roles

import (
	"fmt"
	"slices"
	"strings"

	"pgveil/catalog"
	"pgveil/masking"
)

// trust finds the functions that the policy names: "schema.name(type, …)".
func (b *Bound) trust() {
	for _, t := range b.Policy.Trusted {
		schema, name, args, ok := splitSignature(t)
		found := false
		if ok {
			for _, f := range b.Catalog.FunctionsByName(schema, name) {
				if slices.Equal(b.argNames(f), args) {
					b.trusted[f.OID] = true
					found = true
				}
			}
		}
		if !found {
			b.report.DeadTrusted = append(b.report.DeadTrusted, t)
		}
	}
}

// splitSignature cuts "schema.name(type, type)".
func splitSignature(s string) (schema, name string, args []string, ok bool) {
	open := strings.IndexByte(s, '(')
	if open < 0 || !strings.HasSuffix(s, ")") {
		return "", "", nil, false
	}
	schema, name, ok = strings.Cut(strings.TrimSpace(s[:open]), ".")
	if !ok {
		return "", "", nil, false
	}
	for _, a := range strings.Split(s[open+1:len(s)-1], ",") {
		if a = strings.Join(strings.Fields(a), " "); a != "" {
			args = append(args, canonicalType(a))
		}
	}
	return schema, name, args, true
}

// ValidSignature reports whether s names a function as "schema.name(type, …)".
func ValidSignature(s string) bool {
	_, name, _, ok := splitSignature(s)
	return ok && name != ""
}

// canonicalType maps SQL's names of types to those of pg_type (PostgreSQL docs, table 8.1).
func canonicalType(t string) string {
	array := ""
	for strings.HasSuffix(t, "[]") {
		t, array = strings.TrimSpace(strings.TrimSuffix(t, "[]")), "[]"
	}
	t = strings.TrimPrefix(t, "pg_catalog.")
	if u, ok := map[string]string{
		"int": "int4", "integer": "int4", "smallint": "int2", "bigint": "int8", "boolean": "bool",
		"real": "float4", "double precision": "float8", "decimal": "numeric", "character varying": "varchar",
		"character": "bpchar", "char": "bpchar", "bit varying": "varbit",
		"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
		"time without time zone": "time", "time with time zone": "timetz",
	}[t]; ok {
		t = u
	}
	return t + array
}

func (b *Bound) argNames(f *catalog.Function) []string {
	var out []string
	for _, oid := range f.Args {
		t := b.Catalog.Type(oid)
		if t == nil {
			out = append(out, "?")
			continue
		}
		suffix := ""
		if t.Elem != 0 && t.Category == 'A' {
			if e := b.Catalog.Type(t.Elem); e != nil {
				t, suffix = e, "[]"
			}
		}
		if t.Schema == "pg_catalog" {
			out = append(out, t.Name+suffix)
		} else {
			out = append(out, t.Schema+"."+t.Name+suffix)
		}
	}
	return out
}

// reportOn notes roles, members and masks that can never matter in this database.
func (b *Bound) reportOn() {
	used := map[string]bool{}
	for _, cs := range b.classes {
		for _, c := range cs {
			for key := c; ; {
				used[key] = true
				dot := strings.LastIndexByte(key, '.')
				if dot < 0 {
					break
				}
				key = key[:dot]
			}
		}
	}
	logins := map[string][]string{}
	for _, r := range b.Catalog.Roles {
		if r.Login {
			if role := b.RoleOf(r.Name); role != nil {
				logins[role.Name] = append(logins[role.Name], r.Name)
			}
		}
	}
	for i := range b.Policy.Roles {
		r := &b.Policy.Roles[i]
		named := false // a user of the file needs no PostgreSQL role
		for _, m := range r.Members {
			switch m.Kind {
			case "group":
				if b.Catalog.RoleByName(m.Name) == nil {
					b.report.DeadMembers = append(b.report.DeadMembers, r.Name+": "+m.String())
				}
			case "user":
				named = true
				if b.Catalog.RoleByName(m.Name) == nil {
					b.report.DeadMembers = append(b.report.DeadMembers, r.Name+": "+m.String())
				}
			}
		}
		if len(logins[r.Name]) == 0 && !named && b.Policy.DefaultRole != r.Name {
			b.report.EmptyRoles = append(b.report.EmptyRoles, r.Name)
		}
		classes := make([]string, 0, len(r.Masks))
		for c := range r.Masks {
			classes = append(classes, c)
		}
		slices.Sort(classes)
		for _, c := range classes {
			if c != "*" && !used[c] && !r.ready[c] {
				b.report.DeadMasks = append(b.report.DeadMasks, r.Name+": "+c)
			}
		}
		for _, c := range r.Reveal {
			if c != "*" && !(used[c] && b.tokens(c)) {
				b.report.DeadReveals = append(b.report.DeadReveals, r.Name+": reveal "+c)
			}
		}
		for _, c := range r.Overwrite {
			if c != "*" && !used[c] {
				b.report.DeadReveals = append(b.report.DeadReveals, r.Name+": overwrite "+c)
			}
		}
	}
}

// tokens reports whether a role sees columns of a class, or of a kind of it, as tokens.
func (b *Bound) tokens(class string) bool {
	for _, classes := range b.classes {
		for _, c := range classes {
			if !covers([]string{class}, c) {
				continue
			}
			for i := range b.Policy.Roles {
				if m, _ := b.Policy.Roles[i].Mask(c); m.Method == masking.Token {
					return true
				}
			}
		}
	}
	return false
}

// Misfits returns the masks of the policy's roles that cannot serve the type of a column they would
// meet: "role developer: mask generalize(year) of class date does not fit public.t.c (text)".
func (b *Bound) Misfits() []error {
	var out []error
	for i := range b.Policy.Roles {
		r := &b.Policy.Roles[i]
		for _, rel := range b.Catalog.Relations {
			for _, col := range rel.Columns {
				for _, class := range b.classes[columnKey{rel.OID, col.Num}] {
					spec, key := r.Mask(class)
					if r.ready[key] {
						continue // a profile's mask where it fits, redact elsewhere
					}
					if err := spec.Check(b.MaskType(col.Type, col.TypeMod)); err != nil {
						out = append(out, fmt.Errorf("role %s, class %s, column %s.%s.%s: %w", r.Name, class, rel.Schema, rel.Name, col.Name, err))
					}
				}
			}
		}
	}
	return out
}
