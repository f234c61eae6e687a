package session

import "iter"

// byName holds prepared statements or portals. The unnamed one, which most drivers
// use for most statements, costs no look-up.
type byName[T any] struct {
	unnamed *T
	named   map[string]*T // nil until there is one
}

func (t *byName[T]) len() int {
	n := len(t.named)
	if t.unnamed != nil {
		n++
	}
	return n
}

// get returns nil when there is none.
func (t *byName[T]) get(name string) *T {
	if name == "" {
		return t.unnamed
	}
	return t.named[name]
}

// find is get for a name as it stands in a message.
func (t *byName[T]) find(name []byte) *T {
	if len(name) == 0 {
		return t.unnamed
	}
	return t.named[string(key(name))]
}

// set puts v in the place of what has the name; nil takes that away.
func (t *byName[T]) set(name string, v *T) {
	switch {
	case name == "":
		t.unnamed = v
	case v == nil:
		delete(t.named, name)
	default:
		if t.named == nil {
			t.named = map[string]*T{}
		}
		t.named[name] = v
	}
}

// all gives what there is. Meanwhile any of it may be taken away.
func (t *byName[T]) all() iter.Seq2[string, *T] {
	return func(yield func(string, *T) bool) {
		if t.unnamed != nil && !yield("", t.unnamed) || len(t.named) == 0 {
			return
		}
		for name, v := range t.named {
			if !yield(name, v) {
				return
			}
		}
	}
}

func (t *byName[T]) clear() { *t = byName[T]{} }
