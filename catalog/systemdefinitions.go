package catalog

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed data/definitions.txt
var definitionsText string

var definitions = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for line := range strings.Lines(definitionsText) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			m[line] = true
		}
	}
	return m
})

// Definition reports whether a column of a system relation, or the result of a function (name "()"
// of a relation that is the function), is the text of a definition: it can carry literals, but
// holds no table data.
func Definition(schema, relation, column string) bool {
	if column == "()" {
		return definitions()[schema+"."+relation+"()"]
	}
	return definitions()[schema+"."+relation+"."+column]
}
