package catalog

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed data/definitions.txt
var definitionsText string

// definitions tells of each whether the server writes it.
var definitions = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(definitionsText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			name, kind, _ := strings.Cut(line, " ")
			m[name] = kind == ""
		}
	}
	return m
})

// Definition reports whether a column of a system relation, or the result of a function (name "()"
// of a relation that is the function), is the text of a definition: it can carry literals, but
// holds no table data. written: it is SQL as the server writes it, not what people wrote.
func Definition(schema, relation, column string) (written, ok bool) {
	name := schema + "." + relation + "." + column
	if column == "()" {
		name = schema + "." + relation + "()"
	}
	written, ok = definitions()[name]
	return written, ok
}
