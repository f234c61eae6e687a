package config

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"

	"pgveil/masking"
	"pgveil/roles"
)

// parser walks the YAML nodes of one file along the tree of keys.
type parser struct {
	file, dir string
	env       func(string) (string, bool)
	lines     []int // characters in each line
	config    *Config
	problems  Problems
	at        map[string]place  // where the value of each key that was given stands
	shown     map[string]string // the scalar there, quoted for messages
	unread    map[string]bool   // sections that are not mappings
	visited   int               // nodes; over maxNodes nothing is read any more
	keyed     []keyedMask
	revealing []keyedMask // lists of classes whose tokens are revealed
	full      bool        // maxNodes are visited: that is the one problem
	defaults  bool        // a default is being read, not the file
}

func newParser(file string, env func(string) (string, bool)) *parser {
	return &parser{
		file:   file,
		dir:    filepath.Dir(file),
		env:    env,
		config: &Config{File: file, Users: map[string]User{}},
		at:     map[string]place{},
		shown:  map[string]string{},
		unread: map[string]bool{},
	}
}

// place is a position in the file, both from 1.
type place struct{ line, col int }

// keyedMask remembers where a mask stands that needs a key.
type keyedMask struct {
	place place
	path  string
	spec  masking.Spec
}

func placeOf(n *yaml.Node) place { return place{n.Line, n.Column} }

// problem notes a problem at a node.
func (p *parser) problem(n *yaml.Node, format string, args ...any) {
	p.problemAt(placeOf(n), format, args...)
}

// problemAt notes a problem. A place behind the end (an unclosed bracket) becomes the end.
func (p *parser) problemAt(at place, format string, args ...any) {
	if p.defaults {
		panic("config: bad default: " + fmt.Sprintf(format, args...))
	}
	if p.full {
		return
	}
	line := max(1, min(at.line, len(p.lines)))
	col := max(1, at.col)
	if most := p.lines[line-1] + 1; col > most || line < at.line {
		col = most
	}
	message := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) { // a problem is one line
			return unicode.ReplacementChar
		}
		return r
	}, fmt.Sprintf(format, args...))
	p.problems = append(p.problems, Problem{File: p.file, Line: line, Col: col, Message: message})
}

// badValue notes that a value does not fit its setting.
func (p *parser) badValue(n *yaml.Node, s *setting, path, shown string, err error) {
	if s.secret {
		p.problem(n, "%s: %v", path, err)
		return
	}
	p.problem(n, "%s: %s: %v", path, shown, err)
}

// resolve makes a file name of the configuration absolute or relative to the working directory.
func (p *parser) resolve(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(p.dir, name)
}

// document reads the one document of data.
func (p *parser) document(data []byte) {
	p.lines = lineLengths(data)
	loader, err := yaml.NewLoader(strings.NewReader(string(data)), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		panic(err) // the options are constants
	}
	var doc, second yaml.Node
	switch err := load(loader, &doc); {
	case err == io.EOF || err == nil && len(doc.Content) != 1:
		p.problemAt(place{1, 1}, "the file is empty")
		return
	case err != nil:
		p.syntax(err)
		return
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		p.problemAt(place{1, 1}, "the file is empty")
		return
	}
	p.object(root, tree(), "", &target{config: p.config})
	if !p.full {
		p.check()
	}
	switch err := load(loader, &second); {
	case err == nil:
		p.problem(&second, "the file holds more than one YAML document")
	case err != io.EOF:
		p.syntax(err)
	}
}

// load reads the next document. A panic in the YAML parser becomes an error: a reload must not end the proxy.
func load(loader *yaml.Loader, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.New("the YAML parser failed")
		}
	}()
	return loader.Load(doc)
}

// syntax notes an error of the YAML parser. Messages of its later stages quote the
// file: a password that begins with * would be the name of an anchor.
func (p *parser) syntax(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		p.problemAt(place{1, 1}, "not YAML: the parser failed")
		return
	}
	const quote = "; put text that begins with *, &, @, %, ` or a tab in double quotes"
	message := "a value does not fit its tag"
	switch {
	case strings.Contains(le.Message, "anchor"), strings.Contains(le.ContextMsg, "anchor"), strings.Contains(le.ContextMsg, "alias"):
		message = "an alias or anchor is malformed or unknown" + quote
	case strings.Contains(le.Message, "max depth"):
		message = fmt.Sprintf("mappings and lists are nested more than %d deep", maxDepth)
	case strings.Contains(le.Message, "cannot start any token"):
		message = le.Message + quote
	case le.Stage == yaml.ScannerStage || le.Stage == yaml.ParserStage:
		message = le.Message
	}
	p.problemAt(place{le.Mark.Line, le.Mark.Column}, "not YAML: %s", message)
}

