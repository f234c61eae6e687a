package masking

import (
	"strconv"
	"strings"
)

// typeCase is a type that the tests go through, with values of it as SQL
// literals' contents.
type typeCase struct {
	sql    string // as in CREATE TABLE
	typ    Type
	values []string
}

// elem makes an array type.
func elem(oid uint32, t Type) Type { return Type{OID: oid, Kind: 'b', Elem: &t, Mod: -1} }

func typmod(oid uint32, name string, mod int32) Type {
	return Type{OID: oid, Kind: 'b', Name: name, Mod: mod}
}

func base(oid uint32) Type { return typmod(oid, builtin[oid].name, -1) }

func subtype(oid uint32) *Type {
	t := base(oid)
	return &t
}

var typeCases = []typeCase{
	{"text", base(oidText), []string{"", "Maria Lopez-Ortega", "123-45-6789", "42", "ab", "Zoë Ångström 東京", `quo"te\ and ' comma,`, "02139", "20301-1234", "45", "103", "1984-02-29", "19840229", "02/29/1984", "1984-02-29T10:00:00Z", "192.0.2.77", "2001:db8::77/64"}},
	{"varchar", base(oidVarchar), []string{"", "unlimited"}},
	{"varchar(2)", typmod(oidVarchar, "varchar", 4+2), []string{"", "MA", "é"}},
	{"varchar(11)", typmod(oidVarchar, "varchar", 4+11), []string{"123-45-6789", "", "Ünïcödé"}},
	{"varchar(64)", typmod(oidVarchar, "varchar", 4+64), []string{"maria@example.org", "é"}},
	{"bpchar", base(oidBpchar), []string{"padding  ", "x"}},
	{"char(1)", typmod(oidBpchar, "bpchar", 4+1), []string{"F", ""}},
	{"char(5)", typmod(oidBpchar, "bpchar", 4+5), []string{"02139", "037", "", "Zoë"}},
	{"char(12)", typmod(oidBpchar, "bpchar", 4+12), []string{"A1234", "123456789012", "87"}},
	{"name", base(oidName), []string{"pg_class", "a name of sixty-three bytes, all of them used up to the end of it", "ë"}},
	{`"char"`, base(oidChar), []string{"x", ""}},
	{"int2", base(oidInt2), []string{"0", "42", "-32768", "32767", "91"}},
	{"int4", base(oidInt4), []string{"0", "42", "-2147483648", "2147483647", "2139", "99950", "-7"}},
	{"int8", base(oidInt8), []string{"0", "42", "-9223372036854775808", "9223372036854775807", "5551234567"}},
	{"numeric", base(oidNumeric), []string{"0", "42", "42.00", "-0.5", "123456789012345678901234567890.123", "NaN", "Infinity", "-Infinity", "1e-20", "10000", "99990000", "-120000.00001"}},
	{"numeric(3,0)", typmod(oidNumeric, "numeric", 4+3<<16), []string{"0", "999", "-999"}},
	{"numeric(9,0)", typmod(oidNumeric, "numeric", 4+9<<16), []string{"123456789", "42", "-1"}},
	{"numeric(10,2)", typmod(oidNumeric, "numeric", 4+10<<16+2), []string{"1234.56", "-99999999.99", "0.01"}},
	{"numeric(2,2)", typmod(oidNumeric, "numeric", 4+2<<16+2), []string{"0.99", "-0.01"}},
	{"float4", base(oidFloat4), []string{"0", "-0", "1.5", "-3.25e-12", "3.4e38", "NaN", "-Infinity", "16777217", "91.5"}},
	{"float8", base(oidFloat8), []string{"0", "-0", "1.5", "98.6", "-1e-300", "1e300", "NaN", "Infinity", "123456789012345678", "1e15"}},
	{"bool", base(oidBool), []string{"t", "f"}},
	{"date", base(oidDate), []string{"1984-02-29", "1931-07-04", "2026-12-31", "0044-03-15 BC", "infinity", "-infinity", "5874897-12-31", "4713-11-24 BC", "9999-12-31", "10000-01-01", "1937-01-01", "1936-12-31"}},
	{"timestamp", base(oidTimestamp), []string{"1984-02-29 23:59:59.999999", "2026-06-30 12:00:00", "0044-03-15 01:02:03 BC", "infinity", "-infinity", "294276-12-31 23:59:59.999999", "2000-01-01 00:00:00.5"}},
	{"timestamptz", base(oidTimestampTZ), []string{"1984-02-29 23:59:59.999999+00", "2025-01-01 00:30:00+02", "2024-12-31 23:30:00-05", "2024-11-03 05:30:00+00", "2024-11-03 06:30:00+00", "1890-01-01 00:00:00+00", "0044-03-15 01:02:03+00 BC", "infinity", "294276-12-31 23:59:59+00", "2026-07-01 00:10:00+05:45"}},
	{"time", base(oidTime), []string{"00:00:00", "23:59:59.999999", "24:00:00"}},
	{"timetz", base(oidTimeTZ), []string{"12:00:00+05:30"}},
	{"interval", base(oidInterval), []string{"1 year 2 mons -3 days 04:05:06.7"}},
	{"uuid", base(oidUUID), []string{"123e4567-e89b-12d3-a456-426614174000", "00000000-0000-0000-0000-000000000000"}},
	{"bytea", base(oidBytea), []string{`\x`, `\x00ff5c27`, `plain`, `\xdeadbeef`}},
	{"json", base(oidJSON), []string{`{"ssn": "123-45-6789"}`, `[1,2]`, `"x"`, `null`}},
	{"jsonb", base(oidJSONB), []string{`{"ssn": "123-45-6789"}`, `[1, 2]`, `null`}},
	{"oid", base(oidOID), []string{"0", "4294967295"}},
	{"inet", base(oidInet), []string{"10.1.2.3", "10.1.2.3/8", "2001:db8::1"}},
	{"cidr", base(oidCIDR), []string{"10.0.0.0/8", "2001:db8::/32"}},
	{"macaddr", base(829), []string{"08:00:2b:01:02:03"}},
	{"macaddr8", base(774), []string{"08:00:2b:01:02:03:04:05"}},
	{"money", base(790), []string{"1234.56", "-1"}},
	{"bit(4)", typmod(oidBit, "bit", 4), []string{"1010"}},
	{"bit varying", base(oidVarbit), []string{"10101"}},
	{"bit varying(3)", typmod(oidVarbit, "varbit", 3), []string{"1"}},
	{"xml", base(142), []string{"<p>Maria</p>"}},
	{"point", base(600), []string{"(42.36,-71.06)"}},
	{"lseg", base(601), []string{"[(1,2),(3,4)]"}},
	{"path", base(602), []string{"((1,2),(3,4))"}},
	{"box", base(603), []string{"(3,4),(1,2)"}},
	{"polygon", base(604), []string{"((1,2),(3,4))"}},
	{"line", base(628), []string{"{1,2,3}"}},
	{"circle", base(718), []string{"<(1,2),3>"}},
	{"tsvector", base(3614), []string{"maria:1 lopez:2"}},
	{"tsquery", base(3615), []string{"maria & lopez"}},
	{"pg_lsn", base(3220), []string{"16/B374D848"}},
	{"tid", base(27), []string{"(1,2)"}},
	{"xid", base(28), []string{"7"}},
	{"cid", base(29), []string{"7"}},
	{"xid8", base(5069), []string{"7"}},
	{"regproc", base(24), []string{"pg_catalog.pg_sleep"}},
	{"regprocedure", base(2202), []string{"pg_catalog.pg_sleep(float8)"}},
	{"regoper", base(2203), []string{"pg_catalog.||/"}},
	{"regoperator", base(2204), []string{"pg_catalog.=(int4,int4)"}},
	{"regclass", base(2205), []string{"pg_catalog.pg_class"}},
	{"regtype", base(2206), []string{"text"}},
	{"regnamespace", base(4089), []string{"pg_catalog"}},
	{"regconfig", base(3734), []string{"simple"}},
	{"regdictionary", base(3769), []string{"simple"}},
	{"regcollation", base(4191), []string{`"C"`}},
	{"jsonpath", base(4072), []string{"$.ssn"}},
	{"regrole", base(4096), []string{"postgres"}},
	{"refcursor", base(1790), []string{"c1"}},
	{"int2vector", base(22), []string{"1 2"}},
	{"oidvector", base(30), []string{"1 2", ""}},
	{"pg_snapshot", base(5038), []string{"10:20:10,14"}},
	{"txid_snapshot", base(2970), []string{"10:20:10,14"}},
	{"text[]", elem(1009, base(oidText)), []string{`{}`, `{"Maria Lopez",NULL,"a,b"}`, `{"",NULL,"NULL",null,"q\"uo\\te {}",Zoë,02139}`, `[-1:0][2:3]={{a,"b c"},{"45",é}}`}},
	{"varchar(9)[]", Type{OID: 1015, Kind: 'b', Elem: &Type{OID: oidVarchar, Kind: 'b', Mod: 13}, Mod: 13}, []string{`{Maria,NULL,"a b c d e"}`}},
	{"char(9)[]", Type{OID: 1014, Kind: 'b', Elem: &Type{OID: oidBpchar, Kind: 'b'}, Mod: 13}, []string{`{Maria,02139}`}},
	{"numeric[]", elem(1231, base(oidNumeric)), []string{`{1.5,NaN,-42}`}},
	{"timestamptz[]", elem(1185, base(oidTimestampTZ)), []string{`{2025-01-01 00:30:00+02,infinity,NULL,1890-01-01 00:00:00+00}`}},
	{"bytea[]", elem(1001, base(oidBytea)), []string{`{"\\\\xdeadbeef",NULL}`}},
	{"int4[]", elem(1007, base(oidInt4)), []string{`{{1,2},{3,4}}`, `[2:3]={1,2}`}},
	{"date[]", elem(1182, base(oidDate)), []string{`{1984-02-29}`}},
	{"uuid[]", elem(2951, base(oidUUID)), []string{`{123e4567-e89b-12d3-a456-426614174000}`}},
	{"point[]", elem(1017, base(600)), []string{`{"(1,2)"}`}},
	{"int4range", Type{OID: 3904, Kind: 'r', Name: "int4range", Mod: -1}, []string{"[1,5)", "empty"}},
	{"daterange", Type{OID: 3912, Kind: 'r', Name: "daterange", Mod: -1, Subtype: subtype(oidDate)}, []string{"[2024-01-01,2024-02-01)", "[2024-02-29,2024-03-01)", "[2024-02-29,)", "(,1984-12-31)", "(,)", "empty", "[1931-07-04,2024-01-01)", "[infinity,)", "[2024-01-01,infinity)", "[0044-03-15 BC,9999-12-31)", "[2019-12-31,2031-01-01)"}},
	{"numrange", Type{OID: 3906, Kind: 'r', Name: "numrange", Mod: -1}, []string{"[1.5,)"}},
	{"tsrange", Type{OID: 3908, Kind: 'r', Name: "tsrange", Mod: -1, Subtype: subtype(oidTimestamp)}, []string{"[2024-01-01 10:00:00,2024-02-01 11:00:00)", "(2024-01-01 10:00:00,2024-01-01 10:59:59.999999]", "[2024-12-31 23:00:00,2024-12-31 23:00:00]", "(,2024-01-01)", "empty"}},
	{"tstzrange", Type{OID: 3910, Kind: 'r', Name: "tstzrange", Mod: -1, Subtype: subtype(oidTimestampTZ)}, []string{"[2024-01-01 10:00:00+00,2024-02-01 11:00:00+00)", "[2024-12-31 23:59:59.5-05,2025-07-01 00:00:00+02]", "(,)"}},
	{"int8range", Type{OID: 3926, Kind: 'r', Name: "int8range", Mod: -1}, []string{"[1,5)", "(,)"}},
	{"nummultirange", Type{OID: 4532, Kind: 'm', Name: "nummultirange", Mod: -1}, []string{"{[1.5,2]}"}},
	{"tsmultirange", Type{OID: 4533, Kind: 'm', Name: "tsmultirange", Mod: -1}, []string{"{[2024-01-01 10:00:00,2024-02-01 11:00:00)}"}},
	{"tstzmultirange", Type{OID: 4534, Kind: 'm', Name: "tstzmultirange", Mod: -1}, []string{"{}"}},
	{"datemultirange", Type{OID: 4535, Kind: 'm', Name: "datemultirange", Mod: -1}, []string{"{[2024-01-01,2024-02-01)}"}},
	{"int8multirange", Type{OID: 4536, Kind: 'm', Name: "int8multirange", Mod: -1}, []string{"{[1,5),[7,9)}"}},
	{"int4multirange", Type{OID: 4451, Kind: 'm', Name: "int4multirange", Mod: -1}, []string{"{[1,5),[7,9)}"}},
}

