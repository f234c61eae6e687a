package catalog

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// row takes the text cells of one result row in order. The first error sticks.
type row struct {
	cells [][]byte
	next  int
	err   error
}

func (r *row) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("column %d: "+format, append([]any{r.next}, args...)...)
	}
}

// cell returns the next cell; nil is NULL.
func (r *row) cell() []byte {
	if r.next >= len(r.cells) {
		r.fail("missing")
		return nil
	}
	r.next++
	return r.cells[r.next-1]
}

// text returns the next cell, "" for NULL.
func (r *row) text() string { return string(r.cell()) }

func (r *row) bool() bool {
	switch c := r.cell(); string(c) {
	case "t":
		return true
	case "f":
		return false
	default:
		r.fail("not a boolean")
		return false
	}
}

// letter returns a cell of type "char".
func (r *row) letter() byte {
	c := r.cell()
	if len(c) != 1 {
		r.fail("not one character")
		return 0
	}
	return c[0]
}

func (r *row) int(bits int) int64 {
	n, err := strconv.ParseInt(string(r.cell()), 10, bits)
	if err != nil {
		r.fail("not a number of %d bits", bits)
	}
	return n
}

func (r *row) oid() OID { return r.parseOID(string(r.cell())) }

func (r *row) parseOID(s string) OID {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		r.fail("not an OID")
	}
	return OID(n)
}

// oids returns a list of OIDs separated by blanks; nil for NULL and for an empty list.
func (r *row) oids() []OID {
	words := strings.Fields(r.text())
	if len(words) == 0 {
		return nil
	}
	list := make([]OID, len(words))
	for i, w := range words {
		list[i] = r.parseOID(w)
	}
	return list
}

// attnums returns an int2vector.
func (r *row) attnums() []int16 {
	var list []int16
	for w := range strings.FieldsSeq(r.text()) {
		n, err := strconv.ParseInt(w, 10, 16)
		if err != nil {
			r.fail("not an attribute number")
		}
		list = append(list, int16(n))
	}
	return list
}

// texts returns a JSON array of strings; nil for NULL.
func (r *row) texts() []string {
	c := r.cell()
	if c == nil {
		return nil
	}
	var list []string
	if err := json.Unmarshal(c, &list); err != nil {
		r.fail("not a list of texts")
	}
	return list
}
