package catalog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The servers that Load understands, as server_version_num: PostgreSQL 13 to 18.
const (
	minServer = 130000
	maxServer = 190000 // exclusive
)

// loadAttempts bounds how often Load starts over because definitions changed
// under it.
const loadAttempts = 20

// ErrChanging is returned by Load when the catalog changed during every attempt
// to read it.
var ErrChanging = errors.New("the catalog keeps changing while it is read")

// Load reads the catalog of conn's database. It needs an ordinary user, a
// connection outside any transaction and PostgreSQL 13 to 18. All but the
// definitions of views and the bodies of functions is read in one REPEATABLE READ READ
// ONLY transaction, in one round trip; those follow, see definitions.go.
//
// The server's functions for definitions look some names up in the latest
// committed catalog, not in the transaction's snapshot. So Load compares a Probe
// from inside the first transaction with one made at the end, and reads again
// when they differ.
func Load(ctx context.Context, conn *pgx.Conn) (*Snapshot, error) {
	version, err := serverVersion(conn)
	if err != nil {
		return nil, err
	}
	var last error
	for range loadAttempts {
		s, err := loadOnce(ctx, conn, version)
		if err != nil {
			if last = err; !lookupRace(err) && !errors.Is(err, errInconsistent) {
				return nil, fmt.Errorf("read catalog: %w", err)
			}
			continue
		}
		after, err := Probe(ctx, conn)
		if err != nil {
			return nil, err
		}
		if after == s.mark {
			return s, nil
		}
	}
	if errors.Is(last, errInconsistent) {
		return nil, fmt.Errorf("read catalog: %w", last)
	}
	return nil, ErrChanging
}

// errInconsistent is in the error of a snapshot whose parts do not fit together, as may happen while definitions change.
var errInconsistent = errors.New("the catalog's parts do not fit together")

// rollback ends the transaction that an error has left open, so that the
// connection can be used again; it returns the error.
func rollback(ctx context.Context, conn *pgx.Conn, err error) error {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return err
	}
	_, failed := conn.Exec(ctx, "ROLLBACK")
	return errors.Join(err, failed)
}

// lookupRace tells an error that comes from an object dropped between the
// snapshot and a definition function's look at it ("cache lookup failed",
// "could not open relation": SQLSTATE XX000, or 42P01 and 42704 by name).
func lookupRace(err error) bool {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) {
		return false
	}
	switch pe.Code {
	case "XX000", "42P01", "42704", "42883", "3F000":
		return true
	}
	return false
}

func serverVersion(conn *pgx.Conn) (int, error) {
	s := conn.PgConn().ParameterStatus("server_version")
	n, err := strconv.Atoi(leadingDigits(s)) // "15.18 (Debian …)", "18beta1"
	if err != nil {
		return 0, fmt.Errorf("read catalog: server_version %q is not understood", s)
	}
	if n*10000 < minServer || n*10000 >= maxServer {
		return 0, fmt.Errorf("read catalog: PostgreSQL %s is not supported; 13 to 18 are", s)
	}
	return n * 10000, nil
}

func leadingDigits(s string) string {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return s[:i]
		}
	}
	return s
}

var versions atomic.Uint64

// nextVersion numbers snapshots within the process, so that no two share a
// Version, those of different databases included.
func nextVersion() uint64 { return versions.Add(1) }

// loader collects rows into a snapshot.
type loader struct {
	s         *Snapshot
	relations map[OID]*Relation
	bodies    []*Function // with a body to be read
	digest    hash.Hash
}

// loadOnce makes one attempt; the snapshot carries the mark of its first transaction.
func loadOnce(ctx context.Context, conn *pgx.Conn, version int) (*Snapshot, error) {
	l, err := loadRows(ctx, conn, version)
	if err != nil {
		return nil, err
	}
	if err := l.loadDefinitions(ctx, conn); err != nil {
		return nil, err
	}
	copy(l.s.digest[:], l.digest.Sum(nil))
	if err := l.s.build(); err != nil {
		return nil, fmt.Errorf("%w: %w", errInconsistent, err)
	}
	return l.s, nil
}

