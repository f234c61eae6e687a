package masking

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
)

// fpeFloor is the least number of values of a value's form: of fewer, an
// encrypted one is soon guessed (NIST SP 800-38G Revision 1, section 5.1).
const fpeFloor = 1_000_000

// Limits of a value, in bytes and in letters and digits.
const (
	maxFPE    = 128
	maxPlaces = 64
)

// maxWalk bounds the steps of cycle walking. More than these have a chance of
// under 10^-40, and end in redaction.
const maxWalk = 1000

// fpeDigits is the least number of decimal digits that reaches fpeFloor.
const fpeDigits = 6

func (s *Spec) parseFPEOptions(options map[string]string) error {
	s.Alphabet, s.CheckDigit = options["alphabet"], options["check"]
	if _, ok := alphabets[s.Alphabet]; !ok && (s.Alphabet != "" || has(options, "alphabet")) {
		return fmt.Errorf("mask fpe: alphabet must be %s, not %q", wordList(alphabets), s.Alphabet)
	}
	if _, ok := identifiers[s.CheckDigit]; !ok && s.CheckDigit != checkNone && (s.CheckDigit != "" || has(options, "check")) {
		return fmt.Errorf("mask fpe: check must be %s, not %q", wordList(identifiers, checkNone), s.CheckDigit)
	}
	if s.Alphabet != "" && s.CheckDigit != "" && s.CheckDigit != checkNone {
		return fmt.Errorf("mask fpe: check %s has its own alphabet: leave alphabet out", s.CheckDigit)
	}
	return nil
}

func has(options map[string]string, name string) bool {
	_, ok := options[name]
	return ok
}

func (s Spec) checkFPE(t Type) error {
	if _, ok := alphabets[s.Alphabet]; !ok && s.Alphabet != "" {
		return fmt.Errorf("mask %s: there is no alphabet %q", s, s.Alphabet)
	}
	if _, ok := identifiers[s.CheckDigit]; !ok && s.CheckDigit != "" && s.CheckDigit != checkNone {
		return fmt.Errorf("mask %s: there is no check %q", s, s.CheckDigit)
	}
	need := fpeDigits
	if id := identifiers[s.CheckDigit]; id != nil {
		need = id.min
	}
	if f := familyOf(t); f == famInt || f == famNumeric {
		if id := identifiers[s.CheckDigit]; id != nil && !id.decimal || s.Alphabet != "" && s.Alphabet != "digits" {
			return s.misfit(t, "its values are no numbers")
		}
	}
	switch familyOf(t) {
	case famText:
		if s.CheckDigit == "" || s.CheckDigit == checkNone {
			radix := 26 // letters that stay letters
			if a := alphabets[s.Alphabet]; a != nil {
				radix = len(a.chars)
			}
			for need = 1; math.Pow(float64(radix), float64(need)) < fpeFloor; need++ {
			}
		}
		if n := t.length(); n > 0 && n < need {
			return s.misfit(t, fmt.Sprintf("it needs at least %d characters: of shorter values there are under %d", need, fpeFloor))
		}
		return nil
	case famInt:
		if t.OID == oidInt2 {
			return s.misfit(t, fmt.Sprintf("it has fewer than %d values", fpeFloor))
		}
		return nil
	case famNumeric:
		switch precision, scale, ok := t.numericMod(); {
		case ok && scale != 0:
			return s.misfit(t, "it gives whole numbers, so it serves numeric without a scale")
		case ok && precision < need:
			return s.misfit(t, fmt.Sprintf("it needs at least %d digits", need))
		}
		return nil
	}
	return s.misfit(t, "it serves text types, int4, int8 and numeric without a scale")
}

// fpeCell encrypts the letters and digits of a value by FF1 and leaves all
// else in place. A value of another form than the options allow, of too few letters and
// digits, and one that would become itself are redacted.
type fpeCell struct {
	typ        Type
	family     family
	format     int16
	cipher     *ff1
	alphabet   *alphabet   // nil: each place keeps its kind
	identifier *identifier // nil: no check
	longest    int         // characters, or digits of a numeric
	most       uint64      // integers: the type's largest
	redacted   *constant
}

// fpeState is what encrypting one value writes to.
type fpeState struct {
	ff1    ff1State
	text   []byte // the value as text
	number decimal
	fpePlaces
	masked [maxPlaces]byte // what becomes of chars
	domain permutation     // of the value's form; FF1's domain alone when all places have one alphabet
}

// fpePlaces are the letters and digits of a value.
type fpePlaces struct {
	n         int
	at        [maxPlaces]uint8 // places in the text
	chars     [maxPlaces]byte
	alphabets [maxPlaces]*alphabet
	encrypted int  // how many are
	same      bool // these have one alphabet
	decimal   bool // all are digits
}

