package sqlparse

import (
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"

	"pgveil/catalog"
)

// Copy is how COPY … TO STDOUT writes its rows (PostgreSQL docs, COPY, File
// Formats): what it takes to find the cells in them.
type Copy struct {
	Format     CopyFormat
	Delimiter  byte
	Quote      byte // CSV
	Escape     byte // CSV
	Null       string
	Header     bool
	ForceQuote []bool // CSV: for each column; nil: none
	Encoding   string // ENCODING option; "": the client's
}

// CopyFormat is the FORMAT of a COPY.
type CopyFormat uint8

// The formats.
const (
	CopyText CopyFormat = iota
	CopyCSV
	CopyBinary
)

// copyStatement analyses COPY. Files and programs are the server's own: what they hold, and who
// reads them, cannot be seen from here.
func (a *analysis) copyStatement(c *pg.CopyStmt) {
	if c.IsProgram || c.Filename != "" {
		a.bail(&Refusal{
			SQLState: statePrivilege, Rule: RuleCopyFile, Position: 0,
			Message: "COPY to or from a file or program of the server is not allowed for masking roles",
			Detail:  "What is in such a file, and who may read it, cannot be seen.",
			Hint:    "Use COPY … TO STDOUT or COPY … FROM STDIN.",
		})
	}
	o := a.copyOptions(c)
	if c.IsFrom {
		a.copyFrom(c)
		return
	}
	a.plan.Kind = KindCopyTo
	if c.Relation == nil && c.Query == nil {
		a.unsupported(-1, "this form of COPY")
	}
	var q *query
	if c.Query != nil {
		q = a.copyQuery(c.Query)
	} else {
		q = a.copyTable(c)
	}
	if len(q.cols) == 0 {
		a.unsupported(-1, "COPY of a query without result columns")
	}
	a.output(q)
	if o.forceAll || len(o.force) > 0 {
		o.copy.ForceQuote = make([]bool, len(q.cols))
		for i := range q.cols {
			o.copy.ForceQuote[i] = o.forceAll
		}
		for _, name := range o.force {
			for i := range q.cols {
				if q.cols[i].name == name {
					o.copy.ForceQuote[i] = true
				}
			}
		}
	}
	a.plan.Copy = &o.copy
}

// copyQuery analyses the query of COPY (query) TO.
func (a *analysis) copyQuery(n *pg.Node) *query {
	if s := n.GetSelectStmt(); s != nil {
		a.places = a.targetPlaces(s)
		return a.selectStmt(s, &scope{})
	}
	return a.modifying(n, &scope{})
}

// copyTable is the result of COPY table TO: the columns listed, or all that are not generated
// (PostgreSQL docs, COPY). It reads the table alone, not what inherits from it; classes go to and
// from its children anyway.
func (a *analysis) copyTable(c *pg.CopyStmt) *query {
	rel := a.relation(c.Relation)
	it := a.relationItem(rel)
	q := &query{}
	for _, i := range a.copyColumns(rel, c.Attlist) {
		q.cols = append(q.cols, column{name: rel.Columns[i].Name, value: it.value(i).value, loaded: true, row: it.rowOf(i)})
	}
	return q
}

// copyColumns gives the indexes of the columns of COPY's list.
func (a *analysis) copyColumns(rel *catalog.Relation, list []*pg.Node) []int {
	var out []int
	if len(list) == 0 {
		for i := range rel.Columns {
			if !rel.Columns[i].Generated {
				out = append(out, i)
			}
		}
		return out
	}
	for _, n := range list {
		name, at := stringOf(n), -1
		for i := range rel.Columns {
			if rel.Columns[i].Name == name {
				at = i
			}
		}
		if at < 0 {
			a.refuse(stateNoColumn, RuleName, -1, "column %s of relation %s does not exist", quoted(name), quoted(rel.Name))
		}
		out = append(out, at)
	}
	return out
}