// unknownCases are types for which no value is known to be valid.
var unknownCases = []Type{
	{OID: 16400, Kind: 'e', Name: "an enum without labels", Mod: -1},
	{OID: 16401, Kind: 'c', Name: "a composite that is not known", Mod: -1},
	{OID: 16401, Kind: 'c', Name: "a composite without a valid value", Mod: -1, Fields: []Type{{OID: oidText, Domain: 16400, Checked: true, NotNull: true}}},
	{OID: 2249, Kind: 'p', Name: "record", Mod: -1},
	{OID: 16402, Kind: 'b', Name: "geometry", Mod: -1}, // of no extension

	{OID: 194, Kind: 'b', Name: "pg_node_tree", Mod: -1},
	{},
}

// specs are the masks that tests try on every type.
func specs() []Spec {
	all := []Spec{{Method: Redact}, {Method: Null}, {Method: Hash}, {Method: Token}, fpe("", ""), fpe("alnum", ""), fpe("", "luhn")}
	for _, keep := range [][2]int{{0, 4}, {1, 0}, {2, 2}, {0, 1000}} {
		all = append(all, Spec{Method: Partial, KeepFirst: keep[0], KeepLast: keep[1], Char: '*'})
	}
	all = append(all, Spec{Method: Partial, KeepFirst: 1, KeepLast: 1, Char: '•'})
	for _, to := range []string{ToYear, ToMonth, ToDecade, ToDay, ToHour, ToZip3, ToAge90} {
		all = append(all, Spec{Method: Generalize, To: to})
	}
	for _, width := range []int64{1, 10, 30000, maxBucket} {
		all = append(all, Spec{Method: Generalize, To: ToBucket, Bucket: width})
	}
	all = append(all, Spec{Method: Email}, Spec{Method: Scrub})
	for _, as := range strings.Split(asNames(), ", ") {
		all = append(all, Spec{Method: Pseudonym, As: as})
	}
	for _, locale := range Locales() {
		all = append(all, Spec{Method: Pseudonym, As: "full_name", Locale: locale})
	}
	all = append(all, Spec{Method: Shift, Days: 1}, Spec{Method: Shift, Days: 30}, Spec{Method: Shift, Days: maxShift}, Spec{Method: Shift, Days: 30, By: "patient_id"},
		Spec{Method: Noise, Percent: 0.5}, Spec{Method: Noise, Percent: 10}, Spec{Method: Noise, Amount: 0.25}, Spec{Method: Noise, Amount: 1000}, Spec{Method: Noise, Amount: maxAmount})
	for _, bits := range []int64{1, 24, maxPrefix} {
		all = append(all, toPrefix(bits))
	}
	for _, value := range fixedValues {
		all = append(all, Spec{Method: Fixed, Value: value})
	}
	return all
}

// fixedValues are tried on every type; each type takes some of them.
var fixedValues = []string{
	"", "x", "n/a", "not available", "Zoë", "0", "1", "-1", "42", "007", "0.5", "-1234.50", "10000", "120000000.000012",
	strconv.Itoa(1 << 40), "1e10", "-2.5e-7", "NaN", "true", "No", "null", `{"a": [1.50, "é"]}`, `"x"`,
	"2001-02-03", "0001-01-01", "9999-12-31", "2001-02-03 04:05:06.789", "2001-02-03 04:05:06.789+05:30", "2001-02-03 04:05:06-05",
	"04:05:06.5", "123E4567-e89b-12d3-a456-426614174000", `\xDEADbeef`, `\x`, "10.1.2.3", "10.0.0.0/8", "10.1.2.3/8", "2001:db8::1", "::/0", "{}",
	"empty", "1010", "08:00:2b:01:02:03", "08:00:2b:01:02:03:04:05", "04:05:06+05:30", "04:05:06.5-08", "(1.5,-2)", "well", "(0,1e300)",
}
