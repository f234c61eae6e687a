package session

// inbox holds what one side sent and the session could not yet deal with: the
// beginning of a message, or whatever came while it waits. A message whose body
// is of no interest streams: it is never held as a whole.
type inbox struct {
	buf    []byte
	need   int  // bytes that buf must have before it is worth another look
	stream int  // bytes still to come of a message that streams
	drop   bool // they are dropped, not passed
}

// messages deals with messages at the start of b and returns how many bytes it
// has consumed; and, when the rest is the beginning of a message, how many bytes
// it needs of it. Stable: b stays as it is until the session's output is taken.
type messages func(s *Session, b []byte, stable bool) (n, need int)

func (in *inbox) feed(b []byte, s *Session, deal messages) {
	b = b[:len(b):len(b)]
	for len(in.buf) > 0 && len(b) > 0 {
		if s.terminated {
			return
		}
		if len(in.buf) >= in.need { // whole messages are at hand: the session waits for something
			in.buf = append(in.buf, b...)
			return
		}
		k := min(in.need-len(in.buf), len(b))
		in.buf = append(in.buf, b[:k]...)
		b = b[k:]
		if len(in.buf) < in.need {
			return
		}
		in.consume(s, deal)
	}
	if len(b) == 0 || s.terminated {
		return
	}
	n, need := deal(s, b, true)
	if s.terminated {
		return
	}
	in.need = need
	if n < len(b) {
		in.buf = append(in.buf[:0], b[n:]...)
	}
}

// resume goes on with what was held.
func (in *inbox) resume(s *Session, deal messages) {
	if len(in.buf) > 0 && len(in.buf) >= in.need {
		in.consume(s, deal)
	}
}

func (in *inbox) consume(s *Session, deal messages) {
	n, need := deal(s, in.buf, false)
	if s.terminated {
		return
	}
	in.need = need
	in.buf = in.buf[:copy(in.buf, in.buf[n:])]
	if len(in.buf) == 0 && cap(in.buf) > keepBuffer {
		in.buf = nil
	}
}

func (in *inbox) drain() { *in = inbox{} }

// keepBuffer is the size up to which an empty buffer is kept for the next use.
const keepBuffer = 64 << 10

// outbox gathers what goes to one side.
type outbox struct {
	buf    []byte
	direct []byte // follows buf: part of what was read, not copied
	hold   int    // bytes of buf from here on wait for an audit record; -1: none
}

// bytes returns the buffer to append to; the result is given to append.
func (o *outbox) bytes() []byte {
	if len(o.direct) > 0 {
		o.buf = append(o.buf, o.direct...)
		o.direct = nil
	}
	return o.buf
}

func (o *outbox) append(b []byte) { o.buf = b }

// pass adds part of what was read.
func (o *outbox) pass(b []byte, stable bool) {
	if len(b) == 0 {
		return
	}
	if stable && len(o.buf) == 0 && o.hold < 0 {
		n := len(o.direct)
		if n == 0 {
			o.direct = b
			return
		}
		if n < cap(o.direct) && &o.direct[:n+1][n] == &b[0] {
			o.direct = o.direct[:n+len(b)]
			return
		}
	}
	o.buf = append(o.bytes(), b...)
}

// pin holds back what is added from now on.
func (o *outbox) pin() {
	if o.hold < 0 {
		o.hold = len(o.bytes())
	}
}

func (o *outbox) discardHeld() {
	if o.hold >= 0 {
		o.buf = o.bytes()[:o.hold]
		o.hold = -1
	}
}

func (o *outbox) has() bool {
	if o.hold >= 0 {
		return o.hold > 0
	}
	return len(o.buf)+len(o.direct) > 0
}

func (o *outbox) take(spare []byte) (buf, direct []byte) {
	if o.hold >= 0 {
		all := o.bytes()
		if o.hold == 0 {
			return nil, nil
		}
		buf = all[:o.hold:o.hold]
		o.buf = append(spare[:0], all[o.hold:]...)
		o.hold = 0
		return buf, nil
	}
	direct, o.direct = o.direct, nil
	if len(o.buf) > 0 {
		buf = o.buf
		o.buf = spare[:0]
	}
	return buf, direct
}

// refusedText goes to the server in place of a refused statement: a syntax error
// for every PostgreSQL, and plain to whoever reads the server's log.
const refusedText = "pgveil refused this statement"

// refusedName is the prepared statement that refusedText would make, where the
// client did not name one. It never comes to be.
const refusedName = "pgveil refused"

func (s *Session) send(b []byte) { s.toServer.append(b) }