// loadRows reads the catalogs.
func loadRows(ctx context.Context, conn *pgx.Conn, version int) (l *loader, err error) {
	if conn.PgConn().TxStatus() != 'I' {
		return nil, errors.New("the connection is inside a transaction")
	}
	var text strings.Builder
	text.WriteString(beginRead)
	text.WriteString(probeSQL)
	body := noBodyYet
	if version >= 140000 {
		body = hasBody
	}
	for _, q := range queries {
		text.WriteString(";")
		text.WriteString(strings.Replace(q.sql, "%s", body, 1))
	}
	text.WriteString(endRead)

	results := conn.PgConn().Exec(ctx, text.String())
	defer func() {
		closeErr := results.Close()
		if err == nil {
			err = closeErr
		}
		err = rollback(ctx, conn, err)
	}()

	l = &loader{s: &Snapshot{Version: nextVersion()}, relations: map[OID]*Relation{}, digest: sha256.New()}
	read := 0 // result sets that carry rows: the probe first, then queries in order
	for results.NextResult() {
		rr := results.ResultReader()
		if len(rr.FieldDescriptions()) == 0 {
			if _, err := rr.Close(); err != nil {
				return nil, err
			}
			continue
		}
		name := "probe"
		if read > 0 {
			if read > len(queries) {
				return nil, errors.New("more results than queries")
			}
			name = queries[read-1].name
			l.hash([][]byte{[]byte(name)})
		}
		for rr.NextRow() {
			r := row{cells: rr.Values()}
			if read == 0 {
				l.s.mark = readMark(&r)
			} else {
				l.hash(r.cells)
				queries[read-1].read(l, &r)
			}
			if r.err == nil && r.next != len(r.cells) {
				r.fail("more columns than expected")
			}
			if r.err != nil {
				return nil, fmt.Errorf("%s: %w", name, r.err)
			}
		}
		if _, err := rr.Close(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		read++
	}
	if err := results.Close(); err != nil {
		return nil, err
	}
	if read != len(queries)+1 {
		return nil, fmt.Errorf("%d of %d results arrived", read, len(queries)+1)
	}
	return l, nil
}

// hash adds a row's cells, each with its length, to the digest of the contents.
func (l *loader) hash(cells [][]byte) {
	var n [8]byte
	for _, c := range cells {
		v := uint64(len(c)) + 1
		if c == nil {
			v = 0
		}
		binary.BigEndian.PutUint64(n[:], v)
		l.digest.Write(n[:])
		l.digest.Write(c)
	}
}

func (l *loader) server(r *row) {
	l.s.Database = r.text()
	l.s.ServerVersion = int(r.int(32))
	l.s.SearchPath = r.text()
	l.s.LoginTriggers = r.bool()
}

func (l *loader) schema(r *row) {
	n := Schema{OID: r.oid(), Name: r.text(), Usage: r.oids()}
	if owner := r.oid(); !slices.Contains(n.Usage, owner) {
		n.Usage = append(n.Usage, owner)
	}
	slices.Sort(n.Usage)
	l.s.Schemas = append(l.s.Schemas, n)
}

func (l *loader) relation(r *row) {
	c := &Relation{OID: r.oid(), Schema: r.text(), Name: r.text(), Kind: RelKind(r.letter()),
		RowType: r.oid(), Rules: r.bool(), PrimaryKey: r.attnums(), Triggers: r.bool(), Policies: r.bool()}
	l.s.Relations = append(l.s.Relations, c)
	l.relations[c.OID] = c
}

func (l *loader) column(r *row) {
	c := l.relations[r.oid()]
	if c == nil {
		r.fail("a column of an unknown relation")
		return
	}
	c.Columns = append(c.Columns, Column{Num: int16(r.int(16)), Name: r.text(), Type: r.oid(), TypeMod: int32(r.int(32)),
		NotNull: r.bool(), Generated: r.bool(), Default: r.text()})
}

func (l *loader) inherits(r *row) {
	c := l.relations[r.oid()]
	if c == nil {
		r.fail("a parent of an unknown relation")
		return
	}
	c.Parents = append(c.Parents, r.oid())
}

func (l *loader) typ(r *row) {
	l.s.Types = append(l.s.Types, &Type{OID: r.oid(), Schema: r.text(), Name: r.text(), Kind: r.letter(), Category: r.letter(),
		Elem: r.oid(), Array: r.oid(), Base: r.oid(), Relation: r.oid(), Checked: r.bool(), UserIO: r.bool(), Subtype: r.oid(),
		TypeMod: int32(r.int(32)), NotNull: r.bool(), Extension: r.text(), Labels: r.texts()})
}

func (l *loader) function(r *row) {
	f := &Function{OID: r.oid(), Schema: r.text(), Name: r.text(), Kind: r.letter(), Args: r.oids(),
		AllArgs: r.oids(), ArgModes: r.text(), ArgNames: r.texts(), Defaults: int(r.int(16)), Variadic: r.oid(), Result: r.oid(),
		Set: r.bool(), Volatility: r.letter(), Language: r.text(), Extension: r.text(), Source: r.text()}
	l.s.Functions = append(l.s.Functions, f)
	if r.bool() {
		l.bodies = append(l.bodies, f)
	}
	f.Strict, f.Definer, f.Settings, f.DefaultText = r.bool(), r.bool(), r.texts(), r.text()
}

func (l *loader) operator(r *row) {
	l.s.Operators = append(l.s.Operators, &Operator{OID: r.oid(), Schema: r.text(), Name: r.text(), Left: r.oid(), Right: r.oid(),
		Result: r.oid(), Function: r.oid()})
}

func (l *loader) cast(r *row) {
	l.s.Casts = append(l.s.Casts, &Cast{Source: r.oid(), Target: r.oid(), Function: r.oid(), Context: r.letter(), Method: r.letter()})
}

func (l *loader) role(r *row) {
	l.s.Roles = append(l.s.Roles, Role{OID: r.oid(), Name: r.text(), Login: r.bool(), Superuser: r.bool(), MemberOf: r.oids()})
}

func (l *loader) setting(r *row) {
	x := RoleSetting{Role: r.oid(), Database: r.bool()}
	var found bool
	if x.Name, x.Value, found = strings.Cut(r.text(), "="); !found {
		r.fail("a setting without '='")
	}
	l.s.Settings = append(l.s.Settings, x)
}

func (l *loader) object(r *row) { l.s.Objects = append(l.s.Objects, r.text()) }
