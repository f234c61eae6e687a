package roles

import (
	"slices"
	"strings"

	"pgveil/masking"
)

// Breach is a class that a role sees in a form that a profile's rule does not allow.
type Breach struct {
	Class     string
	Mask      masking.Spec
	Paragraph string // of title 45 of the Code of Federal Regulations: "164.514(b)(2)(i)(G)"
	Why       string
}

// Breaches judges the role's masks of the given classes by a profile's rule. Nothing is said of classes that are no identifiers:
// sensitive, and those that a file names itself. A mask that is not known to conform does not.
func (r *Role) Breaches(p Profile, classes []string) []Breach {
	var out []Breach
	for _, class := range classes {
		spec, _ := r.Mask(class)
		if why := p.objection(class, spec); why != "" {
			out = append(out, Breach{Class: class, Mask: spec, Paragraph: p.paragraph(class), Why: why})
		} else if covers(r.Reveal, class) && p.objection(class, masking.Spec{Method: masking.Clear}) != "" {
			out = append(out, Breach{Class: class, Mask: spec, Paragraph: p.paragraph(class), Why: "reveal lets the role turn its tokens back"})
		}
	}
	slices.SortStableFunc(out, func(a, b Breach) int { return order(a.Class) - order(b.Class) })
	if r.Predicates == "allow" && !r.Clear() {
		out = append(out, Breach{Paragraph: p.section(), Why: "predicates: allow lets the role find hidden values by asking for them"})
	}
	return out
}

// order is a class's place among the identifiers.
func order(class string) int {
	top, _, _ := strings.Cut(class, ".")
	if i := slices.IndexFunc(identifiers, func(id identifier) bool { return id.class == top }); i >= 0 {
		return i
	}
	return len(identifiers)
}

func (p Profile) section() string {
	if p == LimitedDataSet {
		return "164.514(e)(2)"
	}
	return "164.514(b)(2)(i)"
}

// paragraph names the rule for a class.
func (p Profile) paragraph(class string) string {
	id := identifierOf(class)
	switch {
	case id == nil: // free text may hold any of them
		return p.section()
	case p == LimitedDataSet:
		return p.section() + "(" + id.limited + ")"
	}
	return p.section() + "(" + id.safeHarbor + ")"
}

// objection says why a mask of a class does not conform; "" when it does.
func (p Profile) objection(class string, spec masking.Spec) string {
	id := identifierOf(class)
	freeText := class == classFreeText || strings.HasPrefix(class, classFreeText+".")
	if id == nil && !freeText || id != nil && p.permits(class, id, spec) {
		return ""
	}
	switch spec.Method {
	case masking.Redact, masking.Null, masking.Fixed:
		return ""
	case masking.Clear:
		if freeText {
			return "free text may hold any identifier"
		}
		if p == SafeHarbor {
			if rule := partsThatStay[id.class]; rule != "" {
				return rule
			}
		}
		return "the identifier is shown"
	case masking.Partial:
		return "a part of an identifier is still one"
	case masking.Hash, masking.Token, masking.FPE, masking.Pseudonym, masking.Email, masking.Shift, masking.Noise:
		if p == LimitedDataSet {
			return "it is derived from the identifier"
		}
		return "it is derived from the identifier, which 164.514(c)(1) forbids"
	case masking.Generalize:
		if rule := partsThatStay[idClass(id)]; rule != "" && p == SafeHarbor {
			return rule
		}
	case masking.Scrub:
		return "what it does not find stays"
	}
	return "it is not known to remove the identifier"
}

func idClass(id *identifier) string {
	if id == nil {
		return ""
	}
	return id.class
}

// partsThatStay says what Safe Harbor leaves of an identifier.
var partsThatStay = map[string]string{
	"zip":  "only the first three digits may stay: generalize to zip3",
	"date": "only the year may stay, and none that tells an age over 89: generalize to year",
	"age":  "ages over 89 must be one category: generalize to age90",
}

// permits reports whether the rule lets a data set hold this form of the identifier.
func (p Profile) permits(class string, id *identifier, spec masking.Spec) bool {
	if class == classState {
		return true // the rules are about what is smaller than a state
	}
	if p == LimitedDataSet {
		return id.limited == "" || class == classCity
	}
	if spec.Method != masking.Generalize {
		return false
	}
	switch id.class {
	case "zip":
		return spec.To == masking.ToZip3
	case "date":
		return spec.To == masking.ToYear || spec.To == masking.ToDecade // both keep silent on ages over 89
	case "age":
		return spec.To == masking.ToAge90
	}
	return false
}

// UsedClasses lists the classes that the policy's rules give to columns, in alphabetical order.
func (p *Policy) UsedClasses() []string {
	var classes []string
	for _, rule := range p.Rules {
		if rule.Class != ClassClear && !slices.Contains(classes, rule.Class) {
			classes = append(classes, rule.Class)
		}
	}
	slices.Sort(classes)
	return classes
}
