package sqlparse

import (
	"errors"
	"fmt"
)

// The rules under which the analyser refuses a statement for every role that
// may not see everything, by their stable names.
const (
	RuleSyntax      = "syntax"
	RuleEncoding    = "encoding"
	RuleTooLong     = "statement-too-long"
	RuleTooDeep     = "statement-too-deep"
	RuleNode        = "unsupported-node"
	RuleKind        = "statement-kind"
	RuleName        = "name"
	RuleRules       = "rewrite-rules"
	RuleViewWrite   = "view-write"
	RuleBatch       = "names-changed-in-batch"
	RuleSetting     = "setting"
	RuleInternal    = "analysis-failed"
	RuleComplexity  = "statement-too-complex"
	RuleVeilSetting = "veil-setting"
	RuleReveal      = "reveal"
	RuleDefinition  = "definition"
	RuleCopyFile    = "copy-file"
	RuleCopyOption  = "copy-option"
)

// SQLSTATEs of refusals (PostgreSQL docs, appendix A).
const (
	stateSyntax       = "42601"
	statePrivilege    = "42501"
	stateUnsupported  = "0A000"
	stateNoTable      = "42P01"
	stateNoColumn     = "42703"
	stateAmbiguous    = "42702"
	stateNoFunction   = "42883"
	stateNoObject     = "42704"
	stateEncoding     = "22021"
	stateTooComplex   = "54001"
	stateProgramLimit = "54000"
	stateGrouping     = "42803"
	stateWrongType    = "42804"
	stateBadReference = "42P10"
)

// SyntaxError is the error for a query string that PostgreSQL's grammar does
// not accept.
type SyntaxError struct {
	Message  string // as PostgreSQL words it
	Position int    // byte offset in the query string, -1 when none
}

func (e *SyntaxError) Error() string { return e.Message }

// RefusalOf gives an error of Analyse the shape of a refusal.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	var s *SyntaxError
	if errors.As(err, &s) {
		return &Refusal{SQLState: stateSyntax, Message: s.Message, Position: s.Position, Rule: RuleSyntax}
	}
	return &Refusal{SQLState: statePrivilege, Message: "statement could not be analysed", Position: -1, Rule: RuleInternal}
}

// bail carries a refusal from the depths of an analysis to its door, where it
// is recovered. Nothing outside of this package sees it.
type bail struct{ *Refusal }

func (a *analysis) bail(r *Refusal) {
	panic(bail{r})
}

// refuse ends the analysis of the statement.
func (a *analysis) refuse(state, rule string, loc int32, format string, args ...any) {
	a.bail(&Refusal{SQLState: state, Rule: rule, Position: a.pos(loc), Message: fmt.Sprintf(format, args...)})
}

// unsupported ends the analysis at a construct that the analyser does not know.
func (a *analysis) unsupported(loc int32, what string) {
	a.bail(&Refusal{
		SQLState: stateUnsupported, Rule: RuleNode, Position: a.pos(loc),
		Message: what + " is not supported for masking roles",
		Detail:  "pgveil cannot tell what the result depends on.",
		Hint:    "Write the statement without it, or run it as a user whose role sees every class clear.",
	})
}

func (a *analysis) noColumn(loc int32, name string) {
	a.refuse(stateNoColumn, RuleName, loc, "column %s does not exist", name)
}

func quoted(name string) string { return `"` + name + `"` }
