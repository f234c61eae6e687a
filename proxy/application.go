package proxy

import (
	"strings"
	"unicode/utf8"

	"pgveil/wire"
)

// maxApplicationName is the longest application_name that the server keeps, in bytes: NAMEDATALEN - 1.
const maxApplicationName = 63

// addHost puts a client's address behind its application_name, as pgbouncer's
// setting application_name_add_host does. A long name is cut, not the address.
func addHost(params []wire.Param, client string) []wire.Param {
	name := "app"
	take := func(p wire.Param) bool {
		is := strings.EqualFold(p.Name, "application_name")
		if is {
			name = p.Value
		}
		return is
	}
	// The server applies options first, the packet's own settings after them.
	for _, p := range params {
		if p.Name == "options" {
			settings, _ := splitOptions(p.Value) // the server refuses what is malformed
			for _, s := range settings {
				take(s)
			}
		}
	}
	rest := make([]wire.Param, 0, len(params)+1)
	for _, p := range params {
		if !take(p) {
			rest = append(rest, p)
		}
	}
	suffix := " - " + client
	for name != "" && len(name)+len(suffix) > maxApplicationName {
		_, n := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-n]
	}
	return append(rest, wire.Param{Name: "application_name", Value: name + suffix})
}
