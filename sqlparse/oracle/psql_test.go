package oracle

import (
	"os"
	"regexp"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/sqlparse"
)

// command is one statement of a psql script, with the data that follows a COPY FROM stdin.
type command struct {
	sql  string
	data string
}

// script reads a psql script: statements, the variables that its meta-commands set, and the data of COPY. Any other
// meta-command is left out: those that would run a statement end it as \g does.
type script struct {
	vars map[string]string
	env  map[string]string
}

var (
	metaAtEnd  = regexp.MustCompile(`\\(g|gx|gset|gexec|gdesc|crosstabview|watch|parse|bind)\b.*$`)
	variable   = regexp.MustCompile(`(^|[^:\w]):('?)(\w+)('?)`)
	copyStdin  = regexp.MustCompile(`(?is)^\s*copy\s.*\sfrom\s+stdin\b`)
	copyStdout = regexp.MustCompile(`(?is)^\s*copy\s.*\sto\s+stdout\b`)
)

func readScript(file string, env map[string]string) ([]command, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &script{vars: map[string]string{}, env: env}
	var out []command
	var pending strings.Builder
	flush := func() {
		for _, sql := range sqlparse.Split(pending.String()) {
			out = append(out, command{sql: s.expand(sql)})
		}
		pending.Reset()
	}
	lines := strings.Split(string(text), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, `\`) {
			if whole(pending.String()) {
				flush()
			} else if metaAtEnd.MatchString(line) {
				flush()
			}
			s.meta(line)
			continue
		}
		ended := metaAtEnd.MatchString(line) && !strings.Contains(line, "'")
		if ended {
			line = metaAtEnd.ReplaceAllString(line, "")
		}
		pending.WriteString(line)
		pending.WriteByte('\n')
		if !ended && !(strings.Contains(line, ";") && whole(pending.String())) {
			continue
		}
		flush()
		if n := len(out); n > 0 && copyStdin.MatchString(out[n-1].sql) {
			var data strings.Builder
			for i++; i < len(lines) && lines[i] != `\.`; i++ {
				data.WriteString(lines[i])
				data.WriteByte('\n')
			}
			out[n-1].data = data.String()
		}
	}
	flush()
	return out, nil
}

// whole reports whether a text ends outside of any statement: after it, another one begins another statement.
func whole(text string) bool {
	if _, err := pg.Scan(text); err != nil {
		// Escapes that are no characters, on purpose; or a quote that goes on.
		return strings.HasSuffix(strings.TrimSpace(text), ";") && strings.Count(text, "'")%2 == 0
	}
	const mark = "pgveil_mark"
	parts := sqlparse.Split(text + "\n" + mark)
	return len(parts) > 0 && parts[len(parts)-1] == mark
}

func (s *script) meta(line string) {
	words := strings.Fields(line)
	switch {
	case words[0] == `\getenv` && len(words) == 3:
		s.vars[words[1]] = s.env[words[2]]
	case words[0] == `\set` && len(words) >= 2:
		var b strings.Builder
		for _, w := range words[2:] {
			if v, ok := s.vars[strings.TrimPrefix(w, ":")]; ok && w[0] == ':' {
				w = v
			}
			b.WriteString(strings.Trim(w, "'"))
		}
		s.vars[words[1]] = b.String()
	}
}

// expand puts variables in: :name and :'name'.
func (s *script) expand(sql string) string {
	return variable.ReplaceAllStringFunc(sql, func(m string) string {
		p := variable.FindStringSubmatch(m)
		v, ok := s.vars[p[3]]
		if !ok || p[2] != p[4] {
			return m
		}
		if p[2] != "" {
			v = "'" + strings.ReplaceAll(v, "'", "''") + "'"
		}
		return p[1] + v
	})
}
