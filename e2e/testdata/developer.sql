-- Statements of the masked role "developer" (predicates: equality, writes: true). Before each stands what must
-- come of it: "rows" (runs, masked), "refused" (SQLSTATE 42501), or "either". After the word may stand how many columns equal
-- the direct connection's: one letter a column, c = clear (equal), m = masked (no value equal), ? = not compared.

-- plain select
rows cmm: SELECT patient_id, ssn, email FROM patients ORDER BY patient_id
rows ?: SELECT patients.* FROM public.patients ORDER BY patient_id
rows m: SELECT "ssn" FROM "public"."patients" ORDER BY patient_id
rows m: SELECT U&"\0073sn" FROM patients ORDER BY patient_id
rows mcm: SELECT street, state, license_no FROM patients ORDER BY patient_id
rows mm: SELECT photo, patient_uuid FROM patients ORDER BY patient_id
rows m: SELECT ssn FROM patients ORDER BY patient_id LIMIT 3 OFFSET 2
rows ccc: SELECT patient_id, birthdate_estimated, hipaa_mail FROM patients ORDER BY 1
rows cccc: SELECT * FROM ref.drugs ORDER BY drug_id
rows ?: TABLE contacts
rows m: SELECT ssn FROM patients WHERE ssn = '999-99-9999' OR patient_id = 3

-- joins
rows cm: SELECT e.encounter_id, p.last_name FROM encounters e JOIN patients p USING (patient_id) ORDER BY 1
rows mm: SELECT a.ssn, b.ssn FROM patients a FULL JOIN patients b ON a.patient_id = b.patient_id + 1 ORDER BY a.patient_id, b.patient_id
rows m: SELECT j.ssn FROM (patients p JOIN contacts k USING (patient_id)) AS j ORDER BY j.patient_id, j.contact_id
rows m: SELECT a.ssn FROM patients a JOIN patients b ON a.ssn = b.ssn ORDER BY a.patient_id
rows cm: SELECT p.patient_id, l.contact_name FROM patients p CROSS JOIN LATERAL (SELECT contact_name, contact_id FROM contacts k WHERE k.patient_id = p.patient_id) l ORDER BY 1, l.contact_id
refused: SELECT p.ssn FROM patients p JOIN (VALUES ('123-45-6789')) v(s) ON p.ssn = v.s
refused: SELECT 1 FROM patients p JOIN contacts k ON p.last_name < k.contact_name
refused: SELECT count(*) FROM patients NATURAL JOIN (SELECT last_name, ssn AS email FROM patients) q

-- subqueries
rows m: SELECT (SELECT ssn FROM patients WHERE patient_id = 1)
rows cm: SELECT drug_id, (SELECT max(ssn) FROM patients p WHERE p.patient_id = d.drug_id) FROM ref.drugs d ORDER BY 1
rows m: SELECT COALESCE((SELECT max(ssn) FROM patients), 'none')
rows m: SELECT (SELECT p) FROM patients p ORDER BY patient_id
rows cm: SELECT q.a, q.b FROM (SELECT risk_tier a, ssn b, patient_id FROM patients) q ORDER BY q.patient_id
refused: SELECT EXISTS (SELECT 1 FROM patients WHERE ssn LIKE '9%')
refused: SELECT patient_id FROM patients WHERE ssn > ALL (SELECT '5')
rows c: SELECT patient_id FROM patients WHERE patient_id IN (SELECT patient_id FROM encounters WHERE status = 'finished') ORDER BY 1

-- with
rows m: WITH x AS (SELECT ssn FROM patients) SELECT * FROM x
rows m: WITH providers AS (SELECT ssn AS display_name FROM patients) SELECT display_name FROM providers
rows m: WITH a AS (WITH b AS (SELECT last_name z FROM patients) SELECT z FROM b) SELECT a.z FROM a
rows cm: WITH RECURSIVE r(n, s) AS (SELECT patient_id, ssn FROM patients WHERE patient_id = 1 UNION ALL SELECT p.patient_id, p.ssn FROM r JOIN patients p ON p.patient_id = r.n + 1 WHERE r.n < 10) SELECT n, s FROM r ORDER BY n
rows mc: WITH x AS (TABLE patients) SELECT x.ssn, x.sex FROM x ORDER BY patient_id

