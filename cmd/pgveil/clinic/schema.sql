-- The synthetic clinic. It runs in one transaction with the load, by a superuser.

CREATE SCHEMA ref;
CREATE SCHEMA billing;
CREATE SCHEMA portal;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- ref: nothing in it is about a patient, whatever its columns are called.

CREATE TABLE ref.icd10 (
    code    text PRIMARY KEY,
    title   text NOT NULL,
    chapter int  NOT NULL
);
CREATE TABLE ref.drugs (
    drug_id  int  PRIMARY KEY,
    name     text NOT NULL,
    form     text NOT NULL,
    strength text NOT NULL
);
CREATE TABLE ref.lab_tests (
    test_code text PRIMARY KEY,
    test_name text NOT NULL,
    unit      text NOT NULL,
    low       numeric(8,2),
    high      numeric(8,2)
);
CREATE TABLE ref.departments (
    department_id   int  PRIMARY KEY,
    department_name text NOT NULL,
    floor           int  NOT NULL,
    phone_extension text NOT NULL
);
CREATE TABLE ref.zones (
    zone_id       int    PRIMARY KEY,
    zone_name     text   NOT NULL,
    address_ranges text[] NOT NULL
);
CREATE TABLE ref.concepts (
    concept_id       int  PRIMARY KEY,
    concept_name     text NOT NULL,
    vocabulary       text NOT NULL,
    valid_start_date date NOT NULL,
    valid_end_date   date
);
CREATE TABLE ref.build (
    patients int    NOT NULL,
    seed     bigint NOT NULL,
    checksum text   NOT NULL -- of the rows, as Checksum gives it
);
COMMENT ON TABLE ref.build IS 'what the generator was asked for';

-- public: the record

CREATE TABLE public.providers (
    provider_id  int     PRIMARY KEY,
    display_name text    NOT NULL,
    specialty    text    NOT NULL,
    npi          text    NOT NULL,
    zone_id      int     NOT NULL REFERENCES ref.zones,
    active       boolean NOT NULL
);
CREATE TABLE public.patients (
    patient_id          int     PRIMARY KEY,
    patient_uuid        uuid    NOT NULL UNIQUE,
    mrn                 text    NOT NULL UNIQUE,
    first_name          text    NOT NULL,
    last_name           text    NOT NULL,
    aliases             text[]  NOT NULL,
    birth_date          date    NOT NULL,
    birthdate_estimated boolean NOT NULL,
    age                 int     NOT NULL,
    death_date          date,
    sex                 char(1) NOT NULL,
    language            text    NOT NULL,
    ssn                 text    NOT NULL UNIQUE CHECK (ssn ~ '^\d{3}-\d{2}-\d{4}$'),
    phone               text,
    fax                 text,
    email               text,
    street              text    NOT NULL,
    city                text    NOT NULL,
    state               char(2) NOT NULL,
    zip                 text    NOT NULL,
    license_no          text,
    vehicle_plate       text,
    photo               bytea,
    hipaa_mail          boolean NOT NULL,
    risk_tier           text    NOT NULL CHECK (risk_tier IN ('low', 'medium', 'high')),
    provider_id         int     NOT NULL REFERENCES public.providers,
    active              boolean NOT NULL,
    row_version         int     NOT NULL DEFAULT 1
);
COMMENT ON COLUMN public.patients.birthdate_estimated IS 'whether, not when';
COMMENT ON COLUMN public.patients.hipaa_mail IS 'may letters be sent';
CREATE TABLE public.contacts (
    contact_id   int     PRIMARY KEY,
    patient_id   int     NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    contact_name text    NOT NULL,
    relation     text    NOT NULL,
    phone        text    NOT NULL,
    emergency    boolean NOT NULL
);
CREATE TABLE public.encounters (
    encounter_id   int         PRIMARY KEY,
    patient_id     int         NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    provider_id    int         NOT NULL REFERENCES public.providers,
    department_id  int         NOT NULL REFERENCES ref.departments,
    encounter_type text        NOT NULL,
    admitted_at    timestamptz NOT NULL,
    discharged_at  timestamptz,
    diagnosis_code text        NOT NULL REFERENCES ref.icd10,
    reason         text        NOT NULL,
    status         text        NOT NULL
);
CREATE TABLE public.notes (
    note_id      int         PRIMARY KEY,
    encounter_id int         NOT NULL REFERENCES public.encounters ON DELETE CASCADE,
    author_id    int         NOT NULL REFERENCES public.providers,
    note_type    text        NOT NULL,
    written_at   timestamptz NOT NULL,
    body         text        NOT NULL,
    tags         text[]      NOT NULL
);
CREATE TABLE public.lab_results (
    lab_id       int    NOT NULL,
    patient_id   int    NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    test_code    text   NOT NULL REFERENCES ref.lab_tests,
    collected_on date   NOT NULL,
    value_num    numeric(10,2),
    value_float  double precision,
    value_text   text,
    flag         text,
    machine_zone int    NOT NULL,
    PRIMARY KEY (lab_id, collected_on)
) PARTITION BY RANGE (collected_on);
CREATE TABLE public.lab_results_2023 PARTITION OF public.lab_results FOR VALUES FROM (MINVALUE) TO ('2024-01-01');
CREATE TABLE public.lab_results_2024 PARTITION OF public.lab_results FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE public.lab_results_2025 PARTITION OF public.lab_results FOR VALUES FROM ('2025-01-01') TO (MAXVALUE);
CREATE TABLE public.prescriptions (
    rx_id       int    PRIMARY KEY,
    patient_id  int    NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    provider_id int    NOT NULL REFERENCES public.providers,
    drug_id     int    NOT NULL REFERENCES ref.drugs,
    rx_number   bigint NOT NULL UNIQUE,
    sig         text   NOT NULL,
    refills     int    NOT NULL,
    written_on  date   NOT NULL
);
CREATE TABLE public.documents (
    document_id   uuid  PRIMARY KEY,
    patient_id    int   NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    resource_type text  NOT NULL,
    version       int   NOT NULL,
    doc           jsonb NOT NULL
);
CREATE TABLE public.devices (
    device_id    int     PRIMARY KEY,
    patient_id   int     NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    model_name   text    NOT NULL,
    serial_no    text    NOT NULL,
    mac          macaddr NOT NULL,
    implanted_on date    NOT NULL,
    reading      double precision NOT NULL
);

