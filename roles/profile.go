package roles

import (
	"maps"
	"strings"

	"pgveil/masking"
)

// Profile names a set of ready-made masks, made to leave what a rule of HIPAA lets a data set hold.
type Profile string

// The profiles.
const (
	SafeHarbor     Profile = "safe_harbor"      // 45 CFR 164.514(b)(2): de-identified
	LimitedDataSet Profile = "limited_data_set" // 45 CFR 164.514(e): for research, public health and operations, under an agreement
)

// Profiles lists the profiles.
var Profiles = []Profile{SafeHarbor, LimitedDataSet}

// Title is the profile as reports name it.
func (p Profile) Title() string {
	switch p {
	case SafeHarbor:
		return "Safe Harbor"
	case LimitedDataSet:
		return "limited data set"
	}
	return string(p)
}

// identifier is a class of identifiers that HIPAA names.
type identifier struct {
	class      string
	safeHarbor string // its letter in 45 CFR 164.514(b)(2)(i)
	limited    string // its number in 45 CFR 164.514(e)(2); "" when a limited data set may hold it
}

var identifiers = []identifier{
	{"name", "A", "i"},
	{"address", "B", "ii"},
	{"zip", "B", ""},
	{"date", "C", ""},
	{"age", "C", ""},
	{"phone", "D", "iii"},
	{"fax", "E", "iv"},
	{"email", "F", "v"},
	{"ssn", "G", "vi"},
	{"mrn", "H", "vii"},
	{"health_plan", "I", "viii"},
	{"account", "J", "ix"},
	{"license", "K", "x"},
	{"vehicle", "L", "xi"},
	{"device", "M", "xii"},
	{"url", "N", "xiii"},
	{"ip", "O", "xiv"},
	{"biometric", "P", "xv"},
	{"photo", "Q", "xvi"},
	{"unique_id", "R", ""},
}

// Classes of parts of an address that stay where the rest goes: a state in both, a town or city in a limited data set.
const (
	classCity  = "address.city"
	classState = "address.state"
)

// classFreeText may hold every identifier.
const classFreeText = "free_text"

// identifierOf finds the identifier that a class or a class above it is; nil for a class of none.
func identifierOf(class string) *identifier {
	top, _, _ := strings.Cut(class, ".")
	for i := range identifiers {
		if identifiers[i].class == top {
			return &identifiers[i]
		}
	}
	return nil
}

// Masks gives the profile's masks by class. Every identifier has an entry, so that a "*" of a role concerns the other classes alone.
func (p Profile) Masks() map[string]masking.Spec {
	redact, shown := masking.Spec{Method: masking.Redact}, masking.Spec{Method: masking.Clear}
	masks := map[string]masking.Spec{"*": redact, classFreeText: redact, classState: shown}
	for _, id := range identifiers {
		masks[id.class] = redact
	}
	switch p {
	case SafeHarbor:
		masks["zip"] = masking.Spec{Method: masking.Generalize, To: masking.ToZip3}
		masks["date"] = masking.Spec{Method: masking.Generalize, To: masking.ToYear}
		masks["age"] = masking.Spec{Method: masking.Generalize, To: masking.ToAge90}
	case LimitedDataSet:
		masks["zip"], masks["date"], masks["age"], masks[classCity] = shown, shown, shown, shown
	}
	return masks
}

// Apply gives the role the profile's masks for the classes that its own masks do not name.
func (p Profile) Apply(r *Role) {
	masks := p.Masks()
	r.ready = map[string]bool{}
	for class := range masks {
		if _, own := r.Masks[class]; !own {
			r.ready[class] = true
		}
	}
	maps.Copy(masks, r.Masks)
	r.Masks = masks
}
