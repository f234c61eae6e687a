package proxy

import (
	"fmt"
	"slices"
	"strings"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// maskedSettings returns the settings that a masked role's connection starts
// with, or the error for the first that it may not choose. Options are taken
// apart here and passed on as single settings, so that nobody reads them twice in two ways.
func maskedSettings(params []wire.Param) ([]wire.Param, error) {
	var out []wire.Param
	set := func(p wire.Param) error {
		name := strings.ToLower(p.Name)
		if !sqlparse.Settable(name, &p.Value, false) {
			return wire.ParameterRefused(p.Name)
		}
		out = slices.DeleteFunc(out, func(q wire.Param) bool { return q.Name == name })
		out = append(out, wire.Param{Name: name, Value: p.Value})
		return nil
	}
	// The server applies options first, the packet's own settings after them.
	for _, p := range params {
		if p.Name != "options" {
			continue
		}
		settings, err := splitOptions(p.Value)
		if err != nil {
			return nil, wire.ParameterRefused("options").WithInternal(err)
		}
		for _, s := range settings {
			if strings.EqualFold(s.Name, "options") {
				return nil, wire.ParameterRefused(s.Name)
			}
			if err := set(s); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range params {
		if p.Name == "options" {
			continue
		}
		if strings.EqualFold(p.Name, "options") {
			return nil, wire.ParameterRefused(p.Name)
		}
		if err := set(p); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// splitOptions takes the command-line form of the options parameter apart as
// the server does (PostgreSQL source, pg_split_opts and process_postgres_switches), but
// accepts settings alone: -c name=value, -cname=value and --name=value.
func splitOptions(s string) ([]wire.Param, error) {
	words := splitWords(s)
	var out []wire.Param
	for i := 0; i < len(words); i++ {
		var assignment string
		switch w := words[i]; {
		case w == "-c" && i+1 < len(words):
			i++
			assignment = words[i]
		case strings.HasPrefix(w, "--") && len(w) > 2:
			assignment = w[2:]
		case strings.HasPrefix(w, "-c") && len(w) > 2:
			assignment = w[2:]
		default:
			return nil, fmt.Errorf("option %d is not a setting", i+1)
		}
		name, value, ok := strings.Cut(assignment, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("option %d has no value", i+1)
		}
		out = append(out, wire.Param{Name: strings.ReplaceAll(name, "-", "_"), Value: value})
	}
	return out, nil
}

// splitWords splits at ASCII white space; a backslash takes the next byte as it is.
func splitWords(s string) []string {
	var words []string
	var word []byte
	inside := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ' ' || c >= '\t' && c <= '\r':
			if inside {
				words = append(words, string(word))
				word, inside = word[:0], false
			}
		case c == '\\':
			inside = true
			if i++; i < len(s) {
				word = append(word, s[i])
			}
		default:
			inside = true
			word = append(word, c)
		}
	}
	if inside {
		words = append(words, string(word))
	}
	return words
}
