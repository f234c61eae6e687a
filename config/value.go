package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unit is a suffix of a duration or a size, as PostgreSQL spells them (docs, 20.1.1 "Parameter Names and Values").
type unit struct {
	name string
	n    int64
}

var durationUnits = []unit{
	{"us", int64(time.Microsecond)}, {"ms", int64(time.Millisecond)}, {"s", int64(time.Second)},
	{"min", int64(time.Minute)}, {"h", int64(time.Hour)}, {"d", 24 * int64(time.Hour)},
}

var sizeUnits = []unit{{"B", 1}, {"kB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}, {"TB", 1 << 40}}

// parseInt reads a decimal integer without spaces or a plus sign.
func parseInt(s string) (int64, error) {
	if s == "" || s[0] == '+' {
		return 0, errors.New("not a whole number")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if errors.Is(err, strconv.ErrRange) {
		return 0, errRange
	}
	if err != nil {
		return 0, errors.New("not a whole number")
	}
	return n, nil
}

func parseBool(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, errors.New("not true or false")
}

func parseDuration(s string) (time.Duration, error) {
	n, err := parseUnits(s, durationUnits)
	if err == errNoUnit {
		if n == 0 {
			return 0, nil
		}
		err = errors.New("a duration needs a unit: us, ms, s, min, h or d, as in 10s")
	}
	return time.Duration(n), err
}

// parseSize reads a number of bytes; without a unit it is bytes.
func parseSize(s string) (int64, error) {
	n, err := parseUnits(s, sizeUnits)
	if err == errNoUnit {
		err = nil
	}
	return n, err
}

var (
	errNoUnit = errors.New("no unit")
	errRange  = errors.New("the number is out of range")
)

// parseUnits reads a whole number with one of the units; a blank may stand between. A number alone comes with errNoUnit.
func parseUnits(s string, units []unit) (int64, error) {
	digits := len(s) - len(strings.TrimLeft(s, "-0123456789"))
	n, err := parseInt(s[:digits])
	suffix := strings.TrimLeft(s[digits:], " ")
	if errors.Is(err, errRange) {
		return 0, err
	}
	if err != nil || strings.HasPrefix(suffix, ".") {
		return 0, fmt.Errorf("not a whole number with a unit (%s)", unitNames(units))
	}
	if suffix == "" {
		return n, errNoUnit
	}
	for _, u := range units {
		if u.name != suffix {
			continue
		}
		if n > math.MaxInt64/u.n || n < math.MinInt64/u.n {
			return 0, errRange
		}
		return n * u.n, nil
	}
	// What other programs write: 1MiB, 64k, 1m.
	hint := ""
	for _, u := range slices.Backward(units) { // m is min before ms
		l, r := strings.ToLower(suffix), strings.ToLower(u.name)
		if l == r || strings.Replace(l, "i", "", 1) == r || l != "" && len(r) > 1 && l == r[:1] {
			hint = "; did you mean " + u.name + "?"
			break
		}
	}
	return 0, fmt.Errorf("unknown unit: it must be one of %s%s", unitNames(units), hint)
}

func unitNames(units []unit) string {
	var names []string
	for _, u := range units {
		names = append(names, u.name)
	}
	return strings.Join(names, " ")
}

// formatDuration and formatSize print with the largest unit that divides the number.
func formatDuration(d time.Duration) string { return formatUnits(int64(d), durationUnits) }

func formatSize(n int64) string { return formatUnits(n, sizeUnits) }

func formatUnits(n int64, units []unit) string {
	if n == 0 {
		return "0"
	}
	best := units[0]
	for _, u := range units {
		if n%u.n == 0 {
			best = u
		}
	}
	return strconv.FormatInt(n/best.n, 10) + best.name
}

// nearest returns the word of words that s is probably a misspelling of, or "".
func nearest(s string, words []string) string {
	best, at := "", min(2, len(s)/2)+1
	for _, w := range words {
		d := distance(strings.ToLower(s), strings.ToLower(w))
		if d < at {
			best, at = w, d
		}
	}
	return best
}

// distance counts the insertions, deletions, replacements and swaps of neighbours
// between a and b (optimal string alignment). Words too long for a key are far from everything.
func distance(a, b string) int {
	const far = 1 << 10
	if len(a) > 64 || len(b) > 64 {
		return far
	}
	var prev2, prev, cur [65]int
	for j := range len(b) + 1 {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev = prev, cur
	}
	return prev[len(b)]
}

// didYouMean is the tail of a message about an unknown word.
func didYouMean(s string, words []string) string {
	if w := nearest(s, words); w != "" {
		return fmt.Sprintf("; did you mean %q?", w)
	}
	return ""
}
