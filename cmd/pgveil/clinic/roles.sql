-- Groups, the people in them and pgveil's own account. Roles belong to the whole
-- server, so those that exist are kept, with the demo's passwords.
SET LOCAL password_encryption = 'scram-sha-256';
DO $$
DECLARE r text;
BEGIN
    FOREACH r IN ARRAY ARRAY['clinicians', 'developers', 'analysts'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', r);
        END IF;
    END LOOP;
    FOREACH r IN ARRAY ARRAY['ada', 'bob', 'carol', 'pgveil'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = r) THEN
            EXECUTE format('CREATE ROLE %I', r);
        END IF;
        EXECUTE format('ALTER ROLE %I LOGIN NOSUPERUSER PASSWORD %L', r, r || '-demo');
    END LOOP;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO clinicians, developers, analysts', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO pgveil', current_database());
END$$;
GRANT clinicians TO ada;
GRANT developers TO bob;
GRANT analysts   TO carol;

GRANT USAGE ON SCHEMA public, ref, billing, portal TO clinicians, developers, analysts;
GRANT SELECT ON ALL TABLES IN SCHEMA public, ref, billing, portal TO clinicians, developers, analysts;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, billing, portal TO clinicians, developers;
