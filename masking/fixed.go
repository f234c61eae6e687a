package masking

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// fixedValue is a fixed mask's value, read for a type: its two wire forms. Dates and
// timestamps keep their number, because their text depends on the session.
type fixedValue struct {
	text, binary []byte
	number       int64 // days or microseconds from 2000-01-01
}

func compileFixed(c Column, st style, redacted *constant) (Cell, error) {
	if familyOf(c.Type) == famUnknown {
		return &constant{null: true}, nil
	}
	v, err := parseFixed(c.Type, c.Spec.Value)
	if err != nil {
		return nil, fmt.Errorf("mask %s does not fit type %s: %w", c.Spec, c.Type, err)
	}
	switch familyOf(c.Type) {
	case famDate:
		return &constant{value: appendDate(nil, c.Format, st, v.number)}, nil
	case famTimestamp, famTimestampTZ:
		return &constant{value: appendTimestamp(nil, c.Format, st, c.Type.OID == oidTimestampTZ, v.number)}, nil
	}
	if st.charset != charsetUTF8 && !isASCII(v.text) {
		return redacted, nil // the client could not read it
	}
	if c.Format == textFormat {
		return &constant{value: v.text}, nil
	}
	return &constant{value: v.binary}, nil
}

// parseFixed reads the value for the type. It takes less than PostgreSQL's
// input functions do, so that what it takes is sure to be valid there.
func parseFixed(t Type, value string) (fixedValue, error) {
	switch familyOf(t) {
	case famText:
		return fixedText(t, value)
	case famChar:
		if len(value) != 1 || value[0] >= utf8.RuneSelf {
			return fixedValue{}, errors.New("it must be one ASCII character")
		}
		return same(value), nil
	case famInt:
		size := intSize(t.OID)
		n, err := strconv.ParseInt(value, 10, size*8)
		if err != nil {
			return fixedValue{}, fmt.Errorf("it must be a whole number of %d bytes", size)
		}
		return fixedValue{text: strconv.AppendInt(nil, n, 10), binary: appendInt(nil, binaryFormat, t.OID, n)}, nil
	case famOID:
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fixedValue{}, errors.New("it must be a whole number from 0 to 4294967295")
		}
		return fixedValue{text: strconv.AppendUint(nil, n, 10), binary: binary.BigEndian.AppendUint32(nil, uint32(n))}, nil
	case famNumeric:
		return fixedNumeric(t, value)
	case famFloat:
		return fixedFloat(t, value)
	case famBool:
		switch strings.ToLower(value) {
		case "t", "true", "yes", "on", "1":
			return fixedValue{text: []byte("t"), binary: []byte{1}}, nil
		case "f", "false", "no", "off", "0":
			return fixedValue{text: []byte("f"), binary: []byte{0}}, nil
		}
		return fixedValue{}, errors.New("it must be true or false")
	case famDate:
		d, err := parseLayouts(value, "2006-01-02")
		if err != nil {
			return fixedValue{}, errors.New("it must be a date written as 2006-01-31, of the years 1 to 9999")
		}
		return fixedValue{number: (d.Unix() - epochUnix) / secondsPerDay}, nil
	case famTimestamp:
		return fixedTimestamp(value, "2006-01-02 15:04:05.999999", "2006-01-02T15:04:05.999999", "2006-01-02")
	case famTimestampTZ:
		return fixedTimestamp(value, "2006-01-02 15:04:05.999999Z07:00", "2006-01-02T15:04:05.999999Z07:00",
			"2006-01-02 15:04:05.999999Z07", "2006-01-02")
	case famTime:
		d, err := time.Parse("15:04:05.999999", value)
		if err != nil || d.Nanosecond()%1000 != 0 {
			return fixedValue{}, errors.New("it must be a time written as 15:04:05")
		}
		micros := int64(d.Hour()*3600+d.Minute()*60+d.Second())*1_000_000 + int64(d.Nanosecond()/1000)
		return fixedValue{text: appendTime(nil, micros), binary: binary.BigEndian.AppendUint64(nil, uint64(micros))}, nil
	case famUUID:
		id, ok := parseUUID([]byte(value))
		if !ok {
			return fixedValue{}, errors.New("it must be a UUID with its four hyphens")
		}
		return fixedValue{text: appendUUID(nil, &id), binary: id[:]}, nil
	case famBytea:
		digits, ok := strings.CutPrefix(value, `\x`)
		b, err := hex.DecodeString(digits)
		if !ok || err != nil {
			return fixedValue{}, errors.New(`it must be \x and hexadecimal digits`)
		}
		return fixedValue{text: []byte(`\x` + hex.EncodeToString(b)), binary: b}, nil
	case famJSON, famJSONB:
		return fixedJSON(t, value)
	case famNet:
		return fixedNet(t, value)
	case famArray, famMultirange:
		return fixedEmpty(t, value, "{}")
	case famRange:
		return fixedEmpty(t, value, "empty")
	case famTimeTZ:
		return fixedTimeTZ(value)
	case famBits:
		return fixedBits(t, value)
	case famEnum:
		return fixedEnum(t, value)
	case famConstant:
		return fixedConstant(t, value)
	}
	return fixedValue{}, errors.New("values of this type cannot be given; use redact or null")
}

