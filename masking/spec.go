// Package masking turns cell values into masked ones: one mask a type and wire
// format, compiled once per result into a row program that does not allocate
// per cell.
package masking

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
	To        string // generalize: year, month, decade, zip3, age90, bucket
	Bucket    int64  // generalize to bucket: the width
}
