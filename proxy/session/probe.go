package session

import (
	"bytes"
	"errors"

	"pgveil/sqlparse"
	"pgveil/wire"
)

// searchPath is the effective search path as the server last told it.
type searchPath struct {
	now     string // "": not known
	pending bool   // it may change when the transaction at hand ends
}

// probe asks the server for the search path, on the session's own connection.
type probe struct {
	state  probeState
	synced bool // it ends with a Sync of its own
	full   bool // it asks for the state of the temporary schema
	exists bool // there is a temporary schema, and its state was not asked for
	value  string

	canceled string // the server's message when the probe was cancelled
	temp     []byte // state of the temporary schema; nil: there is none

	generation uint64 // of the catalog, at the latest, when it was sent
}

type probeState uint8

const (
	probeNone probeState = iota
	probeRuns
	probeFailed
)

// pathSQL asks for the search path and, behind probeSeparator, for the OID of the temporary schema, 0 when there is none:
// a session's first probe mostly finds none, and the server's catalog caches are cold. tempSQL asks for the schema's state
// instead, in which that character is written in another way (RFC 8259, section 7).
const (
	pathSQL   = probeSelect + "pg_catalog.pg_my_temp_schema())"
	tempSQL   = probeSelect + sqlparse.TempQuery + ")"
	probeName = "pgveil probe"

	probeSelect    = "SELECT pg_catalog.concat(pg_catalog.current_schemas(true), pg_catalog.chr(1), "
	probeSeparator = 1

	maxPathBytes = 64 << 10 // of the text form of a search path
	maxTempBytes = 16 << 20 // of the state of a temporary schema
)

// learnPath sees to it that the search path is known. It sends a probe when it
// is not; ready is then false.
func (s *Session) learnPath() (refusal *wire.Error, ready bool) {
	if s.path.now != "" && !(s.path.pending && s.q.len() > 0) {
		if s.probing.state == probeFailed {
			s.probing.state = probeNone // it failed with a transaction that is over
		}
		return nil, true
	}
	if s.status == 'E' && s.q.runsNothing() {
		// In a failed transaction the server runs nothing but its end; what is prepared
		// here is decided anew under the path of its execution.
		s.probing.state = probeNone
		s.path.now = ""
		return nil, true
	}
	if s.probing.state == probeFailed {
		s.probing.state = probeNone
		if m := s.probing.canceled; m != "" {
			return wire.Refused(queryCanceled, m, "", "", 0), true
		}
		return wire.Undecided(errors.New("the search path could not be read")), true
	}
	s.probe(s.temp != sqlparse.NoOverlay)
	return nil, false
}

// noPath is the shortest search path there is.
const noPath = "{pg_catalog}"

// namesNothing reports whether a text is SELECT and a whole number, which means the same under every search path.
// Clients ask it to see whether the server answers: a session in which nothing else is asked needs no probe.
func namesNothing(sql []byte) bool {
	const (
		word = "select"
		most = 9 // digits of an integer
	)
	sql = bytes.Trim(sql, " \t\r\n")
	if len(sql) <= len(word) || !bytes.EqualFold(sql[:len(word)], []byte(word)) || sql[len(word)] != ' ' {
		return false
	}
	digits := bytes.TrimLeft(bytes.TrimSuffix(sql[len(word):], []byte{';'}), " ")
	for _, c := range digits {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(digits) > 0 && len(digits) <= most
}

// probe sends a probe: the full one where there may be temporary relations.
func (s *Session) probe(full bool) {
	sql := pathSQL
	if full {
		sql = tempSQL
	}
	s.probing = probe{state: probeRuns, full: full, synced: !s.unsynced, generation: s.generation}
	// The extended protocol leaves the client's unnamed statement and portal alone.
	out := s.toServer.bytes()
	kinds := []kind{kParse, kBind, kExecute, kClose, kClose}
	if s.probeLeft {
		out = wire.AppendClose(out, 'S', probeName)
		kinds = append([]kind{kClose}, kinds...)
	}
	out = wire.AppendParse(out, probeName, sql, nil)
	out = wire.AppendBind(out, probeName, probeName, 0)
	out = wire.AppendExecute(out, probeName, 0)
	out = wire.AppendClose(out, 'P', probeName)
	out = wire.AppendClose(out, 'S', probeName)
	if s.unsynced {
		// A Sync would end the client's implicit transaction.
		out = wire.AppendEmpty(out, wire.Flush)
	} else {
		out = wire.AppendEmpty(out, wire.Sync)
		kinds = append(kinds, kSync)
	}
	for i, k := range kinds {
		e := s.q.push(k, s.now)
		e.injected, e.last = true, i == len(kinds)-1
	}
	s.send(out)
}

// probeRow takes the search path from a probe's row.
func (s *Session) probeRow(body []byte) {
	cell, ok := wire.RowCell(body)
	at := bytes.LastIndexByte(cell, probeSeparator)
	if !ok || at < 2 || at > maxPathBytes || len(cell)-at > maxTempBytes || cell[0] != '{' || s.probing.value != "" {
		s.fatal(wire.UpstreamProtocolViolation(errors.New("the probe of the search path returned something else")))
		return
	}
	s.probing.value = string(cell[:at])
	state := cell[at+1:]
	switch {
	case !s.probing.full:
		s.probing.exists = string(state) != "0"
	case len(state) > 0:
		s.probing.temp = bytes.Clone(state)
	}
}

// probed takes the end of a probe.
func (s *Session) probed() {
	if s.probing.state != probeRuns {
		return
	}
	if s.probing.value == "" {
		s.probing.state = probeFailed
		return
	}
	if s.probing.exists {
		s.probe(true)
		return
	}
	temp, err := s.temp.Learn(s.probing.temp, s.probing.synced && s.status == 'I')
	if err != nil {
		s.probing = probe{state: probeFailed}
		return
	}
	s.path.now, s.temp, s.tempGeneration = s.probing.value, temp, s.probing.generation
	s.probing = probe{}
}
