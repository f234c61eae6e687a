package sqlparse

import (
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// role says where the analyser meets a kind of node.
type nodeRole uint8

const (
	roleNone       nodeRole = iota
	roleExpression          // has a case in expr
	roleFrom                // has a case in fromItem
	roleStatement           // has a case in statement
	rolePart                // read by the node that holds it
	roleRefused             // the grammar makes it, pgveil refuses it for masking roles
	roleInternal            // made by the server's analyser or planner, never by the grammar
)

// nodeRoles is the decision on every kind of node of the parser. A test holds
// it against the parser's own list.
var nodeRoles = map[string]nodeRole{}

func init() {
	for role, list := range map[nodeRole]string{
		roleExpression: `ColumnRef AConst ParamRef AExpr BoolExpr NullTest BooleanTest TypeCast CollateClause FuncCall SubLink CaseExpr
			CoalesceExpr MinMaxExpr RowExpr AArrayExpr AIndirection SqlvalueFunction GroupingFunc SetToDefault NamedArgExpr XmlExpr XmlSerialize
			JsonParseExpr JsonScalarExpr JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor
			JsonObjectAgg JsonArrayAgg JsonFuncExpr JsonIsPredicate JsonValueExpr MergeSupportFunc CurrentOfExpr`,
		roleFrom: `RangeVar RangeSubselect RangeFunction RangeTableFunc JsonTable RangeTableSample JoinExpr`,
		roleStatement: `SelectStmt InsertStmt UpdateStmt DeleteStmt MergeStmt NotifyStmt ListenStmt UnlistenStmt TransactionStmt VariableSetStmt VariableShowStmt DeallocateStmt
			DiscardStmt DeclareCursorStmt ClosePortalStmt FetchStmt PrepareStmt ExecuteStmt ExplainStmt ConstraintsSetStmt CopyStmt LockStmt
			AlterTableStmt CreateStmt DropStmt TruncateStmt IndexStmt RenameStmt ViewStmt CreateTableAsStmt`,
		rolePart: `Alias IntoClause CaseWhen TypeName AStar AIndices ResTarget MultiAssignRef SortBy WindowDef RangeTableFuncCol ColumnDef
			DefElem LockingClause GroupingSet WithClause InferClause OnConflictClause CtesearchClause CtecycleClause CommonTableExpr
			IndexElem JsonFormat JsonBehavior JsonOutput JsonArgument JsonTablePathSpec JsonTableColumn JsonKeyValue JsonAggConstructor
			MergeWhenClause ReturnStmt RawStmt Integer Float Boolean String BitString List RoleSpec`,
		roleRefused: `TableLikeClause PartitionElem PartitionSpec PartitionBoundSpec PartitionRangeDatum
			SinglePartitionSpec PartitionCmd TriggerTransition PlassignStmt CreateSchemaStmt
			ReplicaIdentityStmt AlterTableCmd AlterCollationStmt AlterDomainStmt GrantStmt ObjectWithArgs AccessPriv
			GrantRoleStmt AlterDefaultPrivilegesStmt Constraint CreateTableSpaceStmt DropTableSpaceStmt
			AlterTableSpaceOptionsStmt AlterTableMoveAllStmt CreateExtensionStmt AlterExtensionStmt AlterExtensionContentsStmt CreateFdwStmt
			AlterFdwStmt CreateForeignServerStmt AlterForeignServerStmt CreateForeignTableStmt CreateUserMappingStmt AlterUserMappingStmt
			DropUserMappingStmt ImportForeignSchemaStmt CreatePolicyStmt AlterPolicyStmt CreateAmStmt CreateTrigStmt CreateEventTrigStmt
			AlterEventTrigStmt CreatePlangStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt DropRoleStmt CreateSeqStmt AlterSeqStmt
			DefineStmt CreateDomainStmt CreateOpClassStmt CreateOpClassItem CreateOpFamilyStmt AlterOpFamilyStmt 
			CommentStmt SecLabelStmt CreateStatsStmt StatsElem AlterStatsStmt
			CreateFunctionStmt FunctionParameter AlterFunctionStmt DoStmt CallStmt AlterObjectDependsStmt AlterObjectSchemaStmt
			AlterOwnerStmt AlterOperatorStmt AlterTypeStmt RuleStmt CompositeTypeStmt CreateEnumStmt
			CreateRangeStmt AlterEnumStmt LoadStmt CreatedbStmt AlterDatabaseStmt AlterDatabaseRefreshCollStmt
			AlterDatabaseSetStmt DropdbStmt AlterSystemStmt ClusterStmt VacuumStmt VacuumRelation RefreshMatViewStmt
			CheckPointStmt ReindexStmt CreateConversionStmt CreateCastStmt CreateTransformStmt
			DropOwnedStmt ReassignOwnedStmt AlterTsdictionaryStmt AlterTsconfigurationStmt PublicationTable PublicationObjSpec
			CreatePublicationStmt AlterPublicationStmt CreateSubscriptionStmt AlterSubscriptionStmt DropSubscriptionStmt`,
		roleInternal: `TableFunc Var Param Aggref WindowFunc WindowFuncRunCondition SubscriptingRef FuncExpr OpExpr DistinctExpr NullIfExpr
			ScalarArrayOpExpr SubPlan AlternativeSubPlan FieldSelect FieldStore RelabelType CoerceViaIo ArrayCoerceExpr ConvertRowtypeExpr
			CollateExpr CaseTestExpr ArrayExpr RowCompareExpr JsonReturning JsonConstructorExpr JsonExpr JsonTablePath JsonTablePathScan
			JsonTableSiblingJoin MergeAction CoerceToDomain CoerceToDomainValue NextValueExpr InferenceElem TargetEntry RangeTblRef
			FromExpr OnConflictExpr Query RangeTblEntry RtepermissionInfo RangeTblFunction TableSampleClause WithCheckOption SortGroupClause
			WindowClause RowMarkClause SetOperationStmt InlineCodeBlock CallContext IntList OidList`,
	} {
		for _, name := range strings.Fields(list) {
			if nodeRoles[name] != roleNone {
				panic("sqlparse: two decisions on node " + name)
			}
			nodeRoles[name] = role
		}
	}
}

// location gives the place of an expression in the query string, -1 when it
// has none.
func location(n *pg.Node) int32 {
	switch x := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return x.ColumnRef.Location
	case *pg.Node_AConst:
		return x.AConst.Location
	case *pg.Node_ParamRef:
		return x.ParamRef.Location
	case *pg.Node_AExpr:
		if l := location(x.AExpr.Lexpr); l >= 0 && l < x.AExpr.Location {
			return l
		}
		return x.AExpr.Location
	case *pg.Node_BoolExpr:
		if len(x.BoolExpr.Args) > 0 && x.BoolExpr.Boolop != pg.BoolExprType_NOT_EXPR {
			return location(x.BoolExpr.Args[0])
		}
		return x.BoolExpr.Location
	case *pg.Node_NullTest:
		return location(x.NullTest.Arg)
	case *pg.Node_BooleanTest:
		return location(x.BooleanTest.Arg)
	case *pg.Node_TypeCast:
		if l := location(x.TypeCast.Arg); l >= 0 {
			return l
		}
		return x.TypeCast.Location
	case *pg.Node_CollateClause:
		return location(x.CollateClause.Arg)
	case *pg.Node_FuncCall:
		return x.FuncCall.Location
	case *pg.Node_SubLink:
		return x.SubLink.Location
	case *pg.Node_CaseExpr:
		return x.CaseExpr.Location
	case *pg.Node_CoalesceExpr:
		return x.CoalesceExpr.Location
	case *pg.Node_MinMaxExpr:
		return x.MinMaxExpr.Location
	case *pg.Node_RowExpr:
		return x.RowExpr.Location
	case *pg.Node_AArrayExpr:
		return x.AArrayExpr.Location
	case *pg.Node_AIndirection:
		return location(x.AIndirection.Arg)
	case *pg.Node_XmlExpr:
		return x.XmlExpr.Location
	case *pg.Node_RangeVar:
		return x.RangeVar.Location
	case *pg.Node_SortBy:
		return location(x.SortBy.Node)
	}
	return -1
}

