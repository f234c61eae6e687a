package sqlparse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// xmlExpr analyses the XML constructors (PostgreSQL docs, section 9.15.1).
func (a *analysis) xmlExpr(x *pg.XmlExpr, sc *scope) value {
	var vals []value
	for _, n := range x.NamedArgs {
		if t := n.GetResTarget(); t != nil {
			vals = append(vals, a.expr(t.Val, sc))
		} else {
			vals = append(vals, a.expr(n, sc))
		}
	}
	vals = append(vals, a.exprs(x.Args, sc)...)
	l := derived(vals...)
	for i := range vals {
		if !vals[i].label.empty() && a.userType(vals[i].typ) {
			a.customText(&l, vals[i])
		}
	}
	switch x.Op {
	case pg.XmlExprOp_IS_DOCUMENT:
		return expression(l, oidBool)
	case pg.XmlExprOp_IS_XMLELEMENT, pg.XmlExprOp_IS_XMLFOREST, pg.XmlExprOp_IS_XMLCONCAT:
		for i := range vals {
			a.infinite(vals[i], x.Location)
		}
		return expression(l, oidXML)
	case pg.XmlExprOp_IS_XMLPARSE, pg.XmlExprOp_IS_XMLPI, pg.XmlExprOp_IS_XMLROOT:
		// Text that is no XML is an error.
		a.fault(l, x.Location)
		return expression(l.tells(), oidXML)
	}
	a.unsupported(x.Location, "this XML expression")
	return value{}
}

// infinite records that XML has no form for infinite dates.
func (a *analysis) infinite(v value, loc int32) {
	t := a.base(v.typ)
	if e := a.elem(t); e != 0 {
		t = a.base(e)
	}
	switch t {
	case oidDate, oidTimestamp, oidTimestampTZ, 0:
		a.fault(v.full(), loc)
	}
}

// userType reports whether the type, or a part of it, is read or written by
// functions that are not PostgreSQL's own.
func (a *analysis) userType(t catalog.OID) bool {
	return t != 0 && t != oidUnknown && a.cat.CustomIO(t)
}

// customText marks a label that goes through the text form of such a type.
func (a *analysis) customText(l *Label, v value) {
	if l.Opaque == "" {
		l.Opaque = "text form of type " + a.typeName(v.typ)
	}
}

// jsonExpr analyses the SQL/JSON constructors and query functions (PostgreSQL
// docs, sections 9.16.1 and 9.16.3).
func (a *analysis) jsonExpr(n any, sc *scope) value {
	switch n := n.(type) {
	case *pg.Node_JsonParseExpr:
		v := a.jsonValue(n.JsonParseExpr.Expr, sc)
		a.fault(v.full(), n.JsonParseExpr.Location)
		return a.jsonOutput(derived(v), n.JsonParseExpr.Output, oidJSON, sc)
	case *pg.Node_JsonScalarExpr:
		return a.jsonOutput(a.jsonOf(a.expr(n.JsonScalarExpr.Expr, sc)), n.JsonScalarExpr.Output, oidJSON, sc)
	case *pg.Node_JsonSerializeExpr:
		v := a.jsonValue(n.JsonSerializeExpr.Expr, sc)
		return a.jsonOutput(a.jsonOf(v), n.JsonSerializeExpr.Output, oidText, sc)
	case *pg.Node_JsonObjectConstructor:
		var l Label
		for _, e := range n.JsonObjectConstructor.Exprs {
			kv := e.GetJsonKeyValue()
			if kv == nil {
				a.unsupportedNode(e)
			}
			key := a.expr(kv.Key, sc)
			a.fault(key.full(), n.JsonObjectConstructor.Location) // NULL or twice the same
			l = l.union(derived(key)).union(a.jsonOf(a.jsonValue(kv.Value, sc)))
		}
		return a.jsonOutput(l, n.JsonObjectConstructor.Output, oidJSON, sc)
	case *pg.Node_JsonArrayConstructor:
		var l Label
		for _, e := range n.JsonArrayConstructor.Exprs {
			l = l.union(a.jsonOf(a.jsonNode(e, sc)))
		}
		return a.jsonOutput(l, n.JsonArrayConstructor.Output, oidJSON, sc)
	case *pg.Node_JsonArrayQueryConstructor:
		q, chosen := a.sublinkQuery(n.JsonArrayQueryConstructor.Query, sc)
		if len(q.cols) != 1 {
			a.refuse(stateSyntax, RuleSyntax, n.JsonArrayQueryConstructor.Location, "subquery must return only one column")
		}
		v := a.jsonOutput(a.jsonOf(q.cols[0].value), n.JsonArrayQueryConstructor.Output, oidJSON, sc)
		v.chosen = v.chosen.union(chosen)
		return v
	case *pg.Node_JsonObjectAgg:
		key := a.expr(n.JsonObjectAgg.Arg.GetKey(), sc)
		a.fault(key.full(), n.JsonObjectAgg.Constructor.GetLocation())
		l := derived(key).union(a.jsonOf(a.jsonValue(n.JsonObjectAgg.Arg.GetValue(), sc)))
		return a.jsonAggregate(n.JsonObjectAgg.Constructor, l, sc)
	case *pg.Node_JsonArrayAgg:
		return a.jsonAggregate(n.JsonArrayAgg.Constructor, a.jsonOf(a.jsonValue(n.JsonArrayAgg.Arg, sc)), sc)
	case *pg.Node_JsonFuncExpr:
		return a.jsonQuery(n.JsonFuncExpr, sc)
	case *pg.Node_JsonIsPredicate:
		return expression(derived(a.expr(n.JsonIsPredicate.Expr, sc)), oidBool)
	case *pg.Node_JsonValueExpr:
		return a.jsonValue(n.JsonValueExpr, sc)
	}
	a.unsupportedNode(n)
	return value{}
}

