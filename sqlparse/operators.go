package sqlparse

import "pgveil/catalog"

// operatorsNamed lists the operators that a name may mean: those of all
// schemas of the path when it has none.
func (a *analysis) operatorsNamed(name []string, n int) []*catalog.Operator {
	var all []*catalog.Operator
	switch len(name) {
	case 1:
		for _, s := range a.callSchemas() {
			if !tempSchema(s) {
				all = append(all, a.cat.OperatorsByName(s, name[0])...)
			}
		}
	case 2:
		all = a.cat.OperatorsByName(name[0], name[1])
	}
	out := make([]*catalog.Operator, 0, len(all))
	for _, o := range all {
		if (o.Left == 0) == (n == 1) {
			out = append(out, o)
		}
	}
	return out
}

// operatorKey names an operator with its operands' types.
type operatorKey struct {
	schema, name string
	args         int
	types        [2]catalog.OID
	params       [2]bool
}

// resolve finds what an operator may mean for operands of these types, and
// remembers it: long lists repeat the same one.
func (a *analysis) resolve(name []string, args []value) []candidate {
	k := operatorKey{name: name[len(name)-1], args: len(args)}
	if len(name) > 1 {
		k.schema = name[0]
	}
	for i := range args {
		k.types[i], k.params[i] = args[i].typ, args[i].param
	}
	if c, ok := a.operators[k]; ok {
		return c
	}
	var cands []candidate
	seen := map[[2]catalog.OID]string{}
	for _, o := range a.operatorsNamed(name, len(args)) {
		key := [2]catalog.OID{o.Left, o.Right}
		if s, ok := seen[key]; ok && s != o.Schema && !a.openPath {
			continue // shadowed by a schema earlier in the path
		}
		seen[key] = o.Schema
		c := candidate{fn: a.cat.FunctionByOID(o.Function), params: []catalog.OID{o.Right}, index: []int{0}, result: o.Result}
		if len(args) == 2 {
			c.params, c.index = []catalog.OID{o.Left, o.Right}, []int{0, 1}
		}
		cands = append(cands, c)
	}
	chosen := a.narrowOperator(cands, args)
	if a.operators == nil {
		a.operators = map[operatorKey][]candidate{}
	}
	a.operators[k] = chosen
	return chosen
}

// operator applies an operator to one or two values (PostgreSQL docs, section 10.2).
func (a *analysis) operator(name []string, args []value, loc int32) value {
	chosen := a.resolve(name, args)
	if len(chosen) == 0 {
		a.refuse(stateNoFunction, RuleName, loc, "operator does not exist: %s", a.operationName(name, args))
	}
	out := a.apply(chosen[0], args, loc)
	for _, c := range chosen[1:] {
		v := a.apply(c, args, loc)
		out.label, out.chosen = out.label.union(v.label), out.chosen.union(v.chosen)
		out.grows = out.grows || v.grows
		if out.typ != v.typ {
			out.typ = 0
		}
	}
	out.fields = nil
	return out
}

// narrowOperator is narrow with the rule that an untyped literal beside a
// value first is taken to be of that value's type.
func (a *analysis) narrowOperator(cands []candidate, args []value) []candidate {
	if len(args) == 2 && args[0].typ != 0 && args[1].typ != 0 {
		l, r := args[0].typ, args[1].typ
		unknown := l == oidUnknown || r == oidUnknown
		switch {
		case l == oidUnknown:
			l = r
		case r == oidUnknown:
			r = l
		}
		tries := [][2]catalog.OID{{l, r}}
		if unknown {
			tries = append(tries, [2]catalog.OID{a.base(l), a.base(r)})
		}
		if a.openPath {
			return a.narrowOpen(cands, []value{{typ: l, param: args[0].param}, {typ: r, param: args[1].param}})
		}
		for _, t := range tries {
			for _, c := range cands {
				if c.params[0] == t[0] && c.params[1] == t[1] && t[0] != oidUnknown {
					return []candidate{c}
				}
			}
		}
	}
	return a.narrow(cands, args)
}

func (a *analysis) operationName(name []string, args []value) string {
	op := name[len(name)-1]
	if len(args) == 1 {
		return op + " " + a.typeName(args[0].typ)
	}
	return a.typeName(args[0].typ) + " " + op + " " + a.typeName(args[1].typ)
}

// ownOperator reports whether the operator may be one whose function is analysed through its body.
func (a *analysis) ownOperator(op []string, l, r value) bool {
	for _, c := range a.resolve(op, []value{l, r}) {
		if c.fn != nil && a.inlines(c.fn) {
			return true
		}
	}
	return false
}
