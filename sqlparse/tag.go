package sqlparse

import (
	"fmt"
	"strings"
	"unicode"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// describe gives the plan its command tag and the places of its output columns.
func (a *analysis) describe(n *pg.Node, tokens []token) {
	a.plan.Tag = commandTag(n)
	if s := n.GetSelectStmt(); s != nil {
		a.places = a.targetPlaces(s)
	}
	for _, list := range [][]*pg.Node{n.GetInsertStmt().GetReturningList(), n.GetUpdateStmt().GetReturningList(), n.GetDeleteStmt().GetReturningList(),
		n.GetMergeStmt().GetReturningList()} {
		if len(list) > 0 {
			a.places = a.listPlaces(list)
		}
	}
}

// targetPlaces gives the places of the output expressions of the first branch.
func (a *analysis) targetPlaces(s *pg.SelectStmt) []int {
	for s.GetLarg() != nil {
		s = s.Larg
	}
	return a.listPlaces(s.TargetList)
}

// listPlaces stops at the first item that may expand to several columns.
func (a *analysis) listPlaces(list []*pg.Node) []int {
	var out []int
	for _, n := range list {
		t := n.GetResTarget()
		if t == nil || starOf(t.Val) {
			break
		}
		out = append(out, a.pos(t.Location))
	}
	return out
}

// commandTags are the tags that do not follow from the names of the nodes.
var commandTags = map[string]string{
	"CreatedbStmt": "CREATE DATABASE", "DropdbStmt": "DROP DATABASE", "CreateFdwStmt": "CREATE FOREIGN DATA WRAPPER",
	"AlterFdwStmt": "ALTER FOREIGN DATA WRAPPER", "CreateTrigStmt": "CREATE TRIGGER", "CreateEventTrigStmt": "CREATE EVENT TRIGGER",
	"AlterEventTrigStmt": "ALTER EVENT TRIGGER", "CreatePlangStmt": "CREATE LANGUAGE", "CreateSeqStmt": "CREATE SEQUENCE",
	"AlterSeqStmt": "ALTER SEQUENCE", "CreateAmStmt": "CREATE ACCESS METHOD", "IndexStmt": "CREATE INDEX", "ViewStmt": "CREATE VIEW",
	"RuleStmt": "CREATE RULE", "CreateStmt": "CREATE TABLE", "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW", "CheckPointStmt": "CHECKPOINT",
	"ClosePortalStmt": "CLOSE CURSOR", "DeclareCursorStmt": "DECLARE CURSOR", "CopyStmt": "COPY", "DoStmt": "DO", "CallStmt": "CALL",
	"LoadStmt": "LOAD", "LockStmt": "LOCK TABLE", "TruncateStmt": "TRUNCATE TABLE", "SecLabelStmt": "SECURITY LABEL",
	"CompositeTypeStmt": "CREATE TYPE", "CreateEnumStmt": "CREATE TYPE", "CreateRangeStmt": "CREATE TYPE", "AlterEnumStmt": "ALTER TYPE",
	"CreateTableAsStmt": "CREATE TABLE AS", "DefineStmt": "CREATE", "RenameStmt": "ALTER", "AlterObjectSchemaStmt": "ALTER",
	"AlterOwnerStmt": "ALTER OWNER", "AlterObjectDependsStmt": "ALTER", "DropStmt": "DROP", "CreateStatsStmt": "CREATE STATISTICS",
	"AlterStatsStmt": "ALTER STATISTICS", "ConstraintsSetStmt": "SET CONSTRAINTS", "VariableShowStmt": "SHOW", "CreateFunctionStmt": "CREATE FUNCTION",
	"CreateOpClassStmt": "CREATE OPERATOR CLASS", "CreateOpFamilyStmt": "CREATE OPERATOR FAMILY", "AlterOpFamilyStmt": "ALTER OPERATOR FAMILY",
	"AlterTsdictionaryStmt": "ALTER TEXT SEARCH DICTIONARY", "AlterTsconfigurationStmt": "ALTER TEXT SEARCH CONFIGURATION",
	"AlterRoleSetStmt": "ALTER ROLE", "AlterDatabaseSetStmt": "ALTER DATABASE", "AlterDatabaseRefreshCollStmt": "ALTER DATABASE",
	"ReplicaIdentityStmt": "ALTER TABLE", "AlterTableSpaceOptionsStmt": "ALTER TABLESPACE", "AlterTableMoveAllStmt": "ALTER TABLESPACE",
	"CreateTableSpaceStmt": "CREATE TABLESPACE", "DropTableSpaceStmt": "DROP TABLESPACE", "AlterExtensionContentsStmt": "ALTER EXTENSION",
	"AlterDefaultPrivilegesStmt": "ALTER DEFAULT PRIVILEGES", "CreateForeignServerStmt": "CREATE SERVER", "AlterForeignServerStmt": "ALTER SERVER",
}

// commandTag names the command as PostgreSQL does, or close to it for kinds
// whose tag depends on their object.
func commandTag(n *pg.Node) string {
	switch x := n.GetNode().(type) {
	case *pg.Node_SelectStmt:
		if x.SelectStmt.IntoClause != nil {
			return "SELECT INTO"
		}
		return "SELECT"
	case *pg.Node_TransactionStmt:
		return transactionTag(x.TransactionStmt.Kind)
	case *pg.Node_VariableSetStmt:
		if k := x.VariableSetStmt.Kind; k == pg.VariableSetKind_VAR_RESET || k == pg.VariableSetKind_VAR_RESET_ALL {
			return "RESET"
		}
		return "SET"
	case *pg.Node_DeallocateStmt:
		if x.DeallocateStmt.Name == "" {
			return "DEALLOCATE ALL"
		}
		return "DEALLOCATE"
	case *pg.Node_DiscardStmt:
		return strings.ReplaceAll(x.DiscardStmt.Target.String(), "_", " ")
	case *pg.Node_CreateTableAsStmt:
		if x.CreateTableAsStmt.Objtype == pg.ObjectType_OBJECT_MATVIEW {
			return "CREATE MATERIALIZED VIEW"
		}
	case *pg.Node_FetchStmt:
		if x.FetchStmt.Ismove {
			return "MOVE"
		}
	case *pg.Node_VacuumStmt:
		if !x.VacuumStmt.IsVacuumcmd {
			return "ANALYZE"
		}
	case *pg.Node_GrantStmt:
		if !x.GrantStmt.IsGrant {
			return "REVOKE"
		}
	case *pg.Node_DropStmt:
		return "DROP " + objectName(x.DropStmt.RemoveType)
	case *pg.Node_DefineStmt:
		return "CREATE " + objectName(x.DefineStmt.Kind)
	case *pg.Node_RenameStmt:
		return "ALTER " + objectName(x.RenameStmt.RenameType)
	}
	name := fmt.Sprintf("%T", n.GetNode())
	name = name[strings.LastIndexByte(name, '_')+1:]
	if tag, ok := commandTags[name]; ok {
		return tag
	}
	var b strings.Builder
	for i, r := range strings.TrimSuffix(name, "Stmt") {
		if i > 0 && unicode.IsUpper(r) {
			b.WriteByte(' ')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

func objectName(t pg.ObjectType) string {
	switch t {
	case pg.ObjectType_OBJECT_COLUMN, pg.ObjectType_OBJECT_TABCONSTRAINT:
		return "TABLE"
	case pg.ObjectType_OBJECT_MATVIEW:
		return "MATERIALIZED VIEW"
	}
	return strings.ReplaceAll(strings.TrimPrefix(t.String(), "OBJECT_"), "_", " ")
}

func transactionTag(k pg.TransactionStmtKind) string {
	switch k {
	case pg.TransactionStmtKind_TRANS_STMT_BEGIN:
		return "BEGIN"
	case pg.TransactionStmtKind_TRANS_STMT_START:
		return "START TRANSACTION"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT:
		return "COMMIT"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK, pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		return "ROLLBACK"
	case pg.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		return "SAVEPOINT"
	case pg.TransactionStmtKind_TRANS_STMT_RELEASE:
		return "RELEASE"
	case pg.TransactionStmtKind_TRANS_STMT_PREPARE:
		return "PREPARE TRANSACTION"
	case pg.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		return "COMMIT PREPARED"
	case pg.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		return "ROLLBACK PREPARED"
	}
	return "TRANSACTION"
}
