package sqlparse

import (
	"slices"
	"strconv"
	"strings"

	"pgveil/catalog"
)

// candidate is a function or operator that a call may mean.
type candidate struct {
	fn     *catalog.Function // nil: the operator has no function that is known
	params []catalog.OID     // parameter types, one for each argument given
	index  []int             // of each argument in the function's own list
	result catalog.OID
}

// call is a use of a function by name.
type call struct {
	name     []string
	args     []value
	argNames []string // of each argument: "" for a positional one; nil when none is named
	variadic bool     // the last argument is an array for VARIADIC
	star     bool     // count(*)
	loc      int32
}

// functionsNamed lists the functions that a name may mean, whatever their
// arguments: those of all schemas of the path when it has none.
func (a *analysis) functionsNamed(name []string) []*catalog.Function {
	if namesReveal(name) {
		a.refuseReveal(-1)
	}
	switch len(name) {
	case 1:
		var out []*catalog.Function
		for _, s := range a.callSchemas() {
			if tempSchema(s) {
				continue // functions of pg_temp must be named with it
			}
			out = append(out, a.cat.FunctionsByName(s, name[0])...)
		}
		return out
	case 2:
		return a.cat.FunctionsByName(a.tempOf(name[0]), name[1])
	case 3:
		if name[0] == a.cat.Database {
			return a.cat.FunctionsByName(name[1], name[2])
		}
	}
	return nil
}

// tempOf resolves the schema name pg_temp to the session's own.
func (a *analysis) tempOf(schema string) string {
	if schema != "pg_temp" {
		return schema
	}
	for _, s := range a.path {
		if tempSchema(s) {
			return s
		}
	}
	return schema
}

// candidates lists what a call may mean by name and number of arguments
// (PostgreSQL docs, section 10.3).
func (a *analysis) candidates(c *call) []candidate {
	var out []candidate
	for _, f := range a.functionsNamed(c.name) {
		out = a.fit(out, f, c)
	}
	return out
}

// fit adds f to the candidates in each way in which the call may pass its arguments.
func (a *analysis) fit(out []candidate, f *catalog.Function, c *call) []candidate {
	n, given := len(f.Args), len(c.args)
	if c.argNames != nil {
		return a.fitNamed(out, f, c)
	}
	identity := make([]int, given)
	for i := range identity {
		identity[i] = i
	}
	if given <= n && given >= n-f.Defaults && (f.Variadic == 0 || c.variadic || given < n || f.Variadic == oidAny) || f.Variadic != 0 && c.variadic && given == n {
		out = append(out, candidate{fn: f, params: f.Args[:given:given], index: identity, result: f.Result})
	}
	if f.Variadic != 0 && !c.variadic && given >= n && n > 0 {
		params := slices.Clone(f.Args)
		index := slices.Clone(identity)
		elem := f.Variadic
		for i := n - 1; i < given; i++ {
			if i < len(params) {
				params[i] = elem
			} else {
				params = append(params, elem)
			}
			index[i] = n - 1
		}
		out = append(out, candidate{fn: f, params: params, index: index, result: f.Result})
	}
	return out
}

// fitNamed adds f when it has all the named parameters.
func (a *analysis) fitNamed(out []candidate, f *catalog.Function, c *call) []candidate {
	inputs := inputNames(f)
	if len(c.args) > len(f.Args) || len(c.args) < len(f.Args)-f.Defaults {
		return out
	}
	cand := candidate{fn: f, result: f.Result}
	for i := range c.args {
		at := i
		if c.argNames[i] != "" {
			at = slices.Index(inputs, c.argNames[i])
		}
		if at < 0 || at >= len(f.Args) || slices.Contains(cand.index, at) {
			return out
		}
		cand.params, cand.index = append(cand.params, f.Args[at]), append(cand.index, at)
	}
	return append(out, cand)
}

