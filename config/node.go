package config

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// follow returns the node that n stands for, and whether it may be read.
func (p *parser) follow(n *yaml.Node, path string) (*yaml.Node, bool) {
	if p.defaults {
		return n, true // of the table, not of the file
	}
	if p.visited > maxNodes {
		return nil, false
	}
	if p.visited++; p.visited > maxNodes {
		p.problems = nil
		p.problem(n, "the file has more than %d keys and values, those behind aliases counted at each use", maxNodes)
		p.full = true
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
