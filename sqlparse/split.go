package sqlparse

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// Split cuts a text into its statements at the semicolons that PostgreSQL's lexer sees between
// them, as psql does: not inside parentheses, nor between BEGIN and END of a function's body. White space and comments
// around statements are dropped, and so is what holds nothing else. A text that the lexer does not accept comes back whole.
func Split(sql string) []string {
	if strings.IndexByte(sql, 0) >= 0 {
		return []string{sql}
	}
	scanned, err := pg_query.Scan(sql)
	if err != nil {
		return []string{sql}
	}
	var parts []string
	start, end := -1, -1
	var head []pg_query.Token // the statement's first tokens
	parentheses, bodies := 0, 0
	for _, t := range scanned.Tokens {
		switch t.Token {
		case pg_query.Token_SQL_COMMENT, pg_query.Token_C_COMMENT:
			continue
		case pg_query.Token_ASCII_59:
			if parentheses > 0 || bodies > 0 {
				break
			}
			if start >= 0 {
				parts = append(parts, sql[start:end])
			}
			start, head = -1, head[:0]
			continue
		case pg_query.Token_ASCII_40:
			parentheses++
		case pg_query.Token_ASCII_41:
			parentheses = max(parentheses-1, 0)
		case pg_query.Token_BEGIN_P:
			if makesRoutine(head) {
				bodies++
			}
		case pg_query.Token_CASE:
			if bodies > 0 {
				bodies++
			}
		case pg_query.Token_END_P:
			bodies = max(bodies-1, 0)
		}
		if start < 0 {
			start = int(t.Start)
		}
		end = int(t.End)
		if len(head) < 4 {
			head = append(head, t.Token)
		}
	}
	if start >= 0 {
		parts = append(parts, sql[start:end])
	}
	return parts
}

// makesRoutine reports whether a statement begins with CREATE [OR REPLACE] FUNCTION or PROCEDURE.
func makesRoutine(head []pg_query.Token) bool {
	if len(head) == 0 || head[0] != pg_query.Token_CREATE {
		return false
	}
	return slices.Contains(head, pg_query.Token_FUNCTION) || slices.Contains(head, pg_query.Token_PROCEDURE)
}
