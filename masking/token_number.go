package masking

// minTokenPrecision is the least p of a numeric(p) whose numbers are exchanged:
// as int2, fewer are soon known all.
const minTokenPrecision = 5

// numberToken masks numbers by others of their type.
type numberToken struct {
	*exchange
	redacted *constant
}

func (t *numberToken) MaskCell(dst, cell []byte) ([]byte, bool) {
	if out, ok := t.move(dst, cell, (*permutation).forth); ok {
		return out, true
	}
	return t.redacted.MaskCell(dst, nil)
}

// Unmask implements [Reverser].
func (t *numberToken) Unmask(dst, cell []byte) ([]byte, bool) {
	return t.move(dst, cell, (*permutation).back)
}
