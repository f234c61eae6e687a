package sqlparse

import (
	"slices"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// A value that a statement is given (a literal of its text, or a parameter) may stand for a column's: it is
// compared with the column, or written to it. This file finds which value meets which columns, so that a masked
// form can be put back before the server sees it. A literal stands in one place and so has one use; a parameter
// may have several, and each of them is listed.

// InputUse says what a statement does with a value that it is given.
type InputUse uint8

// The uses of an Input.
const (
	InputOther    InputUse = iota // anything else than what follows
	InputNull                     // IS [NOT] NULL
	InputCompared                 // equality with Columns
	InputWritten                  // stored in the column, in a new row
	InputReplaces                 // stored in the column, where it replaces a value
)

// Input is a value that a statement is given, in one of its places.
type Input struct {
	Param       int // its number; 0: a literal
	First, Last int // of a literal: its tokens among those of the query string, by index (see TokenSpans); -1: not certain
	Place       int // First, counted from the statement's own first token
	Position    int // byte offset in Plan.Text, -1 when none
	Use         InputUse
	Columns     Set         // the value compared with has the values of these columns; or the column written to
	Type        catalog.OID // of that value, domains followed; of its elements with Array
	Array       bool        // the input is an array, each element of which is such a value

	// Prepared: a literal of the prepared statement whose plan EXPLAIN EXECUTE shows. What it stood for was put back when it
	// was prepared.
	Prepared bool
}

// place names an Input while the statement is analysed.
type place struct {
	param int
	loc   int32
}

// inputs of the statement under analysis.
type inputs struct {
	found  map[place]*Input
	order  []place
	tokens []token // of the query string
	text   string  // the query string
	before int     // of these stand before the statement
	params []place // each place in which a parameter stands
	doubt  bool    // tokens are not certain
}

// givenLiteral reports whether a node is a string or a number that the statement gives.
func givenLiteral(n *pg.Node) bool {
	c := n.GetAConst()
	if c == nil || c.Isnull {
		return false
	}
	switch c.Val.(type) {
	case *pg.A_Const_Ival, *pg.A_Const_Fval, *pg.A_Const_Sval:
		return true
	}
	return false
}

// uncast takes off the casts that leave a value of type t as it is.
func (a *analysis) uncast(n *pg.Node, t catalog.OID) *pg.Node {
	for {
		c := n.GetTypeCast()
		if c == nil {
			return n
		}
		if to := a.typeOf(c.TypeName); to.length || !a.sameValues(to.oid, t) {
			return nil
		}
		n = c.Arg
	}
}

// sameValues reports whether two types write equal values in the same way: texts, and integers of any width.
func (a *analysis) sameValues(s, t catalog.OID) bool {
	form := func(t catalog.OID) catalog.OID {
		switch t {
		case oidVarchar, oidBPChar:
			return oidText
		case oidInt2, oidInt4:
			return oidInt8
		}
		return t
	}
	return form(a.base(s)) == form(a.base(t))
}

// meet notes what the sides of an equality are given. The columns of a row are compared one by one.
func (a *analysis) meet(op []string, ln, rn *pg.Node, l, r []value) {
	if name := op[len(op)-1]; name != "=" && name != "<>" || len(l) != len(r) {
		return
	}
	for i := range l {
		if !a.systemOperator(op, l[i], r[i]) {
			continue
		}
		if l[i].plain() {
			a.input(part(rn, i, len(r)), InputCompared, l[i].label.Exact, l[i].typ)
		}
		if r[i].plain() {
			a.input(part(ln, i, len(l)), InputCompared, r[i].label.Exact, r[i].typ)
		}
	}
}

// part is item i of a row of n, or the expression itself. nil: it cannot be told.
func part(n *pg.Node, i, of int) *pg.Node {
	if r := n.GetRowExpr(); r != nil {
		if len(r.Args) != of || slices.ContainsFunc(r.Args, starOf) {
			return nil
		}
		return r.Args[i]
	}
	if of != 1 {
		return nil
	}
	return n
}

// systemOperator reports whether the operator is PostgreSQL's own: under its name, another compares as its author likes.
func (a *analysis) systemOperator(op []string, l, r value) bool {
	cands := a.resolve(op, []value{l, r})
	for _, c := range cands {
		if c.fn == nil || c.fn.Schema != systemSchema || c.fn.OID >= firstUserOID {
			return false
		}
	}
	return len(cands) > 0
}

// nullTest notes that a parameter is held against NULL, which its masked form keeps.
func (a *analysis) nullTest(n *pg.Node) {
	for n.GetTypeCast() != nil {
		n = n.GetTypeCast().Arg
	}
	if n.GetParamRef() != nil {
		a.inputOf(n, InputNull, Set{}, 0, false)
	}
}

// meetArray is meet for = ANY and <> ALL.
func (a *analysis) meetArray(op []string, n *pg.Node, l, elem value) {
	if name := op[len(op)-1]; name != "=" && name != "<>" || !l.plain() || !a.systemOperator(op, l, elem) {
		return
	}
	if c := n.GetTypeCast(); c != nil {
		to := a.typeOf(c.TypeName)
		if e := a.elem(to.oid); to.length || e == 0 || !a.sameValues(e, l.typ) {
			return
		}
		n = c.Arg
	}
	if list := n.GetAArrayExpr(); list != nil {
		for _, e := range list.Elements {
			a.input(e, InputCompared, l.label.Exact, l.typ)
		}
		return
	}
	a.inputOf(n, InputCompared, l.label.Exact, l.typ, true)
}

// input notes that a value meets columns, when it is one that the statement is given.
func (a *analysis) input(n *pg.Node, use InputUse, columns Set, t catalog.OID) {
	if n == nil || t == 0 {
		return
	}
	if e := a.elem(t); e != 0 && a.cat.BaseType(t).Category == 'A' {
		if list := n.GetAArrayExpr(); list != nil {
			for _, x := range list.Elements {
				a.input(x, use, columns, e)
			}
			return
		}
		if n = a.uncast(n, t); n != nil {
			a.inputOf(n, use, columns, e, true)
		}
		return
	}
	if n = a.uncast(n, t); n != nil {
		a.inputOf(n, use, columns, t, false)
	}
}

func (a *analysis) inputOf(n *pg.Node, use InputUse, columns Set, t catalog.OID, array bool) {
	if a.frame != nil || a.view != "" {
		return // of another text
	}
	in := Input{Use: use, Columns: columns, Type: a.base(t), Array: array, First: -1, Last: -1}
	p := place{loc: location(n)}
	switch {
	case n.GetParamRef() != nil:
		in.Param = int(n.GetParamRef().Number)
		p.param = in.Param
		if i := in.Param - 1; i >= 0 && i < len(a.env.ParamTypes) && use != InputNull {
			d := catalog.OID(a.env.ParamTypes[i])
			if e := a.elem(d); array && e != 0 {
				d = e
			}
			if d != 0 && d != oidUnknown && !a.sameValues(d, t) {
				in.Use = InputOther
			}
		}
	case !givenLiteral(n) || a.elsewhere && !a.explaining || use == InputNull:
		return
	case a.elsewhere:
		in.Prepared, p.param = true, -1
	case n.GetAConst().GetSval() == nil && (array || !a.number(t)):
		return // the text of a number
	default:
		in.First, in.Last = a.inputs.literal(p.loc)
		in.Place = in.First - a.inputs.before
	}
	in.Position = a.pos(p.loc)
	a.inputs.add(p, in)
}

// number reports whether values of a type are written as numbers in a statement.
func (a *analysis) number(t catalog.OID) bool {
	switch a.base(t) {
	case oidInt2, oidInt4, oidInt8, oidNumeric:
		return true
	}
	return false
}

// arguments notes what the arguments of EXECUTE meet as parameters of the statement behind the name.
func (x *inputs) arguments(a *analysis, args []*pg.Node) {
	for _, p := range x.order {
		in := x.found[p]
		if in.Param < 1 || in.Param > len(args) || in.Use < InputCompared {
			continue
		}
		n, t := args[in.Param-1], in.Type
		if in.Array {
			if list := n.GetAArrayExpr(); list != nil {
				for _, e := range list.Elements {
					a.input(e, in.Use, in.Columns, t)
				}
				continue
			}
			t = a.arrayOf(t)
		}
		a.input(n, in.Use, in.Columns, t)
	}
}

// prepared leaves the literals of the prepared statement alone.
func (x *inputs) prepared() inputs {
	out := inputs{found: map[place]*Input{}}
	for _, p := range x.order {
		if x.found[p].Prepared {
			out.found[p], out.order = x.found[p], append(out.order, p)
		}
	}
	return out
}

// takesInputs reports whether a kind of statement uses what it is given while it runs, and keeps none of it: not in
// the text of a definition, and not in that of a plan.
func takesInputs(n *pg.Node) bool {
	switch n.GetNode().(type) {
	case *pg.Node_SelectStmt, *pg.Node_InsertStmt, *pg.Node_UpdateStmt, *pg.Node_DeleteStmt, *pg.Node_MergeStmt,
		*pg.Node_PrepareStmt, *pg.Node_ExecuteStmt, *pg.Node_DeclareCursorStmt, *pg.Node_CopyStmt, *pg.Node_CreateTableAsStmt:
		return true
	}
	return false
}

// literal finds the tokens of the literal at a place: a string, or a number with its sign.
func (x *inputs) literal(loc int32) (first, last int) {
	if x.doubt {
		return -1, -1
	}
	i, ok := slices.BinarySearchFunc(x.tokens, loc, func(t token, pos int32) int { return int(t.start - pos) })
	if !ok {
		return -1, -1
	}
	last = i
	if t := x.tokens[i]; t.kind == tokOperator && x.text[t.start] == '-' && i+1 < len(x.tokens) {
		last++
	}
	if k := x.tokens[last].kind; k != tokNumber && (k != tokString || last != i) {
		return -1, -1
	}
	return i, last
}

// add keeps an input; what is met in a place twice (in a recursive query) has to be the same to be of use.
func (x *inputs) add(p place, in Input) {
	was := x.found[p]
	if was == nil {
		if x.found == nil {
			x.found = map[place]*Input{}
		}
		x.found[p] = &in
		x.order = append(x.order, p)
		return
	}
	if was.Use != in.Use || was.Type != in.Type || was.Array != in.Array {
		was.Use = InputOther
		return
	}
	was.Columns = was.Columns.Union(in.Columns)
}

// paramPlaces lists where parameters stand in a text.
func paramPlaces(sql string, tokens []token) []place {
	var out []place
	for _, t := range tokens {
		if t.kind != tokParam {
			continue
		}
		n := 0
		for _, c := range []byte(sql[t.start+1 : t.end]) {
			if n > 1<<20 {
				break
			}
			n = 10*n + int(c-'0')
		}
		out = append(out, place{n, t.start})
	}
	return out
}

// list gives the inputs in the order in which they were met. A parameter that meets a column is listed with all its places.
func (x *inputs) list() []Input {
	if len(x.found) == 0 {
		return nil
	}
	met := map[int]bool{}
	out := make([]Input, 0, len(x.order))
	for _, p := range x.order {
		in := *x.found[p]
		met[in.Param] = met[in.Param] || in.Use >= InputCompared
	}
	for _, p := range x.order {
		if in := x.found[p]; in.Param == 0 || met[in.Param] {
			out = append(out, *in)
		}
	}
	if x.doubt {
		for n := range met {
			if n > 0 && met[n] {
				out = append(out, Input{Param: n, First: -1, Last: -1, Position: -1}) // it may stand in other places
			}
		}
	}
	for _, p := range x.params {
		if x.found[p] == nil && met[p.param] {
			out = append(out, Input{Param: p.param, First: -1, Last: -1, Position: -1})
		}
	}
	return out
}

// Span is a part of a text, in bytes.
type Span struct{ Start, End int }

// TokenSpans calls yield for each token of a query string, by index, as Input counts them. yield returns false to end.
func TokenSpans(sql string, yield func(i int, s Span) bool) {
	sc := scanner{s: sql}
	for i := 0; ; i++ {
		t := sc.next()
		if t.kind == tokEnd || !yield(i, Span{int(t.start), int(t.end)}) {
			return
		}
	}
}
