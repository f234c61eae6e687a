package audit

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
)

// errLineTooLong: a line is longer than any record can be.
var errLineTooLong = fmt.Errorf("line is longer than %d MiB", maxLine>>20)

// lineReader hands out lines with bounded memory and knows where they are.
type lineReader struct {
	r     *bufio.Reader
	long  []byte // a line that did not fit into r's buffer
	n     int    // number of the line last handed out, from 1
	start int64  // byte offset of that line
	end   int64  // byte offset behind its newline
}

func newLineReader(r io.Reader, offset int64) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 256<<10), start: offset, end: offset}
}

// next returns the next line without its newline, valid until the next call.
// whole is false for a last line that lacks one. A line over the limit is
// skipped and gives errLineTooLong; the end gives io.EOF.
func (l *lineReader) next() (line []byte, whole bool, err error) {
	l.start = l.end
	l.n++
	l.long = l.long[:0]
	tooLong := false
	for {
		part, err := l.r.ReadSlice('\n')
		l.end += int64(len(part))
		switch {
		case err == nil || errors.Is(err, io.EOF):
			if err != nil && l.end == l.start {
				return nil, false, io.EOF
			}
			whole = err == nil
			if whole {
				part = part[:len(part)-1]
			}
			if tooLong || len(l.long)+len(part) > maxLine {
				return nil, whole, errLineTooLong
			}
			if len(l.long) == 0 {
				return part, whole, nil
			}
			l.long = append(l.long, part...)
			return l.long, whole, nil
		case errors.Is(err, bufio.ErrBufferFull):
			if tooLong = tooLong || len(l.long)+len(part) > maxLine; !tooLong {
				l.long = append(l.long, part...)
			}
		default:
			return nil, false, err
		}
	}
}

// link is what chains a record to its neighbours.
type link struct {
	seq        uint64
	prev, hash digest
	opening    bool // the record opens a file
}

const (
	seqStart   = len(lineHead) + timeWidth + len(lineSeq)
	hashMember = len(lineHash) - 1 + len(digest{}) + 1 // ,"hash":"…" without the quote that ends prev
	tailWidth  = len(linePrev) + len(digest{}) + len(lineHash) + len(digest{}) + len(lineTail)
)

// parseLink reads the chain's members from their fixed places in a line.
func parseLink(line []byte) (l link, ok bool) {
	if len(line) < seqStart+len(lineEvent)+tailWidth || !bytes.HasPrefix(line, []byte(lineHead)) {
		return l, false
	}
	if string(line[len(lineHead)+timeWidth:seqStart]) != lineSeq {
		return l, false
	}
	i := seqStart
	for ; i < len(line) && line[i] >= '0' && line[i] <= '9'; i++ {
		d := uint64(line[i] - '0')
		if l.seq > (1<<64-1-d)/10 {
			return l, false
		}
		l.seq = l.seq*10 + d
	}
	if i == seqStart || line[seqStart] == '0' { // no digits, or a leading zero; 0 is no record's number
		return l, false
	}
	t := len(line) - tailWidth
	if i > t || !bytes.HasPrefix(line[i:], []byte(lineEvent)) {
		return l, false
	}
	l.opening = bytes.HasPrefix(line[i+len(lineEvent):], []byte(`"`+EventOpened+`"`))
	if string(line[t:t+len(linePrev)]) != linePrev {
		return l, false
	}
	t += len(linePrev)
	if !l.prev.set(line[t : t+len(l.prev)]) {
		return l, false
	}
	t += len(l.prev)
	if string(line[t:t+len(lineHash)]) != lineHash {
		return l, false
	}
	t += len(lineHash)
	if !l.hash.set(line[t : t+len(l.hash)]) {
		return l, false
	}
	return l, string(line[t+len(l.hash):]) == lineTail
}

// set takes b if it is a sum in lower-case hex.
func (d *digest) set(b []byte) bool {
	if len(b) != len(d) {
		return false
	}
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	copy(d[:], b)
	return true
}

// chain follows records one after the other.
type chain struct {
	known bool // a record came before: seq and hash are its
	seq   uint64
	hash  digest
	sum   hash.Hash
}

// next checks one line against itself and against the record before it, and
// makes it the chain's last if it holds. The fault it returns has no place yet.
func (c *chain) next(line []byte) (link, *Fault) {
	l, ok := parseLink(line)
	if !ok || !json.Valid(line) {
		return l, &Fault{Kind: Malformed, Seq: c.expected(), Detail: "the line is no audit record"}
	}
	if c.digest(line) != l.hash {
		return l, &Fault{Kind: Edited, Seq: l.seq, Detail: "the record's hash does not match its content"}
	}
	if !c.known {
		if l.seq == 1 && l.prev != genesis {
			return l, &Fault{Kind: Edited, Seq: 1, Detail: "the first record has a predecessor's hash"}
		}
	} else {
		switch want := c.seq + 1; {
		case l.seq > want:
			return l, &Fault{Kind: Removed, Seq: want, Detail: fmt.Sprintf("%s missing", seqRange(want, l.seq-1))}
		case l.seq < want:
			return l, &Fault{Kind: Reordered, Seq: l.seq, Detail: fmt.Sprintf("the record is repeated or out of place: seq %d was expected", want)}
		case l.prev != c.hash:
			return l, &Fault{Kind: Edited, Seq: l.seq, Detail: "prev is not the hash of the record before: one of the two was rewritten"}
		}
	}
	c.known, c.seq, c.hash = true, l.seq, l.hash
	return l, nil
}

// expected is the number of the record that should come next, 0 if not known.
func (c *chain) expected() uint64 {
	if !c.known {
		return 0
	}
	return c.seq + 1
}

var closing = []byte{'}'}

// digest computes the hash that a parsed line should have.
func (c *chain) digest(line []byte) (d digest) {
	if c.sum == nil {
		c.sum = sha256.New()
	}
	c.sum.Reset()
	c.sum.Write(line[:len(line)-hashMember-1])
	c.sum.Write(closing)
	var sum [sha256.Size]byte
	hex.Encode(d[:], c.sum.Sum(sum[:0]))
	return d
}

func seqRange(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("record %d is", from)
	}
	return fmt.Sprintf("records %d to %d are", from, to)
}
