package masking

import (
	"fmt"
	"strconv"
)

// Type is a column's type. A domain arrives as its base type: RowDescription
// names that, and clients read it so.
type Type struct {
	OID  uint32
	Kind byte   // pg_type.typtype: b base, c composite, e enum, r range, m multirange, p pseudo
	Elem *Type  // element type of a true array; nil otherwise
	Name string // pg_type.typname or format_type's text; used in messages and to know an extension's types
	Mod  int32  // type modifier as in RowDescription; -1 (or 0) when none

	Extension string   // the extension that owns the type; "" when none does
	Labels    []string // an enum's labels in their order
	Fields    []Type   // a composite's columns that are not dropped, in their order; nil when not known
	Subtype   *Type    // a range's element type, a multirange's range type; nil when not known

	// Of a domain over the type. They matter inside arrays and composites, whose values name
	// the domain and are held to its constraints when read back.
	Domain  uint32 // its OID; 0 when there is none
	Checked bool   // it has CHECK constraints
	NotNull bool   // it refuses NULL
}

// named is the OID by which arrays and composites name the type in binary.
func (t Type) named() uint32 {
	if t.Domain != 0 {
		return t.Domain
	}
	return t.OID
}

// Wire format codes (PostgreSQL docs, section 55.2.3).
const (
	textFormat   = 0
	binaryFormat = 1
)

// family groups types that masks treat alike.
type family uint8

const (
	famUnknown     family = iota // not in the table: only NULL is certain to be valid
	famText                      // text, varchar, bpchar, name, citext, unknown, cstring, refcursor
	famChar                      // "char"
	famInt                       // int2, int4, int8
	famNumeric                   // numeric
	famFloat                     // float4, float8
	famBool                      // bool
	famDate                      // date
	famTimestamp                 // timestamp
	famTimestampTZ               // timestamptz
	famTime                      // time
	famTimeTZ                    // timetz
	famInterval                  // interval
	famUUID                      // uuid
	famBytea                     // bytea
	famJSON                      // json
	famJSONB                     // jsonb
	famOID                       // oid
	famNet                       // inet, cidr
	famBits                      // bit, varbit
	famArray                     // any true array
	famRange                     // any range
	famMultirange                // any multirange
	famConstant                  // other built-in types with one valid constant
	famEnum                      // an enum with a label
	famComposite                 // a composite whose columns are known
	famExtension                 // a type of extensionTypes
)

// Object identifiers of the built-in types that code names
// (PostgreSQL source, src/include/catalog/pg_type.dat).
const (
	oidBool        = 16
	oidBytea       = 17
	oidChar        = 18
	oidName        = 19
	oidInt8        = 20
	oidInt2        = 21
	oidInt4        = 23
	oidText        = 25
	oidOID         = 26
	oidJSON        = 114
	oidCIDR        = 650
	oidFloat4      = 700
	oidFloat8      = 701
	oidInet        = 869
	oidBpchar      = 1042
	oidVarchar     = 1043
	oidDate        = 1082
	oidTime        = 1083
	oidTimestamp   = 1114
	oidTimestampTZ = 1184
	oidInterval    = 1186
	oidTimeTZ      = 1266
	oidMacaddr     = 829
	oidMacaddr8    = 774
	oidMoney       = 790
	oidBox         = 603
	oidPoint       = 600
	oidXML         = 142
	oidBit         = 1560
	oidVarbit      = 1562
	oidNumeric     = 1700
	oidUUID        = 2950
	oidJSONB       = 3802

	// firstUserOID is the first OID that an extension or a user can get.
	firstUserOID = 16384
)

type builtinType struct {
	name         string
	family       family
	text, binary string // famConstant: redact's constant in both formats
}

// zeros are the bytes of binary constants that are all zero.
const zeros = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// one is 1.0 as a float8 in binary format.
const one = "\x3f\xf0\x00\x00\x00\x00\x00\x00"

