package masking

import "strings"

// identifier is a kind of identifier with check digits or an alphabet for each
// place. Its functions see a value's letters and digits without separators.
type identifier struct {
	about    string // for the documentation
	decimal  bool   // of digits alone
	min, max int    // letters and digits
	// place is the alphabet of a place, kept or computed; nil refuses the value.
	place func(value []byte, i int) *alphabet
	// fill writes the check digits; false when the value has none.
	fill func(value []byte) bool
}

// checkNone switches fpe's check off where the class implies one.
const checkNone = "none"

// identifiers are fpe's option check. A class one of whose words is such a
// name, or card, implies it.
var identifiers = map[string]*identifier{
	"luhn": {about: "cards and other numbers of 8 to 19 digits whose last is by Luhn's formula (ISO/IEC 7812-1)", decimal: true, min: 8, max: 19,
		place: lastComputed, fill: func(v []byte) bool { return fillLast(v, luhn(v[:len(v)-1], 0)) }},
	"npi": {about: "US National Provider Identifier: ten digits from 1 or 2 on, Luhn over 80840 and the number", decimal: true, min: 10, max: 10,
		place: func(v []byte, i int) *alphabet {
			if i == 0 {
				return npiFirst
			}
			return lastComputed(v, i)
		},
		fill: func(v []byte) bool { return fillLast(v, luhn(v[:len(v)-1], 24)) }}, // 24: what 80840 adds
	"aba": {about: "US bank routing number: nine digits, weights 3, 7, 1", decimal: true, min: 9, max: 9,
		place: lastComputed, fill: func(v []byte) bool { return fillLast(v, -weighted(v[:8], 3, 7, 1)) }},
	"gtin": {about: "GTIN of 8, 12, 13 or 14 digits, as in unique device identifiers (GS1)", decimal: true, min: 8, max: 14,
		place: func(v []byte, i int) *alphabet {
			if n := len(v); n != 8 && n < 12 {
				return nil
			}
			return lastComputed(v, i)
		},
		fill: func(v []byte) bool {
			if len(v)%2 == 0 {
				return fillLast(v, -weighted(v[:len(v)-1], 3, 1))
			}
			return fillLast(v, -weighted(v[:len(v)-1], 1, 3))
		}},
	"nhs": {about: "NHS number of England and Wales: ten digits, modulus 11", decimal: true, min: 10, max: 10,
		place: lastComputed,
		fill: func(v []byte) bool {
			c := (11 - weighted(v[:9], 10, 9, 8, 7, 6, 5, 4, 3, 2)%11) % 11
			return c < 10 && fillLast(v, c)
		}},
	"dea": {about: "US DEA registration: two letters (or a letter and 9) and seven digits", min: 9, max: 9,
		place: func(v []byte, i int) *alphabet {
			switch i {
			case 0:
				return uppers
			case 1:
				return deaSecond
			}
			return lastComputed(v, i)
		},
		fill: func(v []byte) bool { return fillLast(v, weighted(v[2:8], 1, 2)) }},
	"vin": {about: "vehicle identification number: 17 capitals and digits without I, O, Q; the ninth is by modulus 11 (49 CFR 565.15); each place keeps its kind", min: 17, max: 17,
		place: func(v []byte, i int) *alphabet {
			switch {
			case i == 8:
				return computed
			case v[i] >= '0' && v[i] <= '9':
				return digits
			}
			return vinLetters
		},
		fill: fillVIN},
	"iban": {about: "bank account (ISO 13616): country kept, two check digits by modulus 97, each other place keeps its kind", min: 15, max: 34,
		place: func(v []byte, i int) *alphabet {
			switch {
			case i < 2 && uppers.has(v[i]):
				return kept
			case i < 2:
				return nil
			case i < 4:
				return computed
			case v[i] >= '0' && v[i] <= '9':
				return digits
			}
			return uppers
		},
		fill: fillIBAN},
	"mbi": {about: "Medicare Beneficiary Identifier (CMS): eleven places, each with its alphabet; it has no check digit", min: 11, max: 11,
		place: func(_ []byte, i int) *alphabet { return mbiPlaces[i] },
		fill:  func([]byte) bool { return true }},
}

var (
	npiFirst   = newAlphabet("12")
	deaSecond  = newAlphabet(upperChars + "9")
	vinLetters = newAlphabet("ABCDEFGHJKLMNPRSTUVWXYZ")
	mbiLetter  = newAlphabet("ACDEFGHJKMNPQRTUVWXY") // without S, L, O, I, B, Z
	mbiEither  = newAlphabet(digitChars + mbiLetter.chars)
	mbiPlaces  = [11]*alphabet{
		newAlphabet("123456789"), mbiLetter, mbiEither, digits, mbiLetter, mbiEither, digits, mbiLetter, mbiLetter, digits, digits,
	}
)

// impliedCheck is the identifier that a class names, "" when it names none.
func impliedCheck(class string) string {
	for word := range strings.SplitSeq(class, ".") {
		if word == "card" {
			return "luhn"
		}
		if _, ok := identifiers[word]; ok {
			return word
		}
	}
	return ""
}

func lastComputed(v []byte, i int) *alphabet {
	if i == len(v)-1 {
		return computed
	}
	return digits
}

// fillLast writes a number modulo ten as the last digit.
func fillLast(v []byte, n int) bool {
	v[len(v)-1] = byte('0' + (n%10+10)%10)
	return true
}

// luhn gives the digit that completes a number.
func luhn(v []byte, sum int) int {
	for i := range v {
		n := int(v[len(v)-1-i] - '0')
		if i%2 == 0 {
			n = n*2/10 + n*2%10
		}
		sum += n
	}
	return -sum
}

// weighted adds digits, each times the next of the weights, which repeat.
func weighted(v []byte, weights ...int) (sum int) {
	for i, c := range v {
		sum += int(c-'0') * weights[i%len(weights)]
	}
	return sum
}

// fillVIN has the values of letters and the weights of places of 49 CFR 565.15(c).
func fillVIN(v []byte) bool {
	const values = "0123456789.ABCDEFGH..JKLMN.P.R..STUVWXYZ" // a character's place modulo ten is its value
	sum := 0
	for i, c := range v {
		weight := 0
		switch {
		case i < 7:
			weight = 8 - i
		case i == 7:
			weight = 10
		case i > 8:
			weight = 18 - i
		}
		sum += weight * (strings.IndexByte(values, c) % 10)
	}
	if v[8] = digitChars[sum%11%10]; sum%11 == 10 {
		v[8] = 'X'
	}
	return true
}

// fillIBAN computes 98 minus the rest modulo 97 of the account, the country and
// 00, with letters from 10 on (ISO/IEC 7064).
func fillIBAN(v []byte) bool {
	rest := 0
	add := func(c byte) {
		if c >= 'A' {
			rest = (rest*100 + int(c-'A') + 10) % 97
		} else {
			rest = (rest*10 + int(c-'0')) % 97
		}
	}
	for _, c := range v[4:] {
		add(c)
	}
	add(v[0])
	add(v[1])
	rest = 98 - rest*100%97
	v[2], v[3] = byte('0'+rest/10), byte('0'+rest%10)
	return true
}
