package masking

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
)

// randomLiteral gives a value of a type whose text form is easier to make than its binary one.
func randomLiteral(r *rand.Rand, typ Type) (string, bool) {
	switch familyOf(typ) {
	case famText:
		n := 1 + r.IntN(40)
		if limit := typ.length(); limit > 0 {
			n = 1 + r.IntN(min(limit, 40))
		}
		if typ.OID == oidName {
			n = 1 + r.IntN(15)
		}
		if typ.OID >= 1_000 && typ.OID != oidBpchar && typ.OID != oidVarchar || r.IntN(2) == 0 {
			return randomRunes(r, n, "abcdefghijklmnopqrstuvwxyzABC0123456789-.@ "), true
		}
		return randomRunes(r, n, "aé東Z9 \\\"'{},():/\t\n%_~-+"), true
	case famNumeric:
		whole, fraction := 1+r.IntN(30), r.IntN(12)
		if precision, scale, ok := typ.numericMod(); ok {
			whole, fraction = r.IntN(precision-scale+1), scale
		}
		s := "0" + randomRunes(r, whole, "0123456789")
		if fraction > 0 {
			s += "." + randomRunes(r, fraction, "0123456789")
		}
		return [2]string{"", "-"}[r.IntN(2)] + s, true
	case famBits:
		n := r.IntN(70)
		if limit := typ.length(); limit > 0 && typ.OID == oidVarbit {
			n = r.IntN(limit + 1)
		} else if limit > 0 {
			n = limit
		}
		return randomRunes(r, n, "01"), true
	case famInterval:
		return fmt.Sprintf("%d months %d days %d.%06d seconds", r.IntN(4000)-2000, r.IntN(40_000)-20_000, r.IntN(200_000)-100_000, r.IntN(1_000_000)), true
	case famJSON, famJSONB:
		return fmt.Sprintf(`{"%s": [%d, null, {"a": "%s"}]}`, randomRunes(r, 5, "abcdef"), r.Int64(), randomRunes(r, 9, "0123456789-")), true
	}
	return "", false
}

func randomRunes(r *rand.Rand, n int, of string) string {
	all := []rune(of)
	var b strings.Builder
	for range n {
		b.WriteRune(all[r.IntN(len(all))])
	}
	return b.String()
}

// randomBinary gives a value of a type of fixed size, in its binary form.
func randomBinary(r *rand.Rand, typ Type) ([]byte, bool) {
	between := func(low, high int64) int64 { return low + r.Int64N(high-low+1) }
	switch familyOf(typ) {
	case famInt:
		// Of every length, not most of them as long as can be.
		return appendInt(nil, binaryFormat, typ.OID, int64(r.Uint64())>>(64-8*intSize(typ.OID)+r.IntN(8*intSize(typ.OID)))), true
	case famFloat:
		f := r.NormFloat64() * math.Pow10(r.IntN(30)-10)
		return appendFloat(nil, binaryFormat, typ.OID, f), true
	case famDate:
		return binary.BigEndian.AppendUint32(nil, uint32(int32(between(minDate, maxDate)>>r.IntN(22)))), true
	case famTimestamp, famTimestampTZ:
		return binary.BigEndian.AppendUint64(nil, uint64(between(minTimestamp/2, maxTimestamp/2)>>r.IntN(24))), true
	case famTime:
		return binary.BigEndian.AppendUint64(nil, uint64(between(0, microsPerDay))), true
	case famTimeTZ:
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(between(0, microsPerDay))), uint32(int32(60*between(-15*60, 15*60)))), true
	case famUUID:
		return randomBytes(r, 16), true
	case famBytea:
		return randomBytes(r, r.IntN(40)), true
	case famOID:
		return randomBytes(r, 4), true
	case famNet:
		cidr := byte(0)
		if typ.OID == oidCIDR {
			cidr = 1
		}
		return append([]byte{2, 32, cidr, 4}, randomBytes(r, 4)...), true
	}
	switch typ.OID {
	case oidMacaddr:
		return randomBytes(r, 6), true
	case oidMacaddr8:
		return randomBytes(r, 8), true
	case oidMoney:
		return binary.BigEndian.AppendUint64(nil, uint64(between(-1e15, 1e15))), true
	}
	return nil, false
}

func randomBytes(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}
