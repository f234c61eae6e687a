package catalog

import (
	"slices"
	"strconv"
	"strings"
)

// literalRule refines a Behaviour by the literals among a call's arguments; it
// returns b unchanged unless the literals prove more. literals has an entry
// for each argument given, nil for one that is not a literal.
type literalRule func(b Behaviour, literals []*string) Behaviour

// Refine returns b for a call in which some arguments are literals: the text
// of each argument that is a literal constant of the statement, nil for any
// other (a parameter, too: its value is not known when the statement is
// analysed). A plan that rests on more than b rests on the literal's value.
// It reports whether the literals mattered.
func (b Behaviour) Refine(literals []*string) (Behaviour, bool) {
	if b.literal == nil {
		return b, false
	}
	refined := b.literal(b, literals)
	return refined, !refined.Equal(b)
}

// Equal reports whether two refinements of one Behaviour say the same.
func (b Behaviour) Equal(o Behaviour) bool {
	return b.Total == o.Total && b.Stored == o.Stored && b.Bounded == o.Bounded && b.Grows == o.Grows && b.Pure == o.Pure && b.Flow == o.Flow && slices.Equal(b.Faults, o.Faults)
}

// Refinable reports whether Refine could ever tell more than b.
func (b Behaviour) Refinable() bool { return b.literal != nil }

// The rules, by the name that the data gives them.
var literalRules = map[string]literalRule{
	"unit":        unitRule,
	"unit-stored": unitStoredRule,
	"shift":       shiftRule,
	"moderate":    moderateRule,
	"field":       fieldRule,
	"object":      objectRule,
	"like":        likeRule,
	"numfmt":      numberFormatRule,
	"divisor":     divisorRule,
	"modulus":     modulusRule,
	"format":      formatRule,
	"setting":     settingRule,
	"count":       countRule,
	"pad":         padRule,
	"replace":     replaceRule,
	"positive":    positiveRule,
}

// literal returns the text of an argument that is a literal.
func literal(literals []*string, i int) (string, bool) {
	if i >= len(literals) || literals[i] == nil {
		return "", false
	}
	return *literals[i], true
}

func total(b Behaviour) Behaviour {
	b.Total, b.Faults = true, nil
	return b
}

// units are the field names that date_trunc takes for timestamps and intervals
// (PostgreSQL docs, section 9.9.2).
var units = []string{"microseconds", "milliseconds", "second", "minute", "hour", "day", "month", "quarter", "year", "decade", "century", "millennium"}

// unitRule: date_trunc of an interval to a field that it has.
func unitRule(b Behaviour, literals []*string) Behaviour {
	if u, ok := literal(literals, 0); ok && slices.Contains(units, strings.ToLower(u)) {
		return total(b)
	}
	return b
}

// unitStoredRule: date_trunc of a timestamp, where values at the type's limit would be cut to before it.
func unitStoredRule(b Behaviour, literals []*string) Behaviour {
	if u, ok := literal(literals, 0); ok && (slices.Contains(units, strings.ToLower(u)) || strings.EqualFold(u, "week")) {
		b.Stored = true
	}
	return b
}

// fieldRule: date_part and extract of any field: one that the type does not have is refused
// for every value. Only the time zone of a timestamp without one is NULL for infinity.
func fieldRule(b Behaviour, literals []*string) Behaviour {
	if u, ok := literal(literals, 0); ok && !strings.HasPrefix(strings.ToLower(u), "timezone") {
		return total(b)
	}
	return b
}

// shiftRule: a small number added to or taken from an integer or a date brings none that a
// column holds to the type's limit.
func shiftRule(b Behaviour, literals []*string) Behaviour {
	for i := range literals {
		if n, ok := integer(literals, i); ok && -1000 <= n && n <= 1000 {
			b.Stored = true
		}
	}
	return b
}