// builtin lists the types whose values masks can build. Types with an element
// type that are no arrays (name, point, box, lseg) must be in it: the table is
// asked before Type.Elem.
var builtin = map[uint32]builtinType{
	oidText:        {name: "text", family: famText},
	oidVarchar:     {name: "varchar", family: famText},
	oidBpchar:      {name: "bpchar", family: famText},
	oidName:        {name: "name", family: famText},
	705:            {name: "unknown", family: famText},
	2275:           {name: "cstring", family: famText},
	1790:           {name: "refcursor", family: famText},
	oidChar:        {name: `"char"`, family: famChar},
	oidInt2:        {name: "int2", family: famInt},
	oidInt4:        {name: "int4", family: famInt},
	oidInt8:        {name: "int8", family: famInt},
	oidNumeric:     {name: "numeric", family: famNumeric},
	oidFloat4:      {name: "float4", family: famFloat},
	oidFloat8:      {name: "float8", family: famFloat},
	oidBool:        {name: "bool", family: famBool},
	oidDate:        {name: "date", family: famDate},
	oidTimestamp:   {name: "timestamp", family: famTimestamp},
	oidTimestampTZ: {name: "timestamptz", family: famTimestampTZ},
	oidTime:        {name: "time", family: famTime},
	oidTimeTZ:      {name: "timetz", family: famTimeTZ},
	oidInterval:    {name: "interval", family: famInterval},
	oidUUID:        {name: "uuid", family: famUUID},
	oidBytea:       {name: "bytea", family: famBytea},
	oidJSON:        {name: "json", family: famJSON},
	oidJSONB:       {name: "jsonb", family: famJSONB},
	oidOID:         {name: "oid", family: famOID},
	oidInet:        {name: "inet", family: famNet},
	oidCIDR:        {name: "cidr", family: famNet},
	oidBit:         {name: "bit", family: famBits},
	oidVarbit:      {name: "varbit", family: famBits},

	oidMacaddr:  {"macaddr", famConstant, "00:00:00:00:00:00", zeros[:6]},
	oidMacaddr8: {"macaddr8", famConstant, "00:00:00:00:00:00:00:00", zeros[:8]},
	oidMoney:    {"money", famConstant, "0", zeros[:8]}, // the input function takes a bare 0 under any lc_monetary
	oidXML:      {"xml", famConstant, "<redacted/>", "<redacted/>"},
	600:         {"point", famConstant, "(0,0)", zeros[:16]},
	601:         {"lseg", famConstant, "[(0,0),(0,0)]", zeros[:32]},
	602:         {"path", famConstant, "((0,0))", "\x01\x00\x00\x00\x01" + zeros[:16]},
	603:         {"box", famConstant, "(0,0),(0,0)", zeros[:32]},
	604:         {"polygon", famConstant, "((0,0))", "\x00\x00\x00\x01" + zeros[:16]},
	628:         {"line", famConstant, "{1,0,0}", one + zeros[:16]}, // A and B must not both be zero
	718:         {"circle", famConstant, "<(0,0),0>", zeros[:24]},
	3614:        {"tsvector", famConstant, "", zeros[:4]},
	3615:        {"tsquery", famConstant, "'redacted'", "\x00\x00\x00\x01\x01\x00\x00redacted\x00"}, // its receive function refuses an empty one
	3220:        {"pg_lsn", famConstant, "0/0", zeros[:8]},
	27:          {"tid", famConstant, "(0,0)", zeros[:6]},
	28:          {"xid", famConstant, "0", zeros[:4]},
	29:          {"cid", famConstant, "0", zeros[:4]},
	5069:        {"xid8", famConstant, "0", zeros[:8]},
	24:          {"regproc", famConstant, "-", zeros[:4]},
	2202:        {"regprocedure", famConstant, "-", zeros[:4]},
	2203:        {"regoper", famConstant, "0", zeros[:4]},
	2204:        {"regoperator", famConstant, "0", zeros[:4]},
	2205:        {"regclass", famConstant, "-", zeros[:4]},
	2206:        {"regtype", famConstant, "-", zeros[:4]},
	3734:        {"regconfig", famConstant, "-", zeros[:4]},
	3769:        {"regdictionary", famConstant, "-", zeros[:4]},
	4191:        {"regcollation", famConstant, "-", zeros[:4]},
	4072:        {"jsonpath", famConstant, `$`, "\x01$"}, // binary starts with version 1
	4089:        {"regnamespace", famConstant, "-", zeros[:4]},
	4096:        {"regrole", famConstant, "-", zeros[:4]},
	5038:        {"pg_snapshot", famConstant, "1:1:", zeros[:11] + "\x01" + zeros[:7] + "\x01"},
	2970:        {"txid_snapshot", famConstant, "1:1:", zeros[:11] + "\x01" + zeros[:7] + "\x01"},

	// One element of 0: their receive functions refuse arrays of another dimension than one, and of another lower bound than 0.
	22: {"int2vector", famConstant, "0", "\x00\x00\x00\x01" + zeros[:7] + "\x15" + "\x00\x00\x00\x01" + zeros[:7] + "\x02" + zeros[:2]},
	30: {"oidvector", famConstant, "0", "\x00\x00\x00\x01" + zeros[:7] + "\x1a" + "\x00\x00\x00\x01" + zeros[:7] + "\x04" + zeros[:4]},
}

