package catalog

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// Flow says how data may pass a function otherwise than from its arguments to
// its result.
type Flow uint8

// The flows of a function.
const (
	FlowNone   Flow = iota
	FlowSource      // the result may carry stored data, literals of definitions or secrets
	FlowSink        // arguments are kept, shown to somebody or acted upon
	FlowRunner      // reads tables, or runs SQL text that is an argument
)

// Behaviour is what is known of a function. The zero Behaviour is that of an
// unknown one: its result may depend on anything, and it may do anything.
type Behaviour struct {
	Known bool

	// Pure: the result depends on the arguments alone, or else on nothing
	// protected (the time, the user's name, the names of definitions), and nothing else
	// happens.
	Pure bool

	// KeepsNull: that the result is NULL tells no more than that arguments are. True of functions
	// that are NULL exactly when an argument is, of those that never are, and of
	// aggregates that are NULL only when no row had a value.
	KeepsNull bool

	// Total: never fails whatever the arguments' values. Otherwise Faults holds the
	// indexes (from 0, in Function.Args; the last one stands for all of a
	// VARIADIC) of the arguments whose values can make it fail; nil stands for all.
	// Running out of memory does not count.
	Total  bool
	Faults []int

	// Stored: total all the same for arguments that are plain columns, and for results of
	// Stored functions over those: it fails only for values that real columns do not hold
	// (a date in the year 300000, a number beyond 1e308). Not so for an
	// argument that may have been picked from a list by a protected value.
	Stored bool

	// Bounded: total all the same when, besides, every argument has a type of bounded
	// range: a numeric with a declared precision (an expression whose type
	// modifier is known), not what a constant row may have been merged into.
	Bounded bool

	// Compares: total all the same when the arguments' types pass Snapshot.Comparable.
	Compares bool

	// Grows: the result may be much longer than the arguments together. What such
	// a call returns can bring another function to the limit of 1 GB for a value, and then whether
	// that one fails depends on its other arguments: replace(ssn, '1', repeat('x', 300000000)).
	// So a call over the result of a growing one is not total, whatever Total says.
	Grows bool

	Flow Flow

	// Exact: the result is one of the first argument's values, unchanged.
	Exact bool

	literal literalRule
}

// MayFault reports whether the value of argument i (of n given) can make the
// function fail.
func (b Behaviour) MayFault(i, declared int) bool {
	if b.Total {
		return false
	}
	if !b.Known || b.Faults == nil {
		return true
	}
	for _, f := range b.Faults {
		if f == i || f == declared-1 && i >= declared {
			return true
		}
	}
	return false
}

// knowledge is the embedded data: functions.jsonl for pg_catalog,
// extensions/NAME.jsonl for the functions of an extension, relations.jsonl for
// the columns of the system relations. The files are written by
// catalog/gen from running servers and its review files.
//
//go:embed data/*.jsonl data/extensions/*.jsonl
var knowledge embed.FS

// FunctionLine is one line of a function file, as catalog/gen writes it.
type FunctionLine struct {
	Function  string `json:"function"` // name(type,type): pg_type names of the input arguments
	Pure      bool   `json:"pure,omitempty"`
	KeepsNull bool   `json:"keeps_null,omitempty"`
	Total     bool   `json:"total,omitempty"`
	Faults    []int  `json:"faults,omitempty"`
	Stored    bool   `json:"stored,omitempty"`
	Bounded   bool   `json:"bounded,omitempty"`
	Compares  bool   `json:"compares,omitempty"`
	Grows     bool   `json:"grows,omitempty"`
	Exact     bool   `json:"exact,omitempty"`
	Flow      string `json:"flow,omitempty"`
	Literal   string `json:"literal,omitempty"`
}

var flows = map[string]Flow{"": FlowNone, "source": FlowSource, "sink": FlowSink, "runner": FlowRunner}

