// Package catalog holds what pgveil knows of a database: a snapshot of its
// relations, types, functions, operators and role memberships, and the
// embedded, reviewed knowledge of PostgreSQL's own functions and system
// catalogs (package builtin data).
package catalog

// OID is a PostgreSQL object identifier (PostgreSQL docs, section 8.19).
type OID uint32

// Snapshot is an immutable picture of one database's catalog. It is safe for
// concurrent use. Slices and maps in it must not be changed.
type Snapshot struct {
	Database      string
	ServerVersion int    // as server_version_num, e.g. 150018
	Version       uint64 // grows whenever a refresh finds a change; no two snapshots of a process share one

	Schemas    []Schema
	Relations  []*Relation
	Types      []*Type
	Functions  []*Function
	Operators  []*Operator
	Casts      []*Cast
	Roles      []Role
	Settings   []RoleSetting // ALTER ROLE/DATABASE … SET, as in pg_db_role_setting
	Objects    []string      // names of constraints, indexes and triggers, which errors show
	SearchPath string        // the server's default search_path, before role and database settings; "" when those of the catalog account hide it

	LoginTriggers bool // an event trigger fires at logins (PostgreSQL docs, section 40.1.1)

	index
}

// Schema is a namespace. Usage lists the roles that may look names up in it; PUBLIC is OID 0.
type Schema struct {
	OID   OID    `json:"oid"`
	Name  string `json:"name"`
	Usage []OID  `json:"usage,omitempty"` // grantees of USAGE, the owner included
}

// RelKind is pg_class.relkind.
type RelKind byte

// The kinds of relation (PostgreSQL docs, section 53.11, pg_class.relkind).
const (
	KindTable            RelKind = 'r'
	KindPartitionedTable RelKind = 'p'
	KindView             RelKind = 'v'
	KindMaterializedView RelKind = 'm'
	KindForeignTable     RelKind = 'f'
	KindSequence         RelKind = 'S'
	KindComposite        RelKind = 'c'
)

// Relation is a table, view, sequence, foreign table or composite type. A snapshot has no temporary ones.
type Relation struct {
	OID        OID      `json:"oid"`
	Schema     string   `json:"schema"`
	Name       string   `json:"name"`
	Kind       RelKind  `json:"kind"`
	RowType    OID      `json:"row_type"`
	Columns    []Column `json:"columns"`               // live columns by attnum; system columns are not listed
	Definition string   `json:"definition,omitempty"`  // pg_get_viewdef of a view or materialized view; "" when a lock kept it back
	Rules      bool     `json:"rules,omitempty"`       // has rewrite rules other than a view's _RETURN
	Policies   bool     `json:"policies,omitempty"`    // row security is on
	Triggers   bool     `json:"triggers,omitempty"`    // a change fires triggers that users made, or changes other relations by a foreign key
	Parents    []OID    `json:"parents,omitempty"`     // inheritance and partition parents
	Children   []OID    `json:"-"`                     // the other direction of Parents, derived
	PrimaryKey []int16  `json:"primary_key,omitempty"` // attnums; of this relation alone, not of its inheritance children
}

// Column is a live column of a relation (pg_attribute).
type Column struct {
	Num       int16  `json:"num"`
	Name      string `json:"name"`
	Type      OID    `json:"type"`
	TypeMod   int32  `json:"typmod,omitempty"` // atttypmod; -1 when none
	NotNull   bool   `json:"not_null,omitempty"`
	Generated bool   `json:"generated,omitempty"` // GENERATED ALWAYS AS (…) STORED or VIRTUAL
	Default   string `json:"default,omitempty"`   // pg_get_expr of the default or generation expression
}

