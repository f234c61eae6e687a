package oracle

import (
	"errors"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	v, err := Read("({QUERY :commandType 1 :name Odd\\ \\(Col\\)\n :none <> :list (i 1 2) :bytes 4 [ 1 0 -3 0 ] \t:sub {VAR :varno 65001}})")
	if err != nil {
		t.Fatal(err)
	}
	q := v.Items[0].Node
	if v.Kind != List || len(v.Items) != 1 || q == nil || q.Tag != "QUERY" {
		t.Fatalf("got %+v", v)
	}
	if got := q.Text("name"); got != "Odd (Col)" {
		t.Errorf("name is %q", got)
	}
	if f := q.Field("none"); f == nil || f.Kind != Null {
		t.Errorf("none is %+v", f)
	}
	if l := q.List("list"); len(l) != 3 || l[2].Text != "2" {
		t.Errorf("list is %+v", l)
	}
	if n := q.Fields[4]; n.Name != "bytes" || len(n.Values) != 7 {
		t.Errorf("bytes is %+v", n)
	}
	if i, err := q.Node("sub").Int("varno"); err != nil || i != 65001 {
		t.Errorf("varno is %d, %v", i, err)
	}
	if _, err := q.Int("name"); err == nil {
		t.Error("a name was read as a number")
	}
}

func TestReadRejects(t *testing.T) {
	for _, s := range []string{"", " ", "(", "{", "{}", ")", "{QUERY", "{QUERY x}", "{query :a 1}", "1 2", "{A :b (}", "{A :b )}",
		strings.Repeat("(", maxDepth+2) + strings.Repeat(")", maxDepth+2)} {
		if v, err := Read(s); !errors.Is(err, ErrText) {
			t.Errorf("%.20q: got %+v, %v", s, v, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"({QUERY :a 1 :b (o 1 2) :c {VAR :varno 1} :d <> :e \\<> :f a\\ b})", "(((", "{A :", "{A :b 1 [ 2 ]}", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Read(s)
		if err != nil {
			return
		}
		q := v.Node
		if q == nil {
			q = &Node{Tag: "QUERY", Fields: []Field{{Name: "targetList", Values: []Value{v}}}}
		}
		_, _ = Columns(q, noCatalog{}) // must end without a fault, whatever the tree
	})
}

type noCatalog struct{}

func (noCatalog) Attributes(uint32) []int16 { return []int16{1, 2} }
func (noCatalog) Picks(uint32) bool         { return true }
func (noCatalog) Opens(uint32) bool         { return true }
