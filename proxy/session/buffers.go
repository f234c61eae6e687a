package session

// Lend gives the session buffers to gather its output in, where it has none of its
// own. A transport with many sessions lends one pair to each in turn.
func (s *Session) Lend(toClient, toServer []byte) {
	s.toClient.lend(toClient)
	s.toServer.lend(toServer)
}

// Reclaim takes back what output buffers the session does not use, nil for those
// that it does; and an idle session gives up what it read into.
func (s *Session) Reclaim() (toClient, toServer []byte) {
	if cap(s.client.buf)+cap(s.server.buf) > 0 && s.Idle() {
		s.client.buf, s.server.buf = nil, nil
	}
	return s.toClient.reclaim(), s.toServer.reclaim()
}

func (o *outbox) lend(b []byte) {
	if o.buf == nil {
		o.buf = b[:0]
	}
}

func (o *outbox) reclaim() []byte {
	if len(o.buf)+len(o.direct) > 0 {
		return nil
	}
	b := o.buf
	o.buf = nil
	return b
}
