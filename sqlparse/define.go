package sqlparse

import (
	"fmt"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// refuseDefinition refuses a part of a definition that pgveil does not follow.
func (a *analysis) refuseDefinition(loc int32, what string) {
	a.bail(&Refusal{
		SQLState: statePrivilege, Rule: RuleDefinition, Position: a.pos(loc),
		Message: fmt.Sprintf("%s with %s is not allowed for masking roles", a.plan.Tag, what),
		Detail:  "It could run code, or look at values, that pgveil does not see.",
		Hint:    "Leave it out, or run the statement as a user whose role sees every class clear.",
	})
}

// temporaryName reports whether a new relation goes into the session's temporary schema: because the statement
// says so. A name that does so by the search path alone is not known to pgveil when it is made.
func temporaryName(rv *pg.RangeVar) bool {
	return rv.Relpersistence == "t" || rv.Schemaname == "pg_temp"
}

// define notes that the statement creates a relation.
func (a *analysis) define(rv *pg.RangeVar, kind catalog.RelKind, cols []TempColumn) {
	if rv.Catalogname != "" && rv.Catalogname != a.cat.Database {
		a.refuse(stateUnsupported, RuleName, rv.Location, "cross-database references are not implemented: %s", quoted(rv.Catalogname))
	}
	if !temporaryName(rv) {
		if tempSchema(rv.Schemaname) {
			a.refuseDefinition(rv.Location, "the schema of a session")
		}
		a.plan.Kind = KindDefine
		return
	}
	a.plan.Kind = KindTemp
	a.temp().Changes = true
	a.temp().Creates = append(a.temp().Creates, TempCreation{Name: cutName(rv.Relname), Kind: kind, Columns: cols})
}

// cutName is an identifier as the server keeps it (NAMEDATALEN, PostgreSQL docs, section 4.1.1). A name that is
// cut within a character is cut before it there, and is not recognised here: nothing is known of it then.
func cutName(s string) string { return s[:min(len(s), 63)] }

// temp is the plan's TempEffect, made when need be.
func (a *analysis) temp() *TempEffect {
	if a.plan.Temp == nil {
		a.plan.Temp = &TempEffect{}
	}
	return a.plan.Temp
}

// createTable analyses CREATE TABLE with plain columns.
func (a *analysis) createTable(s *pg.CreateStmt) {
	switch {
	case s.Relation == nil:
		a.unsupported(-1, "a table without a name")
	case len(s.InhRelations) > 0:
		a.refuseDefinition(s.Relation.Location, "INHERITS")
	case s.Partspec != nil || s.Partbound != nil:
		a.refuseDefinition(s.Relation.Location, "partitions")
	case s.OfTypename != nil:
		a.refuseDefinition(s.Relation.Location, "OF")
	case len(s.Options) > 0 || s.AccessMethod != "" || s.Tablespacename != "" || len(s.Constraints) > 0:
		a.refuseDefinition(s.Relation.Location, "storage options")
	}
	var cols []TempColumn
	for _, n := range s.TableElts {
		switch x := n.GetNode().(type) {
		case *pg.Node_ColumnDef:
			a.columnDefinition(x.ColumnDef)
			cols = append(cols, TempColumn{Name: cutName(x.ColumnDef.Colname)})
		case *pg.Node_Constraint:
			a.constraint(x.Constraint)
		default:
			a.refuseDefinition(location(n), "LIKE")
		}
	}
	a.define(s.Relation, catalog.KindTable, cols)
}

func (a *analysis) columnDefinition(c *pg.ColumnDef) {
	t := a.cat.Type(a.typeOf(c.TypeName).oid)
	if t == nil || t.Schema != systemSchema || t.Kind != 'b' && t.Kind != 'r' && t.Kind != 'm' {
		a.refuseDefinition(c.Location, "column "+quoted(c.Colname)+" of a type that is not PostgreSQL's own")
	}
	if c.CollClause != nil || len(c.Fdwoptions) > 0 || c.RawDefault != nil || c.Identity != "" || c.Generated != "" || c.StorageName != "" || c.Compression != "" {
		a.refuseDefinition(c.Location, "this option of column "+quoted(c.Colname))
	}
	for _, n := range c.Constraints {
		k := n.GetConstraint()
		if k == nil {
			a.unsupportedNode(n)
		}
		a.constraint(k)
	}
}

// constraint analyses a constraint of a new table. Those that compare values make the table one that takes no
// protected ones; see tempRelation.
func (a *analysis) constraint(k *pg.Constraint) {
	switch k.Contype {
	case pg.ConstrType_CONSTR_NULL, pg.ConstrType_CONSTR_NOTNULL, pg.ConstrType_CONSTR_ATTR_DEFERRABLE,
		pg.ConstrType_CONSTR_ATTR_NOT_DEFERRABLE, pg.ConstrType_CONSTR_ATTR_DEFERRED, pg.ConstrType_CONSTR_ATTR_IMMEDIATE:
	case pg.ConstrType_CONSTR_DEFAULT:
		if !constantDefault(k.RawExpr) {
			a.refuseDefinition(k.Location, "a default that is not a constant")
		}
		a.within("DEFAULT", func() { a.expr(k.RawExpr, &scope{}) })
	case pg.ConstrType_CONSTR_PRIMARY, pg.ConstrType_CONSTR_UNIQUE:
		if len(k.Options) > 0 || k.Indexname != "" || k.Indexspace != "" || k.AccessMethod != "" {
			a.refuseDefinition(k.Location, "options of an index")
		}
	default:
		a.refuseDefinition(k.Location, "this kind of constraint")
	}
}

// constantDefault reports whether a default is a constant, one that is cast, or the time.
func constantDefault(n *pg.Node) bool {
	switch x := n.GetNode().(type) {
	case *pg.Node_AConst:
		return true
	case *pg.Node_TypeCast:
		return x.TypeCast.GetArg().GetAConst() != nil
	case *pg.Node_SqlvalueFunction:
		return true
	case *pg.Node_FuncCall:
		name := names(x.FuncCall.Funcname)
		return len(x.FuncCall.Args) == 0 && len(name) > 0 && name[len(name)-1] == "now" && (len(name) == 1 || len(name) == 2 && name[0] == systemSchema)
	}
	return false
}

// createTableAs analyses CREATE TABLE AS and SELECT INTO.
func (a *analysis) createTableAs(into *pg.IntoClause, query *pg.Node) {
	s := query.GetSelectStmt()
	if s == nil || into == nil || into.Rel == nil {
		a.refuseDefinition(-1, "EXECUTE")
	}
	if into.AccessMethod != "" || len(into.Options) > 0 || into.TableSpaceName != "" || into.ViewQuery != nil {
		a.refuseDefinition(into.Rel.Location, "storage options")
	}
	a.root = s
	q := a.selectStmt(s, &scope{})
	if len(into.ColNames) > len(q.cols) {
		a.refuse(stateSyntax, RuleName, into.Rel.Location, "too many column names were specified")
	}
	cols := make([]TempColumn, len(q.cols))
	for i := range q.cols {
		name := q.cols[i].name
		if i < len(into.ColNames) {
			name = stringOf(into.ColNames[i])
		}
		l := q.cols[i].full()
		cols[i] = TempColumn{Name: cutName(name), Flow: a.flow(l)}
		if !temporaryName(into.Rel) {
			a.effect(Effect{Kind: EffectSink, Target: -1, Value: l, Name: "a permanent table"}, into.Rel.Location)
		}
	}
	a.define(into.Rel, catalog.KindTable, cols)
}

// createView analyses CREATE VIEW: the query is held against the rules for queries of the one who makes it.
func (a *analysis) createView(s *pg.ViewStmt) {
	sel := s.Query.GetSelectStmt()
	if sel == nil || s.View == nil {
		a.unsupportedNode(s.Query)
	}
	if len(s.Options) > 0 || s.WithCheckOption != pg.ViewCheckOption_NO_CHECK_OPTION {
		a.refuseDefinition(s.View.Location, "options")
	}
	a.root = sel
	q := a.selectStmt(sel, &scope{})
	if len(s.Aliases) > len(q.cols) {
		a.refuse(stateSyntax, RuleName, s.View.Location, "CREATE VIEW specifies more column names than columns")
	}
	if !temporaryName(s.View) {
		switch {
		case s.Replace:
			a.refuseDefinition(s.View.Location, "OR REPLACE")
		case a.ownUsed:
			a.refuseDefinition(s.View.Location, "a temporary relation in a view that is not said to be temporary")
		}
	}
	a.define(s.View, catalog.KindView, nil)
}

// ownRelation resolves the name of a relation that a definition changes: ok when it is the session's own
// temporary one.
func (a *analysis) ownRelation(rv *pg.RangeVar) (*tempRelation, bool) {
	if a.env.Temp == nil || rv == nil {
		return nil, false
	}
	t := a.env.Temp.temp(a.relation(rv))
	return t, t != nil
}

// drop analyses DROP TABLE, VIEW and INDEX.
func (a *analysis) drop(s *pg.DropStmt) {
	switch s.RemoveType {
	case pg.ObjectType_OBJECT_TABLE, pg.ObjectType_OBJECT_VIEW:
	default:
		a.refuseDefinition(-1, "objects of this kind")
	}
	own, permanent := 0, 0
	for _, n := range s.Objects {
		name := names(n.GetList().GetItems())
		if len(name) == 0 || len(name) > 2 {
			a.refuseDefinition(-1, "a name of this form")
		}
		rv := &pg.RangeVar{Relname: name[len(name)-1], Location: -1}
		if len(name) == 2 {
			rv.Schemaname = name[0]
		}
		rel := a.findRelation(rv)
		switch {
		case rel == nil && s.MissingOk:
		case rel == nil:
			a.refuse(stateNoTable, RuleName, -1, "relation %s does not exist", dotted(name))
		case a.env.Temp.temp(rel) != nil:
			own++
		default:
			permanent++
		}
	}
	if permanent > 0 {
		if s.Behavior == pg.DropBehavior_DROP_CASCADE {
			a.refuseDefinition(-1, "CASCADE")
		}
		a.plan.Kind = KindDefine
		return
	}
	a.plan.Kind = KindTemp
	a.temp().Changes = true
}

// truncate analyses TRUNCATE of own temporary tables.
func (a *analysis) truncate(s *pg.TruncateStmt) {
	a.plan.Kind = KindTemp
	for _, n := range s.Relations {
		rv := n.GetRangeVar()
		if rv == nil {
			a.unsupportedNode(n)
		}
		if _, ok := a.ownRelation(rv); !ok {
			// All rows of a table go, as by DELETE.
			rel := a.relation(rv)
			a.effect(Effect{Kind: EffectDelete, Target: a.sourceID(rel, 0, "*"), Name: rel.Schema + "." + rel.Name}, rv.Location)
			a.plan.Kind = KindDelete
		}
	}
}

// renameStatement analyses ALTER … RENAME of an own temporary relation or of its column.
func (a *analysis) renameStatement(s *pg.RenameStmt) {
	switch {
	case s.Relation == nil:
		a.refuseDefinition(-1, "another relation than a temporary one of the session")
	case s.RenameType == pg.ObjectType_OBJECT_TABLE, s.RenameType == pg.ObjectType_OBJECT_VIEW:
	case s.RenameType == pg.ObjectType_OBJECT_COLUMN && (s.RelationType == pg.ObjectType_OBJECT_TABLE || s.RelationType == pg.ObjectType_OBJECT_VIEW):
	default:
		a.refuseDefinition(-1, "another relation than a temporary one of the session")
	}
	if _, ok := a.ownRelation(s.Relation); !ok {
		a.refuseDefinition(-1, "another relation than a temporary one of the session")
	}
	a.plan.Kind = KindTemp
	a.temp().Changes = true
}

// alterTable analyses ALTER TABLE … DROP COLUMN of an own temporary table.
func (a *analysis) alterTable(s *pg.AlterTableStmt) {
	if s.Objtype != pg.ObjectType_OBJECT_TABLE {
		a.refuseDefinition(-1, "another relation than a temporary one of the session")
	}
	if _, ok := a.ownRelation(s.Relation); !ok {
		a.refuseDefinition(-1, "another relation than a temporary one of the session")
	}
	for _, n := range s.Cmds {
		if c := n.GetAlterTableCmd(); c == nil || c.Subtype != pg.AlterTableType_AT_DropColumn {
			a.refuseDefinition(s.Relation.Location, "anything but DROP COLUMN")
		}
	}
	a.plan.Kind = KindTemp
	a.temp().Changes = true
}

// createIndex analyses CREATE INDEX on columns of an own temporary table: to build it is to sort by them.
func (a *analysis) createIndex(s *pg.IndexStmt) {
	own, ok := a.ownRelation(s.Relation)
	if !ok || own.rel.Kind != catalog.KindTable {
		a.refuseDefinition(-1, "another relation than a temporary one of the session")
	}
	if s.WhereClause != nil || len(s.Options) > 0 || s.TableSpace != "" || len(s.ExcludeOpNames) > 0 || s.Concurrent ||
		s.AccessMethod != "btree" && s.AccessMethod != "hash" {
		a.refuseDefinition(s.Relation.Location, "these options")
	}
	it := a.relationItem(own.rel)
	for _, n := range append(s.IndexParams[:len(s.IndexParams):len(s.IndexParams)], s.IndexIncludingParams...) {
		e := n.GetIndexElem()
		if e == nil || e.Expr != nil || len(e.Opclass) > 0 || len(e.Opclassopts) > 0 || len(e.Collation) > 0 {
			a.refuseDefinition(s.Relation.Location, "more than plain columns")
		}
		use := UseSort
		if s.Unique {
			use = UseGroup
		}
		a.predicate(use, a.itemLabel(it, e.Name, s.Relation.Location), Set{}, "CREATE INDEX", s.Relation.Location)
	}
	a.plan.Kind = KindTemp
	a.temp().Changes = true
}

func (a *analysis) itemLabel(it *item, name string, loc int32) Label {
	c := a.itemColumn(it, name, loc)
	if c == nil {
		a.refuse(stateNoColumn, RuleName, loc, "column %s does not exist", quoted(name))
	}
	return c.full()
}