// same is for types whose binary form is their text.
func same(value string) fixedValue {
	return fixedValue{text: []byte(value), binary: []byte(value)}
}

func fixedText(t Type, value string) (fixedValue, error) {
	if !utf8.ValidString(value) || strings.IndexByte(value, 0) >= 0 {
		return fixedValue{}, errors.New("it must be UTF-8 without NUL characters")
	}
	n := utf8.RuneCountInString(value)
	if limit := t.length(); limit > 0 && n > limit {
		return fixedValue{}, fmt.Errorf("it has %d characters", n)
	}
	if t.OID == oidName && len(value) > maxName {
		return fixedValue{}, fmt.Errorf("it has %d bytes and a name holds %d", len(value), maxName)
	}
	padded := string(appendPadding([]byte(value), t, n))
	return same(padded), nil
}

func fixedNumeric(t Type, value string) (fixedValue, error) {
	var d decimal
	if !d.parseText([]byte(value)) || d.special != "" {
		return fixedValue{}, errors.New("it must be a decimal number")
	}
	if precision, scale, ok := t.numericMod(); ok {
		if len(d.fraction) > max(scale, 0) || len(d.whole) > precision-scale {
			return fixedValue{}, fmt.Errorf("it has %d digits before and %d after the decimal point", len(d.whole), len(d.fraction))
		}
	}
	return fixedValue{text: d.appendText(nil), binary: d.appendBinary(nil)}, nil
}

func fixedFloat(t Type, value string) (fixedValue, error) {
	bits := floatSize(t.OID) * 8
	f, err := strconv.ParseFloat(value, bits)
	if err != nil || strings.Trim(value, "0123456789+-.eE") != "" || math.IsInf(f, 0) {
		return fixedValue{}, errors.New("it must be a finite decimal number")
	}
	return fixedValue{text: appendFloat(nil, textFormat, t.OID, f), binary: appendFloat(nil, binaryFormat, t.OID, f)}, nil
}

// parseLayouts reads a time of the years 1 to 9999 in the first layout that fits.
func parseLayouts(value string, layouts ...string) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, value); err == nil && t.UTC().Year() >= 1 && t.UTC().Year() <= 9999 && t.Nanosecond()%1000 == 0 {
			return t, nil
		}
	}
	return time.Time{}, errors.New("no layout fits")
}

func fixedTimestamp(value string, layouts ...string) (fixedValue, error) {
	t, err := parseLayouts(value, layouts...)
	if err != nil {
		return fixedValue{}, fmt.Errorf("it must be written as %s, of the years 1 to 9999", layouts[0])
	}
	return fixedValue{number: (t.Unix()-epochUnix)*1_000_000 + int64(t.Nanosecond()/1000)}, nil
}

func fixedJSON(t Type, value string) (fixedValue, error) {
	// Go and PostgreSQL differ on escapes of surrogates and NUL, and on the
	// size of numbers: such values are refused.
	if !json.Valid([]byte(value)) || strings.Contains(value, `\u`) {
		return fixedValue{}, errors.New(`it must be JSON without \u escapes`)
	}
	decoder := json.NewDecoder(strings.NewReader(value))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			break // the end: the value is valid
		}
		if number, ok := token.(json.Number); ok {
			if f, err := number.Float64(); err != nil || len(number) > 100 || f != 0 && math.Abs(f) < 1e-300 {
				return fixedValue{}, errors.New("it has a number out of range")
			}
		}
	}
	v := same(value)
	if t.OID == oidJSONB {
		v.binary = append([]byte{1}, v.binary...)
	}
	return v, nil
}

func fixedNet(t Type, value string) (fixedValue, error) {
	prefix, err := netip.ParsePrefix(value)
	if err != nil {
		addr, err := netip.ParseAddr(value)
		if err != nil || addr.Zone() != "" {
			return fixedValue{}, errors.New("it must be an IP address or network")
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	cidr := byte(0)
	text := prefix.String()
	if t.OID == oidCIDR {
		if prefix != prefix.Masked() {
			return fixedValue{}, errors.New("it has bits to the right of the network's")
		}
		cidr = 1
	} else if prefix.IsSingleIP() {
		text = prefix.Addr().String()
	}
	ip := prefix.Addr()
	if ip.Is4In6() {
		return fixedValue{}, errors.New("it must be an IP address or network")
	}
	family := byte(2) // PGSQL_AF_INET
	if ip.Is6() {
		family = 3
	}
	address := ip.AsSlice()
	b := bytes.Join([][]byte{{family, byte(prefix.Bits()), cidr, byte(len(address))}, address}, nil)
	return fixedValue{text: []byte(text), binary: b}, nil
}