// Type is a row of pg_type.
type Type struct {
	OID      OID    `json:"oid"`
	Schema   string `json:"schema"`
	Name     string `json:"name"`
	Kind     byte   `json:"kind"`               // typtype: b base, c composite, d domain, e enum, p pseudo, r range, m multirange
	Category byte   `json:"category"`           // typcategory
	Elem     OID    `json:"elem,omitempty"`     // element type of a true array
	Array    OID    `json:"array,omitempty"`    // the array type over this one
	Base     OID    `json:"base,omitempty"`     // a domain's base type
	Relation OID    `json:"relation,omitempty"` // a composite's pg_class row
	Checked  bool   `json:"checked,omitempty"`  // a domain with CHECK constraints
	Subtype  OID    `json:"subtype,omitempty"`  // a range's element type, a multirange's range type
	UserIO   bool   `json:"user_io,omitempty"`  // an input, output or modifier function is not one of PostgreSQL's own

	TypeMod   int32    `json:"typmod,omitempty"`    // a domain's modifier for its base type; -1 when none
	NotNull   bool     `json:"not_null,omitempty"`  // a domain that refuses NULL
	Extension string   `json:"extension,omitempty"` // the extension that owns it
	Labels    []string `json:"labels,omitempty"`    // an enum's labels in their order
}

// Function is a row of pg_proc, functions and procedures of pg_catalog included.
type Function struct {
	OID        OID      `json:"oid"`
	Schema     string   `json:"schema"`
	Name       string   `json:"name"`
	Kind       byte     `json:"kind"`                // prokind: f function, p procedure, a aggregate, w window
	Args       []OID    `json:"args"`                // input argument types (proargtypes)
	AllArgs    []OID    `json:"all_args,omitempty"`  // proallargtypes when there are OUT arguments
	ArgModes   string   `json:"arg_modes,omitempty"` // proargmodes, one letter each
	ArgNames   []string `json:"arg_names,omitempty"` // of AllArgs when there are any, else of Args; "" for one without a name
	Defaults   int      `json:"defaults,omitempty"`  // pronargdefaults
	Variadic   OID      `json:"variadic,omitempty"`  // provariadic
	Result     OID      `json:"result"`
	Set        bool     `json:"set,omitempty"` // returns a set
	Volatility byte     `json:"volatility"`    // provolatile: i s v
	Language   string   `json:"language"`
	Extension  string   `json:"extension,omitempty"` // the extension that owns it
	Source     string   `json:"source,omitempty"`    // prosrc of a SQL-language user function written as a string
	Body       string   `json:"body,omitempty"`      // pg_get_function_sqlbody: BEGIN ATOMIC or RETURN

	Strict      bool     `json:"strict,omitempty"`       // proisstrict: NULL without a call when an argument is
	Definer     bool     `json:"definer,omitempty"`      // prosecdef: runs with its owner's rights, and looks names up with them
	Settings    []string `json:"settings,omitempty"`     // proconfig of a SQL-language user function: "name=value" each
	DefaultText string   `json:"default_text,omitempty"` // the defaults of a SQL-language user function's last arguments, as one list
}

// Operator is a row of pg_operator.
type Operator struct {
	OID      OID    `json:"oid"`
	Schema   string `json:"schema"`
	Name     string `json:"name"`
	Left     OID    `json:"left,omitempty"` // 0 for a prefix operator
	Right    OID    `json:"right"`
	Result   OID    `json:"result"`
	Function OID    `json:"function"`
}

// Cast is a row of pg_cast.
type Cast struct {
	Source   OID  `json:"source"`
	Target   OID  `json:"target"`
	Function OID  `json:"function,omitempty"` // 0: binary coercible or through text I/O
	Context  byte `json:"context"`            // castcontext: e explicit, a assignment, i implicit
	Method   byte `json:"method"`             // castmethod: f function, i inout, b binary
}

// Role is a PostgreSQL role and the roles it is a direct member of
// (pg_auth_members, whatever its options).
type Role struct {
	OID       OID    `json:"oid"`
	Name      string `json:"name"`
	Login     bool   `json:"login,omitempty"`
	Superuser bool   `json:"superuser,omitempty"`
	MemberOf  []OID  `json:"member_of,omitempty"`
}

// RoleSetting is one setting of ALTER ROLE … [IN DATABASE …] SET or ALTER
// DATABASE … SET that applies to this database. Role 0 means every role.
type RoleSetting struct {
	Role     OID    `json:"role,omitempty"`
	Database bool   `json:"database,omitempty"` // said for this database, not for all
	Name     string `json:"name"`
	Value    string `json:"value"`
}
