package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// QueryText parses a Query's body.
func QueryText(body []byte) (sql []byte, err error) {
	r := reader{b: body}
	sql = r.cstring()
	return sql, r.end()
}

// ParseMessage is a Parse: a statement to prepare.
type ParseMessage struct {
	Name  []byte
	SQL   []byte
	types []byte
}

// Types returns how many parameter types the client gave.
func (m *ParseMessage) Types() int { return len(m.types) / 4 }

// Type returns the OID of parameter i's type; 0 leaves it to the server.
func (m *ParseMessage) Type(i int) uint32 { return binary.BigEndian.Uint32(m.types[4*i:]) }

// ParseParse parses a Parse's body.
func ParseParse(body []byte) (m ParseMessage, err error) {
	r := reader{b: body}
	m.Name, m.SQL = r.cstring(), r.cstring()
	m.types = r.bytes(4 * r.count(4))
	return m, r.end()
}

// BindMessage is a Bind: a portal to open.
type BindMessage struct {
	Portal, Statement []byte
	paramFormats      []byte
	params            []byte
	paramCount        int
	resultFormats     []byte
}

// Formats returns the result formats as in the message: none, one for all
// columns, or one a column, 2 bytes each. It points into the message.
func (m *BindMessage) Formats() []byte { return m.resultFormats }

// Params returns the number of parameters.
func (m *BindMessage) Params() int { return m.paramCount }

// TextParams calls yield for each parameter that is text and not NULL.
func (m *BindMessage) TextParams(yield func(value []byte) bool) {
	pos := 0
	for i := range m.paramCount {
		cell, next, ok := cellAt(m.params, pos)
		if !ok {
			return // ParseBind has walked the same cells
		}
		pos = next
		if cell != nil && formatAt(m.paramFormats, i) == 0 && !yield(cell) {
			return
		}
	}
}

// EachParam calls yield for each parameter that is not NULL.
func (m *BindMessage) EachParam(yield func(i int, value []byte)) {
	pos := 0
	for i := range m.paramCount {
		cell, next, ok := cellAt(m.params, pos)
		if !ok {
			return // ParseBind has walked the same cells
		}
		pos = next
		if cell != nil {
			yield(i, cell)
		}
	}
}

// Append appends the whole message, with what param appends in the place of each parameter that is not NULL. param
// must append to the slice that it gets, and return it.
func (m *BindMessage) Append(dst []byte, param func(dst []byte, i int, format int16, value []byte) []byte) []byte {
	dst, at := begin(dst, Bind)
	dst = append(append(dst, m.Portal...), 0)
	dst = append(append(dst, m.Statement...), 0)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.paramFormats)/2))
	dst = append(dst, m.paramFormats...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(m.paramCount))
	pos := 0
	for i := range m.paramCount {
		cell, next, ok := cellAt(m.params, pos)
		if !ok {
			break // ParseBind has walked the same cells
		}
		pos = next
		if cell == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		length := len(dst)
		dst = param(append(dst, 0, 0, 0, 0), i, formatAt(m.paramFormats, i), cell)
		binary.BigEndian.PutUint32(dst[length:], uint32(len(dst)-length-4))
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(m.resultFormats)/2))
	dst = append(dst, m.resultFormats...)
	return finish(dst, at)
}

// ResultFormat returns the format of result column i as the formats of a Bind
// say it: none means text, one serves all columns.
func ResultFormat(formats []byte, i int) int16 { return formatAt(formats, i) }

// CheckFormats reports whether formats fit a result of n columns.
func CheckFormats(formats []byte, n int) bool {
	return len(formats) <= 2 || len(formats) == 2*n
}

func formatAt(formats []byte, i int) int16 {
	switch {
	case len(formats) == 0:
		return 0
	case len(formats) == 2:
		return int16(binary.BigEndian.Uint16(formats))
	case 2*i+2 <= len(formats):
		return int16(binary.BigEndian.Uint16(formats[2*i:]))
	}
	return -1
}

