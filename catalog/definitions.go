package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// definitionsAtOnce bounds the definitions of one transaction. pg_get_viewdef
// and pg_get_function_sqlbody lock every relation that the definition names until the
// transaction's end, and the lock table is shared by the whole server.
const definitionsAtOnce = 100

// loadDefinitions reads the definitions of views and the bodies of SQL
// functions. One that another session's lock keeps back, or that the server can't
// print, is left empty: its columns are then opaque to an analysis.
func (l *loader) loadDefinitions(ctx context.Context, conn *pgx.Conn) error {
	texts := make(map[OID]*string)
	var views, functions []OID
	for _, r := range l.s.Relations {
		if (r.Kind == KindView || r.Kind == KindMaterializedView) && r.OID >= firstNormalOID {
			views = append(views, r.OID)
			texts[r.OID] = &r.Definition
		}
	}
	if err := l.readDefinitions(ctx, conn, "pg_catalog.pg_get_viewdef", views, texts); err != nil {
		return err
	}
	clear(texts)
	for _, f := range l.bodies {
		functions = append(functions, f.OID)
		texts[f.OID] = &f.Body
	}
	return l.readDefinitions(ctx, conn, "pg_catalog.pg_get_function_sqlbody", functions, texts)
}

func (l *loader) readDefinitions(ctx context.Context, conn *pgx.Conn, function string, oids []OID, into map[OID]*string) error {
	for some := range slices.Chunk(oids, definitionsAtOnce) {
		err := l.readSome(ctx, conn, function, some, into)
		if serverError(err) == "" {
			if err != nil {
				return err
			}
			continue
		}
		// One of them fails: the others are read one by one.
		for i := range some {
			err := l.readSome(ctx, conn, function, some[i:i+1], into)
			switch code := serverError(err); {
			case err == nil:
			case code == "":
				return err
			case code == "55P03": // lock_not_available: there may be more to see once the lock is gone
				l.s.partial = true
			}
		}
	}
	for _, o := range oids {
		l.hash([][]byte{[]byte(*into[o])})
	}
	return nil
}

// serverError returns the SQLSTATE of an error that the server gave to a statement, "" for
// any other error and none. A cancelled or killed statement is not one.
func serverError(err error) string {
	var pe *pgconn.PgError
	if !errors.As(err, &pe) || strings.HasPrefix(pe.Code, "57") {
		return ""
	}
	return pe.Code
}

func (l *loader) readSome(ctx context.Context, conn *pgx.Conn, function string, oids []OID, into map[OID]*string) error {
	list := make([]string, len(oids))
	for i, o := range oids {
		list[i] = strconv.FormatUint(uint64(o), 10)
	}
	results, err := conn.PgConn().Exec(ctx, beginRead+fmt.Sprintf(definitionQuery, function, strings.Join(list, ","))+endRead).ReadAll()
	if err != nil {
		return rollback(ctx, conn, err)
	}
	for _, res := range results {
		for _, cells := range res.Rows {
			r := row{cells: cells}
			text := into[r.oid()]
			if text == nil || len(cells) != 2 {
				return errors.New("definitions: the server's answer is not understood")
			}
			*text = r.text() // NULL for what is gone: the next probe tells
		}
	}
	return nil
}
