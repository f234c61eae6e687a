package config

import (
	"fmt"
	"strings"
)

// expand replaces each ${NAME} of s by that environment variable. Only "${" is special: a $
// elsewhere stands for itself, because SCRAM verifiers and passwords carry them; "$${" is a
// literal "${". What a variable holds is not expanded again. env reports whether a variable is set.
func expand(s string, env func(string) (string, bool)) (out string, expanded bool, problems []string) {
	if !strings.Contains(s, "${") {
		return s, false, nil
	}
	var b strings.Builder
	for {
		at := strings.Index(s, "${")
		if at < 0 {
			b.WriteString(s)
			return b.String(), expanded, problems
		}
		if at > 0 && s[at-1] == '$' {
			b.WriteString(s[:at-1])
			b.WriteString("${")
			s = s[at+2:]
			continue
		}
		b.WriteString(s[:at])
		s = s[at+2:]
		expanded = true
		end := strings.IndexByte(s, '}')
		if end < 0 || !validEnvName(s[:end]) {
			return "", true, append(problems, "a ${ is not followed by the name of an environment variable and a }; write $${ for a literal ${")
		}
		value, ok := env(s[:end])
		if !ok {
			problems = append(problems, fmt.Sprintf("environment variable %s is not set", s[:end]))
		}
		b.WriteString(value)
		s = s[end+1:]
	}
}

// validEnvName follows the shell's rule (POSIX, 3.231 "Name").
func validEnvName(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