// jsonOf is the label of a value turned into JSON. A type may have a cast to
// json of its user's own, which is then what turns it (PostgreSQL docs,
// section 9.16, to_json).
func (a *analysis) jsonOf(v value) Label {
	l := derived(v)
	if l.empty() {
		return l
	}
	l = l.union(a.jsonCasts(v, -1))
	if a.userType(v.typ) {
		a.customText(&l, v)
	}
	return l
}

// makesJSON reports whether a built-in function turns values of any type into
// JSON.
func makesJSON(name string) bool {
	return strings.HasPrefix(name, "to_json") || strings.HasPrefix(name, "json") || name == "row_to_json" || name == "array_to_json"
}

// jsonCasts runs the casts to json or jsonb that users have made for types
// that may be within the value: JSON is made by them (PostgreSQL docs,
// section 9.16.1, to_json).
func (a *analysis) jsonCasts(v value, loc int32) Label {
	var l Label
	for _, to := range []catalog.OID{oidJSON, oidJSONB} {
		for _, c := range a.cat.CastsTo(to) {
			f := a.cat.FunctionByOID(c.Function)
			if c.Function < firstUserOID || v.typ == oidUnknown || v.param || !a.mayHold(v.typ, c.Source, 0) {
				continue
			}
			if f == nil {
				a.opaqueUse(&l, "cast function", v)
				continue
			}
			l = l.union(a.invoke(f, []value{{label: v.full().derive(), typ: c.Source}}, loc))
		}
	}
	return l
}

// mayHold reports whether a value of type t may hold one of type part.
func (a *analysis) mayHold(t, part catalog.OID, depth int) bool {
	if t == part || t == 0 || t == oidRecord || t == oidRecordArray || polymorphic(t) || depth > 16 {
		return true
	}
	b := a.cat.Type(t)
	if b == nil {
		return true
	}
	for _, inner := range []catalog.OID{b.Base, b.Elem, b.Subtype} {
		if inner != 0 && a.mayHold(inner, part, depth+1) {
			return true
		}
	}
	if rel := a.typeRelation(t); rel != nil && b.Kind == 'c' {
		for i := range rel.Columns {
			if a.mayHold(rel.Columns[i].Type, part, depth+1) {
				return true
			}
		}
	}
	return false
}

