package masking

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The words that pseudonyms are made of: common names and street words of a language, towns and companies that
// are put together.
//
//go:embed words/*.txt
var wordFiles embed.FS

// defaultLocale is the locale of a pseudonym that names none.
const defaultLocale = "en"

// vocabulary is the vocabulary of one locale.
type vocabulary struct {
	female, male, family              []string
	stems, endings                    []string // family names are also a stem and an ending
	streets, streetTypes              []string
	streetForm                        streetForm
	cities, cityEndings               []string
	companies                         []string
	anyGiven                          []string // female and male
	familyCount, streetCount, townNum int
}

// streetForm is how a street and its number are written.
type streetForm uint8

const (
	streetEnglish streetForm = iota // 12 Maple Street
	streetGerman                    // Ahornstraße 12
	streetRomance                   // Calle Luna 12
	streetFrench                    // 12 rue des Lilas
)

var streetForms = map[string]streetForm{"de": streetGerman, "es": streetRomance, "fr": streetFrench}

// Locales lists the locales that pseudonyms know.
func Locales() []string {
	entries, err := wordFiles.ReadDir("words")
	if err != nil {
		panic("masking: " + err.Error()) // it is embedded
	}
	var out []string
	for _, e := range entries {
		out = append(out, strings.TrimSuffix(e.Name(), path.Ext(e.Name())))
	}
	return out
}

// wordsOf reads a locale's lists, once.
var wordsOf = func() func(locale string) *vocabulary {
	var mu sync.Mutex
	lists := map[string]*vocabulary{}
	return func(locale string) *vocabulary {
		mu.Lock()
		defer mu.Unlock()
		if lists[locale] == nil {
			text, err := wordFiles.ReadFile("words/" + locale + ".txt")
			if err != nil {
				return nil
			}
			lists[locale] = readWords(string(text), streetForms[locale])
		}
		return lists[locale]
	}
}()

// readWords reads sections of words: [name], then words separated by white space, or by | where
// one has spaces.
func readWords(text string, form streetForm) *vocabulary {
	w := &vocabulary{streetForm: form}
	sections := map[string]*[]string{
		"female": &w.female, "male": &w.male, "family": &w.family, "stems": &w.stems, "endings": &w.endings,
		"streets": &w.streets, "streettypes": &w.streetTypes, "cities": &w.cities, "cityendings": &w.cityEndings, "companies": &w.companies,
	}
	var section *[]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			if section = sections[strings.TrimSuffix(name, "]")]; section == nil {
				panic("masking: no list of words is called " + line)
			}
			continue
		}
		if strings.Contains(line, "|") {
			*section = append(*section, strings.Split(line, "|")...)
		} else {
			*section = append(*section, strings.Fields(line)...)
		}
	}
	w.anyGiven = append(slices.Clone(w.female), w.male...)
	w.familyCount = len(w.family) + len(w.stems)*len(w.endings)
	w.streetCount = len(w.streets) * len(w.streetTypes)
	w.townNum = len(w.cities) * len(w.cityEndings)
	return w
}

// familyName is the i-th family name.
func (w *vocabulary) familyName(dst []byte, i int) []byte {
	if i < len(w.family) {
		return append(dst, w.family[i]...)
	}
	i -= len(w.family)
	dst = append(dst, w.stems[i/len(w.endings)]...)
	return append(dst, w.endings[i%len(w.endings)]...)
}

// street is the i-th street.
func (w *vocabulary) street(dst []byte, i int) []byte {
	name, kind := w.streets[i/len(w.streetTypes)], w.streetTypes[i%len(w.streetTypes)]
	switch w.streetForm {
	case streetEnglish:
		dst = append(append(dst, name...), ' ')
		return append(dst, kind...)
	case streetGerman:
		return append(append(dst, name...), kind...)
	}
	dst = append(append(dst, kind...), ' ')
	return append(dst, name...)
}

// town is the i-th town.
func (w *vocabulary) town(dst []byte, i int) []byte {
	dst = append(dst, w.cities[i/len(w.cityEndings)]...)
	return append(dst, w.cityEndings[i%len(w.cityEndings)]...)
}

// sex is what a given name tells of it.
type sex uint8

const (
	sexUnknown sex = iota
	sexFemale
	sexMale
)

// givenNames tells the sex of the given names of all locales, by name in lower case.
var givenNames = sync.OnceValue(func() map[string]sex {
	all := map[string]sex{}
	add := func(names []string, s sex) {
		for _, n := range names {
			n = strings.ToLower(n)
			if had, ok := all[n]; ok && had != s {
				s = sexUnknown // both
			}
			all[n] = s
			if plain := string(appendPlain(nil, n)); plain != n {
				all[plain] = all[n]
			}
		}
	}
	for _, locale := range Locales() {
		w := wordsOf(locale)
		for _, n := range w.female {
			add([]string{n}, sexFemale)
		}
		for _, n := range w.male {
			add([]string{n}, sexMale)
		}
	}
	return all
})

// given are the names for a sex.
func (w *vocabulary) given(s sex) []string {
	switch s {
	case sexFemale:
		return w.female
	case sexMale:
		return w.male
	}
	return w.anyGiven
}

// plainLetters writes the letters of the lists that are not ASCII in ASCII.
var plainLetters = map[rune]string{
	'ä': "ae", 'ö': "oe", 'ü': "ue", 'ß': "ss", 'Ä': "Ae", 'Ö': "Oe", 'Ü': "Ue", 'á': "a", 'à': "a", 'â': "a", 'ç': "c", 'é': "e", 'è': "e", 'ê': "e",
	'ë': "e", 'í': "i", 'î': "i", 'ï': "i", 'ñ': "n", 'ó': "o", 'ô': "o", 'ú': "u", 'ù': "u", 'û': "u", 'Á': "A", 'À': "A", 'Â': "A", 'É': "E",
	'È': "E", 'Ê': "E", 'Í': "I", 'Ó': "O", 'Ô': "O", 'Ú': "U", 'Ç': "C", 'Ñ': "N", 'Î': "I",
}

// appendPlain writes a text of the lists in ASCII.
func appendPlain[T string | []byte](dst []byte, text T) []byte {
	for i := 0; i < len(text); {
		if text[i] < utf8.RuneSelf {
			dst = append(dst, text[i])
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(string(text[i:min(i+utf8.UTFMax, len(text))]))
		dst = append(dst, plainLetters[r]...)
		i += size
	}
	return dst
}

// appendLower writes a text in lower case.
func appendLower(dst, text []byte) []byte {
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		dst = utf8.AppendRune(dst, unicode.ToLower(r))
		text = text[size:]
	}
	return dst
}

// checkLocale is an error for a locale that has no lists.
func checkLocale(locale string) error {
	if locale != "" && !slices.Contains(Locales(), locale) {
		return fmt.Errorf("mask pseudonym: locale must be one of %s, not %q", strings.Join(Locales(), ", "), locale)
	}
	return nil
}
