package proxy

import (
	"fmt"
	"slices"
	"strings"

	"pgveil/wire"
)

// startupSettings are the settings that a masked role may choose at connection
// start, in lower case. What is not in it is refused: a setting can change how
// the server reads a statement (standard_conforming_strings, backslash_quote),
// what it tells besides the result (debug_print_*, log_*, auto_explain.*), what
// it loads (session_preload_libraries) or whose rights hold (role). A check
// narrows the values.
var startupSettings = map[string]func(value string) bool{
	"application_name":                    nil,
	"bytea_output":                        nil,
	"client_encoding":                     nil, // the session refuses statements that it cannot read
	"client_min_messages":                 oneOf("notice", "warning", "error"),
	"datestyle":                           nil,
	"default_transaction_deferrable":      nil,
	"default_transaction_isolation":       nil,
	"default_transaction_read_only":       nil,
	"enable_async_append":                 nil,
	"enable_bitmapscan":                   nil,
	"enable_gathermerge":                  nil,
	"enable_hashagg":                      nil,
	"enable_hashjoin":                     nil,
	"enable_incremental_sort":             nil,
	"enable_indexonlyscan":                nil,
	"enable_indexscan":                    nil,
	"enable_material":                     nil,
	"enable_memoize":                      nil,
	"enable_mergejoin":                    nil,
	"enable_nestloop":                     nil,
	"enable_parallel_append":              nil,
	"enable_parallel_hash":                nil,
	"enable_partition_pruning":            nil,
	"enable_partitionwise_aggregate":      nil,
	"enable_partitionwise_join":           nil,
	"enable_seqscan":                      nil,
	"enable_sort":                         nil,
	"enable_tidscan":                      nil,
	"extra_float_digits":                  nil,
	"geqo":                                nil,
	"idle_in_transaction_session_timeout": nil,
	"idle_session_timeout":                nil,
	"intervalstyle":                       nil,
	"jit":                                 nil,
	"lc_monetary":                         nil,
	"lc_numeric":                          nil,
	"lc_time":                             nil,
	"lock_timeout":                        nil,
	"max_parallel_workers_per_gather":     nil,
	"options":                             nil, // taken apart, never passed on as it is
	"plan_cache_mode":                     nil,
	"random_page_cost":                    nil,
	"row_security":                        nil,
	"search_path":                         nil, // the session asks the server for the effective one
	"seq_page_cost":                       nil,
	"standard_conforming_strings":         oneOf("on", "true", "yes", "1"),
	"statement_timeout":                   nil,
	"synchronous_commit":                  nil,
	"tcp_keepalives_count":                nil,
	"tcp_keepalives_idle":                 nil,
	"tcp_keepalives_interval":             nil,
	"tcp_user_timeout":                    nil,
	"timezone":                            nil,
	"transaction_timeout":                 nil,
	"work_mem":                            nil,
	"xmlbinary":                           nil,
	"xmloption":                           nil,
}

func oneOf(words ...string) func(string) bool {
	return func(value string) bool { return slices.Contains(words, strings.ToLower(value)) }
}

// maskedSettings returns the settings that a masked role's connection starts
// with, or the error for the first that it may not choose. Options are taken
// apart here and passed on as single settings, so that nobody reads them twice in two ways.
func maskedSettings(params []wire.Param) ([]wire.Param, error) {
	var out []wire.Param
	set := func(p wire.Param) error {
		name := strings.ToLower(p.Name)
		check, ok := startupSettings[name]
		if !ok || check != nil && !check(p.Value) {
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