var fpePool = sync.Pool{New: func() any { return &fpeState{text: make([]byte, 0, maxFPE)} }}

func (k *Keys) compileFPE(c Column, redacted *constant) (Cell, error) {
	key, err := k.derive(c)
	if err != nil {
		return nil, err
	}
	g, err := c.groupOf()
	if err != nil {
		return nil, err
	}
	f := &fpeCell{
		typ: c.Type, family: familyOf(c.Type), format: c.Format,
		alphabet: alphabets[c.Spec.Alphabet], redacted: redacted,
	}
	if f.cipher, err = newFF1(key, tweakOf(g, "fpe")); err != nil {
		return nil, err
	}
	check := c.Spec.CheckDigit
	if check == "" && c.Spec.Alphabet == "" {
		check = impliedCheck(c.Class)
	}
	f.identifier = identifiers[check] // nil for none
	if f.identifier != nil && f.family != famText && !f.identifier.decimal {
		f.identifier = nil // what the class implies cannot be a number
	}
	f.longest = longestFPE(c.Type)
	if size := intSize(c.Type.OID); size > 0 {
		f.most = uint64(maxInt(size))
	}
	return f, nil
}

// longestFPE is the number of characters of a type's values that are encrypted,
// digits for numeric.
func longestFPE(t Type) int {
	precision, _, limited := t.numericMod()
	switch n := t.length(); {
	case limited:
		return min(maxPlaces, precision)
	case t.OID == oidNumeric:
		return maxPlaces
	case t.OID == oidName:
		return maxName
	case n > 0:
		return min(maxFPE, n)
	}
	return maxFPE
}

func (f *fpeCell) MaskCell(dst, cell []byte) ([]byte, bool) {
	if cell != nil {
		if out, ok := f.change(dst, cell, (*ff1).encrypt); ok {
			return out, true
		}
	}
	return f.redacted.MaskCell(dst, nil)
}

// Unmask implements [Reverser].
func (f *fpeCell) Unmask(dst, cell []byte) ([]byte, bool) {
	return f.change(dst, cell, (*ff1).decrypt)
}

// ff1Step is encrypt or decrypt of FF1.
type ff1Step func(*ff1, *ff1State, *ff1Domain, uint64, uint64) (uint64, uint64)

func (f *fpeCell) change(dst, cell []byte, step ff1Step) ([]byte, bool) {
	w := fpePool.Get().(*fpeState)
	defer func() {
		if cap(w.number.buffer) <= maxKept {
			w.number.whole, w.number.fraction = nil, nil // they may point into the cell
			fpePool.Put(w)
		}
	}()
	negative := false
	switch f.family {
	case famText:
		text := trimBpchar(f.typ, cell)
		if len(text) > f.longest {
			return dst, false
		}
		w.text = append(w.text[:0], text...)
	case famInt:
		n, ok := parseInt(cell, f.format, f.typ.OID)
		if negative = n < 0; negative {
			n = -n
		}
		if !ok || n < 0 || uint64(n) > f.most { // the least number has no opposite
			return dst, false
		}
		w.text = appendInt(w.text[:0], textFormat, f.typ.OID, n)
	case famNumeric:
		d := &w.number
		if !d.parse(cell, f.format) || d.special != "" || len(d.fraction) > 0 || len(d.whole) > f.longest {
			return dst, false
		}
		w.text, negative = append(w.text[:0], d.whole...), d.negative
	}
	if !w.read(w.text, f.alphabet, f.identifier) || !f.encipher(w, step) {
		return dst, false
	}
	for i, at := range w.at[:w.n] {
		w.text[at] = w.masked[i]
	}
	switch f.family {
	case famInt:
		n, ok := parseDigits(w.text)
		if negative {
			n = -n
		}
		return appendInt(dst, f.format, f.typ.OID, n), ok
	case famNumeric:
		return appendNumericDigits(dst, f.format, negative, w.text), true
	}
	return appendPadding(append(dst, w.text...), f.typ, len(w.text)), true
}