// outputName is the name that PostgreSQL gives an output column without AS
// (PostgreSQL source, FigureColname).
func outputName(n *pg.Node) string {
	if name, _ := figureName(n); name != "" {
		return name
	}
	return "?column?"
}

// figureName gives a name and how good it is: 2 is a name of its own, 1 that of
// a type or CASE, 0 none.
func figureName(n *pg.Node) (string, int) {
	last := func(parts []string) (string, int) {
		for i := len(parts) - 1; i >= 0; i-- {
			if parts[i] != "" {
				return parts[i], 2
			}
		}
		return "", 0
	}
	switch x := n.GetNode().(type) {
	case *pg.Node_ColumnRef:
		return last(names(x.ColumnRef.Fields))
	case *pg.Node_AIndirection:
		if name, s := last(names(x.AIndirection.Indirection)); s > 0 {
			return name, s
		}
		return figureName(x.AIndirection.Arg)
	case *pg.Node_FuncCall:
		return last(names(x.FuncCall.Funcname))
	case *pg.Node_AExpr:
		if x.AExpr.Kind == pg.A_Expr_Kind_AEXPR_NULLIF {
			return "nullif", 2
		}
	case *pg.Node_TypeCast:
		name, s := figureName(x.TypeCast.Arg)
		if s <= 1 && x.TypeCast.TypeName != nil {
			if t, ok := last(names(x.TypeCast.TypeName.Names)); ok > 0 {
				return t, 1
			}
		}
		return name, s
	case *pg.Node_CollateClause:
		return figureName(x.CollateClause.Arg)
	case *pg.Node_MergeSupportFunc:
		return "merge_action", 2
	case *pg.Node_GroupingFunc:
		return "grouping", 2
	case *pg.Node_SubLink:
		switch x.SubLink.SubLinkType {
		case pg.SubLinkType_EXISTS_SUBLINK:
			return "exists", 2
		case pg.SubLinkType_ARRAY_SUBLINK:
			return "array", 2
		case pg.SubLinkType_EXPR_SUBLINK:
			return subqueryName(x.SubLink.Subselect.GetSelectStmt()), 2
		}
	case *pg.Node_CaseExpr:
		if name, s := figureName(x.CaseExpr.Defresult); s > 1 {
			return name, s
		}
		return "case", 1
	case *pg.Node_AArrayExpr:
		return "array", 2
	case *pg.Node_RowExpr:
		return "row", 2
	case *pg.Node_CoalesceExpr:
		return "coalesce", 2
	case *pg.Node_MinMaxExpr:
		if x.MinMaxExpr.Op == pg.MinMaxOp_IS_LEAST {
			return "least", 2
		}
		return "greatest", 2
	case *pg.Node_SqlvalueFunction:
		return sqlValueName(x.SqlvalueFunction.Op), 2
	case *pg.Node_XmlExpr:
		if name, ok := xmlNames[x.XmlExpr.Op]; ok {
			return name, 2
		}
	case *pg.Node_XmlSerialize:
		return "xmlserialize", 2
	case *pg.Node_JsonParseExpr:
		return "json", 2
	case *pg.Node_JsonScalarExpr:
		return "json_scalar", 2
	case *pg.Node_JsonSerializeExpr:
		return "json_serialize", 2
	case *pg.Node_JsonObjectConstructor:
		return "json_object", 2
	case *pg.Node_JsonArrayConstructor, *pg.Node_JsonArrayQueryConstructor:
		return "json_array", 2
	case *pg.Node_JsonObjectAgg:
		return "json_objectagg", 2
	case *pg.Node_JsonArrayAgg:
		return "json_arrayagg", 2
	case *pg.Node_JsonFuncExpr:
		switch x.JsonFuncExpr.Op {
		case pg.JsonExprOp_JSON_EXISTS_OP:
			return "json_exists", 2
		case pg.JsonExprOp_JSON_QUERY_OP:
			return "json_query", 2
		case pg.JsonExprOp_JSON_VALUE_OP:
			return "json_value", 2
		}
	}
	return "", 0
}

var xmlNames = map[pg.XmlExprOp]string{
	pg.XmlExprOp_IS_XMLCONCAT: "xmlconcat", pg.XmlExprOp_IS_XMLELEMENT: "xmlelement", pg.XmlExprOp_IS_XMLFOREST: "xmlforest",
	pg.XmlExprOp_IS_XMLPARSE: "xmlparse", pg.XmlExprOp_IS_XMLPI: "xmlpi", pg.XmlExprOp_IS_XMLROOT: "xmlroot",
}

// subqueryName is the name of the first output column of a scalar subquery.
func subqueryName(s *pg.SelectStmt) string {
	for s.GetLarg() != nil {
		s = s.Larg
	}
	if len(s.GetValuesLists()) > 0 {
		return "column1"
	}
	if list := s.GetTargetList(); len(list) > 0 {
		if t := list[0].GetResTarget(); t.GetName() != "" {
			return t.Name
		} else if t != nil {
			return outputName(t.Val)
		}
	}
	return "?column?"
}

func sqlValueName(op pg.SQLValueFunctionOp) string {
	name := strings.ToLower(strings.TrimPrefix(op.String(), "SVFOP_"))
	return strings.TrimSuffix(name, "_n")
}
