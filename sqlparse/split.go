package sqlparse

import (
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// Split cuts a text into its statements at the semicolons that PostgreSQL's lexer sees between
// them, as psql does. A text that the lexer does not accept comes back whole.
func Split(sql string) []string {
	if strings.IndexByte(sql, 0) >= 0 {
		return []string{sql}
	}
	parts, err := pg_query.SplitWithScanner(sql, true)
	if err != nil {
		return []string{sql}
	}
	return parts
}
