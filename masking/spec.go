// Package masking turns cell values into masked ones: one mask a type and wire
// format, compiled once per result into a row program that does not allocate
// per cell.
package masking

import "slices"

// Method names a mask.
type Method string

// The masks. A mask keeps the column's type and NULL.
const (
	Clear      Method = "clear"
	Redact     Method = "redact"
	Null       Method = "null"
	Fixed      Method = "fixed"
	Partial    Method = "partial"
	Hash       Method = "hash"
	Generalize Method = "generalize"
	Token      Method = "token"
	FPE        Method = "fpe"
	Pseudonym  Method = "pseudonym"
	Email      Method = "email"
	Shift      Method = "shift"
	Noise      Method = "noise"
	Scrub      Method = "scrub"

	// Literals hides the literals of a definition's text. It is not for configurations: pgveil gives it
	// to what the system catalogs say of definitions.
	Literals Method = "literals"
)

// Methods lists every mask, in the order of the documentation.
var Methods = []Method{Clear, Redact, Null, Fixed, Partial, Hash, Token, FPE, Pseudonym, Email, Generalize, Shift, Noise, Scrub}

// Spec is a mask with its options. It is comparable.
type Spec struct {
	Method    Method
	KeepFirst int    // partial: characters kept at the start
	KeepLast  int    // partial: characters kept at the end
	Char      rune   // partial: what stands for a hidden character; '*' by default
	Value     string // fixed: the value, in the column type's text form
	To        string // generalize: year, month, decade, day, hour, zip3, age90, bucket, prefix
	Bucket    int64  // generalize to bucket: the width; to prefix: bits of an IPv4 address

	Days    int     // shift: the farthest move, in days
	By      string  // shift: the column that holds the key of the subject; "": all of a class group move alike
	Percent float64 // noise: the farthest move, as a part of the value
	Amount  float64 // noise: the farthest move; either this or Percent
	As      string  // pseudonym: what to make; "": as the class and the column's name say
	Locale  string  // pseudonym: whose names; "": en

	Alphabet   string // fpe: the characters of a value; "": each keeps its kind
	CheckDigit string // fpe: the kind of identifier; "": as the class says
}

// Options lists the options that the mask takes.
func (m Method) Options() []string { return slices.Clone(optionNames[m]) }