// copyFrom analyses COPY … FROM STDIN: what is written are the client's own values.
func (a *analysis) copyFrom(c *pg.CopyStmt) {
	a.plan.Kind = KindCopyFrom
	if c.Relation == nil {
		a.unsupported(-1, "this form of COPY")
	}
	rel := a.relation(c.Relation)
	switch rel.Kind {
	case catalog.KindTable, catalog.KindPartitionedTable, catalog.KindForeignTable:
	default:
		a.refuse("42809", RuleName, c.Relation.Location, "cannot copy to relation %s", quoted(rel.Name))
	}
	columns := a.copyColumns(rel, c.Attlist)
	if own := a.env.Temp.temp(rel); own != nil {
		a.tempWrite(own, 0, Label{}, c.Relation.Location)
		columns = nil
	}
	name := rel.Schema + "." + rel.Name
	for _, i := range columns {
		a.effect(Effect{Kind: EffectWrite, Target: a.sourceID(rel, rel.Columns[i].Num, rel.Columns[i].Name), Name: name}, c.Relation.Location)
	}
	if len(columns) == 0 && a.env.Temp.temp(rel) == nil {
		a.effect(Effect{Kind: EffectWrite, Target: a.sourceID(rel, 0, "*"), Name: name}, c.Relation.Location)
	}
	if c.WhereClause != nil {
		sc := &scope{items: []*item{a.relationItem(rel)}}
		a.within("WHERE", func() { a.qual(c.WhereClause, sc) })
	}
}

// copyOptions is what the options of a COPY say.
type copyOptions struct {
	copy     Copy
	force    []string
	forceAll bool
}

// copyOptions reads the options. Those of COPY FROM tell the server how to read what the client
// sends: of these only the names are looked at.
func (a *analysis) copyOptions(c *pg.CopyStmt) copyOptions {
	var o copyOptions
	given := map[string]*pg.DefElem{}
	for _, n := range c.Options {
		d := n.GetDefElem()
		if d == nil {
			a.unsupportedNode(n)
		}
		if given[d.Defname] != nil {
			a.refuse(stateSyntax, RuleCopyOption, d.Location, "COPY option %s is given twice", quoted(d.Defname))
		}
		given[d.Defname] = d
		if d.Arg != nil {
			a.rest.whole = true
		}
	}
	text := func(name, missing string) string {
		d := given[name]
		if d == nil {
			return missing
		}
		return a.copyWord(d)
	}
	switch text("format", "text") {
	case "text":
	case "csv":
		o.copy.Format = CopyCSV
	case "binary":
		o.copy.Format = CopyBinary
	default:
		a.copyOption(given["format"])
	}
	csv := o.copy.Format == CopyCSV
	char := func(name string, missing byte) byte {
		d := given[name]
		if d == nil {
			return missing
		}
		s := a.copyWord(d)
		if len(s) != 1 || s[0] == 0 || s[0] >= 0x80 || s[0] == '\n' || s[0] == '\r' {
			a.copyOption(d)
		}
		return s[0]
	}
	o.copy.Null, o.copy.Delimiter = `\N`, '\t'
	if csv {
		o.copy.Null, o.copy.Delimiter = "", ','
	}
	o.copy.Delimiter = char("delimiter", o.copy.Delimiter)
	o.copy.Quote = char("quote", '"')
	o.copy.Escape = char("escape", o.copy.Quote)
	o.copy.Null = text("null", o.copy.Null)
	o.copy.Encoding = text("encoding", "")
	for name, d := range given {
		switch name {
		case "format", "delimiter", "quote", "escape", "encoding":
		case "null":
			if !c.IsFrom && !plainNull(&o.copy) {
				a.copyOption(d)
			}
		case "header":
			if !c.IsFrom {
				o.copy.Header = a.copyHeader(d)
			}
		case "force_quote":
			if o.force, o.forceAll = a.copyList(d); c.IsFrom {
				a.copyOption(d)
			}
		case "freeze", "force_not_null", "force_null", "default", "on_error", "log_verbosity", "reject_limit":
			if !c.IsFrom {
				a.copyOption(d)
			}
		default:
			a.copyOption(d)
		}
	}
	return o
}

