package wire

import "encoding/binary"

// begin appends a header whose length finish fills in.
func begin(dst []byte, typ byte) ([]byte, int) {
	dst = append(dst, typ, 0, 0, 0, 0)
	return dst, len(dst) - 4
}

func finish(dst []byte, at int) []byte {
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// appendString appends s and a NUL. A NUL inside s would end it early and shift
// what follows: s is cut there.
func appendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			s = s[:i]
			break
		}
	}
	return append(append(dst, s...), 0)
}

// AppendEmpty appends a message without a body: Sync, Flush, Terminate,
// ParseComplete, NoData, CopyDone ….
func AppendEmpty(dst []byte, typ byte) []byte { return append(dst, typ, 0, 0, 0, 4) }

// AppendMessage appends a message with the given body.
func AppendMessage(dst []byte, typ byte, body []byte) []byte {
	dst, at := begin(dst, typ)
	return finish(append(dst, body...), at)
}

// AppendQuery appends a Query.
func AppendQuery(dst []byte, sql string) []byte {
	dst, at := begin(dst, Query)
	return finish(appendString(dst, sql), at)
}

// AppendParse appends a Parse.
func AppendParse(dst []byte, name, sql string, types []uint32) []byte {
	dst, at := begin(dst, Parse)
	dst = appendString(dst, name)
	dst = appendString(dst, sql)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(types)))
	for _, t := range types {
		dst = binary.BigEndian.AppendUint32(dst, t)
	}
	return finish(dst, at)
}

// AppendBind appends a Bind of a statement without parameters; every result
// column comes in the given format (0 text, 1 binary).
func AppendBind(dst []byte, portal, statement string, format int16) []byte {
	dst, at := begin(dst, Bind)
	dst = appendString(dst, portal)
	dst = appendString(dst, statement)
	dst = append(dst, 0, 0, 0, 0, 0, 1)
	return finish(binary.BigEndian.AppendUint16(dst, uint16(format)), at)
}

// AppendDescribe appends a Describe of a statement ('S') or portal ('P').
func AppendDescribe(dst []byte, object byte, name string) []byte {
	dst, at := begin(dst, Describe)
	return finish(appendString(append(dst, object), name), at)
}

// AppendClose appends a Close of a statement ('S') or portal ('P').
func AppendClose(dst []byte, object byte, name string) []byte {
	dst, at := begin(dst, Close)
	return finish(appendString(append(dst, object), name), at)
}

// AppendExecute appends an Execute; 0 rows means all.
func AppendExecute(dst []byte, portal string, rows uint32) []byte {
	dst, at := begin(dst, Execute)
	return finish(binary.BigEndian.AppendUint32(appendString(dst, portal), rows), at)
}

// AppendPassword appends a PasswordMessage.
func AppendPassword(dst []byte, password string) []byte {
	dst, at := begin(dst, Password)
	return finish(appendString(dst, password), at)
}

// AppendSASLInitialResponse appends a SASLInitialResponse.
func AppendSASLInitialResponse(dst []byte, mechanism string, data []byte) []byte {
	dst, at := begin(dst, Password)
	dst = appendString(dst, mechanism)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(data)))
	return finish(append(dst, data...), at)
}

// AppendSASLResponse appends a SASLResponse.
func AppendSASLResponse(dst, data []byte) []byte { return AppendMessage(dst, Password, data) }

// Codes of Authentication messages (PostgreSQL docs, section 55.7).
const (
	AuthOK           = 0
	AuthCleartext    = 3
	AuthMD5          = 5
	AuthSASL         = 10
	AuthSASLContinue = 11
	AuthSASLFinal    = 12
)

// AppendAuthentication appends an Authentication message with what follows its code.
func AppendAuthentication(dst []byte, code uint32, data []byte) []byte {
	dst, at := begin(dst, Authentication)
	return finish(append(binary.BigEndian.AppendUint32(dst, code), data...), at)
}

// AppendAuthenticationSASL appends the offer of SASL mechanisms.
func AppendAuthenticationSASL(dst []byte, mechanisms ...string) []byte {
	dst, at := begin(dst, Authentication)
	dst = binary.BigEndian.AppendUint32(dst, AuthSASL)
	for _, m := range mechanisms {
		dst = appendString(dst, m)
	}
	return finish(append(dst, 0), at)
}

// AppendBackendKeyData appends a BackendKeyData; the key has 4 bytes in
// protocol 3.0, up to 256 in 3.2.
func AppendBackendKeyData(dst []byte, pid uint32, key []byte) []byte {
	dst, at := begin(dst, BackendKeyData)
	return finish(append(binary.BigEndian.AppendUint32(dst, pid), key...), at)
}

// AppendParameterStatus appends a ParameterStatus.
func AppendParameterStatus(dst []byte, name, value string) []byte {
	dst, at := begin(dst, ParameterStatus)
	return finish(appendString(appendString(dst, name), value), at)
}

// AppendNegotiateProtocolVersion appends a NegotiateProtocolVersion: the newest
// minor version served, and the protocol options not known.
func AppendNegotiateProtocolVersion(dst []byte, minor uint16, options []string) []byte {
	dst, at := begin(dst, NegotiateProtocolVersion)
	dst = binary.BigEndian.AppendUint32(dst, ProtocolMajor<<16|uint32(minor))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(options)))
	for _, o := range options {
		dst = appendString(dst, o)
	}
	return finish(dst, at)
}

// AppendReadyForQuery appends a ReadyForQuery; status is 'I', 'T' or 'E'.
func AppendReadyForQuery(dst []byte, status byte) []byte {
	return append(dst, ReadyForQuery, 0, 0, 0, 5, status)
}

// AppendCommandComplete appends a CommandComplete.
func AppendCommandComplete(dst []byte, tag string) []byte {
	dst, at := begin(dst, CommandComplete)
	return finish(appendString(dst, tag), at)
}

// AppendRowDescription appends a RowDescription.
func AppendRowDescription(dst []byte, fields []Field) []byte {
	dst, at := begin(dst, RowDescription)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(fields)))
	for i := range fields {
		f := &fields[i]
		dst = append(append(dst, f.Name...), 0)
		dst = binary.BigEndian.AppendUint32(dst, f.Table)
		dst = binary.BigEndian.AppendUint16(dst, uint16(f.Column))
		dst = binary.BigEndian.AppendUint32(dst, f.Type)
		dst = binary.BigEndian.AppendUint16(dst, uint16(f.Size))
		dst = binary.BigEndian.AppendUint32(dst, uint32(f.Mod))
		dst = binary.BigEndian.AppendUint16(dst, uint16(f.Format))
	}
	return finish(dst, at)
}

// AppendDataRow appends a DataRow; a nil cell is NULL.
func AppendDataRow(dst []byte, cells ...[]byte) []byte {
	dst, at := begin(dst, DataRow)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(cells)))
	for _, c := range cells {
		if c == nil {
			dst = append(dst, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		dst = append(binary.BigEndian.AppendUint32(dst, uint32(len(c))), c...)
	}
	return finish(dst, at)
}
