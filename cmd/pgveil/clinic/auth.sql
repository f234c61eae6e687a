-- pgveil reads the catalog, which any account may, and SCRAM verifiers, which only
-- a superuser may. This function hands it those of the users that it serves and no
-- others, so that it needs no superuser's rights: auth.query in pgveil.yaml calls it.
CREATE OR REPLACE FUNCTION public.pgveil_auth(wanted text, OUT user_name text, OUT verifier text) RETURNS SETOF record
    LANGUAGE sql STABLE SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    AS $$SELECT r.rolname::text, r.rolpassword FROM pg_catalog.pg_authid r
         WHERE r.rolname = wanted AND r.rolcanlogin AND NOT r.rolsuper
           AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil > now())$$;
REVOKE ALL ON FUNCTION public.pgveil_auth(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION public.pgveil_auth(text) TO pgveil;
