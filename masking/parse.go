package masking

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of options. They are far above any sensible use and keep a mistyped
// configuration from making cells of unbounded size.
const (
	maxKeep   = 1000
	maxValue  = 4096 // bytes of a fixed value
	maxBucket = 1_000_000_000_000
)

// The words that generalize's option "to" takes; bucket is followed by its width, prefix by a number of bits.
const (
	ToYear   = "year"
	ToMonth  = "month"
	ToDecade = "decade"
	ToZip3   = "zip3"
	ToAge90  = "age90"
	ToBucket = "bucket"
	ToDay    = "day"
	ToHour   = "hour"
	ToPrefix = "prefix"
)

// optionNames lists the options that each mask takes.
var optionNames = map[Method][]string{
	Clear:      nil,
	Redact:     nil,
	Null:       nil,
	Fixed:      {"value"},
	Partial:    {"keep_first", "keep_last", "char"},
	Hash:       nil,
	Token:      nil,
	FPE:        {"alphabet", "check"},
	Generalize: {"to"},
	Pseudonym:  {"as", "locale"},
	Email:      nil,
	Scrub:      nil,
	Shift:      {"days", "by"},
	Noise:      {"percent", "amount"},
}

// ParseSpec reads a mask from its name and options as the configuration
// writes them. Every option is checked; an option that the mask does not take,
// one that it needs and lacks, and a value out of range are errors.
func ParseSpec(method string, options map[string]string) (Spec, error) {
	s := Spec{Method: Method(method)}
	takes, known := optionNames[s.Method]
	switch {
	case !slices.Contains(Methods, s.Method):
		return Spec{}, fmt.Errorf("unknown mask %q: use %s", method, methodList())
	case !known:
		return Spec{}, fmt.Errorf("mask %s is not supported yet", s.Method)
	}
	given := make([]string, 0, len(options))
	for name := range options {
		given = append(given, name)
	}
	sort.Strings(given) // the same mistake gives the same message each time
	for _, name := range given {
		if slices.Contains(takes, name) {
			continue
		}
		if len(takes) == 0 {
			return Spec{}, fmt.Errorf("mask %s takes no options, but %s is set", s.Method, name)
		}
		return Spec{}, fmt.Errorf("mask %s has no option %s: it takes %s", s.Method, name, strings.Join(takes, ", "))
	}
	var err error
	switch s.Method {
	case Clear, Redact, Null, Hash, Token:
	case Fixed:
		err = s.parseFixedOption(options)
	case Partial:
		err = s.parsePartialOptions(options)
	case FPE:
		err = s.parseFPEOptions(options)
	case Generalize:
		err = s.parseGeneralizeOption(options)
	case Email, Scrub:
	case Pseudonym:
		err = s.parsePseudonymOptions(options)
	case Shift:
		err = s.parseShiftOptions(options)
	case Noise:
		err = s.parseNoiseOptions(options)
	default:
		err = fmt.Errorf("mask %s is not supported yet", s.Method)
	}
	if err != nil {
		return Spec{}, err
	}
	return s, nil
}