// familyOf places a type. What it does not know is famUnknown.
func familyOf(t Type) family {
	if b, ok := builtin[t.OID]; ok {
		return b.family
	}
	switch {
	case t.Elem != nil:
		return famArray
	case t.Kind == 'r':
		return famRange
	case t.Kind == 'm':
		return famMultirange
	case t.OID < firstUserOID:
		return famUnknown
	case t.Kind == 'e' && len(t.Labels) > 0:
		return famEnum
	case t.Kind == 'c' && t.Fields != nil:
		return famComposite
	case t.Kind == 'b' && t.Extension == "citext" && t.Name == "citext":
		return famText // citext reads and writes as text does
	case t.Kind == 'b' && extensionTypes[extensionType{t.Extension, t.Name}] != nil:
		return famExtension
	}
	return famUnknown
}

// String names the type with its length or precision, for messages.
func (t Type) String() string {
	name := t.Name
	if name == "" {
		name = builtin[t.OID].name
	}
	switch {
	case name != "":
	case t.Elem != nil:
		return t.Elem.String() + "[]"
	default:
		return "with OID " + strconv.FormatUint(uint64(t.OID), 10)
	}
	if n := t.length(); n > 0 {
		return fmt.Sprintf("%s(%d)", name, n)
	}
	if precision, scale, ok := t.numericMod(); ok {
		return fmt.Sprintf("%s(%d,%d)", name, precision, scale)
	}
	return name
}

// length is n of varchar(n), char(n), bit(n) and varbit(n); 0 when there is
// none. Characters, or bits.
func (t Type) length() int {
	switch t.OID {
	case oidVarchar, oidBpchar:
		if t.Mod > 4 { // the modifier counts the 4 bytes of a length word
			return int(t.Mod) - 4
		}
	case oidBit, oidVarbit:
		if t.Mod > 0 {
			return int(t.Mod)
		}
	}
	return 0
}

// numericMod takes numeric(p,s) out of the type modifier (PostgreSQL source,
// src/backend/utils/adt/numeric.c, make_numeric_typmod): s is an 11-bit
// signed number.
func (t Type) numericMod() (precision, scale int, ok bool) {
	if t.OID != oidNumeric || t.Mod < 4 {
		return 0, 0, false
	}
	m := int(t.Mod) - 4
	return m >> 16 & 0xffff, (m&0x7ff ^ 1024) - 1024, true
}