// object reads a mapping whose keys are the kids of k into t, and gives the settings below it that are missing their defaults.
func (p *parser) object(n *yaml.Node, k *key, path string, t *target) {
	pairs, ok := p.pairs(n, path)
	if !ok {
		p.unread[path] = true
		return
	}
	for _, pr := range pairs {
		at := join(path, pr.name)
		kid := k.kid(pr.name)
		if kid == nil {
			p.unknownKey(pr.key, k, at)
			continue
		}
		p.at[at] = placeOf(pr.value)
		switch {
		case kid.set != nil:
			p.value(pr.value, kid.set, at, t)
		case kid.kid("*") != nil:
			p.users(pr.value, kid.kid("*"), at)
		case kid.kid("[]") != nil:
			p.roles(pr.value, kid.kid("[]"), at)
		default: // a section
			p.object(pr.value, kid, at, t)
		}
	}
	if path == "" || k.name == "[]" || k.name == "*" {
		p.complete(n, k, path, t)
	}
}

// unknownKey notes a key that the table does not have, with the key that was probably meant.
func (p *parser) unknownKey(n *yaml.Node, k *key, path string) {
	hint := didYouMean(n.Value, k.names())
	if hint == "" {
		for _, s := range settings { // the right word under the wrong key
			if s.path == n.Value || strings.HasSuffix(s.path, "."+n.Value) {
				hint = fmt.Sprintf("; it is written as %s", s.path)
				break
			}
		}
	}
	if hint == "" {
		hint = "; the keys here are " + strings.Join(k.names(), ", ")
	}
	p.problem(n, "%s: unknown key%s", path, hint)
}

// value reads the value of a setting.
func (p *parser) value(n *yaml.Node, s *setting, path string, t *target) {
	field := s.field(t)
	if s.typ.node != nil {
		s.typ.node(p, s, n, path, field)
		return
	}
	v, ok := p.scalar(n, path, false)
	if !ok {
		return
	}
	p.shown[path] = v.shown
	if err := s.typ.scalar(p, s, v.text, field); err != nil {
		p.badValue(n, s, path, v.shown, err)
	}
}

// complete gives every setting below k its default, or reports it as missing.
func (p *parser) complete(n *yaml.Node, k *key, path string, t *target) {
	for _, kid := range k.kids {
		at := join(path, kid.name)
		_, given := p.at[at]
		switch s := kid.set; {
		case s == nil && kid.kid("*") == nil && kid.kid("[]") == nil:
			if !p.unread[at] {
				p.complete(n, kid, at, t)
			}
		case s == nil && kid.kid("[]") != nil && !given:
			p.problemAt(p.parent(n, at), "%s is missing", at)
		case s == nil || given:
		case s.required:
			p.problemAt(p.parent(n, at), "%s is missing", at)
		case s.def != "":
			p.setDefault(s, t)
		}
	}
}

// parent returns where the closest key above path stands, else n.
func (p *parser) parent(n *yaml.Node, path string) place {
	for dot := strings.LastIndexByte(path, '.'); dot >= 0; dot = strings.LastIndexByte(path, '.') {
		path = path[:dot]
		if at, ok := p.at[path]; ok {
			return at
		}
	}
	return placeOf(n)
}

// setDefault reads the default of s as if the file had it.
func (p *parser) setDefault(s *setting, t *target) {
	p.defaults = true
	p.value(defaults()[s], s, s.path, t)
	p.defaults = false
}

// defaults are the defaults of the table as YAML nodes.
var defaults = sync.OnceValue(func() map[*setting]*yaml.Node {
	nodes := map[*setting]*yaml.Node{}
	for _, s := range settings {
		var doc yaml.Node
		if s.def == "" {
			continue
		}
		if err := yaml.Load([]byte(s.def), &doc); err != nil {
			panic("config: bad default of " + s.path) // a test reads every default
		}
		nodes[s] = doc.Content[0]
	}
	return nodes
})

// users reads the mapping of users.
func (p *parser) users(n *yaml.Node, k *key, path string) {
	pairs, _ := p.pairs(n, path)
	for _, pr := range pairs {
		at := join(path, pr.name)
		if err := checkName(pr.name); err != nil {
			p.problem(pr.key, "%s: %v", at, err)
			continue
		}
		p.at[at] = placeOf(pr.value)
		u := User{UpstreamUser: pr.name}
		p.object(pr.value, k, at, &target{config: p.config, user: &u})
		p.config.Users[pr.name] = u
	}
}

// roles reads the list of roles.
func (p *parser) roles(n *yaml.Node, k *key, path string) {
	for i, c := range p.list(n, path) {
		at := indexed(path, i)
		p.at[at] = placeOf(c)
		r := roles.Role{Masks: map[string]masking.Spec{}}
		p.object(c, k, at, &target{config: p.config, role: &r})
		for _, class := range slices.Sorted(maps.Keys(r.Masks)) {
			if by := r.Masks[class].By; by != "" && r.Writes {
				p.problem(c, "%s: the mask shift by %s of class %s needs writes: false: who writes a known date for a %s reads by how much the others have moved", at, by, class, by)
				break
			}
		}
		p.config.Roles = append(p.config.Roles, r)
	}
}
