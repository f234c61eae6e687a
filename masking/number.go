package masking

import (
	"encoding/binary"
	"math"
	"strconv"
)

// parseInt reads an integer cell: decimal digits, or 2, 4 or 8 bytes. It
// refuses what is not a value of the type.
func parseInt(cell []byte, format int16, oid uint32) (int64, bool) {
	size := intSize(oid)
	if format == binaryFormat {
		if len(cell) != size {
			return 0, false
		}
		switch size {
		case 2:
			return int64(int16(binary.BigEndian.Uint16(cell))), true
		case 4:
			return int64(int32(binary.BigEndian.Uint32(cell))), true
		case 8:
			return int64(binary.BigEndian.Uint64(cell)), true
		}
		return 0, false
	}
	n, ok := parseDigits(cell)
	if !ok || n < minInt(size) || n > maxInt(size) {
		return 0, false
	}
	return n, true
}

func maxInt(size int) int64 { return math.MaxInt64 >> (64 - 8*size) }
func minInt(size int) int64 { return -maxInt(size) - 1 }

// parseDigits reads a decimal integer with an optional minus sign.
func parseDigits(b []byte) (int64, bool) {
	negative := len(b) > 0 && b[0] == '-'
	if negative {
		b = b[1:]
	}
	if len(b) == 0 || len(b) > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0') // 19 digits fit
	}
	if negative {
		if n > 1<<63 {
			return 0, false
		}
		return -int64(n), true
	}
	if n > math.MaxInt64 {
		return 0, false
	}
	return int64(n), true
}

// appendInt writes n, which must be in the type's range.
func appendInt(dst []byte, format int16, oid uint32, n int64) []byte {
	if format == textFormat {
		return strconv.AppendInt(dst, n, 10)
	}
	switch oid {
	case oidInt2:
		return binary.BigEndian.AppendUint16(dst, uint16(n))
	case oidInt4:
		return binary.BigEndian.AppendUint32(dst, uint32(n))
	}
	return binary.BigEndian.AppendUint64(dst, uint64(n))
}

// maxFloatText is more than the server writes for any float8.
const maxFloatText = 32

// parseFloat reads a finite float cell.
func parseFloat(cell []byte, format int16, oid uint32) (float64, bool) {
	var f float64
	switch {
	case format == binaryFormat && len(cell) != floatSize(oid):
		return 0, false
	case format == binaryFormat && oid == oidFloat4:
		f = float64(math.Float32frombits(binary.BigEndian.Uint32(cell)))
	case format == binaryFormat:
		f = math.Float64frombits(binary.BigEndian.Uint64(cell))
	default:
		if len(cell) > maxFloatText {
			return 0, false
		}
		for _, c := range cell { // no hexadecimal floats, underscores, words
			if (c < '0' || c > '9') && c != '-' && c != '+' && c != '.' && c != 'e' {
				return 0, false
			}
		}
		var err error
		if f, err = strconv.ParseFloat(string(cell), 8*floatSize(oid)); err != nil {
			return 0, false
		}
	}
	return f, !math.IsNaN(f) && !math.IsInf(f, 0)
}

// appendFloat writes a finite number; as text it is the shortest that reads
// back as the same value, like the server's.
func appendFloat(dst []byte, format int16, oid uint32, f float64) []byte {
	f += 0 // no negative zero
	bits := 8 * floatSize(oid)
	if format == binaryFormat {
		if oid == oidFloat4 {
			return binary.BigEndian.AppendUint32(dst, math.Float32bits(float32(f)))
		}
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
	}
	// The server goes over to exponents at FLT_DIG and DBL_DIG digits
	// (PostgreSQL source, src/common/f2s.c and d2s.c).
	limit := 1e15
	if oid == oidFloat4 {
		limit = 1e6
	}
	verb := byte('e')
	if a := math.Abs(f); a == 0 || a >= 1e-4 && a < limit {
		verb = 'f'
	}
	return strconv.AppendFloat(dst, f, verb, -1, bits)
}
