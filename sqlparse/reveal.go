package sqlparse

import (
	pg "github.com/pganalyze/pg_query_go/v6"
)

// Reveal is SELECT pgveil.reveal(token, reason), which the proxy answers. The two are literals or parameters.
type Reveal struct {
	Name          string // of the result's column
	Token, Reason RevealArgument
}

// RevealArgument is a parameter by its number, or a literal by its token in the query string.
type RevealArgument struct {
	Param int
	Token int
}

// revealSchema and revealName are the function's name. There is none of that name in a database.
const (
	revealSchema = "pgveil"
	revealName   = "reveal"
)

func namesReveal(name []string) bool {
	return len(name) == 2 && name[0] == revealSchema && name[1] == revealName
}

// reveal analyses a SELECT that is nothing but a call of pgveil.reveal. It reports whether it is one.
func (a *analysis) reveal(s *pg.SelectStmt) bool {
	if len(s.TargetList) != 1 || s.Op != pg.SetOperation_SETOP_NONE {
		return false
	}
	target := s.TargetList[0].GetResTarget()
	f := target.GetVal().GetFuncCall()
	if f == nil || !namesReveal(names(f.Funcname)) {
		return false
	}
	alone := len(s.DistinctClause)+len(s.FromClause)+len(s.GroupClause)+len(s.WindowClause)+len(s.ValuesLists)+len(s.SortClause)+len(s.LockingClause) == 0 &&
		s.WhereClause == nil && s.HavingClause == nil && s.LimitCount == nil && s.LimitOffset == nil && s.WithClause == nil && s.IntoClause == nil
	plain := len(f.AggOrder) == 0 && f.AggFilter == nil && f.Over == nil && !f.AggDistinct && !f.AggStar && !f.AggWithinGroup && !f.FuncVariadic
	if !alone || !plain || len(f.Args) != 2 {
		a.refuseReveal(f.Location)
	}
	r := &Reveal{Name: target.Name, Token: a.revealArgument(f.Args[0]), Reason: a.revealArgument(f.Args[1])}
	if r.Name == "" {
		r.Name = revealName
	}
	a.plan.Kind = KindVeil
	a.plan.Veil.Reveal = r
	a.plan.Columns = []OutputColumn{{Name: r.Name, Type: oidText, Position: a.pos(f.Location)}}
	return true
}

func (a *analysis) revealArgument(n *pg.Node) RevealArgument {
	loc := location(n)
	if n = a.uncast(n, oidText); n == nil {
		a.refuseReveal(loc)
	}
	if p := n.GetParamRef(); p != nil && p.Number > 0 {
		return RevealArgument{Param: int(p.Number), Token: -1}
	}
	if _, ok := n.GetAConst().GetVal().(*pg.A_Const_Sval); !ok {
		a.refuseReveal(loc)
	}
	first, last := a.inputs.literal(location(n))
	if first < 0 || first != last {
		a.refuseReveal(loc)
	}
	return RevealArgument{Token: first}
}

// refuseReveal refuses pgveil.reveal within other SQL, for every role: the server has no such function.
func (a *analysis) refuseReveal(loc int32) {
	a.bail(&Refusal{
		SQLState: stateUnsupported, Rule: RuleReveal, Position: a.pos(loc),
		Message: "pgveil.reveal can only be called in a statement of its own",
		Detail:  "pgveil answers it itself, one token at a time.",
		Hint:    "SELECT pgveil.reveal('token', 'reason'), with plain literals or parameters.",
	})
}

// Reveals reports whether the statement is a call of pgveil.reveal.
func (p *Plan) Reveals() bool { return p.Kind == KindVeil && p.Veil.Reveal != nil }
