package roles

import (
	"fmt"
	"slices"
	"strings"

	"pgveil/masking"
	"pgveil/sqlparse"
)

// reveal decides a call of pgveil.reveal as far as it does not depend on the token.
func (d *decider) reveal(out *Decision) *Decision {
	if len(d.RevealGroups(d.role)) == 0 {
		out.Refusal = &sqlparse.Refusal{
			SQLState: insufficientPrivilege, Rule: RuleReveal, Position: -1,
			Message: fmt.Sprintf("masking role %q may not reveal tokens", d.role.Name),
			Detail:  "The role's reveal lists no class that a column of this database has.",
			Hint:    "Ask for a role that may.",
		}
		return out
	}
	out.Verdict = Reveal
	out.Columns = []ColumnDecision{{Mask: masking.Spec{Method: masking.Clear}, Reason: "one token of a class that the role may reveal"}}
	return out
}

// RevealGroups gives, for each class group of which the role may have tokens revealed, its classes for the record. A token
// tells its group (the part of a class before the first dot), not its column: all classes of the group must be listed.
func (b *Bound) RevealGroups(r *Role) map[string][]string {
	out := map[string][]string{}
	barred := map[string]bool{}
	for _, classes := range b.classes {
		class := strings.Join(classes, "+") // a column of several classes has tokens of its own
		if class == ClassClear {
			continue
		}
		group, _, _ := strings.Cut(class, ".")
		if !r.Clear() && slices.ContainsFunc(classes, func(c string) bool { return !covers(r.Reveal, c) }) {
			barred[group] = true
		}
		if !slices.Contains(out[group], class) {
			out[group] = append(out[group], class)
		}
	}
	for group, classes := range out {
		if barred[group] {
			delete(out, group)
			continue
		}
		slices.Sort(classes)
	}
	return out
}
