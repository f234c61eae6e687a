package roles

import (
	"fmt"

	"pgveil/sqlparse"
)

// explained refuses an EXPLAIN whose rows would tell of what the role may not see. Estimates come from the server's statistics
// of the columns that conditions look at, widths from those of all columns that are read; ANALYZE counts rows. So the
// plan of a statement that reads nothing protected is shown in full; where protected columns are only put out, its shape
// alone; where they decide which rows there are, nothing.
func (d *decider) explained() *sqlparse.Refusal {
	x := d.plan.Explain
	if x == nil {
		return nil
	}
	refuse := func(position int, message, detail, hint string) *sqlparse.Refusal {
		return &sqlparse.Refusal{SQLState: insufficientPrivilege, Rule: RuleExplain, Position: position, Message: message, Detail: detail, Hint: hint}
	}
	shown := &d.plan.Shown
	if shown.Literals != "" {
		return refuse(-1, fmt.Sprintf("the plan would show the definition of %s", shown.Literals),
			"Definitions are redacted for masking roles: their literals may be protected.", "Explain a statement over the tables themselves.")
	}
	for i := range d.plan.Inputs {
		in := &d.plan.Inputs[i]
		if id, bad := d.first(in.Columns); in.Prepared && bad {
			return refuse(-1, fmt.Sprintf("the plan would show a literal of the prepared statement that meets protected column %s", d.name(id)),
				"A masked form in it was put back when it was prepared.", "Explain the statement itself.")
		}
	}
	for i := range d.plan.Predicates {
		p := &d.plan.Predicates[i]
		if d.role.Predicates == "allow" && p.View == "" || p.Use == sqlparse.UseFault {
			continue
		}
		if p.Opaque != "" {
			return refuse(p.Position, fmt.Sprintf("the plan depends on %s", p.Opaque), "pgveil cannot tell whether it tells of protected data.", "")
		}
		if id, bad := d.firstData(p.Columns.Union(p.Peers)); bad {
			return refuse(p.Position, fmt.Sprintf("the plan depends on protected column %s in %s", d.name(id), p.Clause),
				"The server estimates rows by statistics of the column's values.", "Leave the condition out.")
		}
	}
	if x.Opaque != "" && (x.Runs || x.Numbers) {
		return refuse(-1, fmt.Sprintf("the plan depends on %s", x.Opaque), "pgveil cannot tell whether it tells of protected data.", "Use EXPLAIN (COSTS OFF).")
	}
	id, reads := d.first(d.plan.Reads)
	if !reads {
		return nil
	}
	switch {
	case x.Runs:
		return refuse(-1, fmt.Sprintf("EXPLAIN ANALYZE of a statement that reads protected column %s", d.name(id)),
			"What the server counts depends on the values.", "Use EXPLAIN (COSTS OFF).")
	case x.Numbers:
		return refuse(-1, fmt.Sprintf("the estimates of the plan depend on protected column %s", d.name(id)),
			"The server estimates widths by statistics of the column's values.", "Use EXPLAIN (COSTS OFF), without BUFFERS and the like.")
	case shown.Calls != "":
		return refuse(-1, fmt.Sprintf("the plan may show what %s gives", shown.Calls),
			fmt.Sprintf("The server may call it while it plans, and the statement reads protected column %s.", d.name(id)), "Explain the statement without it.")
	}
	return nil
}
