package sqlparse

import (
	"reflect"
	"strings"
	"testing"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// nodeKinds lists the kinds of node of the parser, by the name of the Go type
// that wraps each, and an empty node of each.
func nodeKinds(t *testing.T) map[string]*pg.Node {
	t.Helper()
	kinds := map[string]*pg.Node{}
	oneof := (&pg.Node{}).ProtoReflect().Descriptor().Oneofs().ByName("node")
	for i := range oneof.Fields().Len() {
		f := oneof.Fields().Get(i)
		n := &pg.Node{}
		n.ProtoReflect().Set(f, protoreflect.ValueOfMessage(n.ProtoReflect().NewField(f).Message()))
		name := reflect.TypeOf(n.Node).Elem().Name()
		name = strings.TrimSuffix(strings.TrimPrefix(name, "Node_"), "_")
		kinds[name] = proto.Clone(n).(*pg.Node)
	}
	if len(kinds) < 200 {
		t.Fatalf("only %d kinds of node", len(kinds))
	}
	return kinds
}

// TestNodeRoles demands a decision for every kind of node, and that only those
// with the role of an expression, FROM item or statement get anywhere.
func TestNodeRoles(t *testing.T) {
	kinds := nodeKinds(t)
	for name := range nodeRoles {
		if kinds[name] == nil {
			t.Errorf("decision on %s, which is no node", name)
		}
	}
	s := testCatalog(t)
	z := New(Options{})
	env := &Env{Catalog: s, SearchPath: []string{"pg_catalog"}}
	rule := func(f func(a *analysis)) string {
		a := &analysis{Analyser: z, env: env, cat: s, path: env.SearchPath, plan: &Plan{Tag: "X"}, sources: map[sourceKey]SourceID{}}
		if r := a.guarded(func() { f(a) }); r != nil {
			return r.Rule + " " + r.Message
		}
		return ""
	}
	for name, n := range kinds {
		role := nodeRoles[name]
		if role == roleNone {
			t.Errorf("no decision on node %s", name)
			continue
		}
		unknown := RuleNode + " construct " + strings.TrimSuffix(name, "_")
		got := rule(func(a *analysis) { a.expr(n, &scope{}) })
		if known := !strings.HasPrefix(got, unknown); known != (role == roleExpression) {
			t.Errorf("node %s as an expression: %q", name, got)
		}
		got = rule(func(a *analysis) { a.fromItem(n, &scope{}) })
		if known := !strings.HasPrefix(got, unknown); known != (role == roleFrom) {
			t.Errorf("node %s in FROM: %q", name, got)
		}
		got = rule(func(a *analysis) { a.dispatch(n, "", nil, &batch{path: a.path}) })
		if known := !strings.HasPrefix(got, RuleKind); !known && role == roleStatement && name != "TransactionStmt" && name != "VariableSetStmt" && name != "ExplainStmt" || known && role != roleStatement {
			t.Errorf("node %s as a statement: %q", name, got)
		}
	}
}
