package oracle

import (
	"errors"
	"fmt"
	"strconv"
)

// Bounds of Read. A tree beyond them is an error.
const (
	maxText  = 64 << 20 // bytes of text
	maxDepth = 4000     // nested nodes and lists
)

// Kind says what a Value is.
type Kind uint8

// The kinds of values in a node tree.
const (
	Null Kind = iota // <>
	Atom             // a number, a name, a string, a flag
	List             // (a b c)
	Tree             // {NODE :field value …}
)

// Value is one value in the text of a node tree.
type Value struct {
	Kind  Kind
	Text  string // Atom: its text, escapes resolved
	Items []Value
	Node  *Node
}

// Node is one node: its name in upper case, and its fields in the order of the text.
type Node struct {
	Tag    string
	Fields []Field
}

// Field is a field of a node. Most have one value; a constant's bytes are many.
type Field struct {
	Name   string
	Values []Value
}

// Field finds a field by its name; nil when the node has none.
func (n *Node) Field(name string) *Value {
	for i := range n.Fields {
		if f := &n.Fields[i]; f.Name == name {
			if len(f.Values) == 0 {
				return nil
			}
			return &f.Values[0]
		}
	}
	return nil
}

// Node finds a field that is a node; nil when it is not.
func (n *Node) Node(name string) *Node {
	if v := n.Field(name); v != nil {
		return v.Node
	}
	return nil
}

// List finds a field that is a list; nil for a field that is null or missing.
func (n *Node) List(name string) []Value {
	if v := n.Field(name); v != nil {
		return v.Items
	}
	return nil
}

// Text finds a field that is an atom; "" when it is not.
func (n *Node) Text(name string) string {
	if v := n.Field(name); v != nil {
		return v.Text
	}
	return ""
}

// Int finds a field that is an integer.
func (n *Node) Int(name string) (int, error) {
	i, err := strconv.Atoi(n.Text(name))
	if err != nil {
		return 0, fmt.Errorf("field %s of %s: %w", name, n.Tag, err)
	}
	return i, nil
}

// ErrText is the error for text that is no node tree.
var ErrText = errors.New("not the text of a node tree")

// Read parses the text of a node tree as the server's nodeToString writes it, broken
// into lines or not: tokens are separated by white space and brackets, a backslash takes
// the next character as it is (PostgreSQL source, src/backend/nodes/read.c). A field's name
// begins with a colon; a node's name follows its opening brace.
func Read(text string) (Value, error) {
	if len(text) > maxText {
		return Value{}, fmt.Errorf("%w: %d bytes", ErrText, len(text))
	}
	r := reader{text: text}
	tok, ok := r.next()
	if !ok {
		return Value{}, fmt.Errorf("%w: it is empty", ErrText)
	}
	v, err := r.value(tok, 0)
	if err != nil {
		return Value{}, err
	}
	if tok, ok := r.next(); ok {
		return Value{}, fmt.Errorf("%w: %q after its end", ErrText, tok.raw)
	}
	return v, nil
}

type reader struct {
	text string
	at   int
	buf  []byte
}

// token is one token: raw as it stands in the text.
type token struct {
	raw     string
	escaped bool
}

func (r *reader) next() (token, bool) {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t') {
		r.at++
	}
	if r.at == len(r.text) {
		return token{}, false
	}
	start, escaped := r.at, false
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\n', '\t':
			return token{r.text[start:r.at], escaped}, true
		case '(', ')', '{', '}':
			if r.at == start {
				r.at++
			}
			return token{r.text[start:r.at], escaped}, true
		case '\\':
			escaped = true
			r.at = min(r.at+2, len(r.text))
		default:
			r.at++
		}
	}
	return token{r.text[start:], escaped}, true
}

// plain resolves the escapes of an atom.
func (r *reader) plain(t token) string {
	if !t.escaped {
		return t.raw
	}
	r.buf = r.buf[:0]
	for i := 0; i < len(t.raw); i++ {
		if t.raw[i] == '\\' && i+1 < len(t.raw) {
			i++
		}
		r.buf = append(r.buf, t.raw[i])
	}
	return string(r.buf)
}

func (r *reader) value(t token, depth int) (Value, error) {
	if depth > maxDepth {
		return Value{}, fmt.Errorf("%w: nested more than %d deep", ErrText, maxDepth)
	}
	switch t.raw {
	case "<>":
		return Value{}, nil
	case "(":
		v := Value{Kind: List}
		for {
			t, ok := r.next()
			if !ok {
				return v, fmt.Errorf("%w: a list does not end", ErrText)
			}
			if t.raw == ")" {
				return v, nil
			}
			item, err := r.value(t, depth+1)
			if err != nil {
				return v, err
			}
			v.Items = append(v.Items, item)
		}
	case "{":
		n, err := r.node(depth + 1)
		return Value{Kind: Tree, Node: n}, err
	case ")", "}":
		return Value{}, fmt.Errorf("%w: %q at byte %d", ErrText, t.raw, r.at-1)
	}
	return Value{Kind: Atom, Text: r.plain(t)}, nil
}

func (r *reader) node(depth int) (*Node, error) {
	t, ok := r.next()
	if !ok || !tag(t.raw) {
		return nil, fmt.Errorf("%w: a node without a name at byte %d", ErrText, r.at)
	}
	n := &Node{Tag: t.raw}
	for {
		t, ok := r.next()
		if !ok {
			return n, fmt.Errorf("%w: node %s does not end", ErrText, n.Tag)
		}
		if t.raw == "}" {
			return n, nil
		}
		if len(t.raw) > 1 && t.raw[0] == ':' {
			n.Fields = append(n.Fields, Field{Name: t.raw[1:]})
			continue
		}
		if len(n.Fields) == 0 && n.Tag == "A_EXPR" {
			continue // the raw expressions of a utility statement say their kind in a word (PostgreSQL source, _outA_Expr)
		}
		if len(n.Fields) == 0 {
			return n, fmt.Errorf("%w: %q in node %s before a field", ErrText, t.raw, n.Tag)
		}
		v, err := r.value(t, depth)
		if err != nil {
			return n, err
		}
		f := &n.Fields[len(n.Fields)-1]
		f.Values = append(f.Values, v)
	}
}

// tag reports whether s can be a node's name.
func tag(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && c != '_' && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
