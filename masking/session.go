package masking

import (
	"strings"
	"time"
)

// Session is what the form of text cells depends on: the values that the
// server reported in ParameterStatus (PostgreSQL docs, section 55.2.7), and
// the date. bytea_output is not reported; bytea cells tell it themselves.
type Session struct {
	DateStyle      string // "" or as reported: "ISO, MDY", "German, DMY", "SQL, DMY", "Postgres, MDY"
	IntervalStyle  string // "" or as reported: postgres, postgres_verbose, sql_standard, iso_8601
	TimeZone       string // as reported; needed to read timestamptz under another style than ISO
	ClientEncoding string // "" means UTF8
	Year           int    // this year; generalize needs it to know ages over 89
}

// dateStyle is the form of dates (PostgreSQL docs, section 8.5.2).
type dateStyle uint8

const (
	styleUnknown dateStyle = iota // nothing parses
	styleISO
	styleSQL
	stylePostgres
	styleGerman
)

// charset says how bytes of a text cell make characters.
type charset uint8

const (
	charsetUTF8   charset = iota
	charsetLatin1         // one byte a character, the byte is the code point
	charsetSingle         // one byte a character
	charsetOther          // only ASCII is understood
)

// style is a Session, read once.
type style struct {
	date     dateStyle
	dayFirst bool // DMY: in the SQL and Postgres styles the day comes first
	interval string
	charset  charset
	zone     *time.Location // nil when not needed or not known
	year     int
}

func readSession(s Session, t Type) style {
	st := style{year: s.Year}
	name, order, _ := strings.Cut(s.DateStyle, ",")
	st.dayFirst = strings.EqualFold(strings.TrimSpace(order), "DMY")
	switch strings.ToUpper(strings.TrimSpace(name)) {
	case "", "ISO":
		st.date = styleISO
	case "SQL":
		st.date = styleSQL
	case "POSTGRES":
		st.date = stylePostgres
	case "GERMAN":
		st.date = styleGerman
	}
	switch s.IntervalStyle {
	case "sql_standard":
		st.interval = "0"
	case "iso_8601":
		st.interval = "PT0S"
	case "postgres_verbose":
		st.interval = "@ 0"
	default:
		st.interval = "00:00:00"
	}
	st.charset = readCharset(s.ClientEncoding)
	if t.OID == oidTimestampTZ && st.date != styleISO && s.TimeZone != "" && s.TimeZone != "Local" {
		// A zone that cannot be loaded leaves nil: such cells are redacted.
		if zone, err := time.LoadLocation(s.TimeZone); err == nil {
			st.zone = zone
		}
	}
	return st
}

// readCharset reads a client_encoding name (PostgreSQL docs, section 24.3.1).
// Under SQL_ASCII the bytes are the server's own: they are read as UTF-8, and
// what is not valid UTF-8 is redacted.
func readCharset(name string) charset {
	if name == "" || name == "UTF8" {
		return charsetUTF8
	}
	switch encodingSpelling.Replace(strings.ToUpper(name)) {
	case "UTF8", "UNICODE", "SQLASCII":
		return charsetUTF8
	case "LATIN1", "ISO88591":
		return charsetLatin1
	case "LATIN2", "LATIN3", "LATIN4", "LATIN5", "LATIN6", "LATIN7", "LATIN8", "LATIN9", "LATIN10",
		"ISO88595", "ISO88596", "ISO88597", "ISO88598", "KOI8R", "KOI8U", "WIN866", "WIN874",
		"WIN1250", "WIN1251", "WIN1252", "WIN1253", "WIN1254", "WIN1255", "WIN1256", "WIN1257", "WIN1258":
		return charsetSingle
	}
	return charsetOther
}

// encodingSpelling takes out what PostgreSQL ignores in the name of an encoding.
var encodingSpelling = strings.NewReplacer("-", "", "_", "", " ", "")

// isASCII reports whether all bytes are ASCII. In every client encoding of
// PostgreSQL such a cell reads the same.
func isASCII[T string | []byte](b T) bool {
	for i := 0; i < len(b); i++ {
		if b[i] >= 0x80 {
			return false
		}
	}
	return true
}