// inputNames lists the names of a function's input parameters.
func inputNames(f *catalog.Function) []string {
	if f.ArgModes == "" {
		return f.ArgNames
	}
	var out []string
	for i := range f.ArgModes {
		if m := f.ArgModes[i]; (m == 'i' || m == 'b' || m == 'v') && i < len(f.ArgNames) {
			out = append(out, f.ArgNames[i])
		}
	}
	return out
}

// narrow keeps the candidates that PostgreSQL may choose for arguments of
// these types: all that are left when it is not certain which.
func (a *analysis) narrow(cands []candidate, args []value) []candidate {
	if a.openPath {
		return a.narrowOpen(cands, args)
	}
	certain := true
	for i := range args {
		certain = certain && args[i].typ != 0
	}
	fits := make([]candidate, 0, len(cands))
	for _, c := range cands {
		if a.shadowed(fits, c) {
			continue
		}
		exact, ok := certain, true
		for i, p := range c.params {
			exact = exact && args[i].typ == p
			ok = ok && (args[i].param || a.coercible(args[i].typ, p))
		}
		if exact {
			return []candidate{c}
		}
		if ok {
			fits = append(fits, c)
		}
	}
	if len(fits) <= 1 || !certain {
		return fits
	}
	return a.selectCandidate(fits, args)
}

// shadowed reports whether a schema earlier in the path has the same signature.
func (a *analysis) shadowed(kept []candidate, c candidate) bool {
	for i := range kept {
		if k := &kept[i]; slices.Equal(k.params, c.params) && k.fn != nil && c.fn != nil && k.fn.Schema != c.fn.Schema && len(k.fn.Args) == len(c.fn.Args) && k.fn.Variadic == c.fn.Variadic {
			return true
		}
	}
	return false
}

// selectCandidate follows the rules of PostgreSQL docs, section 10.3, step 4.
// When they do not end in one candidate, all that are left are returned.
func (a *analysis) selectCandidate(cands []candidate, args []value) []candidate {
	n := len(args)
	types := make([]catalog.OID, n)
	unknowns := 0
	for i := range args {
		if types[i] = args[i].typ; types[i] == oidUnknown {
			unknowns++
		} else {
			types[i] = a.base(types[i])
		}
	}
	cands = best(cands, func(c *candidate) (score int) {
		for i, p := range c.params {
			if types[i] != oidUnknown && p == types[i] {
				score++
			}
		}
		return score
	})
	if len(cands) == 1 {
		return cands
	}
	cands = best(cands, func(c *candidate) (score int) {
		for i, p := range c.params {
			if types[i] != oidUnknown && (p == types[i] || preferredType(p) && category(a.cat.Type(p)) == category(a.cat.Type(types[i]))) {
				score++
			}
		}
		return score
	})
	if len(cands) == 1 || unknowns == 0 {
		return cands
	}
	if kept := a.byUnknowns(cands, types); len(kept) > 0 {
		if cands = kept; len(cands) == 1 {
			return cands
		}
	}
	if unknowns == n {
		return cands
	}
	// All known arguments have one type: the unknown ones may be of it, too.
	known := oidUnknown
	for _, t := range types {
		switch {
		case t == oidUnknown || t == known:
		case known == oidUnknown:
			known = t
		default:
			return cands
		}
	}
	var fits []candidate
	for _, c := range cands {
		if !slices.ContainsFunc(c.params, func(p catalog.OID) bool { return !a.coercible(known, p) }) {
			fits = append(fits, c)
		}
	}
	if len(fits) == 1 {
		return fits
	}
	return cands
}

func best(cands []candidate, score func(*candidate) int) []candidate {
	top := -1
	var out []candidate
	for i := range cands {
		switch s := score(&cands[i]); {
		case s > top:
			top, out = s, append(out[:0:0], cands[i])
		case s == top:
			out = append(out, cands[i])
		}
	}
	return out
}

