-- The account that pgveil reads the catalog and the verifiers with.
CREATE ROLE catalog_reader LOGIN SUPERUSER PASSWORD 'catalog-reader';

-- Makes a table of twelve columns; in "patients" six of them are masked for the masked role.
CREATE FUNCTION wide(name text, size int) RETURNS void LANGUAGE plpgsql AS $f$
BEGIN
  EXECUTE format($q$
    CREATE TABLE %I AS
    SELECT g::bigint AS id,
           'MRN' || lpad((g::bigint * 7919 %% 100000000)::text, 8, '0') AS mrn,
           (ARRAY['Ada','Bela','Carla','Dmitri','Emeka','Fatima','Gustav','Hanna'])[1 + g %% 8] AS first_name,
           (ARRAY['Aalto','Brandt','Castillo','Dimitrov','Eze','Farah','Grieg'])[1 + g %% 7] AS last_name,
           lpad((900 + g %% 100)::text, 3, '0') || '-' || lpad((1 + g %% 99)::text, 2, '0') || '-' || lpad((g::bigint * 31 %% 10000)::text, 4, '0') AS ssn,
           date '1930-01-01' + (g::bigint * 37 %% 32000)::int AS dob,
           'patient' || g || '@clinic.example' AS email,
           '+1 555 ' || lpad((g::bigint * 17 %% 10000000)::text, 7, '0') AS phone,
           lpad((g::bigint * 101 %% 100000)::text, 5, '0') AS zip,
           ((g::bigint * 6151 %% 2000000) / 100.0 - 5000)::numeric(12,2) AS balance,
           timestamptz '2021-01-01 00:00:00+00' + (g::bigint * 613 %% 120000000) * interval '1 second' AS updated,
           'Follow-up, vitals stable, plan unchanged; see again in ' || (1 + g %% 12) || ' weeks. ' || md5(g::text) AS note
    FROM generate_series(1, %s) g$q$, name, size);
  EXECUTE format('ALTER TABLE %I ADD PRIMARY KEY (id)', name);
  EXECUTE format('GRANT SELECT ON %I TO bench', name);
END $f$;
