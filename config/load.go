package config

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// The limits of a configuration file. They are far above any real file and keep a hostile one from taking memory or time.
const (
	maxBytes = 1 << 20
	maxDepth = 32      // mappings and lists within each other
	maxNodes = 200_000 // keys and values visited, those behind an alias once a visit
	maxList  = 100     // problems reported
)

// Load reads and checks a configuration file. env looks up environment
// variables (os.LookupEnv). The error is a Problems, whatever is wrong.
func Load(file string, env func(string) (string, bool)) (*Config, error) {
	data, err := read(file)
	if err != nil {
		return nil, Problems{{File: file, Line: 1, Col: 1, Message: err.Error()}}
	}
	return Parse(file, data, env)
}

// read returns the file's content; a file over the limit comes back one byte too long, which Parse refuses.
func read(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fileError("the file cannot be read", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return nil, fileError("the file cannot be read", err)
	}
	return data, nil
}

// Parse checks the content of a configuration file. name stands in problems,
// and relative file names are resolved against its directory. Files that the
// configuration names are opened, certificates and keys are read. The error is
// a Problems; every position in it is inside data.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, error) {
	p := newParser(name, env)
	if line, col, message := checkText(data); message != "" {
		return nil, Problems{{File: name, Line: line, Col: col, Message: message}}
	}
	p.document(data)
	if len(p.problems) > 0 {
		return nil, p.problems.sorted().capped()
	}
	p.config.valid = true
	return p.config, nil
}

// capped cuts a very long list of problems.
func (ps Problems) capped() Problems {
	if len(ps) <= maxList {
		return ps
	}
	last := ps[maxList]
	last.Message = fmt.Sprintf("and %d more problems", len(ps)-maxList)
	return append(ps[:maxList:maxList], last)
}

// checkText accepts UTF-8 of sane size without control characters, which the YAML reader would refuse without a position.
func checkText(data []byte) (line, col int, message string) {
	if len(data) > maxBytes {
		return 1, 1, fmt.Sprintf("the file is larger than %s", formatSize(maxBytes))
	}
	line, col = 1, 1
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return line, col, "the file is not UTF-8 text"
		case r == '\n':
			line, col = line+1, 0
		case r < ' ' && r != '\t' && r != '\r', r >= 0x7f && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return line, col, fmt.Sprintf("the control character U+%04X cannot stand in the file", r)
		case r == '\r' && (i+1 == len(data) || data[i+1] != '\n'), r == 0x85, r == 0x2028, r == 0x2029:
			return line, col, fmt.Sprintf("the character U+%04X cannot end a line: use a line feed", r)
		}
		i += n
		col++
	}
	return 0, 0, ""
}

// lineLengths returns the number of characters of each line.
func lineLengths(data []byte) []int {
	var lengths []int
	for line := range strings.Lines(string(data)) {
		lengths = append(lengths, utf8.RuneCountInString(strings.TrimRight(line, "\r\n")))
	}
	if len(lengths) == 0 {
		lengths = []int{0}
	}
	return lengths
}