// plainNull reports whether the NULL string leaves the borders of cells and rows certain. What
// the server does not accept either is refused here, so that nothing hangs on the server's version.
func plainNull(c *Copy) bool {
	if c.Format == CopyText && c.Null == `\N` {
		return true
	}
	for i := 0; i < len(c.Null); i++ {
		switch b := c.Null[i]; {
		case b < ' ' || b >= 0x80 || b == c.Delimiter:
			return false
		case c.Format == CopyText && b == '\\', c.Format == CopyCSV && b == c.Quote:
			return false
		}
	}
	return len(c.Null) <= maxCopyNull
}

// maxCopyNull bounds the NULL string, which is compared with every cell.
const maxCopyNull = 64

// copyOption refuses an option whose effect on the rows is not known.
func (a *analysis) copyOption(d *pg.DefElem) {
	a.bail(&Refusal{
		SQLState: stateUnsupported, Rule: RuleCopyOption, Position: a.pos(d.Location),
		Message: "this value of COPY option " + quoted(d.Defname) + ", or the option itself, is not supported for masking roles",
		Detail:  "pgveil could not find the columns in the rows with certainty.",
		Hint:    "Use one ASCII character for DELIMITER, QUOTE and ESCAPE, plain ASCII text for NULL, and PostgreSQL's documented options.",
	})
}

// copyWord gives an option's argument as the server reads it (PostgreSQL source, defGetString).
func (a *analysis) copyWord(d *pg.DefElem) string {
	switch x := d.Arg.GetNode().(type) {
	case *pg.Node_String_:
		return x.String_.Sval
	case *pg.Node_Integer:
		return strconv.Itoa(int(x.Integer.Ival))
	}
	a.copyOption(d)
	return ""
}

// copyHeader reads HEADER (PostgreSQL source, defGetCopyHeaderChoice).
func (a *analysis) copyHeader(d *pg.DefElem) bool {
	switch x := d.Arg.GetNode().(type) {
	case nil:
		return true
	case *pg.Node_Boolean:
		return x.Boolean.Boolval
	case *pg.Node_Integer:
		if x.Integer.Ival == 0 || x.Integer.Ival == 1 {
			return x.Integer.Ival == 1
		}
	case *pg.Node_String_:
		switch strings.ToLower(x.String_.Sval) {
		case "true", "on":
			return true
		case "false", "off":
			return false
		}
	}
	a.copyOption(d)
	return false
}

// copyList reads an option's column list; all is *.
func (a *analysis) copyList(d *pg.DefElem) (list []string, all bool) {
	switch x := d.Arg.GetNode().(type) {
	case *pg.Node_AStar:
		return nil, true
	case *pg.Node_List:
		for _, n := range x.List.Items {
			if n.GetString_() == nil {
				a.copyOption(d)
			}
			list = append(list, stringOf(n))
		}
		return list, false
	}
	a.copyOption(d)
	return nil, false
}

// lockTable analyses LOCK TABLE. A lock shows nothing; the strong ones stop others.
func (a *analysis) lockTable(l *pg.LockStmt) {
	a.plan.Kind = KindLock
	for _, n := range l.Relations {
		rv := n.GetRangeVar()
		if rv == nil {
			a.unsupportedNode(n)
		}
		rel := a.relation(rv)
		kind := EffectLock
		if l.Mode > lockRowShare {
			kind = EffectDelete // as much as a change of the table
		}
		e := Effect{Kind: kind, Target: -1, Name: rel.Schema + "." + rel.Name}
		if a.env.Temp.temp(rel) != nil {
			kind, e.Kind = EffectTemp, EffectTemp
		}
		if kind == EffectDelete {
			e.Target = a.sourceID(rel, 0, "*")
		}
		a.effect(e, rv.Location)
	}
}

// lockRowShare is ROW SHARE MODE, the strongest lock that a plain reader takes (PostgreSQL source,
// lockdefs.h; docs, section 13.3.1).
const lockRowShare = 2
