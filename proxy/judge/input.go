package judge

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pgveil/masking"
	"pgveil/proxy/session"
	"pgveil/roles"
	"pgveil/sqlparse"
)

// inputsOf makes what the session needs to put masked forms back.
func inputsOf(keys *masking.Keys, p *sqlparse.Plan, d *roles.Decision) *session.Inputs {
	if len(d.Inputs) == 0 {
		return nil
	}
	out := &session.Inputs{}
	var key strings.Builder
	made := map[unmaskerOf]*unmasker{} // a list of literals shares one
	for i := range d.Inputs {
		in := &d.Inputs[i]
		fmt.Fprintf(&key, "%d %d %s %s %d %d %t %t %t\n", in.Param, in.Place, in.Mask, in.Class, in.Type.OID, in.Type.Mod, in.Array, in.Verify, in.Shown)
		c := masking.Column{Type: in.Type, Class: in.Class, Spec: in.Mask}
		si := session.Input{Param: in.Param, First: in.First, Last: in.Last, Verify: in.Verify, Shown: in.Shown, Column: in.Column}
		if in.Shown {
			si.Unmask = &shown{keys, c}
		} else {
			of := unmaskerOf{in.Type.OID, in.ArrayType, in.Type.Mod, in.Class, in.Mask}
			if made[of] == nil {
				if in.Array {
					c.Type = masking.Type{OID: in.ArrayType, Kind: 'b', Elem: &in.Type, Name: in.Type.Name + "[]", Mod: -1}
				}
				made[of] = &unmasker{keys: keys, column: c, made: map[unmaskerKey]masking.Reverser{}}
			}
			si.Unmask = made[of]
		}
		switch {
		case in.Param == 0:
			out.Literals = append(out.Literals, si)
		case p.Kind == sqlparse.KindExecute: // its arguments are literals
		case in.Shown:
			out.Params = append(out.Params, si)
		default:
			at := slices.IndexFunc(out.Params, func(o session.Input) bool { return o.Param == in.Param && !o.Shown })
			if at < 0 {
				out.Params = append(out.Params, si)
			} else {
				si.Verify = si.Verify || out.Params[at].Verify
				if in.Type.OID == oidInt4 { // where it meets an int8, too, that one's tokens are the more
					si.Unmask = out.Params[at].Unmask
				}
				out.Params[at] = si
			}
		}
	}
	slices.SortFunc(out.Literals, func(x, y session.Input) int { return x.First - y.First })
	out.Key = key.String()
	return out
}

// unmaskerOf is what an unmasker is made for.
type unmaskerOf struct {
	typ, array uint32
	mod        int32
	class      string
	mask       masking.Spec
}

// unmasker puts back the masked forms of one place. The values that a client gives come in its own
// encoding and in either format.
type unmasker struct {
	keys   *masking.Keys
	column masking.Column

	mu   sync.Mutex
	made map[unmaskerKey]masking.Reverser
}

type unmaskerKey struct {
	format   int16
	encoding string
}

// OIDs of the integers (PostgreSQL source, src/include/catalog/pg_type.dat).
const (
	oidInt8 = 20
	oidInt2 = 21
	oidInt4 = 23
)

// Unmask implements session.Unmasker.
func (u *unmasker) Unmask(dst, masked []byte, format int16, settings masking.Session) ([]byte, bool) {
	switch u.column.Type.OID {
	case oidInt2, oidInt4, oidInt8:
		if format == 1 {
			return u.unmaskInteger(dst, masked, settings)
		}
	}
	r := u.reverser(format, settings)
	if r == nil {
		return dst, false
	}
	return r.Unmask(dst, masked)
}

// shown knows what a mask without a way back shows in the place of values.
type shown struct {
	keys   *masking.Keys
	column masking.Column
}

// Unmask implements session.Unmasker: it is true for what may be a masked form.
func (m *shown) Unmask(dst, masked []byte, format int16, settings masking.Session) ([]byte, bool) {
	c := m.column
	c.Format, c.Session = format, settings
	c.Session.Year = time.Now().UTC().Year()
	switch c.Type.OID {
	case oidInt2, oidInt4, oidInt8:
		if format == 1 {
			n, ok := integer(masked)
			if !ok {
				return dst, true
			}
			c.Format, masked = 0, strconv.AppendInt(nil, n, 10)
		}
	}
	return dst, m.keys.Shown(c, masked)
}

// integer reads a binary integer of any width.
func integer(b []byte) (int64, bool) {
	switch len(b) {
	case 2:
		return int64(int16(binary.BigEndian.Uint16(b))), true
	case 4:
		return int64(int32(binary.BigEndian.Uint32(b))), true
	case 8:
		return int64(binary.BigEndian.Uint64(b)), true
	}
	return 0, false
}

// unmaskInteger takes an integer of any width: drivers send wider ones than the column's.
func (u *unmasker) unmaskInteger(dst, masked []byte, settings masking.Session) ([]byte, bool) {
	n, ok := integer(masked)
	if !ok {
		return dst, false
	}
	r := u.reverser(0, settings)
	if r == nil {
		return dst, false
	}
	text, ok := r.Unmask(nil, strconv.AppendInt(nil, n, 10))
	if !ok {
		return dst, false
	}
	v, err := strconv.ParseInt(string(text), 10, 8*len(masked))
	if err != nil {
		return dst, false
	}
	switch len(masked) {
	case 2:
		return binary.BigEndian.AppendUint16(dst, uint16(v)), true
	case 4:
		return binary.BigEndian.AppendUint32(dst, uint32(v)), true
	}
	return binary.BigEndian.AppendUint64(dst, uint64(v)), true
}

// reverser makes the inverse of the mask for a format and encoding, once. It is nil when the mask has none there.
func (u *unmasker) reverser(format int16, settings masking.Session) masking.Reverser {
	u.mu.Lock()
	defer u.mu.Unlock()
	k := unmaskerKey{format, settings.ClientEncoding}
	if r, ok := u.made[k]; ok {
		return r
	}
	c := u.column
	c.Format, c.Session = format, masking.Session{ClientEncoding: settings.ClientEncoding}
	r, err := u.keys.Reverser(c)
	if err != nil {
		r = nil // the column is redacted for the same reason: nothing is shown that could come back
	}
	u.made[k] = r
	return r
}
