package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ParseCopyResponse parses the body of CopyInResponse or CopyOutResponse (PostgreSQL docs, section
// 55.7): the format of the whole, 0 text or 1 binary, and the number of columns. A column in
// another format than the whole is an error: COPY has none.
func ParseCopyResponse(body []byte) (format, columns int, err error) {
	r := reader{b: body}
	format = int(r.byte())
	columns = r.count(2)
	if format > 1 {
		r.fail(errCopyFormat)
	}
	for range columns {
		if int(r.int16()) != format {
			r.fail(errCopyFormat)
		}
	}
	return format, columns, r.end()
}

// AppendCopyResponse appends a CopyInResponse or CopyOutResponse of so many columns.
func AppendCopyResponse(dst []byte, typ byte, format, columns int) []byte {
	dst, at := begin(dst, typ)
	dst = binary.BigEndian.AppendUint16(append(dst, byte(format)), uint16(columns))
	for range columns {
		dst = binary.BigEndian.AppendUint16(dst, uint16(format))
	}
	return finish(dst, at)
}

// CopyFormat is the format of the rows of a COPY.
type CopyFormat uint8

// The formats of COPY (PostgreSQL docs, COPY, File Formats).
const (
	CopyText CopyFormat = iota
	CopyCSV
	CopyBinary
)

// CopyLayout says how the rows of COPY … TO STDOUT stand in its data, and what happens to their
// cells. Bytes are ASCII, no line ends, and different from each other as PostgreSQL demands; the
// data is in an encoding none of whose other characters holds an ASCII byte.
type CopyLayout struct {
	Format        CopyFormat
	Delimiter     byte     // text, CSV
	Quote, Escape byte     // CSV
	Null          string   // text, CSV
	Header        []string // what the first row must be; nil: there is none
	Cells         []Cell
	ForceQuote    []bool // CSV: masked cells that are quoted in any case; nil: none
}

// CopyRewriter rewrites the rows of one COPY, wherever its data is cut into messages.
type CopyRewriter struct {
	layout  *CopyLayout
	tuples  *RowRewriter // binary
	columns []copyColumn // text, CSV: those that are masked
	marked  [256]bool    // text, CSV: bytes for which a value is not written as it is
	mark    byte         // text, CSV: without it in a row, its fields are what stands between the delimiters
	limit   int

	carry  []byte // the beginning of a row
	pos    int    // of it, how much scan has seen
	state  uint8  // of scan
	cells  int    // binary: cells of the row still to come
	stage  copyStage
	rows   int64
	value  []byte // scratch: a cell, unescaped
	masked []byte // scratch: a cell, masked
	other  []byte // scratch: a cell that another one's mask sees
}

// copyColumn is a column that is masked.
type copyColumn struct {
	skip   int // columns that pass before this one
	column int
	whole  []byte // what every field becomes, escaped or quoted; nil: not known
}

type copyStage uint8

const (
	copyHead copyStage = iota // before the header
	copyBody
	copyTail // after the trailer of the binary format
)

// States of scan in CSV, and within a binary row.
const (
	scanField   uint8 = iota // at the start of a field, or of a row
	scanPlain                // in a field without quotes
	scanQuoted               // within quotes
	scanEscaped              // after an escape character that is not the quote
	scanQuote                // after a quote within quotes, where it is its own escape
	scanTuple                // within a binary row
)

var (
	errCopyFormat  = errors.New("a column of a COPY is in another format")
	errCopyRow     = errors.New("a row of a COPY is not as its options say")
	errCopyHeader  = errors.New("the header of a COPY is not as the analysis foresaw")
	errCopyEnd     = errors.New("the data of a COPY ends within a row")
	errCopyRowSize = errors.New("a row of a COPY is larger than a session may hold")
)

// NewCopyRewriter returns a rewriter that holds up to limit bytes of a row.
func NewCopyRewriter(l *CopyLayout, limit int) *CopyRewriter {
	r := &CopyRewriter{layout: l, limit: limit}
	if l.Format == CopyBinary {
		r.tuples = NewRowRewriter(l.Cells)
		return r
	}
	r.prepare()
	if l.Header == nil {
		r.stage = copyBody
	}
	return r
}

// prepare works out what all rows of text and CSV have in common.
func (r *CopyRewriter) prepare() {
	l := r.layout
	special := []byte{'\b', '\t', '\n', '\v', '\f', '\r', '\\', l.Delimiter}
	r.mark = '\\'
	if l.Format == CopyCSV {
		special, r.mark = []byte{'\n', '\r', l.Quote, l.Delimiter}, l.Quote
	}
	for _, c := range special {
		r.marked[c] = true
	}
	last := -1
	for i := range l.Cells {
		c := &l.Cells[i]
		if c.Masker == nil {
			continue
		}
		m := copyColumn{skip: i - last - 1, column: i}
		if value, null := c.constant(); value != nil || null {
			m.whole, _ = r.mask([]byte{}, i, nil, nil, true)
		}
		r.columns = append(r.columns, m)
		last = i
	}
}

// Rows returns how many rows have been rewritten.
func (r *CopyRewriter) Rows() int64 { return r.rows }

// Append appends the rewritten form of the rows that end in data, which goes on where the last call
// left off. Nothing is appended for a row that has not ended. After an error nothing more may be
// rewritten. Data and dst must not overlap.
func (r *CopyRewriter) Append(dst, data []byte) ([]byte, error) {
	b := data
	held := len(r.carry) > 0
	if held {
		r.carry = append(r.carry, data...)
		b = r.carry
	}
	n := 0
	for n < len(b) {
		end, err := r.scan(b[n:])
		if err != nil {
			return dst, err
		}
		if end == 0 {
			break
		}
		if dst, err = r.row(dst, b[n:n+end]); err != nil {
			return dst, err
		}
		n += end
		r.pos, r.state = 0, scanField
	}
	if len(b)-n > r.limit {
		return dst, errCopyRowSize
	}
	switch {
	case n == len(b) && cap(r.carry) > keepCarry:
		r.carry = nil
	case held:
		r.carry = r.carry[:copy(r.carry, b[n:])]
	default:
		r.carry = append(r.carry[:0], b[n:]...)
	}
	return dst, nil
}

// keepCarry is the size up to which the buffer for the beginning of a row is kept.
const keepCarry = 64 << 10

// End says that the data is complete: an error when it is not.
func (r *CopyRewriter) End() error {
	if len(r.carry) > 0 || r.layout.Format == CopyBinary && r.stage != copyTail {
		return errCopyEnd
	}
	return nil
}

// scan looks for the end of the row at the start of b, from where it left off: 0 means that it is
// not there yet.
func (r *CopyRewriter) scan(b []byte) (end int, err error) {
	switch r.layout.Format {
	case CopyText:
		// A line end in a value is written \n.
		if i := bytes.IndexByte(b[r.pos:], '\n'); i >= 0 {
			return r.pos + i + 1, nil
		}
		r.pos = len(b)
		return 0, nil
	case CopyCSV:
		return r.scanCSV(b), nil
	}
	return r.scanBinary(b)
}

func (r *CopyRewriter) scanCSV(b []byte) (end int) {
	l := r.layout
	state := r.state
	i := r.pos
	if state == scanField || state == scanPlain {
		// Mostly nothing is quoted, and the row ends with the line.
		line := b[i:]
		n := bytes.IndexByte(line, '\n')
		if n >= 0 {
			line = line[:n]
		}
		if bytes.IndexByte(line, l.Quote) < 0 {
			if n >= 0 {
				return i + n + 1
			}
			if len(line) > 0 {
				r.state = scanPlain
				if line[len(line)-1] == l.Delimiter {
					r.state = scanField
				}
			}
			r.pos = len(b)
			return 0
		}
	}
	for ; i < len(b); i++ {
		c := b[i]
		switch state {
		case scanQuoted:
			n := r.nextQuote(b[i:])
			if n < 0 {
				i = len(b) - 1
				continue
			}
			i += n
			switch c = b[i]; {
			case c == l.Quote && l.Quote == l.Escape:
				state = scanQuote
			case c == l.Quote:
				state = scanPlain
			default:
				state = scanEscaped
			}
			continue
		case scanEscaped:
			state = scanQuoted
			continue
		case scanQuote:
			if c == l.Quote {
				state = scanQuoted
				continue
			}
			state = scanPlain
		}
		switch {
		case c == '\n':
			return i + 1
		case c == l.Delimiter:
			state = scanField
		case state == scanField && c == l.Quote:
			state = scanQuoted
		default:
			state = scanPlain
		}
	}
	r.pos, r.state = len(b), state
	return 0
}

// nextQuote finds the next quote or escape character.
func (r *CopyRewriter) nextQuote(b []byte) int {
	l := r.layout
	n := bytes.IndexByte(b, l.Quote)
	if l.Escape == l.Quote {
		return n
	}
	if n >= 0 {
		b = b[:n]
	}
	if e := bytes.IndexByte(b, l.Escape); e >= 0 {
		return e
	}
	return n
}

// copySignature begins the binary format; flags and an extension without anything follow.
const copySignature = "PGCOPY\n\xff\r\n\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00"

func (r *CopyRewriter) scanBinary(b []byte) (end int, err error) {
	switch {
	case r.stage == copyTail:
		return 0, errCopyRow
	case r.stage == copyHead:
		if len(b) < len(copySignature) {
			return 0, nil
		}
		if string(b[:len(copySignature)]) != copySignature {
			return 0, errCopyHeader
		}
		return len(copySignature), nil
	case r.state == scanField:
		if len(b) < 2 {
			return 0, nil
		}
		switch n := int(binary.BigEndian.Uint16(b)); n {
		case 0xffff:
			return 2, nil
		case r.tuples.Columns():
			r.state, r.pos, r.cells = scanTuple, 2, n
		default:
			return 0, errRowColumns
		}
	}
	for r.cells > 0 {
		if len(b)-r.pos < 4 {
			return 0, nil
		}
		n := int32(binary.BigEndian.Uint32(b[r.pos:]))
		if n < -1 || int64(n) > int64(r.limit) {
			return 0, errBadLength
		}
		next := r.pos + 4 + max(int(n), 0)
		if next > len(b) {
			return 0, nil
		}
		r.pos = next
		r.cells--
	}
	return r.pos, nil
}

// row appends a whole row, rewritten.
func (r *CopyRewriter) row(dst, row []byte) ([]byte, error) {
	if r.layout.Format == CopyBinary {
		switch {
		case r.stage == copyHead:
			r.stage = copyBody
			return append(dst, row...), nil
		case len(row) == 2 && row[0] == 0xff && row[1] == 0xff:
			r.stage = copyTail
			return append(dst, row...), nil
		}
		r.rows++
		return r.tuples.appendTuple(dst, row)
	}
	if r.stage == copyHead {
		r.stage = copyBody
		return r.header(dst, row)
	}
	r.rows++
	if bytes.IndexByte(row, r.mark) < 0 {
		return r.plainRow(dst, row)
	}
	run, pos := 0, 0 // row[run:pos] passes, not yet copied
	last := len(r.layout.Cells) - 1
	var other []byte // of the last cell that saw another one
	otherColumn := -1
	for i := range r.layout.Cells {
		c := &r.layout.Cells[i]
		end, value, null, err := r.field(row, pos, c.Masker != nil)
		if err != nil {
			return dst, err
		}
		if want := r.layout.Delimiter; i < last && row[end] != want || i == last && end != len(row)-1 {
			return dst, errRowColumns
		}
		if c.Masker != nil && (!null || c.Nulls) {
			dst = append(dst, row[run:pos]...)
			run = end
			if c.Pair != nil && c.Other != otherColumn {
				if other, err = r.column(row, c.Other); err != nil {
					return dst, err
				}
				otherColumn = c.Other
				if _, value, null, err = r.field(row, pos, true); err != nil { // the scratch for values is one
					return dst, err
				}
			}
			if dst, err = r.mask(dst, i, value, other, null); err != nil {
				return dst, err
			}
		}
		pos = end + 1
	}
	return append(dst, row[run:]...), nil
}

// plainRow is row for a text or CSV row in which nothing is escaped or quoted.
func (r *CopyRewriter) plainRow(dst, row []byte) ([]byte, error) {
	delimiter := r.layout.Delimiter
	line := row[:len(row)-1]
	run, pos := 0, 0 // row[run:pos] passes, not yet copied
	last := len(r.layout.Cells) - 1
	var other []byte // of the last cell that saw another one
	otherColumn := -1
	for i := range r.columns {
		m := &r.columns[i]
		for range m.skip {
			n := bytes.IndexByte(line[pos:], delimiter)
			if n < 0 {
				return dst, errRowColumns
			}
			pos += n + 1
		}
		end := len(line)
		if n := bytes.IndexByte(line[pos:], delimiter); n >= 0 {
			end = pos + n
		}
		if (end < len(line)) != (m.column < last) {
			return dst, errRowColumns
		}
		value := row[pos:end:end]
		c := &r.layout.Cells[m.column]
		null := string(value) == r.layout.Null
		if !null || c.Nulls {
			dst = append(dst, row[run:pos]...)
			run = end
			var err error
			if c.Pair != nil && c.Other != otherColumn {
				if other, err = r.column(row, c.Other); err != nil {
					return dst, err
				}
				otherColumn = c.Other
			}
			if m.whole != nil {
				dst = append(dst, m.whole...)
			} else if dst, err = r.mask(dst, m.column, value, other, null); err != nil {
				return dst, err
			}
		}
		pos = end + 1
		if m.column == last {
			return append(dst, row[run:]...), nil
		}
	}
	rest := last // columns after the one at pos
	if n := len(r.columns); n > 0 {
		rest -= r.columns[n-1].column + 1
	}
	if bytes.Count(line[pos:], []byte{delimiter}) != rest {
		return dst, errRowColumns
	}
	return append(dst, row[run:]...), nil
}

// column gives the value of one field of a text or CSV row; nil is NULL.
func (r *CopyRewriter) column(row []byte, column int) ([]byte, error) {
	if column < 0 || column >= len(r.layout.Cells) {
		return nil, errRowColumns
	}
	pos := 0
	for i := 0; ; i++ {
		end, value, null, err := r.field(row, pos, i == column)
		switch {
		case err != nil:
			return nil, err
		case i < column:
			if row[end] != r.layout.Delimiter {
				return nil, errRowColumns
			}
			pos = end + 1
			continue
		case null:
			return nil, nil
		}
		r.other = append(r.other[:0], value...)
		if r.other == nil {
			r.other = []byte{}
		}
		return r.other, nil
	}
}

// mask appends the masked form of a cell.
func (r *CopyRewriter) mask(dst []byte, i int, value, other []byte, null bool) ([]byte, error) {
	if null {
		value = nil
	} else if value == nil {
		value = []byte{}
	}
	at := len(dst)
	out, ok := r.layout.Cells[i].mask(dst, value, other)
	switch {
	case !ok:
		return append(dst, r.layout.Null...), nil
	case len(out) < at:
		return dst, errMasker
	case r.asItIs(out[at:], i):
		return out, nil
	}
	r.masked = append(r.masked[:0], out[at:]...)
	if r.layout.Format == CopyText {
		return r.escape(out[:at], r.masked), nil
	}
	return r.quote(out[:at], r.masked), nil
}

// asItIs reports whether a value of a column is written as it is.
func (r *CopyRewriter) asItIs(value []byte, column int) bool {
	for _, c := range value {
		if r.marked[c] {
			return false
		}
	}
	l := r.layout
	if l.Format == CopyText {
		return true
	}
	return (l.ForceQuote == nil || !l.ForceQuote[column]) && string(value) != l.Null && (len(l.Cells) > 1 || string(value) != `\.`)
}

// field finds the end of the field at pos of a text or CSV row, and its value when that is wanted.
func (r *CopyRewriter) field(row []byte, pos int, wanted bool) (end int, value []byte, null bool, err error) {
	if r.layout.Format == CopyText {
		return r.textField(row, pos, wanted)
	}
	return r.csvField(row, pos, wanted)
}

func (r *CopyRewriter) textField(row []byte, pos int, wanted bool) (end int, value []byte, null bool, err error) {
	l := r.layout
	// Mostly nothing is escaped, and the field ends at the next delimiter or at the row's end.
	if end = bytes.IndexByte(row[pos:], l.Delimiter); end < 0 {
		end = len(row) - 1
	} else {
		end += pos
	}
	if end >= pos && bytes.IndexByte(row[pos:end], '\\') < 0 && (row[end] == l.Delimiter || row[end] == '\n') {
		raw := row[pos:end:end]
		return end, raw, string(raw) == l.Null, nil
	}
	escapes := false
	end = pos
	for ; end < len(row); end++ {
		c := row[end]
		if c == '\\' {
			escapes = true
			end++
		} else if c == l.Delimiter || c == '\n' {
			break
		}
	}
	if end >= len(row) {
		return 0, nil, false, errCopyRow
	}
	raw := row[pos:end:end]
	if string(raw) == l.Null {
		return end, raw, true, nil
	}
	if !wanted || !escapes {
		return end, raw, false, nil
	}
	value = r.value[:0]
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' {
			i++
			switch c = raw[i]; c {
			case 'b':
				c = '\b'
			case 'f':
				c = '\f'
			case 'n':
				c = '\n'
			case 'r':
				c = '\r'
			case 't':
				c = '\t'
			case 'v':
				c = '\v'
			case '\\', l.Delimiter:
			default:
				return 0, nil, false, errCopyRow
			}
		}
		value = append(value, c)
	}
	r.value = value
	return end, value, false, nil
}