func (a *analysis) jsonNode(n *pg.Node, sc *scope) value {
	if j := n.GetJsonValueExpr(); j != nil {
		return a.jsonValue(j, sc)
	}
	return a.expr(n, sc)
}

// jsonValue is an expression with an optional FORMAT JSON.
func (a *analysis) jsonValue(j *pg.JsonValueExpr, sc *scope) value {
	if j == nil || j.RawExpr == nil {
		a.unsupported(-1, "a missing JSON value")
	}
	v := a.expr(j.RawExpr, sc)
	v.witness = Witness{Known: true}
	if f := j.Format; f != nil && f.FormatType != pg.JsonFormatType_JS_FORMAT_DEFAULT && f.FormatType != pg.JsonFormatType_JSON_FORMAT_TYPE_UNDEFINED {
		a.fault(v.full(), f.Location)
		v.label, v.fields = v.label.derive(), nil
	}
	return v
}

// jsonOutput applies RETURNING.
func (a *analysis) jsonOutput(l Label, out *pg.JsonOutput, t catalog.OID, sc *scope) value {
	v := expression(l, t)
	if out != nil && out.TypeName != nil {
		return a.castTo(v, a.typeOf(out.TypeName), castExplicit, out.TypeName.Location)
	}
	return v
}

func (a *analysis) jsonAggregate(c *pg.JsonAggConstructor, l Label, sc *scope) value {
	for _, n := range c.AggOrder {
		by := n.GetSortBy()
		if by == nil {
			a.unsupportedNode(n)
		}
		v := a.expr(by.Node, sc)
		a.predicate(UseSort, v.full(), Set{}, "ORDER BY of an aggregate", location(by.Node))
		l = l.union(derived(v))
	}
	if c.AggFilter != nil {
		l = l.union(a.condition(c.AggFilter, sc, "FILTER").tells())
	}
	if c.Over != nil {
		l = l.union(a.over(c.Over, sc))
	}
	v := a.jsonOutput(l, c.Output, oidJSON, sc)
	v.grows = true
	return v
}

// jsonQuery is JSON_VALUE, JSON_QUERY or JSON_EXISTS.
func (a *analysis) jsonQuery(f *pg.JsonFuncExpr, sc *scope) value {
	doc := a.jsonValue(f.ContextItem, sc)
	l := derived(doc).union(derived(a.expr(f.Pathspec, sc))).union(a.jsonPassing(f.Passing, sc))
	onEmpty, onError := a.jsonFails(f.OnEmpty, sc, &l), a.jsonFails(f.OnError, sc, &l)
	t := oidJSONB
	switch f.Op {
	case pg.JsonExprOp_JSON_EXISTS_OP:
		t = oidBool
	case pg.JsonExprOp_JSON_QUERY_OP:
	case pg.JsonExprOp_JSON_VALUE_OP:
		t = oidText
	default:
		a.unsupported(f.Location, "this SQL/JSON function")
	}
	if f.Output != nil && f.Output.TypeName != nil {
		t = a.typeOf(f.Output.TypeName).oid
	}
	if a.makes(t) && !l.empty() {
		a.domainCheck(expression(l, t), t, f.Location)
	}
	// A document that is no jsonb is converted first, and that can fail.
	if onEmpty || onError || a.base(doc.typ) != oidJSONB || a.userType(t) {
		a.fault(l, f.Location)
	}
	return expression(l.tells(), t)
}

func (a *analysis) jsonPassing(list []*pg.Node, sc *scope) Label {
	var l Label
	for _, n := range list {
		arg := n.GetJsonArgument()
		if arg == nil {
			a.unsupportedNode(n)
		}
		l = l.union(a.jsonOf(a.jsonValue(arg.Val, sc)))
	}
	return l
}

// jsonFails reports whether ON EMPTY or ON ERROR asks for an error, and adds
// what a DEFAULT depends on.
func (a *analysis) jsonFails(b *pg.JsonBehavior, sc *scope, l *Label) bool {
	if b == nil {
		return false
	}
	if b.Expr != nil {
		v := a.expr(b.Expr, sc)
		*l = l.union(derived(v))
	}
	return b.Btype == pg.JsonBehaviorType_JSON_BEHAVIOR_ERROR
}