// ParseBind parses a Bind's body.
func ParseBind(body []byte) (m BindMessage, err error) {
	r := reader{b: body}
	m.Portal, m.Statement = r.cstring(), r.cstring()
	m.paramFormats = r.bytes(2 * r.count(2))
	m.paramCount = r.count(4)
	if r.err != nil {
		return BindMessage{}, r.err
	}
	if n := len(m.paramFormats) / 2; n > 1 && n != m.paramCount {
		return BindMessage{}, errors.New("number of parameter formats does not fit the parameters")
	}
	end, ok := skipCells(r.b, 0, m.paramCount)
	if !ok {
		return BindMessage{}, errBadLength
	}
	m.params = r.bytes(end)
	m.resultFormats = r.bytes(2 * r.count(2))
	if err := r.end(); err != nil {
		return BindMessage{}, err
	}
	if err := checkFormatCodes(m.paramFormats); err != nil {
		return BindMessage{}, err
	}
	return m, checkFormatCodes(m.resultFormats)
}

func checkFormatCodes(formats []byte) error {
	for i := 0; i+1 < len(formats); i += 2 {
		if f := binary.BigEndian.Uint16(formats[i:]); f > 1 {
			return fmt.Errorf("unknown format code %d", f)
		}
	}
	return nil
}

// ParseObject parses the body of a Describe or Close: 'S' and a statement's
// name, or 'P' and a portal's.
func ParseObject(body []byte) (object byte, name []byte, err error) {
	r := reader{b: body}
	object, name = r.byte(), r.cstring()
	if err := r.end(); err != nil {
		return 0, nil, err
	}
	if object != 'S' && object != 'P' {
		return 0, nil, errors.New("neither a statement nor a portal")
	}
	return object, name, nil
}

// ParseExecute parses an Execute's body. As for the server, a limit that is
// not positive means all rows.
func ParseExecute(body []byte) (portal []byte, rows int32, err error) {
	r := reader{b: body}
	portal, rows = r.cstring(), r.int32()
	return portal, rows, r.end()
}

// ParseReadyForQuery parses a ReadyForQuery's body: 'I' idle, 'T' in a
// transaction, 'E' in a failed one.
func ParseReadyForQuery(body []byte) (status byte, err error) {
	r := reader{b: body}
	status = r.byte()
	if err := r.end(); err != nil {
		return 0, err
	}
	if status != 'I' && status != 'T' && status != 'E' {
		return 0, fmt.Errorf("unknown transaction status %d", status)
	}
	return status, nil
}

// ParseParameterStatus parses a ParameterStatus's body.
func ParseParameterStatus(body []byte) (name, value []byte, err error) {
	r := reader{b: body}
	name, value = r.cstring(), r.cstring()
	return name, value, r.end()
}

// ParseBackendKeyData parses a BackendKeyData's body.
func ParseBackendKeyData(body []byte) (pid uint32, key []byte, err error) {
	r := reader{b: body}
	pid = uint32(r.int32())
	if r.err != nil {
		return 0, nil, r.err
	}
	if n := len(r.b); n < minCancelKey || n > maxCancelKey {
		return 0, nil, errors.New("invalid length of cancel key")
	}
	return pid, r.b, nil
}

// ParseNotification parses a NotificationResponse's body.
func ParseNotification(body []byte) (pid uint32, channel, payload []byte, err error) {
	r := reader{b: body}
	pid, channel, payload = uint32(r.int32()), r.cstring(), r.cstring()
	return pid, channel, payload, r.end()
}

// AppendNotification appends a NotificationResponse.
func AppendNotification(dst []byte, pid uint32, channel, payload []byte) []byte {
	dst, at := begin(dst, NotificationResponse)
	dst = binary.BigEndian.AppendUint32(dst, pid)
	dst = append(append(dst, channel...), 0)
	dst = append(append(dst, payload...), 0)
	return finish(dst, at)
}

// ParseAuthentication parses an Authentication message's body: its code and
// what follows it.
func ParseAuthentication(body []byte) (code uint32, data []byte, err error) {
	r := reader{b: body}
	code = uint32(r.int32())
	if r.err != nil {
		return 0, nil, r.err
	}
	switch code {
	case AuthOK, AuthCleartext:
		return code, nil, r.end()
	case AuthMD5:
		if len(r.b) != 4 {
			return 0, nil, errBadLength
		}
	}
	return code, r.b, nil
}

