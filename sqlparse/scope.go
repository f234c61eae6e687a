package sqlparse

import (
	"pgveil/catalog"
)

// item is an entry of a FROM list as names see it.
type item struct {
	alias     string            // what qualifies its columns; "" when nothing does
	rel       *catalog.Relation // a relation that was named without an alias: schema.name qualifies too
	cols      []column
	pair      [2]*item          // a plain join: its columns are put together when they are asked for; see materialise
	load      func(i int) value // fills in cols[i] when it is first used; nil when all are
	rows      func(i int) rowID // which row cols[i] is from; nil: not known. See samerow.go
	origin    *catalog.Relation // the relation or view that the item is, whatever its alias
	system    *catalog.Relation // the same, when its rows have system columns
	typ       catalog.OID       // the row type
	scalar    bool              // a function that returns plain values: its row is the value
	plainName bool              // the only column takes the alias for its name

	names       bool // its columns can be named without qualification
	qualifies   bool // its alias qualifies
	lateralOnly bool // visible to LATERAL items only
	lateralOK   bool
}

// scope is one level of a query's names.
type scope struct {
	parent  *scope
	items   []*item
	ctes    []*cte
	lateral bool // an item that may refer to its neighbours is being analysed
	windows []*window
}

// value gives column i of the item.
func (it *item) value(i int) *column {
	c := &it.cols[i]
	if !c.loaded {
		if it.load != nil {
			c.value = it.load(i)
		}
		c.loaded = true
	}
	if c.label.empty() {
		c.label.Varies = true
	}
	return c
}

// visible reports whether the item may be named from sc, for one that must be
// LATERAL.
func (it *item) visible(sc *scope) bool { return !it.lateralOnly || sc.lateral }

// row is the value of the whole row.
func (a *analysis) row(it *item) value {
	v := value{typ: it.typ, row: true, fields: make([]column, len(it.cols))}
	var l Label
	a.work += len(it.cols)
	for i := range it.cols {
		c := it.value(i)
		v.fields[i] = *c
		l = l.union(c.full())
	}
	v.label = l.derive()
	if it.origin != nil {
		v.witness = Witness{Known: true, Relation: it.origin.OID}
	}
	return v
}

// lookup finds the column that an unqualified name means, or nil.
func (a *analysis) lookup(sc *scope, name string, loc int32) *column {
	for ; sc != nil; sc = sc.parent {
		var found *column
		a.spend(len(sc.items))
		for _, it := range sc.items {
			if !it.names || !it.visible(sc) {
				continue
			}
			c := a.itemColumn(it, name, loc)
			if c == nil {
				continue
			}
			if found != nil {
				a.refuse(stateAmbiguous, RuleName, loc, "column reference %s is ambiguous", quoted(name))
			}
			a.checkLateral(it, name, loc)
			found = c
		}
		if found != nil {
			return found
		}
	}
	return nil
}

func (a *analysis) checkLateral(it *item, name string, loc int32) {
	if it.lateralOnly && !it.lateralOK {
		a.refuse(stateBadReference, RuleName, loc, "invalid reference to FROM-clause entry for table %s", quoted(it.alias))
	}
}

// itemColumn finds a column of one item by name, its system columns included.
func (a *analysis) itemColumn(it *item, name string, loc int32) *column {
	found := -1
	a.spend(len(it.cols))
	for i := range it.cols {
		if it.cols[i].name != name {
			continue
		}
		if found >= 0 {
			a.refuse(stateAmbiguous, RuleName, loc, "column reference %s is ambiguous", quoted(name))
		}
		found = i
	}
	if found >= 0 {
		return it.value(found)
	}
	if it.system != nil {
		return a.systemColumn(it.system, name)
	}
	return nil
}

// systemColumns are the columns that every table has (PostgreSQL docs, section
// 5.6): where and by whom a row was written, never what is in it.
var systemColumns = map[string]struct {
	num int16
	typ catalog.OID
}{
	"ctid": {-1, oidTID}, "xmin": {-2, oidXID}, "cmin": {-3, oidCID}, "xmax": {-4, oidXID}, "cmax": {-5, oidCID}, "tableoid": {-6, oidOID},
}

func (a *analysis) systemColumn(rel *catalog.Relation, name string) *column {
	s, ok := systemColumns[name]
	if !ok {
		return nil
	}
	id := a.source(rel, s.num, name)
	return &column{name: name, loaded: true, value: value{
		label: Label{Exact: SetOf(id)}, typ: s.typ, witness: Witness{Known: true, Relation: rel.OID, Column: s.num},
	}}
}

// qualified finds the item that a name before a dot means, or nil.
func (a *analysis) qualified(sc *scope, schema, name string, loc int32) *item {
	for ; sc != nil; sc = sc.parent {
		var found *item
		a.spend(len(sc.items))
		for _, it := range sc.items {
			if !it.qualifies || !it.visible(sc) {
				continue
			}
			if schema != "" {
				if it.rel == nil || it.rel.Schema != schema || it.rel.Name != name {
					continue
				}
			} else if it.alias != name {
				continue
			}
			if found != nil {
				a.refuse("42P09", RuleName, loc, "table reference %s is ambiguous", quoted(name))
			}
			a.checkLateral(it, name, loc)
			found = it
		}
		if found != nil {
			return found
		}
	}
	return nil
}

// child opens the scope of a query within another.
func (sc *scope) child() *scope { return &scope{parent: sc} }
