package session

import (
	"testing"

	"pgveil/sqlparse"
)

func TestSavepointsAndCursors(t *testing.T) {
	change := func(op sqlparse.NameOp, name string) *Statement {
		return &Statement{Change: sqlparse.NameChange{Op: op, Reference: sqlparse.Reference{Cursor: true, Name: name}}}
	}
	declare := func(name string, hold bool) *Statement {
		st := change(sqlparse.NameMake, name)
		st.Change.Hold, st.Text, st.Behind = hold, "DECLARE "+name, &Statement{Action: Pass}
		return st
	}
	for _, c := range []struct {
		name  string
		steps []*Statement
		tags  map[int]string
		left  string
	}{
		{"commit", []*Statement{declare("a", false), declare("b", true), change(sqlparse.NameCommit, "")}, nil, "b"},
		{"commit that was none", []*Statement{declare("b", true), change(sqlparse.NameCommit, "")}, map[int]string{1: "ROLLBACK"}, ""},
		{"rollback", []*Statement{declare("b", true), change(sqlparse.NameRollback, "")}, nil, ""},
		{"held before the rollback", []*Statement{declare("b", true), change(sqlparse.NameCommit, ""), change(sqlparse.NameRollback, "")}, nil, "b"},
		{"savepoint", []*Statement{declare("a", false), change(sqlparse.NameSavepoint, "s"), declare("b", false), change(sqlparse.NameRollbackTo, "s")}, nil, "a"},
		{"savepoint twice", []*Statement{change(sqlparse.NameSavepoint, "s"), declare("a", false), change(sqlparse.NameSavepoint, "s"), declare("b", true),
			change(sqlparse.NameRollbackTo, "s")}, nil, "a"},
		{"released", []*Statement{change(sqlparse.NameSavepoint, "s"), change(sqlparse.NameSavepoint, "t"), declare("a", false), change(sqlparse.NameRelease, "t"),
			change(sqlparse.NameRollbackTo, "s")}, nil, ""},
		{"released to the top", []*Statement{change(sqlparse.NameSavepoint, "s"), declare("a", false), change(sqlparse.NameRelease, "s"),
			change(sqlparse.NameSavepoint, "u"), change(sqlparse.NameRollbackTo, "u")}, nil, "a"},
		{"a savepoint that was not seen", []*Statement{declare("a", false), change(sqlparse.NameRollbackTo, "x")}, nil, ""},
		{"dropped", []*Statement{declare("a", true), declare("b", true), change(sqlparse.NameDrop, "a")}, nil, "b"},
		{"all dropped", []*Statement{declare("a", true), change(sqlparse.NameDropKind, "")}, nil, ""},
		{"discarded", []*Statement{declare("a", true), change(sqlparse.NameCommit, ""), change(sqlparse.NameDropAll, "")}, nil, ""},
	} {
		s := New(Config{Judge: &fakeJudge{}})
		for i, st := range c.steps {
			tag := c.tags[i]
			if tag == "" && st.Change.Op == sqlparse.NameCommit {
				tag = "COMMIT"
			}
			s.nameChanged(&entry{kind: kQuery, verdict: &Verdict{}}, st, []byte(tag))
		}
		left := ""
		for _, name := range []string{"a", "b"} {
			if s.portals.get(name) != nil {
				left += name
			}
		}
		if left != c.left {
			t.Errorf("%s: cursors %q are left, want %q", c.name, left, c.left)
		}
	}
}

// TestNamesBeyondTheLimit: more savepoints than are followed lose every cursor at a rollback to one.
func TestNamesBeyondTheLimit(t *testing.T) {
	s := New(Config{Judge: &fakeJudge{}})
	h := &entry{kind: kQuery, verdict: &Verdict{}}
	s.nameChanged(h, &Statement{Text: "x", Behind: &Statement{}, Change: sqlparse.NameChange{Op: sqlparse.NameMake, Reference: sqlparse.Reference{Cursor: true, Name: "a"}}}, nil)
	for range maxSavepoints + 1 {
		s.nameChanged(h, &Statement{Change: sqlparse.NameChange{Op: sqlparse.NameSavepoint, Reference: sqlparse.Reference{Name: "s"}}}, nil)
	}
	if len(s.saved.names) != maxSavepoints {
		t.Errorf("%d savepoints are kept, want %d", len(s.saved.names), maxSavepoints)
	}
	s.nameChanged(h, &Statement{Change: sqlparse.NameChange{Op: sqlparse.NameRollbackTo, Reference: sqlparse.Reference{Name: "s"}}}, nil)
	if s.portals.len() != 0 {
		t.Error("a cursor is left of which it is not known whether it still exists")
	}
}