// ParseSASLMechanisms parses the data of an Authentication message with AuthSASL.
func ParseSASLMechanisms(data []byte) ([]string, error) {
	r := reader{b: data}
	var mechanisms []string
	for {
		m := r.cstring()
		if r.err != nil {
			return nil, r.err
		}
		if len(m) == 0 {
			return mechanisms, r.end()
		}
		mechanisms = append(mechanisms, string(m))
	}
}

// ParseSASLInitialResponse parses a SASLInitialResponse's body; data is nil
// when the client sent none.
func ParseSASLInitialResponse(body []byte) (mechanism string, data []byte, err error) {
	r := reader{b: body}
	mechanism = string(r.cstring())
	n := r.int32()
	if r.err == nil && n == -1 {
		return mechanism, nil, r.end()
	}
	data = r.bytes(int(n))
	return mechanism, data, r.end()
}

// ParseNegotiateProtocolVersion parses a NegotiateProtocolVersion's body: the
// newest version that the server speaks (3<<16 | minor; servers before
// PostgreSQL 18 send the minor version alone) and the options not known to it.
func ParseNegotiateProtocolVersion(body []byte) (version uint32, options []string, err error) {
	r := reader{b: body}
	version = uint32(r.int32())
	n := int(r.int32())
	if n < 0 || n > len(r.b) {
		return 0, nil, errBadCount
	}
	for range n {
		options = append(options, string(r.cstring()))
	}
	return version, options, r.end()
}

// CommandTag parses a CommandComplete's body: the tag, and its last word as a
// number of rows, -1 when it is none ("SELECT 5", "INSERT 0 5", "BEGIN").
func CommandTag(body []byte) (tag []byte, rows int64, err error) {
	r := reader{b: body}
	tag = r.cstring()
	if err := r.end(); err != nil {
		return nil, -1, err
	}
	i := len(tag)
	for i > 0 && tag[i-1] >= '0' && tag[i-1] <= '9' {
		i--
	}
	if i == len(tag) || i == 0 || tag[i-1] != ' ' || len(tag)-i > 18 {
		return tag, -1, nil
	}
	for _, c := range tag[i:] {
		rows = rows*10 + int64(c-'0')
	}
	return tag, rows, nil
}

// ReportFields walks the fields of an ErrorResponse or NoticeResponse. It
// returns an error, perhaps after some calls, when the body is malformed.
func ReportFields(body []byte, yield func(code byte, value []byte)) error {
	r := reader{b: body}
	for {
		code := r.byte()
		if r.err != nil || code == 0 {
			return r.end()
		}
		value := r.cstring()
		if r.err != nil {
			return r.err
		}
		yield(code, value)
	}
}

// ReportField returns one field of an ErrorResponse or NoticeResponse, nil when
// it is absent or the body is malformed.
func ReportField(body []byte, code byte) []byte {
	var found []byte
	if err := ReportFields(body, func(c byte, v []byte) {
		if c == code && found == nil {
			found = v
		}
	}); err != nil {
		return nil
	}
	return found
}

// ParseError reads an ErrorResponse's body.
func ParseError(body []byte) (*Error, error) {
	e := &Error{}
	err := ReportFields(body, func(code byte, value []byte) {
		switch code {
		case 'S':
			if e.Severity == "" {
				e.Severity = string(value)
			}
		case 'V': // never localised
			e.Severity = string(value)
		case 'C':
			e.Code = string(value)
		case 'M':
			e.Message = string(value)
		case 'D':
			e.Detail = string(value)
		case 'H':
			e.Hint = string(value)
		case 'P':
			n := 0
			for _, c := range value {
				if c < '0' || c > '9' || n > 1<<30 {
					return
				}
				n = 10*n + int(c-'0')
			}
			e.Position = n
		}
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// BindNames reads the names at the beginning of a Bind's body, which may be cut
// off behind them.
func BindNames(prefix []byte) (portal, statement []byte, ok bool) {
	r := reader{b: prefix}
	portal, statement = r.cstring(), r.cstring()
	return portal, statement, r.err == nil
}