// byUnknowns applies the rule for arguments of unknown type: strings win, else
// the category that all candidates agree on, else nothing is decided.
func (a *analysis) byUnknowns(cands []candidate, types []catalog.OID) []candidate {
	cats := make([]byte, len(types))
	preferred := make([]bool, len(types))
	for i, t := range types {
		if t != oidUnknown {
			continue
		}
		conflict := false
		for k, c := range cands {
			cat, pref := category(a.cat.Type(c.params[i])), preferredType(c.params[i])
			switch {
			case k == 0:
				cats[i], preferred[i] = cat, pref
			case cat == cats[i]:
				preferred[i] = preferred[i] || pref
			case cat == 'S':
				cats[i], preferred[i] = cat, pref
			default:
				conflict = true
			}
		}
		if conflict && cats[i] != 'S' {
			return nil
		}
	}
	var out []candidate
	for _, c := range cands {
		keep := true
		for i, t := range types {
			if t == oidUnknown && (category(a.cat.Type(c.params[i])) != cats[i] || preferred[i] && !preferredType(c.params[i])) {
				keep = false
			}
		}
		if keep {
			out = append(out, c)
		}
	}
	return out
}

// callable reports whether some function takes the call.
func (a *analysis) callable(c *call) bool {
	return len(a.narrow(a.candidates(c), c.args)) > 0
}

// call resolves a function call and gives its value.
func (a *analysis) call(c *call) value {
	cands := a.narrow(a.candidates(c), c.args)
	out := value{witness: Witness{Known: true}}
	first := true
	merge := func(v value) {
		if first {
			out.label, out.chosen, out.typ, out.fields, out.grows, out.out, out.stored = v.label, v.chosen, v.typ, v.fields, v.grows, v.out, v.stored
			first = false
			return
		}
		out.label, out.chosen = out.label.union(v.label), out.chosen.union(v.chosen)
		out.fields = nil
		out.grows, out.stored = out.grows || v.grows, out.stored && v.stored
		if out.typ != v.typ {
			out.typ, out.fields = 0, nil
		}
		if out.out != v.out {
			out.out = ""
		}
	}
	for _, cand := range cands {
		merge(a.apply(cand, c.args, c.loc))
	}
	if len(c.args) == 1 && c.argNames == nil && !c.star && (len(cands) != 1 || c.args[0].typ == 0) {
		// name(value) may be a cast to the type of that name.
		if t := a.findType(c.name); t != nil && a.castsByName(c.args[0], t) {
			merge(a.cast(c.args[0], t.OID, castExplicit, c.loc))
			out.witness = Witness{} // a cast to the value's own type leaves no trace
		}
	}
	if first && len(c.args) == 1 && len(c.name) == 1 && a.composite(c.args[0].typ) {
		// name(row) is row.name.
		if v := a.rowField(c.args[0], c.name[0]); v != nil {
			return *v
		}
	}
	if first {
		a.refuse(stateNoFunction, RuleName, c.loc, "function %s does not exist", a.callName(c))
	}
	return out
}

// castsByName reports whether name(value) can mean a cast (PostgreSQL source,
// func_get_detail): the argument is an untyped literal, or the cast relabels or goes
// through text.
func (a *analysis) castsByName(v value, t *catalog.Type) bool {
	if v.typ == oidRecord || a.kind(v.typ) == 'c' {
		return false
	}
	return v.typ == 0 || v.typ == oidUnknown || a.relabels(v.typ, t.OID) || t.Category == 'S' || category(a.cat.BaseType(v.typ)) == 'S'
}

func (a *analysis) callName(c *call) string {
	s := c.name[len(c.name)-1] + "("
	for i := range c.args {
		if i > 0 {
			s += ", "
		}
		s += a.typeName(c.args[i].typ)
	}
	return s + ")"
}

