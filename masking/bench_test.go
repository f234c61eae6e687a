package masking

import (
	"encoding/binary"
	"math"
	"testing"
)

// benchCells are usual cells for each type.
var benchCells = []struct {
	typ          Type
	text, binary string
}{
	{base(oidText), "123-45-6789", "123-45-6789"},
	{typmod(oidBpchar, "bpchar", 4+10), "02139     ", "02139     "},
	{base(oidInt4), "42", "\x00\x00\x00\x2a"},
	{base(oidInt8), "5551234567", string(binary.BigEndian.AppendUint64(nil, 5551234567))},
	{base(oidNumeric), "5551234.50", "\x00\x03\x00\x01\x00\x00\x00\x02\x02\x2b\x04\xd2\x13\x88"},
	{base(oidFloat8), "98.6", string(binary.BigEndian.AppendUint64(nil, math.Float64bits(98.6)))},
	{base(oidDate), "1984-02-29", "\xff\xff\xe9\x68"},
	{base(oidTimestampTZ), "1984-02-29 12:13:14.15+02", string(binary.BigEndian.AppendUint64(nil, -500000000000000&math.MaxUint64))},
	{base(oidInet), "192.0.2.77", "\x02\x20\x00\x04\xc0\x00\x02\x4d"},
	{base(oidUUID), "123e4567-e89b-12d3-a456-426614174000", "\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00"},
	{base(oidBytea), `\xdeadbeef`, "\xde\xad\xbe\xef"},
	{base(oidJSONB), `{"ssn": "123-45-6789"}`, "\x01" + `{"ssn": "123-45-6789"}`},
	{Type{OID: 3912, Kind: 'r', Name: "daterange", Mod: -1, Subtype: subtype(oidDate)}, "[1984-02-28,1984-02-29)", "\x02\x00\x00\x00\x04\xff\xff\xe9\x67\x00\x00\x00\x04\xff\xff\xe9\x68"},
	{elem(1009, base(oidText)), `{Maria,"a b"}`, "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x19\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00\x05Maria\x00\x00\x00\x03a b"},
}

func benchSpecs() []Spec {
	return []Spec{
		{Method: Redact}, {Method: Null}, {Method: Fixed, Value: "42"}, {Method: Fixed, Value: "2001-02-03"},
		partial(0, 4), {Method: Hash}, {Method: Token}, fpe("", ""), to(ToYear), to(ToZip3), to(ToAge90), bucket(10), to(ToHour), toPrefix(24),
		{Method: Shift, Days: 30}, {Method: Noise, Percent: 10}, {Method: Pseudonym, As: "name"}, {Method: Email}, {Method: Scrub},
	}
}

// eachBenchCell goes through the usual cells in both formats under every mask that fits.
func eachBenchCell(do func(typ Type, format int16, spec Spec, value []byte)) {
	for _, cell := range benchCells {
		for format, value := range []string{cell.text, cell.binary} {
			for _, spec := range benchSpecs() {
				if spec.Check(cell.typ) == nil {
					do(cell.typ, int16(format), spec, []byte(value))
				}
			}
		}
	}
}

// TestNoAllocations: a warm cell mask allocates nothing. Under the race
// detector sync.Pool forgets at random, so there the masks run and are not counted.
func TestNoAllocations(t *testing.T) {
	eachBenchCell(func(typ Type, format int16, spec Spec, value []byte) {
		c, out := compile(t, typ, format, spec, Session{}), make([]byte, 0, 256)
		if n := testing.AllocsPerRun(100, func() { out, _ = c.MaskCell(out[:0], value) }); n != 0 && !raceEnabled {
			t.Errorf("%s on %s in format %d: %v allocations a cell", spec, typ, format, n)
		}
	})
}

func BenchmarkMaskCell(b *testing.B) {
	eachBenchCell(func(typ Type, format int16, spec Spec, value []byte) {
		b.Run(spec.String()+"/"+typ.String()+"/"+[...]string{"text", "binary"}[format], func(b *testing.B) {
			c, out := compile(b, typ, format, spec, Session{}), make([]byte, 0, 256)
			b.ReportAllocs()
			for b.Loop() {
				out, _ = c.MaskCell(out[:0], value)
			}
		})
	})
}

// BenchmarkCompile is the cost of a masked column for each RowDescription.
func BenchmarkCompile(b *testing.B) {
	keys := testKeys()
	for _, spec := range benchSpecs() {
		for _, typ := range []Type{base(oidText), base(oidDate), base(oidInt8)} {
			if spec.Check(typ) != nil {
				continue
			}
			b.Run(spec.String()+"/"+typ.String(), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := keys.Compile(Column{Type: typ, Class: "mrn", Spec: spec, Session: Session{Year: testYear, DateStyle: "ISO, MDY", ClientEncoding: "UTF8"}}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