// behaviour checks a line.
func (l FunctionLine) behaviour() (Behaviour, error) {
	flow, ok := flows[l.Flow]
	if !ok {
		return Behaviour{}, fmt.Errorf("flow %q is unknown", l.Flow)
	}
	rule, ok := literalRules[l.Literal]
	if !ok && l.Literal != "" {
		return Behaviour{}, fmt.Errorf("literal rule %q is unknown", l.Literal)
	}
	words := 0
	for _, said := range []bool{l.Total, l.Faults != nil, l.Stored, l.Bounded, l.Compares} {
		if said {
			words++
		}
	}
	if words > 1 {
		return Behaviour{}, fmt.Errorf("more than one of total, faults, stored, bounded and compares")
	}
	if l.Pure && flow != FlowNone && l.Literal == "" {
		return Behaviour{}, fmt.Errorf("both pure and a %s", l.Flow)
	}
	open := strings.IndexByte(l.Function, '(')
	if open <= 0 || !strings.HasSuffix(l.Function, ")") {
		return Behaviour{}, fmt.Errorf("%q is not name(types)", l.Function)
	}
	n := 0
	if args := l.Function[open+1 : len(l.Function)-1]; args != "" {
		n = strings.Count(args, ",") + 1
	}
	for _, f := range l.Faults {
		if f < 0 || f >= n {
			return Behaviour{}, fmt.Errorf("fault index %d of %d arguments", f, n)
		}
	}
	return Behaviour{Known: true, Pure: l.Pure, KeepsNull: l.KeepsNull, Total: l.Total, Faults: l.Faults, Stored: l.Stored, Bounded: l.Bounded,
		Compares: l.Compares, Grows: l.Grows,
		Flow: flow, Exact: l.Exact, literal: rule}, nil
}

// readFunctions reads one function file.
func readFunctions(fsys fs.FS, file string) (map[string]Behaviour, error) {
	text, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, err
	}
	m := make(map[string]Behaviour)
	for n, line := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		var l FunctionLine
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		err := dec.Decode(&l)
		var b Behaviour
		if err == nil {
			b, err = l.behaviour()
		}
		if _, twice := m[l.Function]; err == nil && twice {
			err = fmt.Errorf("%s appears twice", l.Function)
		}
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n+1, err)
		}
		m[l.Function] = b
	}
	return m, nil
}

// mustKnow is for the embedded files: tests read all of them.
func mustKnow[T any](v T, err error) T {
	if err != nil {
		panic("catalog: embedded data: " + err.Error())
	}
	return v
}

var builtinFunctions = sync.OnceValue(func() map[string]Behaviour {
	return mustKnow(readFunctions(knowledge, "data/functions.jsonl"))
})

// informationFunctions are those functions of information_schema whose bodies the analyser cannot follow.
var informationFunctions = sync.OnceValue(func() map[string]Behaviour {
	return mustKnow(readFunctions(knowledge, "data/information_schema.jsonl"))
})

var extensionFunctions = sync.OnceValue(func() map[string]map[string]Behaviour {
	all := make(map[string]map[string]Behaviour)
	for _, file := range mustKnow(fs.Glob(knowledge, "data/extensions/*.jsonl")) {
		all[strings.TrimSuffix(path.Base(file), ".jsonl")] = mustKnow(readFunctions(knowledge, file))
	}
	return all
})

// firstNormalOID is the first OID that objects made after initdb get
// (PostgreSQL source, src/include/access/transam.h, FirstNormalObjectId).
const firstNormalOID = 16384

// Behaviour returns what is known of f: from the data for pg_catalog and information_schema when f came with
// the server, from the data of its extension when it belongs to one, and
// nothing otherwise. A function that took a built-in one's place in another
// language is unknown.
func (s *Snapshot) Behaviour(f *Function) Behaviour {
	switch f.Language {
	case "internal", "c", "sql":
	default:
		return Behaviour{}
	}
	var known map[string]Behaviour
	switch {
	case f.Extension != "":
		known = extensionFunctions()[f.Extension]
	case f.Schema == "pg_catalog" && f.OID < firstNormalOID:
		known = builtinFunctions()
	case f.Schema == "information_schema" && f.OID < firstNormalOID:
		known = informationFunctions()
	}
	if known == nil {
		return Behaviour{}
	}
	return known[s.signature(f)]
}

// signature is the key of a function in the data.
func (s *Snapshot) signature(f *Function) string {
	var b strings.Builder
	b.WriteString(f.Name)
	b.WriteByte('(')
	for i, a := range f.Args {
		if i > 0 {
			b.WriteByte(',')
		}
		if t := s.types[a]; t != nil {
			b.WriteString(t.Name)
		}
	}
	b.WriteByte(')')
	return b.String()
}