// apply gives the value of a call of one candidate.
func (a *analysis) apply(c candidate, args []value, loc int32) value {
	out := value{typ: a.resultType(c, args), witness: Witness{Known: true}}
	if c.fn == nil {
		out.label = derived(args...)
		a.opaqueUse(&out.label, "operator without a known function", args...)
		return out
	}
	passed := make([]value, len(args))
	for i := range args {
		passed[i] = a.pass(args[i], c.params[i], loc)
	}
	if v, ok := a.inline(c.fn, passed, c.index, out.typ, loc); ok {
		if c.fn.Set {
			a.sets++
		}
		v.out = outName(c.fn)
		return v
	}
	out.label, out.grows = a.run(c.fn, passed, c.index, loc)
	if c.fn.Set {
		a.sets++
		if len(args) != 1 || !args[0].fixed {
			a.rows(derived(passed...), loc)
		} else {
			a.rows(args[0].chosen.derive(), loc) // a subquery without a row gives no array
		}
	}
	if strings.Contains(c.fn.Name, "populate_record") && a.makes(out.typ) && !out.label.empty() {
		a.domainCheck(out, out.typ, loc)
	}
	out.fields = a.resultColumns(c.fn, out)
	out.out = outName(c.fn)
	out.stored = a.keepsStored(c.fn, args, out.typ)
	return out
}

// outName is the name of the only OUT parameter: the column's name in FROM.
func outName(f *catalog.Function) string {
	name, n := "", 0
	for i := range f.ArgModes {
		if m := f.ArgModes[i]; m == 'o' || m == 'b' || m == 't' {
			n++
			if i < len(f.ArgNames) {
				name = f.ArgNames[i]
			}
		}
	}
	if n != 1 {
		return ""
	}
	return name
}

// pass gives an argument the type of its parameter.
func (a *analysis) pass(v value, param catalog.OID, loc int32) value {
	if v.typ == oidUnknown || v.param || polymorphic(param) || param == oidAny || param == oidRecord || param == oidRecordArray || param == v.typ {
		return v
	}
	return a.cast(v, param, castImplicit, loc)
}

// invoke runs a function whose arguments are in order.
func (a *analysis) invoke(f *catalog.Function, args []value, loc int32) Label {
	index := make([]int, len(args))
	for i := range index {
		index[i] = i
	}
	if v, ok := a.inline(f, args, index, f.Result, loc); ok {
		return v.full().derive()
	}
	l, _ := a.run(f, args, index, loc)
	return l
}

// run gives the label of a function's result and records what else it does.
func (a *analysis) run(f *catalog.Function, args []value, index []int, loc int32) (l Label, grows bool) {
	l = derived(args...)
	b := a.behaviour(f, args, index)
	harmless := a.harmless(f, b, args)
	for i := range args {
		grows = grows || args[i].grows
	}
	for i := range args {
		if v := &args[i]; !v.label.empty() || !v.chosen.empty() {
			if grows || b.MayFault(index[i], len(f.Args)) && !(b.Bounded && v.bounded) && !harmless {
				a.fault(v.full(), loc)
			}
		}
	}
	grows = grows || b.Grows
	if f.Schema == systemSchema && f.OID < firstUserOID && makesJSON(f.Name) {
		for i := range args {
			l = l.union(a.jsonCasts(args[i], loc))
		}
	}
	what := "function " + a.signature(f)
	switch b.Flow {
	case catalog.FlowNone:
		if !b.Known || !b.Pure {
			l.Opaque = what
			a.effect(Effect{Kind: EffectFunction, Target: -1, Value: derived(args...), Name: what, Idle: f.Volatility != 'v'}, loc)
			return l, grows
		}
		if !b.KeepsNull {
			l = l.tells()
		}
		if a.rendersExpression(f, args) {
			return args[0].full(), grows
		}
		if b.Exact && len(args) > 0 && index[0] == 0 && l.Opaque == "" {
			l = args[0].full().union(derived(args[1:]...))
		}
	case catalog.FlowSource:
		result := a.source(&catalog.Relation{OID: f.OID, Schema: f.Schema, Name: f.Name}, ColumnResult, "()")
		if _, ok := catalog.Definition(f.Schema, f.Name, "()"); ok && f.OID < firstUserOID {
			l = l.union(Label{Exact: SetOf(result), NullTells: true}) // nothing else is known by that name
		} else {
			l = l.union(Label{Derived: SetOf(result), NullTells: true})
		}
	case catalog.FlowSink:
		if f.Name == "set_config" {
			a.setConfig(args, index, loc)
		}
		a.effect(Effect{Kind: EffectSink, Target: -1, Value: derived(args...), Name: f.Name}, loc)
		l = l.tells()
	default:
		l.Opaque = what
		a.effect(Effect{Kind: EffectRunner, Target: -1, Value: derived(args...), Name: f.Name}, loc)
	}
	return l, grows
}