func (r *CopyRewriter) csvField(row []byte, pos int, wanted bool) (end int, value []byte, null bool, err error) {
	l := r.layout
	if row[pos] != l.Quote {
		if end = bytes.IndexByte(row[pos:], l.Delimiter); end < 0 {
			end = len(row) - 1
		} else {
			end += pos
		}
		if bytes.IndexByte(row[pos:end], l.Quote) >= 0 || row[end] != l.Delimiter && row[end] != '\n' {
			return 0, nil, false, errCopyRow
		}
		raw := row[pos:end:end]
		return end, raw, string(raw) == l.Null, nil
	}
	value = r.value[:0]
	for i := pos + 1; ; {
		n := r.nextQuote(row[i:])
		if n < 0 {
			return 0, nil, false, errCopyRow
		}
		if wanted {
			value = append(value, row[i:i+n]...)
		}
		i += n
		switch c := row[i]; {
		case c == l.Escape && i+1 < len(row) && (row[i+1] == l.Quote || row[i+1] == l.Escape):
			if wanted {
				value = append(value, row[i+1])
			}
			i += 2
		case c == l.Quote:
			r.value = value
			if i+1 >= len(row) || row[i+1] != l.Delimiter && row[i+1] != '\n' {
				return 0, nil, false, errCopyRow
			}
			return i + 1, value, false, nil
		default:
			return 0, nil, false, errCopyRow
		}
	}
}

// escape appends a value as the text format has it.
func (r *CopyRewriter) escape(dst, value []byte) []byte {
	for _, c := range value {
		switch c {
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\v':
			dst = append(dst, '\\', 'v')
		case '\\', r.layout.Delimiter:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// quote appends a value in quotes.
func (r *CopyRewriter) quote(dst, value []byte) []byte {
	l := r.layout
	dst = append(dst, l.Quote)
	for _, c := range value {
		if c == l.Quote || c == l.Escape {
			dst = append(dst, l.Escape)
		}
		dst = append(dst, c)
	}
	return append(dst, l.Quote)
}

// header appends the first row when it is the one foreseen: otherwise it might be data.
func (r *CopyRewriter) header(dst, row []byte) ([]byte, error) {
	pos := 0
	for i, name := range r.layout.Header {
		end, value, _, err := r.field(row, pos, true)
		if err != nil {
			return dst, err
		}
		if i < len(r.layout.Header)-1 && row[end] != r.layout.Delimiter || i == len(r.layout.Header)-1 && end != len(row)-1 {
			return dst, errRowColumns
		}
		if string(value) != name {
			return dst, errCopyHeader
		}
		pos = end + 1
	}
	return append(dst, row...), nil
}