-- billing

CREATE TABLE billing.plans (
    plan_id   int  PRIMARY KEY,
    plan_name text NOT NULL,
    payer     text NOT NULL,
    phone_support_hours text NOT NULL
);
CREATE TABLE billing.coverages (
    coverage_id     int  PRIMARY KEY,
    patient_id      int  NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    plan_id         int  NOT NULL REFERENCES billing.plans,
    member_no       text NOT NULL,
    subscriber_name text NOT NULL
);
CREATE TABLE billing.claims (
    claim_id        int           PRIMARY KEY,
    patient_id      int           NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    encounter_id    int           NOT NULL REFERENCES public.encounters ON DELETE CASCADE,
    claim_no        text          NOT NULL UNIQUE,
    amount          numeric(12,2) NOT NULL,
    diagnosis_codes text[]        NOT NULL,
    status          text          NOT NULL,
    submitted_on    date          NOT NULL
);
CREATE TABLE billing.payments (
    payment_id   int           PRIMARY KEY,
    claim_id     int           NOT NULL REFERENCES billing.claims ON DELETE CASCADE,
    amount       numeric(12,2) NOT NULL,
    method       text          NOT NULL,
    card_last4   text,
    paid_at      timestamptz   NOT NULL
);

-- portal: the patients' web access

CREATE TABLE portal.accounts (
    account_id     int         PRIMARY KEY,
    patient_id     int         NOT NULL REFERENCES public.patients ON DELETE CASCADE,
    username       text        NOT NULL UNIQUE,
    profile_url    text        NOT NULL,
    last_ip        inet,
    last_login_at  timestamptz,
    email_verified boolean     NOT NULL,
    locale         text        NOT NULL
);
CREATE TABLE portal.access_log (
    log_id      bigint      PRIMARY KEY,
    account_id  int         NOT NULL REFERENCES portal.accounts ON DELETE CASCADE,
    at          timestamptz NOT NULL,
    action      text        NOT NULL,
    client_ip   inet        NOT NULL,
    ip_version  int         NOT NULL,
    detail      jsonb       NOT NULL
);

-- Views are in no rule of pgveil.yaml: pgveil reads their definitions.

CREATE VIEW public.patient_names AS
    SELECT patient_id, last_name || ', ' || first_name AS full_name, sex, risk_tier FROM public.patients;
CREATE VIEW public.patient_directory AS -- a view of a view
    SELECT n.patient_id, n.full_name, n.risk_tier, p.display_name AS provider
    FROM public.patient_names n
    JOIN public.patients b USING (patient_id)
    JOIN public.providers p USING (provider_id);
CREATE VIEW public.renamed AS -- the names say the contrary of what they hold
    SELECT patient_id, risk_tier AS ssn, ssn AS risk_tier FROM public.patients;
CREATE VIEW public.department_load AS
    SELECT d.department_name, count(e.encounter_id) AS encounters
    FROM ref.departments d LEFT JOIN public.encounters e USING (department_id)
    GROUP BY d.department_name;
CREATE VIEW public.diagnoses AS
    SELECT e.encounter_id, e.patient_id, i.code, i.title
    FROM public.encounters e JOIN ref.icd10 i ON i.code = e.diagnosis_code;
CREATE VIEW billing.claim_totals AS
    SELECT status, count(*) AS claims, sum(amount) AS total FROM billing.claims GROUP BY status;
CREATE MATERIALIZED VIEW public.visit_summary AS
    SELECT p.patient_id, p.last_name AS who, count(e.encounter_id) AS visits, min(e.admitted_at) AS first_visit
    FROM public.patients p LEFT JOIN public.encounters e USING (patient_id)
    GROUP BY p.patient_id, p.last_name
    WITH NO DATA;

-- format_phone depends on nothing but its argument: pgveil.yaml lists it as trusted.
CREATE FUNCTION public.format_phone(phone text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT '(' || left(phone, 3) || ') ' || substr(phone, 5)$$;
CREATE FUNCTION public.find_patient(wanted text) RETURNS SETOF public.patients
    LANGUAGE sql STABLE
    AS 'SELECT * FROM public.patients WHERE mrn = wanted';
CREATE FUNCTION billing.balance(wanted int) RETURNS numeric
    LANGUAGE plpgsql STABLE
    AS $$BEGIN
        RETURN (SELECT c.amount FROM billing.claims c WHERE c.claim_id = wanted)
             - (SELECT coalesce(sum(p.amount), 0) FROM billing.payments p WHERE p.claim_id = wanted);
    END$$;
CREATE FUNCTION ref.drug_label(wanted int) RETURNS text
    LANGUAGE sql STABLE
    AS $$SELECT name || ' ' || strength FROM ref.drugs WHERE drug_id = wanted$$;
