package masking

import (
	"encoding/binary"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

func fixedTimeTZ(value string) (fixedValue, error) {
	for _, layout := range []string{"15:04:05.999999Z07:00", "15:04:05.999999Z07"} {
		d, err := time.Parse(layout, value)
		if err != nil || d.Nanosecond()%1000 != 0 {
			continue
		}
		_, east := d.Zone()
		if east < -maxZone || east > maxZone {
			break
		}
		micros := int64(d.Hour()*3600+d.Minute()*60+d.Second())*1_000_000 + int64(d.Nanosecond()/1000)
		b := binary.BigEndian.AppendUint64(nil, uint64(micros))
		return fixedValue{text: appendZone(appendTime(nil, micros), east), binary: binary.BigEndian.AppendUint32(b, uint32(int32(-east)))}, nil // the server counts to the west
	}
	return fixedValue{}, errors.New("it must be a time with its zone, written as 15:04:05+01 or 15:04:05+05:30")
}

// maxZone is a bound of the server's for time zones, in seconds (MAX_TZDISP_HOUR in PostgreSQL source, src/include/datatype/timestamp.h).
const maxZone = 15*3600 + 59*60

// appendZone writes +HH or +HH:MM.
func appendZone(dst []byte, east int) []byte {
	sign := byte('+')
	if east < 0 {
		sign, east = '-', -east
	}
	dst = appendPadded(append(dst, sign), east/3600, 2)
	if minutes := east / 60 % 60; minutes != 0 {
		dst = appendPadded(append(dst, ':'), minutes, 2)
	}
	return dst
}

func fixedBits(t Type, value string) (fixedValue, error) {
	if strings.Trim(value, "01") != "" {
		return fixedValue{}, errors.New("it must be written in the digits 0 and 1")
	}
	n := t.length()
	if t.OID == oidBit && len(value) != max(n, 1) || n > 0 && len(value) > n {
		return fixedValue{}, errors.New("it has " + strconv.Itoa(len(value)) + " bits")
	}
	packed := make([]byte, (len(value)+7)/8)
	for i := range len(value) {
		packed[i/8] |= (value[i] - '0') << (7 - i%8)
	}
	return fixedValue{text: []byte(value), binary: append(binary.BigEndian.AppendUint32(nil, uint32(len(value))), packed...)}, nil
}

func fixedEnum(t Type, value string) (fixedValue, error) {
	if !slices.Contains(t.Labels, value) {
		return fixedValue{}, errors.New("it must be a label of the type")
	}
	return same(value), nil
}

// fixedConstant reads values of the types that have one constant else.
func fixedConstant(t Type, value string) (fixedValue, error) {
	switch t.OID {
	case oidMacaddr, oidMacaddr8:
		size := 6
		if t.OID == oidMacaddr8 {
			size = 8
		}
		address, err := net.ParseMAC(value)
		if err != nil || len(address) != size {
			return fixedValue{}, errors.New("it must be a hardware address of " + strconv.Itoa(size) + " bytes, such as 08:00:2b:01:02:03")
		}
		return fixedValue{text: []byte(address.String()), binary: address}, nil
	case oidPoint:
		x, y, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(value, "("), ")"), ",")
		if !ok || !strings.HasPrefix(value, "(") || !strings.HasSuffix(value, ")") {
			return fixedValue{}, errors.New("it must be a point written as (1.5,-2)")
		}
		float8 := Type{OID: oidFloat8}
		a, errA := fixedFloat(float8, x)
		b, errB := fixedFloat(float8, y)
		if errA != nil || errB != nil {
			return fixedValue{}, errors.New("it must be a point written as (1.5,-2)")
		}
		return fixedValue{text: []byte("(" + string(a.text) + "," + string(b.text) + ")"), binary: append(a.binary, b.binary...)}, nil
	}
	return fixedValue{}, errors.New("values of this type cannot be given; use redact or null")
}

// fixedEmpty is for types of which the empty value alone can be given: arrays, ranges and multiranges.
func fixedEmpty(t Type, value, empty string) (fixedValue, error) {
	if value != empty {
		return fixedValue{}, errors.New("it must be " + empty + ", the empty value")
	}
	return fixedValue{text: []byte(value), binary: redactConstant(t, binaryFormat, style{}).value}, nil
}