// read finds the letters and digits of a text and the alphabet of each. It is
// false for a text of another form, and for one with characters outside ASCII's printable ones.
func (p *fpePlaces) read(text []byte, a *alphabet, id *identifier) bool {
	p.n, p.encrypted, p.same, p.decimal = 0, 0, true, true
	for i, c := range text {
		kind := kindOf(c)
		switch {
		case kind == nil && c >= ' ' && c <= '~':
			continue // a separator
		case kind == nil || p.n == maxPlaces || a != nil && !a.has(c):
			return false
		case a != nil:
			kind = a
		}
		p.at[p.n], p.chars[p.n], p.alphabets[p.n] = uint8(i), c, kind
		p.decimal = p.decimal && c <= '9'
		p.n++
	}
	chars := p.chars[:p.n]
	if id != nil {
		if p.n < id.min || p.n > id.max {
			return false
		}
		for i := range chars {
			p.alphabets[i] = id.place(chars, i)
		}
	}
	var first *alphabet
	for i, c := range chars {
		switch a := p.alphabets[i]; {
		case a == nil:
			return false
		case a == kept || a == computed:
			continue
		case !a.has(c):
			return false
		case first == nil:
			first = a
		default:
			p.same = p.same && a == first
		}
		p.encrypted++
	}
	p.decimal = p.decimal && (first == digits)
	return true
}

// encipher writes to w.masked. It is false for a form of too few or too many
// values, for a wrong check digit, and when the value stays as it is.
func (f *fpeCell) encipher(w *fpeState, step ff1Step) bool {
	chars, masked := w.chars[:w.n], w.masked[:w.n]
	copy(masked, chars)
	if f.identifier != nil && (!f.identifier.fill(masked) || string(masked) != string(chars)) {
		return false
	}
	p := &w.domain
	size, ok := number{low: 1}, true
	for _, a := range w.alphabets[:w.n] {
		if a != kept && a != computed {
			if size, ok = size.times(uint64(len(a.chars)), 0); !ok {
				return false
			}
		}
	}
	if size.less(number{low: fpeFloor}) {
		return false
	}
	if w.same {
		p.domain, ok = f.cipher.domain(uint32(len(w.first().chars)), uint32(w.encrypted))
	} else {
		p.domain, ok = f.cipher.domain(2, uint32(size.subtract(1).bits()))
	}
	p.cipher, p.size = f.cipher, size
	if !ok {
		return false
	}
	// Cycle walking: the values that may come out are a subset of the domain that contains this
	// one, so the cycle comes back to the subset. It is a tenth of the domain at least.
	for range maxWalk {
		if w.same {
			w.stepDigits(step)
		} else {
			w.stepRank(step)
		}
		if w.decimal && (masked[0] == '0') != (chars[0] == '0') {
			continue // a number keeps its length in columns of numbers
		}
		if f.identifier != nil && !f.identifier.fill(masked) {
			continue
		}
		if f.most != 0 {
			if n, ok := parseDigits(masked); !ok || uint64(n) > f.most {
				continue
			}
		}
		return string(masked) != string(chars)
	}
	return false
}

// first is the alphabet of the first encrypted place.
func (p *fpePlaces) first() *alphabet {
	for _, a := range p.alphabets[:p.n] {
		if a != kept && a != computed {
			return a
		}
	}
	return nil
}

// stepDigits takes masked one step on as numerals of one radix.
func (w *fpeState) stepDigits(step ff1Step) {
	d := &w.domain.domain
	var halves [2]uint64
	seen, high := 0, w.encrypted/2
	for i, a := range w.alphabets[:w.n] {
		if a == kept || a == computed {
			continue
		}
		half := &halves[0]
		if seen >= high {
			half = &halves[1]
		}
		*half = *half*uint64(d.radix) + uint64(a.index[w.masked[i]])
		seen++
	}
	halves[0], halves[1] = step(w.domain.cipher, &w.ff1, d, halves[0], halves[1])
	for i := w.n - 1; i >= 0; i-- {
		a := w.alphabets[i]
		if a == kept || a == computed {
			continue
		}
		seen--
		half := &halves[0]
		if seen >= high {
			half = &halves[1]
		}
		w.masked[i] = a.chars[*half%uint64(d.radix)]
		*half /= uint64(d.radix)
	}
}

// stepRank takes masked one step on as its rank among the values of its form,
// whose places have different alphabets.
func (w *fpeState) stepRank(step ff1Step) {
	x := number{}
	for i, a := range w.alphabets[:w.n] {
		if a != kept && a != computed {
			x, _ = x.times(uint64(len(a.chars)), uint64(a.index[w.masked[i]])) // below size
		}
	}
	x = w.domain.apply(&w.ff1, x, step)
	for i := w.n - 1; i >= 0; i-- {
		if a := w.alphabets[i]; a != kept && a != computed {
			var index uint64
			x, index = x.divide(uint64(len(a.chars)))
			w.masked[i] = a.chars[index]
		}
	}
}

// wordList lists the names of options' values, sorted, for messages.
func wordList[V any](table map[string]V, more ...string) string {
	names := append(slices.Sorted(maps.Keys(table)), more...)
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
