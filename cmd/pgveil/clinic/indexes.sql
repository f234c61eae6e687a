-- After the load: building an index once is cheaper than keeping it up to date.
CREATE INDEX ON public.patients (last_name, first_name);
CREATE INDEX ON public.contacts (patient_id);
CREATE INDEX ON public.encounters (patient_id);
CREATE INDEX ON public.notes (encounter_id);
CREATE INDEX ON public.lab_results (patient_id);
CREATE INDEX ON public.prescriptions (patient_id);
CREATE INDEX ON public.documents (patient_id);
CREATE INDEX ON public.devices (patient_id);
CREATE INDEX ON billing.coverages (patient_id);
CREATE INDEX ON billing.claims (patient_id);
CREATE INDEX ON billing.claims (encounter_id);
CREATE INDEX ON billing.payments (claim_id);
CREATE INDEX ON portal.accounts (patient_id);
CREATE INDEX ON portal.access_log (account_id);
REFRESH MATERIALIZED VIEW public.visit_summary;
ANALYZE;