// harmless reports whether a function that can fail does not for values as columns hold them.
func (a *analysis) harmless(f *catalog.Function, b catalog.Behaviour, args []value) bool {
	switch {
	case b.Compares:
		return !slices.ContainsFunc(args, func(v value) bool { return !a.cat.Comparable(v.typ) })
	case !b.Stored:
		return false
	}
	byLiterals := !a.behaviours[f.OID].Stored // then the rule has looked at them
	dates := 0
	for i := range args {
		v := &args[i]
		if !v.label.empty() && category(a.cat.BaseType(v.typ)) == 'D' {
			dates++
		}
		switch {
		case dates > 1:
			return false // the other one may be of a table that the client can write to
		case v.stored:
		case !v.label.empty() || !v.chosen.empty():
			return false
		case !byLiterals && (v.typ == 0 || v.typ == oidUnknown || category(a.cat.BaseType(v.typ)) == 'D' || a.elem(v.typ) != 0):
			// A date at the end of its type's range makes the difference to a stored one fail where the client wants it to.
			return false
		}
	}
	return true
}

// keepsStored reports whether the result of a call is as columns hold values, too. Sums and arrays are not: what adds to them
// may be said again and again, until they are as large as the client wants.
func (a *analysis) keepsStored(f *catalog.Function, args []value, result catalog.OID) bool {
	b := a.behaviours[f.OID]
	switch {
	case len(args) == 0:
		return b.Pure && category(a.cat.BaseType(result)) == 'D'
	case !b.Stored || a.elem(result) != 0 || f.Kind != 'f':
		return false
	}
	return !slices.ContainsFunc(args, func(v value) bool { return !v.stored })
}

// rendersExpression reports whether the call is pg_get_expr(tree, relation):
// the text of an expression is the expression, and the relation only names its columns.
func (a *analysis) rendersExpression(f *catalog.Function, args []value) bool {
	if f.Name != "pg_get_expr" || f.Schema != systemSchema || f.OID >= firstUserOID || len(args) == 0 || args[0].label.Opaque != "" {
		return false
	}
	for _, v := range args[1:] {
		l := v.full()
		if l.Opaque != "" {
			return false
		}
		for id := range l.columns().All() {
			if a.plan.Sources[id].Schema != systemSchema {
				return false
			}
		}
	}
	return true
}

// behaviour is what is known of a function in a call with these arguments.
func (a *analysis) behaviour(f *catalog.Function, args []value, index []int) catalog.Behaviour {
	b, ok := a.behaviours[f.OID]
	if !ok {
		b = a.cat.Behaviour(f)
		if a.behaviours == nil {
			a.behaviours = map[catalog.OID]catalog.Behaviour{}
		}
		a.behaviours[f.OID] = b
	}
	if !b.Known && a.env.Trusted[f.OID] {
		return catalog.Behaviour{Known: true, Pure: true}
	}
	if !b.Refinable() || b.Flow == catalog.FlowNone && !b.Grows && !slices.ContainsFunc(args, func(v value) bool { return !v.label.empty() }) {
		return b
	}
	texts, at := make([]*string, len(args)), make([]int32, len(args))
	given := false
	for i := range args {
		if index[i] < len(texts) {
			texts[index[i]], at[index[i]] = args[i].text, args[i].at-1
			given = given || args[i].text != nil
		}
	}
	refined, _ := b.Refine(texts)
	if given { // also when these literals prove nothing: others might
		a.restsOn(at, texts, func(others []*string) bool {
			r, _ := b.Refine(others)
			return r.Equal(refined)
		})
	}
	return refined
}

