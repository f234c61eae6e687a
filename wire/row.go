package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Field describes a result column (PostgreSQL docs, section 55.7,
// RowDescription).
type Field struct {
	Name   []byte
	Table  uint32 // OID of the table or view that the column is of, 0 when it is not a plain column
	Column int16  // its attnum there
	Type   uint32 // OID
	Size   int16
	Mod    int32
	Format int16 // 0 text, 1 binary; 0 in the description of a statement, whose formats Bind chooses later
}

// ParseRowDescription parses a RowDescription's body into dst[:0]. Names point
// into body.
func ParseRowDescription(body []byte, dst []Field) ([]Field, error) {
	const minField = 1 + 18 // an empty name and the fixed part
	r := reader{b: body}
	dst = dst[:0]
	for n := r.count(minField); n > 0; n-- {
		dst = append(dst, Field{
			Name: r.cstring(), Table: uint32(r.int32()), Column: r.int16(), Type: uint32(r.int32()),
			Size: r.int16(), Mod: r.int32(), Format: r.int16(),
		})
		if f := dst[len(dst)-1].Format; f != 0 && f != 1 {
			return dst[:0], fmt.Errorf("unknown format %d of a result column", f)
		}
	}
	if err := r.end(); err != nil {
		return dst[:0], err
	}
	return dst, nil
}

// CellMasker rewrites one cell: it appends the masked value to dst and returns
// the extended slice. With ok false NULL comes out and out is ignored. It must
// not keep or change cell.
type CellMasker interface {
	MaskCell(dst, cell []byte) (out []byte, ok bool)
}

// ConstantMasker is a CellMasker that gives the same for every cell, and for NULL.
type ConstantMasker interface {
	CellMasker
	Constant()
}

// keepConstant is the length up to which a rewriter keeps what a ConstantMasker gives.
const keepConstant = 64

// constant gives what the masked form of every cell is; nil when it is not known.
func (c *Cell) constant() (value []byte, null bool) {
	if _, ok := c.Masker.(ConstantMasker); !ok || c.Pair != nil {
		return nil, false
	}
	value, ok := c.Masker.MaskCell([]byte{}, nil)
	if !ok {
		return nil, true
	}
	if len(value) > keepConstant {
		return nil, false
	}
	return value, false
}

// PairMasker is a CellMasker that sees another cell of the row, too: nil when that is NULL.
type PairMasker interface {
	MaskPair(dst, cell, other []byte) (out []byte, ok bool)
}

// Cell says what happens to one column's cells.
type Cell struct {
	Masker CellMasker // nil: the cell passes as it is
	Nulls  bool       // a NULL cell is masked too: MaskCell gets a nil cell
	Pair   PairMasker // not nil: it masks in Masker's place, and sees the cell of column Other as the server sent it
	Other  int
}

// mask gives the masked form of a cell.
func (c *Cell) mask(dst, cell, other []byte) (out []byte, ok bool) {
	if c.Pair != nil {
		return c.Pair.MaskPair(dst, cell, other)
	}
	return c.Masker.MaskCell(dst, cell)
}

// RowRewriter rewrites the rows of one result. It is immutable and may be
// shared.
type RowRewriter struct {
	columns int
	masked  []maskedCell
	rest    int // columns after the last masked one
}

type maskedCell struct {
	skip  int // columns that pass before this one
	cell  Cell
	whole []byte // what every cell becomes, with its length; nil: not known
}

// NewRowRewriter returns the rewriter for rows of exactly len(cells) columns.
func NewRowRewriter(cells []Cell) *RowRewriter {
	r := &RowRewriter{columns: len(cells)}
	last := -1
	for i, c := range cells {
		if c.Masker == nil {
			continue
		}
		m := maskedCell{skip: i - last - 1, cell: c}
		if value, null := c.constant(); null {
			m.whole = nullCell
		} else if value != nil {
			m.whole = append(binary.BigEndian.AppendUint32(nil, uint32(len(value))), value...)
		}
		r.masked = append(r.masked, m)
		last = i
	}
	r.rest = len(cells) - last - 1
	return r
}

// nullCell is NULL as a cell of a tuple.
var nullCell = []byte{0xff, 0xff, 0xff, 0xff}

// Columns returns the number of columns that a row must have.
func (r *RowRewriter) Columns() int { return r.columns }

var (
	errRowColumns = errors.New("row does not have the number of columns that was announced")
	errMasker     = errors.New("a mask did not append to the row")
	errRowSize    = errors.New("masked row is larger than a message can be")
)

// Append appends to dst a whole DataRow message, the rewritten form of the
// DataRow whose body is given. Runs of untouched columns are copied at once.
// On an error dst comes back at its old length. Body and dst must not overlap.
func (r *RowRewriter) Append(dst, body []byte) ([]byte, error) {
	start := len(dst)
	out, err := r.appendTuple(append(dst, DataRow, 0, 0, 0, 0), body)
	if err != nil {
		return dst[:start], err
	}
	if len(out)-start > MaxMessage {
		return dst[:start], errRowSize
	}
	binary.BigEndian.PutUint32(out[start+1:], uint32(len(out)-start-1))
	return out, nil
}

// appendTuple appends the rewritten form of a tuple: a number of columns and that many cells, as in
// DataRow and in the binary format of COPY.
func (r *RowRewriter) appendTuple(dst, body []byte) ([]byte, error) {
	start := len(dst)
	if len(body) < 2 || int(binary.BigEndian.Uint16(body)) != r.columns {
		return dst, errRowColumns
	}
	run, pos := 0, 2  // body[run:pos] passes, not yet copied
	var other []byte  // of the last cell that saw another one
	otherColumn := -1 // where that stands
	for i := range r.masked {
		m := &r.masked[i]
		var ok bool
		if pos, ok = skipCells(body, pos, m.skip); !ok {
			return dst[:start], errBadLength
		}
		if run < pos {
			dst = append(dst, body[run:pos]...)
		}
		cell, next, ok := cellAt(body, pos)
		if !ok {
			return dst[:start], errBadLength
		}
		run, pos = next, next
		if cell == nil && !m.cell.Nulls {
			dst = append(dst, nullCell...)
			continue
		}
		if m.whole != nil {
			dst = append(dst, m.whole...)
			continue
		}
		if m.cell.Pair != nil && m.cell.Other != otherColumn {
			if other, ok = columnAt(body, m.cell.Other, r.columns); !ok {
				return dst[:start], errBadLength
			}
			otherColumn = m.cell.Other
		}
		at := len(dst)
		out, notNull := m.cell.mask(append(dst, 0, 0, 0, 0), cell, other)
		if !notNull {
			dst = append(dst[:at], nullCell...)
			continue
		}
		n := len(out) - at - 4
		if n < 0 {
			return dst[:start], errMasker
		}
		if len(out)-start > MaxMessage {
			return dst[:start], errRowSize
		}
		dst = out
		binary.BigEndian.PutUint32(dst[at:], uint32(n))
	}
	rest := r.rest
	pos, ok := skipCells(body, pos, rest)
	if !ok {
		return dst[:start], errBadLength
	}
	if pos != len(body) {
		return dst[:start], errTrailing
	}
	return append(dst, body[run:]...), nil
}

// columnAt returns the cell of one of a tuple's columns; nil is NULL.
func columnAt(body []byte, column, columns int) (cell []byte, ok bool) {
	if column < 0 || column >= columns {
		return nil, false
	}
	pos, ok := skipCells(body, 2, column)
	if !ok {
		return nil, false
	}
	cell, _, ok = cellAt(body, pos)
	return cell, ok
}

// cellAt returns the cell at pos and where the next one begins; nil is NULL.
func cellAt(body []byte, pos int) (cell []byte, next int, ok bool) {
	if len(body)-pos < 4 {
		return nil, 0, false
	}
	n := int32(binary.BigEndian.Uint32(body[pos:]))
	pos += 4
	if n == -1 {
		return nil, pos, true
	}
	if n < 0 || int(n) > len(body)-pos {
		return nil, 0, false
	}
	end := pos + int(n)
	return body[pos:end:end], end, true
}

func skipCells(body []byte, pos, n int) (int, bool) {
	for ; n > 0; n-- {
		if len(body)-pos < 4 {
			return 0, false
		}
		size := int32(binary.BigEndian.Uint32(body[pos:]))
		pos += 4
		if size == -1 {
			continue
		}
		if size < 0 || int(size) > len(body)-pos {
			return 0, false
		}
		pos += int(size)
	}
	return pos, true
}

// RowCell returns the cell of a DataRow with one column that is not NULL.
func RowCell(body []byte) (cell []byte, ok bool) {
	if len(body) < 2 || body[0] != 0 || body[1] != 1 {
		return nil, false
	}
	cell, end, ok := cellAt(body, 2)
	return cell, ok && cell != nil && end == len(body)
}
