package catalog

// The catalog is read in one simple-protocol exchange. The first statements fix
// every setting that changes how names are found or how pg_get_viewdef,
// pg_get_expr and friends write their text; search_path is empty, so only
// pg_catalog is searched and user schemas appear in every definition.
// Relations, functions and types are qualified all the same.
const beginRead = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL search_path TO '';
SET LOCAL quote_all_identifiers TO off;
SET LOCAL standard_conforming_strings TO on;
SET LOCAL bytea_output TO hex;
SET LOCAL DateStyle TO ISO;
SET LOCAL IntervalStyle TO postgres;
SET LOCAL TimeZone TO 'UTC';
SET LOCAL extra_float_digits TO 1;
SET LOCAL client_encoding TO 'UTF8';
`

const endRead = `;
COMMIT`

// query is one result set of the load: its columns, in order, are what read
// takes from each row.
type query struct {
	name string // for errors
	sql  string
	read func(l *loader, r *row)
}

// lastingType leaves the row types of temporary relations, and arrays of them, out of the probe. Only the session whose they are can
// name temporary relations, and it has to ask the server itself: no snapshot follows it. To all others their coming and
// going would be changes of the catalog without end. Load reads them: what lasts may be of such a type.
const lastingType = `NOT EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = t.typrelid AND r.relpersistence = 't')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e JOIN pg_catalog.pg_class r ON r.oid = e.typrelid WHERE e.oid = t.typelem AND r.relpersistence = 't')`

// queries lists what Load asks, in the order in which it is read. Every query
// orders its rows, so that equal catalogs give equal bytes.
var queries = []query{
	{name: "server", read: (*loader).server, sql: `
SELECT pg_catalog.current_database(),
       pg_catalog.current_setting('server_version_num'),
       (SELECT CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_db_role_setting d, pg_catalog.unnest(d.setconfig) AS c(entry)
                                 WHERE pg_catalog.starts_with(c.entry, 'search_path=')
                                   AND d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
                                   AND d.setrole IN (0, (SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = session_user)))
                    THEN NULL ELSE s.reset_val END
        FROM pg_catalog.pg_settings s WHERE s.name = 'search_path'),
       EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtevent = 'login' AND t.evtenabled <> 'D')`},

	{name: "pg_namespace", read: (*loader).schema, sql: `
SELECT n.oid, n.nspname,
       (SELECT pg_catalog.string_agg(DISTINCT a.grantee::pg_catalog.text, ' ')
        FROM pg_catalog.aclexplode(COALESCE(n.nspacl, pg_catalog.acldefault('n', n.nspowner))) AS a
        WHERE a.privilege_type = 'USAGE' OR a.grantee = n.nspowner),
       n.nspowner
FROM pg_catalog.pg_namespace n
ORDER BY n.oid`},

	{name: "pg_class", read: (*loader).relation, sql: `
SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltype,
       c.relhasrules AND EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1'),
       (SELECT i.indkey::pg_catalog.text FROM pg_catalog.pg_index i
        WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid AND i.indimmediate AND c.relhasindex),
       c.relhastriggers AND (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal)
        OR EXISTS (SELECT FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_constraint k ON k.oid = t.tgconstraint
                   WHERE t.tgrelid = c.oid AND k.confrelid = c.oid AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')))),
       c.relrowsecurity
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'
ORDER BY c.oid`},

	{name: "pg_attribute", read: (*loader).column, sql: `
SELECT a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated <> '',
       CASE WHEN a.atthasdef AND a.attrelid >= 16384 THEN
         -- Only a generation expression names columns. Without them no names have to be told
         -- apart, which takes time with the square of a table's columns.
         (SELECT pg_catalog.pg_get_expr(d.adbin, CASE WHEN a.attgenerated <> '' THEN d.adrelid ELSE 0 END) FROM pg_catalog.pg_attrdef d
          WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum) END
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND c.relpersistence <> 't'
ORDER BY a.attrelid, a.attnum`},

	{name: "pg_inherits", read: (*loader).inherits, sql: `
SELECT i.inhrelid, i.inhparent
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE c.relkind IN ('r', 'p', 'f') AND c.relpersistence <> 't'
ORDER BY i.inhrelid, i.inhseqno, i.inhparent`},

	{name: "pg_type", read: (*loader).typ, sql: `
SELECT t.oid, n.nspname, t.typname, t.typtype, t.typcategory,
       CASE WHEN t.typinput IN ('pg_catalog.array_in'::pg_catalog.regproc, 'pg_catalog.oidvectorin'::pg_catalog.regproc,
                                'pg_catalog.int2vectorin'::pg_catalog.regproc) THEN t.typelem ELSE 0 END,
       t.typarray, t.typbasetype,
       CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_class r WHERE r.oid = t.typrelid AND r.relpersistence = 't') THEN 0 ELSE t.typrelid END,
       t.typtype = 'd' AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
       EXISTS (SELECT FROM pg_catalog.pg_proc p
               WHERE p.oid IN (t.typinput::pg_catalog.oid, t.typoutput::pg_catalog.oid, t.typreceive::pg_catalog.oid,
                               t.typsend::pg_catalog.oid, t.typmodin::pg_catalog.oid, t.typmodout::pg_catalog.oid)
                 AND (p.pronamespace <> 11 OR p.oid >= 16384)),
       -- PostgreSQL 13 has no rngmultitypid, and no type that needs it.
       COALESCE(CASE t.typtype WHEN 'r' THEN (SELECT g.rngsubtype FROM pg_catalog.pg_range g WHERE g.rngtypid = t.oid)
                               WHEN 'm' THEN (SELECT g.rngtypid FROM pg_catalog.pg_range g
                                              WHERE (pg_catalog.to_jsonb(g) ->> 'rngmultitypid')::pg_catalog.oid = t.oid) END, 0),
       t.typtypmod, t.typnotnull, x.extname,
       CASE WHEN t.typtype = 'e' THEN (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)::pg_catalog.text
                                       FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid) END
FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
     AND d.objsubid = 0 AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
ORDER BY t.oid`},

	{name: "pg_proc", read: (*loader).function, sql: `
SELECT p.oid, n.nspname, p.proname, p.prokind, p.proargtypes::pg_catalog.text,
       pg_catalog.array_to_string(p.proallargtypes, ' '), pg_catalog.array_to_string(p.proargmodes, ''),
       pg_catalog.to_json(p.proargnames)::pg_catalog.text,
       p.pronargdefaults, p.provariadic, p.prorettype, p.proretset, p.provolatile, l.lanname, x.extname,
       CASE WHEN l.lanname = 'sql' AND p.oid >= 16384 THEN p.prosrc END,
       l.lanname = 'sql' AND p.oid >= 16384 AND %s,
       p.proisstrict, p.prosecdef,
       CASE WHEN l.lanname = 'sql' AND p.oid >= 16384 THEN pg_catalog.to_json(p.proconfig)::pg_catalog.text END,
       CASE WHEN l.lanname = 'sql' AND p.oid >= 16384 THEN pg_catalog.pg_get_expr(p.proargdefaults, 0) END
FROM pg_catalog.pg_proc p
JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
LEFT JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid
     AND d.objsubid = 0 AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND d.deptype = 'e'
LEFT JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
ORDER BY p.oid`},

	{name: "pg_operator", read: (*loader).operator, sql: `
SELECT o.oid, n.nspname, o.oprname, o.oprleft, o.oprright, o.oprresult, o.oprcode::pg_catalog.oid
FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace
ORDER BY o.oid`},

	{name: "pg_cast", read: (*loader).cast, sql: `
SELECT c.castsource, c.casttarget, c.castfunc, c.castcontext, c.castmethod
FROM pg_catalog.pg_cast c
ORDER BY c.castsource, c.casttarget`},

	{name: "pg_roles", read: (*loader).role, sql: `
SELECT r.oid, r.rolname, r.rolcanlogin, r.rolsuper,
       (SELECT pg_catalog.string_agg(m.roleid::pg_catalog.text, ' ' ORDER BY m.roleid)
        FROM (SELECT DISTINCT am.roleid FROM pg_catalog.pg_auth_members am WHERE am.member = r.oid) AS m)
FROM pg_catalog.pg_roles r
ORDER BY r.oid`},

	{name: "pg_db_role_setting", read: (*loader).setting, sql: `
SELECT s.setrole, s.setdatabase <> 0, c.entry
FROM pg_catalog.pg_db_role_setting s, pg_catalog.unnest(s.setconfig) WITH ORDINALITY AS c(entry, n)
WHERE s.setdatabase IN (0, (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
ORDER BY s.setrole, s.setdatabase, c.n`},

	{name: "pg_constraint", read: (*loader).object, sql: `
SELECT k.conname FROM pg_catalog.pg_constraint k WHERE k.oid >= 16384
UNION
SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relkind IN ('i', 'I') AND c.oid >= 16384
UNION
SELECT t.tgname FROM pg_catalog.pg_trigger t WHERE NOT t.tgisinternal
ORDER BY 1`},
}

// hasBody says in the pg_proc query whether a function was written as BEGIN ATOMIC or RETURN, which PostgreSQL 13 lacks.
const (
	hasBody   = `p.prosqlbody IS NOT NULL`
	noBodyYet = `false`
)

// definitionQuery gives the text of some objects' definitions: %[1]s is the function, %[2]s the OIDs.
const definitionQuery = `SET LOCAL lock_timeout TO '200ms';
SELECT o, %[1]s(o) FROM pg_catalog.unnest('{%[2]s}'::pg_catalog.oid[]) AS o`
