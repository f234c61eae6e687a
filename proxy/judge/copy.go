package judge

import (
	"strings"

	"pgveil/catalog"
	"pgveil/masking"
	"pgveil/roles"
	"pgveil/sqlparse"
	"pgveil/wire"
)

// copyOut returns what turns a CopyOutResponse into the layout of the rows. COPY describes its
// columns by their number alone: what is known of them is the analysis', and a mask that looks at
// values serves a plain column of a relation only, whose type the catalog says.
func (c *compiler) copyOut(b *roles.Bound, p *sqlparse.Plan, d *roles.Decision, temp *sqlparse.Overlay, disagree func()) func(int, int, masking.Session) (*wire.CopyLayout, *wire.Error) {
	return func(format, columns int, settings masking.Session) (*wire.CopyLayout, *wire.Error) {
		fields := copyFields(b, p, temp)
		problem := ""
		switch {
		case p.Copy == nil || len(d.Columns) != len(p.Columns):
			problem = "COPY without an analysis"
		case columns != len(p.Columns):
			problem = "number of columns"
		case (format == 1) != (p.Copy.Format == sqlparse.CopyBinary):
			problem = "format of a COPY"
		default:
			problem = witness(b, p, d, temp, fields)
		}
		if problem != "" {
			c.log.Error("the server's description of a COPY disagrees with its analysis: the result is refused", "fingerprint", p.Fingerprint, "problem", problem)
			disagree()
			return nil, wire.WitnessDisagrees(problem)
		}
		l := &wire.CopyLayout{
			Delimiter: p.Copy.Delimiter, Quote: p.Copy.Quote, Escape: p.Copy.Escape, Null: p.Copy.Null, ForceQuote: p.Copy.ForceQuote,
		}
		switch p.Copy.Format {
		case sqlparse.CopyText:
			l.Format = wire.CopyText
		case sqlparse.CopyCSV:
			l.Format = wire.CopyCSV
		case sqlparse.CopyBinary:
			l.Format = wire.CopyBinary
		}
		if p.Copy.Encoding != "" {
			settings.ClientEncoding = p.Copy.Encoding
		}
		settings.Year = c.now().Year()
		l.Cells = make([]wire.Cell, len(fields))
		masked := false
		for i := range fields {
			fields[i].Format = int16(format)
		}
		for i := range fields {
			col := &d.Columns[i]
			if col.Mask.Method == masking.Clear {
				continue
			}
			masked = true
			spec, t := col.Mask, b.MaskType(catalog.OID(fields[i].Type), fields[i].Mod)
			if fields[i].Table == 0 && readsValues(spec.Method) || spec.Check(t) != nil {
				spec = masking.Spec{Method: masking.Redact}
			}
			if spec.By != "" && fields[col.Key].Table == 0 { // how the subject's key is written is not certain
				spec = masking.Spec{Method: masking.Redact}
			}
			cell, err := c.cell(b, col, spec, t, fields, int16(format), settings)
			if err != nil {
				c.log.Error("a COPY could not be masked: it is refused", "fingerprint", p.Fingerprint, "problem", err.Error())
				return nil, wire.InternalError(err)
			}
			cell.Nulls = cell.Nulls || l.Format == wire.CopyText && !nullCertain(b, &fields[i], l.Null)
			l.Cells[i] = cell
		}
		if !masked {
			return nil, nil
		}
		if l.Format != wire.CopyBinary {
			if !plainEncoding(settings.ClientEncoding) {
				return nil, wire.CopyEncoding(settings.ClientEncoding)
			}
			if p.Copy.Header {
				l.Header = make([]string, len(p.Columns))
			}
			for i := range l.Header {
				l.Header[i] = p.Columns[i].Name
				if !isASCII(l.Header[i]) && encodingWord(settings.ClientEncoding) != "utf8" {
					return nil, wire.CopyEncoding(settings.ClientEncoding)
				}
			}
		}
		return l, nil
	}
}

// copyFields gives the columns of a COPY the form of a RowDescription: plain columns as the catalog
// has them, others without a table.
func copyFields(b *roles.Bound, p *sqlparse.Plan, temp *sqlparse.Overlay) []wire.Field {
	fields := make([]wire.Field, len(p.Columns))
	for i := range p.Columns {
		c := &p.Columns[i]
		f := &fields[i]
		*f = wire.Field{Type: uint32(c.Type), Mod: -1}
		if !c.Witness.Known || c.Witness.Relation == 0 {
			continue
		}
		rel := temp.Relation(c.Witness.Relation)
		if rel == nil {
			rel = b.Catalog.Relation(c.Witness.Relation)
		}
		if rel == nil {
			continue
		}
		for k := range rel.Columns {
			if col := &rel.Columns[k]; col.Num == c.Witness.Column {
				*f = wire.Field{Table: uint32(rel.OID), Column: col.Num, Type: uint32(col.Type), Mod: col.TypeMod}
			}
		}
	}
	return fields
}

// readsValues reports whether what a mask gives depends on the value, so that it has to know its type.
func readsValues(m masking.Method) bool {
	switch m {
	case masking.Redact, masking.Null, masking.Fixed:
		return false
	}
	return true
}

// nullCertain reports whether no value of the column's type reads as the NULL string of the text
// format. Where one may, NULL is masked like a value: otherwise the string would be a guess at it.
func nullCertain(b *roles.Bound, f *wire.Field, null string) bool {
	if null == `\N` {
		return true
	}
	t := b.Catalog.Type(catalog.OID(f.Type))
	if null != "" || f.Table == 0 || t == nil || t.OID >= firstUserOID || t.Kind != 'b' {
		return false
	}
	switch t.Category {
	case 'B', 'D', 'N', 'T': // booleans, dates and times, numbers, intervals
		return true
	}
	return false
}

// firstUserOID is the first OID that an extension or a user can get.
const firstUserOID = 16384

// encodingWord is an encoding's name without what PostgreSQL ignores in it.
func encodingWord(name string) string {
	var b strings.Builder
	for _, c := range strings.ToLower(name) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// plainEncoding reports whether no character of the encoding but those of ASCII holds an ASCII byte
// (PostgreSQL docs, section 24.3.1: those that can be a server's are so, and those of one byte).
func plainEncoding(name string) bool {
	word := encodingWord(name)
	switch word {
	case "utf8", "unicode", "sqlascii", "euccn", "eucjis2004", "eucjp", "euckr", "euctw", "muleinternal", "koi8", "koi8r", "koi8u",
		"abc", "alt", "tcvn", "tcvn5712", "vscii", "win":
		return true
	}
	for _, prefix := range []string{"latin", "iso8859", "win125", "windows125", "win866", "windows866", "win874", "windows874"} {
		if rest, ok := strings.CutPrefix(word, prefix); ok && len(rest) <= 2 && strings.Trim(rest, "0123456789") == "" {
			return true
		}
	}
	return false
}

func isASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
