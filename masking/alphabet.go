package masking

// alphabet is the set of characters that a place of a value may hold.
type alphabet struct {
	chars string
	index [256]int8 // of a character in chars; -1 when it is not there
}

func newAlphabet(chars string) *alphabet {
	a := &alphabet{chars: chars}
	for i := range a.index {
		a.index[i] = -1
	}
	for i := range len(chars) {
		a.index[chars[i]] = int8(i)
	}
	return a
}

func (a *alphabet) has(c byte) bool { return a.index[c] >= 0 }

const (
	digitChars = "0123456789"
	upperChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	lowerChars = "abcdefghijklmnopqrstuvwxyz"
)

var (
	digits     = newAlphabet(digitChars)
	uppers     = newAlphabet(upperChars)
	lowers     = newAlphabet(lowerChars)
	alnum      = newAlphabet(digitChars + upperChars + lowerChars)
	alnumUpper = newAlphabet(digitChars + upperChars)
	alnumLower = newAlphabet(digitChars + lowerChars)
)

// Places of a value that format-preserving encryption does not encrypt.
var (
	kept     = newAlphabet("") // stays
	computed = newAlphabet("") // a check digit
)

// alphabets are fpe's option alphabet: all places hold characters of one
// alphabet. Without the option each place keeps its kind: digit, capital or small letter.
var alphabets = map[string]*alphabet{
	"digits": digits, "alnum": alnum, "alnum_upper": alnumUpper, "alnum_lower": alnumLower,
}

// kindOf is the alphabet of a character's kind; nil when it is no letter or digit of ASCII.
func kindOf(c byte) *alphabet {
	switch {
	case c >= '0' && c <= '9':
		return digits
	case c >= 'A' && c <= 'Z':
		return uppers
	case c >= 'a' && c <= 'z':
		return lowers
	}
	return nil
}
