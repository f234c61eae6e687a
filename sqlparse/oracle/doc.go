// Package oracle reads PostgreSQL's own query trees and works out from them which
// base-table columns each result column of a statement depends on. It judges the
// analyser of sqlparse and shares no code with it: the server has resolved every name,
// chosen every function and expanded every view, so what is left is to follow the tree.
//
// A server sends its trees to any client that sets debug_print_rewritten (PostgreSQL
// docs, section 20.8.4) and client_min_messages = log. [Read] parses their text,
// [Columns] follows the columns. Only tests use this package.
package oracle