// methodList writes the masks, for messages.
func methodList() string {
	var names []string
	for _, m := range Methods {
		names = append(names, string(m))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func (s *Spec) parseFixedOption(options map[string]string) error {
	value, ok := options["value"]
	switch {
	case !ok:
		return fmt.Errorf("mask fixed needs the option value")
	case len(value) > maxValue:
		return fmt.Errorf("mask fixed: value has %d bytes, at most %d are allowed", len(value), maxValue)
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		return fmt.Errorf("mask fixed: value must be UTF-8 without NUL characters")
	}
	s.Value = value
	return nil
}

func (s *Spec) parsePartialOptions(options map[string]string) error {
	var err error
	if s.KeepFirst, err = keepOption(options, "keep_first"); err != nil {
		return err
	}
	if s.KeepLast, err = keepOption(options, "keep_last"); err != nil {
		return err
	}
	if s.KeepFirst == 0 && s.KeepLast == 0 {
		return fmt.Errorf("mask partial keeps nothing: set keep_first or keep_last, or use redact")
	}
	s.Char = '*'
	if text, ok := options["char"]; ok {
		r, size := utf8.DecodeRuneInString(text)
		if size == 0 || size != len(text) || r == utf8.RuneError || !unicode.IsPrint(r) || unicode.IsSpace(r) {
			return fmt.Errorf("mask partial: char must be one printable character, not a space")
		}
		s.Char = r
	}
	return nil
}

func keepOption(options map[string]string, name string) (int, error) {
	text, ok := options[name]
	if !ok {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > maxKeep {
		return 0, fmt.Errorf("mask partial: %s must be a whole number from 0 to %d, not %q", name, maxKeep, text)
	}
	return int(n), nil
}

func (s *Spec) parseGeneralizeOption(options map[string]string) error {
	const want = "year, month, decade, day, hour, zip3, age90, bucket N or prefix N"
	to, ok := options["to"]
	if !ok {
		return fmt.Errorf("mask generalize needs the option to: %s", want)
	}
	switch to {
	case ToYear, ToMonth, ToDecade, ToDay, ToHour, ToZip3, ToAge90:
		s.To = to
		return nil
	}
	word, number, _ := strings.Cut(to, " ")
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
	switch {
	case word == ToBucket && (err != nil || n < 1 || n > maxBucket):
		return fmt.Errorf("mask generalize: bucket needs a width from 1 to %d, as in \"bucket 10\", not %q", int64(maxBucket), to)
	case word == ToPrefix && (err != nil || n < 1 || n > maxPrefix):
		return fmt.Errorf("mask generalize: prefix needs a number of bits from 1 to %d, as in \"prefix 24\", not %q", maxPrefix, to)
	case word != ToBucket && word != ToPrefix:
		return fmt.Errorf("mask generalize: to must be %s, not %q", want, to)
	}
	s.To, s.Bucket = word, n
	return nil
}

// String writes the mask as explanations and audit records show it:
// "redact", "partial(keep_last 4)", "generalize(bucket 10)".
func (s Spec) String() string {
	switch s.Method {
	case Fixed:
		return "fixed(" + s.Value + ")"
	case Partial:
		var parts []string
		if s.KeepFirst != 0 {
			parts = append(parts, "keep_first "+strconv.Itoa(s.KeepFirst))
		}
		if s.KeepLast != 0 {
			parts = append(parts, "keep_last "+strconv.Itoa(s.KeepLast))
		}
		if s.Char != '*' && s.Char != 0 {
			parts = append(parts, "char "+string(s.Char))
		}
		return "partial(" + strings.Join(parts, ", ") + ")"
	case FPE:
		var parts []string
		if s.Alphabet != "" {
			parts = append(parts, "alphabet "+s.Alphabet)
		}
		if s.CheckDigit != "" {
			parts = append(parts, "check "+s.CheckDigit)
		}
		if len(parts) == 0 {
			return "fpe"
		}
		return "fpe(" + strings.Join(parts, ", ") + ")"
	case Generalize:
		if s.To == ToBucket || s.To == ToPrefix {
			return "generalize(" + s.To + " " + strconv.FormatInt(s.Bucket, 10) + ")"
		}
		return "generalize(" + s.To + ")"
	case Pseudonym:
		var parts []string
		if s.As != "" {
			parts = append(parts, "as "+s.As)
		}
		if s.Locale != "" {
			parts = append(parts, "locale "+s.Locale)
		}
		if len(parts) > 0 {
			return "pseudonym(" + strings.Join(parts, ", ") + ")"
		}
	case Shift:
		out := "shift(days " + strconv.Itoa(s.Days)
		if s.By != "" {
			out += ", by " + s.By
		}
		return out + ")"
	case Noise:
		if s.Percent > 0 {
			return "noise(percent " + shortFloat(s.Percent) + ")"
		}
		return "noise(amount " + shortFloat(s.Amount) + ")"
	}
	return string(s.Method)
}

// Keyed reports whether the mask needs the key file.
func (s Spec) Keyed() bool {
	switch s.Method {
	case Hash, Token, FPE, Pseudonym, Email, Shift, Noise:
		return true
	}
	return false
}

// Reversible reports whether values can be had back from their masked form
// with the key: by [Keys.Reverser], and so by predicates and reveal.
func (s Spec) Reversible() bool {
	switch s.Method {
	case Token, FPE:
		return true
	}
	return false
}

// Stricter gives the mask for a value that depends on columns of two classes:
// clear gives way to every other mask, null wins, and two masks that differ in
// method or options become redact, since each might show what the other hides.
func Stricter(a, b Spec) Spec {
	switch {
	case a == b:
		return a
	case a.Method == Null || b.Method == Null:
		return Spec{Method: Null}
	case a.Method == Clear:
		return b
	case b.Method == Clear:
		return a
	}
	return Spec{Method: Redact}
}
