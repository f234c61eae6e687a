package masking

import (
	"fmt"
)

// Reverser gives back the values of a column's masked cells. It is safe for
// concurrent use.
type Reverser interface {
	// Unmask appends the value whose masked form cell is, in the column's type,
	// wire format and session style. ok is false when cell is no masked form: forged, made under
	// another key, misshapen; dst then comes back as it was. cell must not overlap dst's free space.
	// In an array elements that are no masked form stay as they are; ok is false only for what is no array.
	Unmask(dst, cell []byte) (out []byte, ok bool)
}

// Reverser makes the inverse of a column's mask. It is nil for masks that have
// none ([Spec.Reversible]). Errors are those of [Keys.Compile].
func (k *Keys) Reverser(c Column) (Reverser, error) {
	if !c.Spec.Reversible() {
		return nil, nil
	}
	cell, err := k.Compile(c)
	if err != nil {
		return nil, err
	}
	if a, ok := cell.(*arrayCell); ok {
		r, ok := a.element.(Reverser)
		if !ok {
			return nil, fmt.Errorf("mask %s has no inverse for type %s", c.Spec, c.Type)
		}
		reversed := *a
		reversed.element = elementReverser{r}
		return &arrayReverser{&reversed}, nil
	}
	r, ok := cell.(Reverser)
	if !ok {
		return nil, fmt.Errorf("mask %s has no inverse for type %s", c.Spec, c.Type)
	}
	return r, nil
}

// arrayReverser goes over an array's elements.
type arrayReverser struct{ array *arrayCell }

func (a *arrayReverser) Unmask(dst, cell []byte) ([]byte, bool) {
	out, ok := a.array.maskElements(dst, cell)
	if !ok {
		return dst, false
	}
	return out, true
}

// elementReverser lets a Reverser go where an array's elements are masked.
type elementReverser struct{ Reverser }

func (e elementReverser) MaskCell(dst, cell []byte) ([]byte, bool) {
	if out, ok := e.Unmask(dst, cell); ok {
		return out, true
	}
	return append(dst, cell...), true
}