// resultType resolves polymorphic result types (PostgreSQL docs, section 38.2.5).
func (a *analysis) resultType(c candidate, args []value) catalog.OID {
	if !polymorphic(c.result) {
		return c.result
	}
	var elem, array, rng, multi catalog.OID
	for i, p := range c.params {
		t := args[i].typ
		if t == 0 || polymorphic(t) {
			continue
		}
		switch p {
		case oidAnyElement, oidAnyNonArray, oidAnyEnum, oidAnyCompatible, oidCompatibleNonArray:
			switch {
			case t == oidUnknown && elem == 0:
				if p == oidAnyCompatible || p == oidCompatibleNonArray {
					elem = oidText
				}
			case t == oidUnknown:
			case elem == 0 || elem == oidText && p != oidAnyElement:
				elem = t
			case elem != t && p == oidAnyCompatible:
				if elem = a.commonType([]value{{typ: elem}, {typ: t}}); elem == 0 {
					return 0
				}
			}
		case oidAnyArray, oidCompatibleArray:
			if t != oidUnknown {
				array = a.base(t)
				if elem == 0 || elem == oidText {
					elem = a.elem(t)
				}
			}
		case oidAnyRange, oidCompatibleRange:
			if b := a.cat.BaseType(t); b != nil && b.Kind == 'r' {
				rng = b.OID
				if elem == 0 {
					elem = b.Subtype
				}
			}
		case oidAnyMulti, oidCompatibleMulti:
			if b := a.cat.BaseType(t); b != nil && b.Kind == 'm' {
				multi, rng = b.OID, b.Subtype
				if r := a.cat.Type(rng); r != nil && elem == 0 {
					elem = r.Subtype
				}
			}
		}
	}
	switch c.result {
	case oidAnyElement, oidAnyNonArray, oidAnyEnum, oidAnyCompatible, oidCompatibleNonArray:
		return elem
	case oidAnyArray, oidCompatibleArray:
		if array != 0 && c.result == oidAnyArray {
			return array
		}
		return a.arrayOf(elem)
	case oidAnyRange, oidCompatibleRange:
		return rng
	case oidAnyMulti, oidCompatibleMulti:
		if multi == 0 && rng != 0 {
			return a.cat.MultirangeOf(rng)
		}
		return multi
	}
	return 0
}

// resultColumns lists the columns of a function's rows, nil for one that
// returns plain values or rows that only the call can describe.
func (a *analysis) resultColumns(f *catalog.Function, v value) []column {
	var out []column
	add := func(name string, t catalog.OID) {
		if polymorphic(t) {
			t = 0
		}
		out = append(out, column{name: name, loaded: true, value: expression(v.label.derive().tells(), t)})
	}
	if f.Result == oidRecord || f.ArgModes != "" && a.kind(f.Result) != 'c' {
		for i := range f.ArgModes {
			if m := f.ArgModes[i]; (m == 'o' || m == 'b' || m == 't') && i < len(f.AllArgs) {
				name := ""
				if i < len(f.ArgNames) {
					name = f.ArgNames[i]
				}
				if name == "" {
					name = "column" + strconv.Itoa(len(out)+1)
				}
				add(name, f.AllArgs[i])
			}
		}
		if f.Result != oidRecord && len(out) == 1 {
			return nil // one OUT parameter: a plain value
		}
		return out
	}
	if rel := a.typeRelation(v.typ); rel != nil {
		for i := range rel.Columns {
			add(rel.Columns[i].Name, rel.Columns[i].Type)
		}
	}
	return out
}

// rowField finds a column of a row by name, nil when it has none.
func (a *analysis) rowField(v value, name string) *value {
	for i := range v.fields {
		if v.fields[i].name == name {
			out := v.fields[i].value
			if !v.row {
				out.witness = Witness{}
			}
			return &out
		}
	}
	if rel := a.typeRelation(v.typ); rel != nil && v.fields == nil {
		for i := range rel.Columns {
			if rel.Columns[i].Name == name {
				out := expression(derived(v).tells(), rel.Columns[i].Type)
				return &out
			}
		}
	}
	return nil
}
