package catalog

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"sync"
)

// relationLine is one line of data/relations.jsonl.
type relationLine struct {
	Relation  string   `json:"relation"` // schema.name
	Clear     []string `json:"clear"`
	Sensitive []string `json:"sensitive"`
}

// readRelations reads the columns of the system relations: true is clear.
func readRelations(fsys fs.FS, file string) (map[name]map[string]bool, error) {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	m := make(map[name]map[string]bool)
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var l relationLine
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
		}
		schema, relation, ok := strings.Cut(l.Relation, ".")
		if !ok || m[name{schema, relation}] != nil {
			return nil, fmt.Errorf("%s:%d: relation %q appears twice or is not schema.name", file, n+1, l.Relation)
		}
		columns := make(map[string]bool)
		for _, list := range []struct {
			names []string
			clear bool
		}{{l.Clear, true}, {l.Sensitive, false}} {
			for _, c := range list.names {
				if _, twice := columns[c]; twice {
					return nil, fmt.Errorf("%s:%d: column %q appears twice", file, n+1, c)
				}
				columns[c] = list.clear
			}
		}
		m[name{schema, relation}] = columns
	}
	return m, nil
}

var systemRelations = sync.OnceValue(func() map[name]map[string]bool {
	return mustKnow(readRelations(knowledge, "data/relations.jsonl"))
})

// SystemColumn says of a column of pg_catalog or information_schema whether it
// is clear: it holds names, types and other parts of definitions, or counters,
// but no table data, literals of definitions, comments, query texts or secrets. known is
// false for what the data does not list; clear is then false, too.
func SystemColumn(schema, relation, column string) (clear, known bool) {
	clear, known = systemRelations()[name{schema, relation}][column]
	return clear, known
}
