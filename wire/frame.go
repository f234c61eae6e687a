// Package wire frames, parses and builds the messages of the PostgreSQL
// frontend/backend protocol, version 3 (PostgreSQL docs, chapter 55), on byte
// slices and without I/O. Parsers are strict: bytes left over, counts and
// lengths that do not fit the message are errors. Builders append to the slice
// they are given.
//
// Slices that a parser returns point into its input and are valid as long as
// the input is; their capacity is clamped, so an append never overwrites a
// neighbour.
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// HeaderSize is the size of a typed message's header: type and length.
const HeaderSize = 5

// The limits that PostgreSQL sets to messages, without the type byte (libpq.h:
// PQ_LARGE_MESSAGE_LIMIT, PQ_SMALL_MESSAGE_LIMIT; pqcomm.h:
// MAX_STARTUP_PACKET_LENGTH).
const (
	MaxMessage      = 0x3fffffff - 1
	MaxSmallMessage = 10000
	MaxStartup      = 10000
)

// Types of the frontend's messages (PostgreSQL docs, section 55.7).
const (
	Query        = 'Q'
	Parse        = 'P'
	Bind         = 'B'
	Describe     = 'D'
	Execute      = 'E'
	Close        = 'C'
	Flush        = 'H'
	Sync         = 'S'
	Terminate    = 'X'
	FunctionCall = 'F'
	Password     = 'p' // also SASLInitialResponse, SASLResponse, GSSResponse
)

// Types that both sides send.
const (
	CopyData = 'd'
	CopyDone = 'c'
	CopyFail = 'f' // frontend only
)

// Types of the backend's messages.
const (
	Authentication           = 'R'
	BackendKeyData           = 'K'
	BindComplete             = '2'
	CloseComplete            = '3'
	CommandComplete          = 'C'
	CopyInResponse           = 'G'
	CopyOutResponse          = 'H'
	CopyBothResponse         = 'W'
	DataRow                  = 'D'
	EmptyQueryResponse       = 'I'
	ErrorResponse            = 'E'
	FunctionCallResponse     = 'V'
	NegotiateProtocolVersion = 'v'
	NoData                   = 'n'
	NoticeResponse           = 'N'
	NotificationResponse     = 'A'
	ParameterDescription     = 't'
	ParameterStatus          = 'S'
	ParseComplete            = '1'
	PortalSuspended          = 's'
	ReadyForQuery            = 'Z'
	RowDescription           = 'T'
)

var (
	errTrailing  = errors.New("bytes left over at the end of the message")
	errShort     = errors.New("message ends too early")
	errNoNUL     = errors.New("string without terminator")
	errBadCount  = errors.New("count does not fit the message")
	errBadLength = errors.New("length does not fit the message")
)

// Header reads the header of the typed message at the start of b. Size is the
// whole message's, header included. With ok false more bytes are needed. The
// error is for a length below 4 or above MaxMessage.
func Header(b []byte) (typ byte, size int, ok bool, err error) {
	return header(b, MaxMessage)
}

// FrontendHeader is Header with the limit that PostgreSQL sets to a client's
// message of that type; a type that no client sends after the login is an error.
func FrontendHeader(b []byte) (typ byte, size int, ok bool, err error) {
	if len(b) == 0 {
		return 0, 0, false, nil
	}
	limit := frontendLimits[b[0]]
	if limit == 0 {
		return b[0], 0, false, fmt.Errorf("invalid frontend message type %d", b[0])
	}
	return header(b, limit)
}

// BackendHeader is Header for a server's message; an unknown type is an error.
func BackendHeader(b []byte) (typ byte, size int, ok bool, err error) {
	if len(b) == 0 {
		return 0, 0, false, nil
	}
	if !backendTypes[b[0]] {
		return b[0], 0, false, fmt.Errorf("invalid backend message type %d", b[0])
	}
	return header(b, MaxMessage)
}

func header(b []byte, limit int) (typ byte, size int, ok bool, err error) {
	if len(b) < HeaderSize {
		if len(b) > 0 {
			typ = b[0]
		}
		return typ, 0, false, nil
	}
	n := binary.BigEndian.Uint32(b[1:])
	if n < 4 || n > uint32(limit) {
		return b[0], 0, false, fmt.Errorf("invalid length %d of message type %q", n, b[0])
	}
	return b[0], int(n) + 1, true, nil
}

var frontendLimits = [256]int{
	Query: MaxMessage, Parse: MaxMessage, Bind: MaxMessage, FunctionCall: MaxMessage, CopyData: MaxMessage,
	Describe: MaxSmallMessage, Execute: MaxSmallMessage, Close: MaxSmallMessage, Flush: MaxSmallMessage,
	Sync: MaxSmallMessage, Terminate: MaxSmallMessage, CopyDone: MaxSmallMessage, CopyFail: MaxSmallMessage,
}

var backendTypes = [256]bool{
	Authentication: true, BackendKeyData: true, BindComplete: true, CloseComplete: true, CommandComplete: true,
	CopyInResponse: true, CopyOutResponse: true, CopyBothResponse: true, CopyData: true, CopyDone: true,
	DataRow: true, EmptyQueryResponse: true, ErrorResponse: true, FunctionCallResponse: true,
	NegotiateProtocolVersion: true, NoData: true, NoticeResponse: true, NotificationResponse: true,
	ParameterDescription: true, ParameterStatus: true, ParseComplete: true, PortalSuspended: true,
	ReadyForQuery: true, RowDescription: true,
}