-- set operations
rows m: SELECT risk_tier FROM patients UNION ALL SELECT ssn FROM patients
refused: SELECT risk_tier FROM patients UNION SELECT ssn FROM patients
refused: SELECT count(*) FROM (SELECT '999-18-1977' INTERSECT SELECT ssn FROM patients) q
rows cm: SELECT drug_id, name FROM ref.drugs UNION ALL SELECT patient_id, email FROM patients ORDER BY 1

-- expressions
rows m: SELECT 'id:' || mrn FROM patients ORDER BY patient_id
rows m: SELECT replace(ssn, '-', '') FROM patients ORDER BY patient_id
rows m: SELECT upper(last_name) FROM patients ORDER BY patient_id
rows m: SELECT substr(ssn, 1, 5) FROM patients ORDER BY patient_id
either: SELECT to_char(birth_date, 'DD Mon YYYY') FROM patients ORDER BY patient_id
either m: SELECT sha256(ssn::bytea) FROM patients ORDER BY patient_id
rows m: SELECT CASE sex WHEN 'F' THEN ssn ELSE email END FROM patients ORDER BY patient_id
rows m: SELECT COALESCE(fax, phone, email) FROM patients ORDER BY patient_id
rows m: SELECT ARRAY[ssn, email] FROM patients ORDER BY patient_id
rows m: SELECT ROW(1, ssn) FROM patients ORDER BY patient_id
rows m: SELECT p FROM patients p ORDER BY patient_id
rows m: SELECT to_jsonb(p) FROM patients p ORDER BY patient_id
rows m: SELECT doc ->> 'resourceType' FROM documents ORDER BY version, patient_id
rows m: SELECT (p).ssn FROM patients p ORDER BY patient_id
rows m: SELECT md5(ssn) FROM patients ORDER BY patient_id
either: SELECT format_phone(phone) FROM patients ORDER BY patient_id
rows cm: SELECT format_phone('555-0100'), ssn FROM patients ORDER BY patient_id
refused: SELECT patient_id, CASE WHEN ssn LIKE '9%' THEN 1 ELSE 0 END FROM patients
refused: SELECT ssn::int FROM patients
refused: SELECT 1 / age FROM patients
refused: SELECT patient_id FROM patients WHERE ssn LIKE '9%'
refused: SELECT patient_id FROM patients ORDER BY last_name
refused: SELECT last_name FROM patients GROUP BY last_name
refused: SELECT DISTINCT last_name FROM patients
refused: SELECT patient_id FROM patients WHERE substr(ssn, 1, 1) = '9'

-- aggregates
rows m: SELECT min(ssn) FROM patients
rows m: SELECT string_agg(ssn, ',') FROM patients
rows m: SELECT array_agg(last_name) FROM patients
rows cc: SELECT sex, count(*) FROM patients GROUP BY sex ORDER BY 1
rows cmc: SELECT risk_tier, min(birth_date), count(*) FROM patients GROUP BY 1 ORDER BY 1
rows cm: SELECT status, sum(amount) FROM billing.claims GROUP BY status ORDER BY 1
rows cm: SELECT patient_id, lag(ssn) OVER (ORDER BY patient_id) FROM patients ORDER BY 1
refused: SELECT count(*) FROM patients GROUP BY birth_date
refused: SELECT rank('9') WITHIN GROUP (ORDER BY ssn) FROM patients

-- views
rows cmcc: SELECT patient_id, full_name, sex, risk_tier FROM patient_names ORDER BY 1
rows cm: SELECT patient_id, full_name FROM patient_directory ORDER BY 1
rows ccm: SELECT patient_id, ssn, risk_tier FROM renamed ORDER BY 1
rows cc: SELECT department_name, encounters FROM department_load ORDER BY 1
rows ccm: SELECT encounter_id, patient_id, code FROM diagnoses ORDER BY 1

-- inheritance and partitions
rows cm: SELECT lab_id, value_num FROM lab_results ORDER BY lab_id
rows cm: SELECT lab_id, value_num FROM lab_results_2024 ORDER BY lab_id

