package config

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
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
	defaults  bool // a default is being read, not the file
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
	line := max(1, min(at.line, len(p.lines)))
	col := max(1, at.col)
	if most := p.lines[line-1] + 1; col > most || line < at.line {
		col = most
	}
	p.problems = append(p.problems, Problem{File: p.file, Line: line, Col: col, Message: fmt.Sprintf(format, args...)})
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
	switch err := loader.Load(&doc); {
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
	p.check()
	switch err := loader.Load(&second); {
	case err == nil:
		p.problem(&second, "the file holds more than one YAML document")
	case err != io.EOF:
		p.syntax(err)
	}
}

// syntax notes an error of the YAML parser. Of the file's text its messages quote
// the names of anchors alone: a password that begins with * would be one.
func (p *parser) syntax(err error) {
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		p.problemAt(place{1, 1}, "not YAML: the parser failed")
		return
	}
	message := le.Message
	if strings.Contains(message, "anchor") || strings.Contains(le.ContextMsg, "alias") || strings.Contains(le.ContextMsg, "anchor") {
		message = "an alias or anchor is malformed or unknown"
	}
	if strings.Contains(message, "max depth") {
		message = fmt.Sprintf("mappings and lists are nested more than %d deep", maxDepth)
	}
	hint := ""
	if strings.Contains(message, "alias") || strings.Contains(message, "cannot start any token") {
		hint = "; put text that begins with *, &, @, %, ` or a tab in double quotes"
	}
	p.problemAt(place{le.Mark.Line, le.Mark.Column}, "not YAML: %s%s", message, hint)
}

// follow returns the node that n stands for, and whether it may be read.
func (p *parser) follow(n *yaml.Node, path string) (*yaml.Node, bool) {
	if p.visited++; p.visited > maxNodes {
		if p.visited == maxNodes+1 {
			p.problem(n, "the file has more than %d keys and values, those behind aliases counted at each use", maxNodes)
		}
		return nil, false
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Style&yaml.TaggedStyle != 0 {
		p.problem(n, "%s: YAML tags (!…) are not supported", path)
		return nil, false
	}
	return n, true
}

// pair is a key of a mapping with its value.
type pair struct {
	name       string
	key, value *yaml.Node
}

// pairs returns the pairs of a mapping, and false when n is not one. What is not a plain, new key is reported and left out.
func (p *parser) pairs(n *yaml.Node, path string) ([]pair, bool) {
	n, ok := p.follow(n, path)
	if !ok {
		return nil, false
	}
	if n.Kind != yaml.MappingNode {
		p.wrongKind(n, path, "a mapping (key: value)")
		return nil, false
	}
	var list []pair
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, ok := p.follow(n.Content[i], path)
		switch {
		case !ok:
			continue
		case k.Kind != yaml.ScalarNode:
			p.problem(k, "%s: a key must be a plain word, not a list or a mapping", orFile(path))
			continue
		case k.Tag == "!!merge":
			p.problem(k, "%s: merge keys (<<) are not supported; use an alias for a whole value", orFile(path))
			continue
		case k.Value == "":
			p.problem(k, "%s: a key is empty", orFile(path))
			continue
		}
		if line, dup := first[k.Value]; dup {
			p.problem(k, "%s: the key stands twice, first in line %d", join(path, k.Value), line)
			continue
		}
		first[k.Value] = k.Line
		list = append(list, pair{k.Value, k, n.Content[i+1]})
	}
	return list, true
}

// scalar is the value of a scalar node.
type scalar struct {
	text     string // with ${NAME} expanded
	shown    string // quoted for messages: what the file says, never what a variable holds
	expanded bool
}

// item is an item of a list of scalars.
type item struct {
	node *yaml.Node
	scalar
}

// items returns the items of a list of scalars; others are reported and left out.
func (p *parser) items(n *yaml.Node, path string) []item {
	var list []item
	for i, c := range p.list(n, path) {
		if v, ok := p.scalar(c, indexed(path, i), false); ok {
			list = append(list, item{c, v})
		}
	}
	return list
}

// list returns the nodes of a list, which must not be empty.
func (p *parser) list(n *yaml.Node, path string) []*yaml.Node {
	n, ok := p.follow(n, path)
	if !ok {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		p.wrongKind(n, path, "a list ([…], or lines that begin with -)")
		return nil
	}
	if len(n.Content) == 0 {
		p.problem(n, "%s: the list is empty", path)
	}
	return n.Content
}

// scalar reads a scalar node.
func (p *parser) scalar(n *yaml.Node, path string, mayBeEmpty bool) (scalar, bool) {
	n, ok := p.follow(n, path)
	if !ok {
		return scalar{}, false
	}
	if n.Kind != yaml.ScalarNode {
		p.wrongKind(n, path, "a single value")
		return scalar{}, false
	}
	if n.Tag == "!!null" {
		p.problem(n, "%s: the value is missing", path)
		return scalar{}, false
	}
	text, expanded, bad := expand(n.Value, p.env)
	for _, message := range bad {
		p.problem(n, "%s: %s", path, message)
	}
	switch {
	case len(bad) > 0:
		return scalar{}, false
	case text == "" && expanded:
		p.problem(n, "%s: %s is empty", path, show(n.Value))
		return scalar{}, false
	case text == "" && !mayBeEmpty:
		p.problem(n, "%s: the value is empty", path)
		return scalar{}, false
	}
	return scalar{text, show(n.Value), expanded}, true
}

// wrongKind notes that a node is not what path takes.
func (p *parser) wrongKind(n *yaml.Node, path, want string) {
	got := "a single value"
	switch {
	case n.Kind == yaml.MappingNode:
		got = "a mapping"
	case n.Kind == yaml.SequenceNode:
		got = "a list"
	case n.Tag == "!!null":
		got = "nothing"
	}
	p.problem(n, "%s: it must be %s, not %s", orFile(path), want, got)
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
			p.value(pr.key, pr.value, kid.set, at, t)
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
func (p *parser) value(key, n *yaml.Node, s *setting, path string, t *target) {
	if s.later {
		p.problem(key, "%s is not supported yet", path)
		return
	}
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
	var doc yaml.Node
	if err := yaml.Load([]byte(s.def), &doc); err != nil {
		panic("config: bad default of " + s.path) // a test reads every default
	}
	p.defaults = true
	p.value(nil, doc.Content[0], s, s.path, t)
	p.defaults = false
}

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
		p.config.Roles = append(p.config.Roles, r)
	}
}

// join extends the path of a mapping by a key, as messages show it.
func join(path, name string) string {
	switch {
	case len(name) > 200: // longer than any key that is read any further
		name = show(name)
	case strings.ContainsAny(name, `."[`) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		name = strconv.Quote(name) // two keys never make one path, and a key never breaks the line of a message
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// indexed extends the path of a list by an item.
func indexed(path string, i int) string { return fmt.Sprintf("%s[%d]", path, i) }

func orFile(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