// moderateRule: a number with few digits brings no sum, difference or product with one of a declared
// precision to the limit of numeric.
func moderateRule(b Behaviour, literals []*string) Behaviour {
	for i := range literals {
		if n, ok := literal(literals, i); ok && len(n) <= 30 && strings.Trim(n, "-0123456789.") == "" {
			b.Bounded = true
		}
	}
	return b
}

// objectRule: json_build_object fails for a key that is NULL or no scalar; here all keys are literals.
func objectRule(b Behaviour, literals []*string) Behaviour {
	for i := 0; i < len(literals); i += 2 {
		if literals[i] == nil {
			return b
		}
	}
	if len(literals)%2 != 0 {
		return b
	}
	return total(b)
}

// likeRule: LIKE and ILIKE fail when matching reaches an escape character at the pattern's
// end, which depends on the text; so the pattern must not end in one.
func likeRule(b Behaviour, literals []*string) Behaviour {
	p, ok := literal(literals, 1)
	if !ok {
		return b
	}
	if strings.HasSuffix(p, `\`) {
		return b
	}
	return total(b)
}

// numberFormatRule: to_char of a number multiplies by a power of ten for V,
// which overflows depending on the value.
func numberFormatRule(b Behaviour, literals []*string) Behaviour {
	f, ok := literal(literals, 1)
	if !ok || strings.ContainsAny(f, "vV") {
		return b
	}
	return total(b)
}

// divisorRule: integer division fails for 0, and overflows for -1.
func divisorRule(b Behaviour, literals []*string) Behaviour {
	if n, ok := integer(literals, 1); ok && n != 0 && n != -1 {
		return total(b)
	}
	return b
}

// modulusRule: the remainder fails for 0 only.
func modulusRule(b Behaviour, literals []*string) Behaviour {
	if n, ok := integer(literals, 1); ok && n != 0 {
		return total(b)
	}
	return b
}

func integer(literals []*string, i int) (int64, bool) {
	s, ok := literal(literals, i)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return n, err == nil
}

// formatRule: format() with a literal that holds only %s, %L and %% (%I fails for NULL).
func formatRule(b Behaviour, literals []*string) Behaviour {
	f, ok := literal(literals, 0)
	if !ok {
		return b
	}
	used := 0
	for i := 0; i < len(f); i++ {
		if f[i] != '%' {
			continue
		}
		i++
		if i == len(f) {
			return b
		}
		switch f[i] {
		case 's', 'L':
			used++
		case '%':
		default:
			return b
		}
	}
	if used > len(literals)-1 {
		return b
	}
	return total(b)
}

// settingRule: current_setting of one of the server's own parameters. A name
// with a dot is a variable that any session may have filled with data.
func settingRule(b Behaviour, literals []*string) Behaviour {
	n, ok := literal(literals, 0)
	if !ok || n == "" || strings.Contains(n, ".") || strings.EqualFold(n, "primary_conninfo") {
		return b
	}
	b.Pure, b.Flow = true, FlowNone
	return b
}

// padRule: lpad and rpad to a moderate literal length.
func padRule(b Behaviour, literals []*string) Behaviour {
	if n, ok := integer(literals, 1); ok && n <= moderate {
		b = total(b)
		b.Grows = false
	}
	return b
}

// countRule: repeat by a moderate literal number. It still grows.
func countRule(b Behaviour, literals []*string) Behaviour {
	if n, ok := integer(literals, 1); ok && n <= moderate {
		return total(b)
	}
	return b
}

// moderate is far below what the 1 GB limit of a value leaves room for.
const moderate = 10000

// replaceRule: replace(text, from, to) does not grow when to is no longer than from.
func replaceRule(b Behaviour, literals []*string) Behaviour {
	from, ok := literal(literals, 1)
	to, ok2 := literal(literals, 2)
	if ok && ok2 && len(to) <= len(from) {
		b.Grows = false
	}
	return b
}

// positiveRule: substring with a literal length that is not negative.
func positiveRule(b Behaviour, literals []*string) Behaviour {
	if n, ok := integer(literals, 2); ok && n >= 0 {
		return total(b)
	}
	return b
}