-- changes
refused: UPDATE ref.drugs d SET name = p.ssn FROM patients p WHERE p.patient_id = d.drug_id
refused: INSERT INTO ref.icd10 SELECT ssn, ssn, 1 FROM patients
refused: INSERT INTO ref.icd10 VALUES ('x', (SELECT max(ssn) FROM patients), 1)
refused: UPDATE patients SET risk_tier = 'low' WHERE ssn > '5'

-- functions in the SQL language, through their bodies
rows c: SELECT ref.drug_label(drug_id) FROM ref.drugs ORDER BY drug_id
refused: SELECT f.ssn FROM patients p, find_patient('MRN-' || p.patient_id) f
refused: SELECT ssn FROM patients WHERE format_phone(phone) LIKE '(1%'
rows ?: SELECT ssn FROM find_patient('x')
refused: SELECT billing.balance(1)
refused: MERGE INTO ref.icd10 i USING patients p ON i.code = p.ssn WHEN MATCHED THEN UPDATE SET code = p.ssn
refused: MERGE INTO patients p USING (VALUES ('1'), ('2')) g(s) ON p.ssn = g.s WHEN MATCHED THEN UPDATE SET risk_tier = 'low'
refused: SET auto_explain.log_min_duration = 0
refused: EXPLAIN SELECT * FROM patients WHERE ssn = '1'

-- what has no rule for a masked role
rows ?: COPY (SELECT ssn FROM patients) TO STDOUT
refused: DO $$BEGIN RAISE NOTICE '%', (SELECT max(ssn) FROM public.patients); END$$
refused: SELECT query_to_xml('select ssn from patients', true, false, '')
rows ?: SELECT * FROM find_patient((SELECT min(mrn) FROM patients))
refused: SELECT set_config('application_name', ssn, false) FROM patients
refused: SELECT pg_notify('c', ssn) FROM patients
refused: CREATE TABLE x AS SELECT ssn FROM patients
refused: EXPLAIN ANALYZE SELECT ssn FROM patients
refused: SELECT pg_read_file('PG_VERSION')
rows ?: PREPARE a AS SELECT ssn FROM patients
either: DECLARE c CURSOR FOR SELECT ssn FROM patients
either: LOCK TABLE patients
refused: CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT max(ssn) FROM public.patients'

-- system catalogs
rows cc: SELECT attname, atttypid FROM pg_attribute WHERE attrelid = 'patients'::regclass AND attnum > 0 ORDER BY attnum
rows c: SELECT relname FROM pg_class WHERE relname = 'patients'
either: SELECT histogram_bounds FROM pg_stats WHERE tablename = 'patients'
either: SELECT most_common_vals FROM pg_stats
rows cc: SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'patients' ORDER BY ordinal_position
rows ?: SELECT version()

-- places where a value would stay, or be shown otherwise than in the result
refused: SELECT pg_notify('c', ssn) FROM patients
refused: SELECT setval('no_such_sequence', age) FROM patients
refused: SELECT lo_from_bytea(0, photo) FROM patients
refused: SELECT lo_put(1, 0, photo) FROM patients
refused: SELECT pg_advisory_lock(age) FROM patients
refused: SELECT pg_try_advisory_xact_lock(hashtext(ssn)) FROM patients
refused: SELECT pg_sleep(age) FROM patients
refused: SELECT set_config('app.x', ssn, false) FROM patients
refused: SELECT set_config('application_name', last_name, false) FROM patients
refused: SELECT pg_logical_emit_message(false, 'x', ssn) FROM patients
refused: SELECT patient_id FROM patients ORDER BY patient_id LIMIT (SELECT max(age) FROM patients)
refused: SELECT generate_series(1, age) FROM patients
refused: COMMENT ON TABLE ref.drugs IS 'x'
refused: CREATE MATERIALIZED VIEW m AS SELECT ssn FROM patients
refused: REFRESH MATERIALIZED VIEW m
refused: CREATE RULE r AS ON UPDATE TO patients DO ALSO NOTIFY c
refused: LOAD 'auto_explain'
refused: INSERT INTO ref.icd10 SELECT 'x', 'y', 1 FROM patients ON CONFLICT (code) DO UPDATE SET title = (SELECT max(ssn) FROM patients)
