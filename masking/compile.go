package masking

import (
	"errors"
	"fmt"
)

// Cell masks the cells of one result column. It is safe for concurrent use.
type Cell interface {
	// MaskCell appends the masked form of cell to dst. cell is in the column's wire
	// format; what it appends is too. A nil cell is a NULL that must not be told from
	// a value: it gets what redact gives; an empty value must not be nil. ok is false when the result is NULL;
	// dst then comes back as it was. cell is not kept and must not overlap dst's free space.
	MaskCell(dst, cell []byte) (out []byte, ok bool)
}

// Column is a result column to be masked.
type Column struct {
	Type    Type
	Format  int16  // 0 text, 1 binary
	Class   string // the class that the mask was chosen for; keyed masks use its part before the first dot
	Spec    Spec
	Session Session
	Name    string     // the source column's name in its table, not the alias; pseudonym may go by it
	Key     *KeyColumn // shift: the result column that holds the key of the row's subject; nil when there is none
}

// errNoKey is what a keyed mask without a key file gives.
var errNoKey = errors.New("needs a key: set keys.file (pgveil keygen makes a key)")

// Compile makes the cell mask of a column. It is nil for clear. A mask that
// cannot serve the type is an error, as in [Spec.Check]; so are a keyed mask
// without keys or class, and a date to generalize without Session.Year.
func (k *Keys) Compile(c Column) (Cell, error) {
	if c.Format != textFormat && c.Format != binaryFormat {
		return nil, fmt.Errorf("format code %d of a result column is not known", c.Format)
	}
	if err := c.Spec.Check(c.Type); err != nil {
		return nil, err
	}
	st := readSession(c.Session, c.Type)
	redacted := redactConstant(c.Type, c.Format, st)
	if familyOf(c.Type) == famArray && c.Spec.elementwise() {
		return k.compileArray(c, st, redacted)
	}
	if familyOf(c.Type) == famRange && c.Spec.boundwise() {
		return k.compileRange(c, redacted)
	}
	switch c.Spec.Method {
	case Clear:
		return nil, nil
	case Redact:
		return redacted, nil
	case Null:
		return &constant{null: true}, nil
	case Fixed:
		return compileFixed(c, st, redacted)
	case Partial:
		return compilePartial(c, st, redacted), nil
	case Literals:
		return compileLiterals(c, st, redacted), nil
	case Hash:
		return k.compileHash(c, st, redacted)
	case Token:
		return k.compileToken(c, st, redacted)
	case FPE:
		return k.compileFPE(c, redacted)
	case Generalize:
		return compileGeneralize(c, st, redacted)
	case Pseudonym, Email:
		return k.compilePseudonym(c, st, redacted)
	case Scrub:
		return compileScrub(c, st, redacted), nil
	case Shift:
		return k.compileShift(c, st, redacted)
	case Noise:
		return k.compileNoise(c, st, redacted)
	}
	return nil, fmt.Errorf("mask %s is not supported yet", c.Spec.Method)
}

// Check reports whether the mask can serve the type. Redact, null and fixed
// serve every type: where no valid value can be built the result is NULL.
// The masks of elementwise serve the arrays of the types that they serve, those of boundwise the ranges.
func (s Spec) Check(t Type) error {
	if familyOf(t) == famArray && s.elementwise() {
		if familyOf(t.element()) == famArray {
			return s.misfit(t, "it does not serve arrays of arrays")
		}
		return s.Check(t.element())
	}
	if familyOf(t) == famRange && s.boundwise() {
		return s.checkRange(t)
	}
	switch s.Method {
	case Clear, Redact, Null, Literals:
		return nil
	case Fixed:
		if familyOf(t) == famUnknown {
			return nil
		}
		if _, err := parseFixed(t, s.Value); err != nil {
			return fmt.Errorf("mask %s does not fit type %s: %w", s, t, err)
		}
		return nil
	case Partial:
		if familyOf(t) != famText {
			return s.misfit(t, "it serves text types")
		}
		if s.KeepFirst < 0 || s.KeepLast < 0 || s.KeepFirst > maxKeep || s.KeepLast > maxKeep {
			return fmt.Errorf("mask %s: numbers of kept characters must be from 0 to %d", s, maxKeep)
		}
		return nil
	case Hash:
		return s.checkHash(t)
	case Token:
		return s.checkToken(t)
	case FPE:
		return s.checkFPE(t)
	case Generalize:
		return s.checkGeneralize(t)
	case Pseudonym, Email:
		return s.checkPseudonym(t)
	case Scrub:
		return s.checkScrub(t)
	case Shift:
		return s.checkShift(t)
	case Noise:
		return s.checkNoise(t)
	}
	return fmt.Errorf("mask %q is not known", string(s.Method))
}

// elementwise reports whether the mask goes over an array's elements.
func (s Spec) elementwise() bool {
	switch s.Method {
	case Partial, Hash, Token, FPE, Generalize, Pseudonym, Email, Shift, Noise, Scrub:
		return true
	}
	return false
}

func (s Spec) misfit(t Type, why string) error {
	return fmt.Errorf("mask %s does not fit type %s: %s", s, t, why)
}

// constant gives the same value for every cell.
type constant struct {
	value []byte
	null  bool
}

func (c *constant) MaskCell(dst, _ []byte) ([]byte, bool) {
	if c.null {
		return dst, false
	}
	return append(dst, c.value...), true
}

// Constant marks the masker as one that gives the same for every cell.
func (c *constant) Constant() {}
