package session

import "pgveil/wire"

// A server converts what it sends to the client's encoding, and fails with SQLSTATE 22P05 at a character that this
// lacks: also in a value that would be masked. For values computed from protected columns, that would tell whatever the
// computation can put into a character. Such results are refused where the conversion can fail.

// convertsAll reports whether every text of the server can be given in an encoding.
func (s *Session) convertsAll(encoding string) bool {
	return encoding == "SQL_ASCII" || encoding == s.serverEncoding || isUTF8(encoding) && s.serverEncoding != "SQL_ASCII"
}

// checkEncoding refuses a query string whose results may not be convertible. With ready false the replies that are
// under way have to come first.
func (s *Session) checkEncoding(v *Verdict) (refusal *wire.Error, ready bool) {
	if v == nil || !s.masked {
		return nil, true
	}
	own, converts, moves := false, false, false
	for _, st := range v.Statements {
		if st.Encoding != "" {
			own = own || st.Converts && !isUTF8(st.Encoding) && !s.convertsAll(st.Encoding)
		} else {
			converts = converts || st.Converts
		}
		s.encodings = s.encodings || st.Encodes
		moves = moves || settles(st)
	}
	switch {
	case own:
		return wire.Unconvertible("the encoding of the COPY"), true
	case !converts || !s.encodings:
		return nil, true
	case moves && len(v.Statements) > 1:
		return wire.Unconvertible("a client_encoding that may change in the same query string"), true
	case s.settingsPending && !s.unsynced && s.q.len() > 0:
		s.settle = true
		return nil, false
	case s.settingsPending || !s.convertsAll(s.settings.ClientEncoding):
		return wire.Unconvertible("client_encoding " + s.encodingName()), true
	}
	return nil, true
}
