package clinic

import (
	"fmt"
	"strings"
	"time"
)

// tables in the order of their references.
var tables = []table{
	{name: "ref.icd10", columns: "code, title, chapter", fixed: func(r *rows) {
		for _, d := range diagnoses {
			r.row(d.code, d.title, d.chapter)
		}
	}},
	{name: "ref.drugs", columns: "drug_id, name, form, strength", fixed: func(r *rows) {
		for i, d := range drugs {
			r.row(i+1, d.name, d.form, d.strength)
		}
	}},
	{name: "ref.lab_tests", columns: "test_code, test_name, unit, low, high", fixed: func(r *rows) {
		for _, t := range labTests {
			if t.high == 0 {
				r.row(t.code, t.name, t.unit, nil, nil)
			} else {
				r.row(t.code, t.name, t.unit, t.low, t.high)
			}
		}
	}},
	{name: "ref.departments", columns: "department_id, department_name, floor, phone_extension", fixed: func(r *rows) {
		for i, d := range departments {
			r.row(i+1, d, i/3, fmt.Sprint(4100+10*i))
		}
	}},
	{name: "ref.zones", columns: "zone_id, zone_name, address_ranges", fixed: func(r *rows) {
		for i, z := range zoneNames {
			r.row(i+1, z, []string{fmt.Sprintf("rooms %d00-%d49", i+1, i+1), fmt.Sprintf("rooms %d50-%d99", i+1, i+1)})
		}
	}},
	{name: "ref.concepts", columns: "concept_id, concept_name, vocabulary, valid_start_date, valid_end_date", fixed: func(r *rows) {
		for i, c := range concepts {
			r.row(i+1, c, "clinic", day(time.Date(2020, time.January, 1+i, 0, 0, 0, 0, time.UTC)), nil)
		}
	}},
	{name: "public.providers", columns: "provider_id, display_name, specialty, npi, zone_id, active", fixed: func(r *rows) {
		for i := range providers {
			// A real NPI begins with 1 or 2.
			r.row(i+1, "Dr. "+lastNames[i*7%len(lastNames)], specialties[i%len(specialties)], fmt.Sprintf("9%09d", 1_000_003*(i+1)), 1+i%len(zoneNames), i%13 != 12)
		}
	}},
	{name: "billing.plans", columns: "plan_id, plan_name, payer, phone_support_hours", fixed: func(r *rows) {
		for i, p := range plans {
			r.row(i+1, p.name, p.payer, "Mon-Fri 8-18")
		}
	}},

	{name: "public.patients", columns: "patient_id, patient_uuid, mrn, first_name, last_name, aliases, birth_date, birthdate_estimated, age, death_date, sex, language, ssn, phone, fax, email, " +
		"street, city, state, zip, license_no, vehicle_plate, photo, hipaa_mail, risk_tier, provider_id, active, row_version", patient: patientRow},
	{name: "public.contacts", columns: "contact_id, patient_id, contact_name, relation, phone, emergency", patient: func(g *generator, p *person, r *rows) {
		rnd := g.random(ofContact, p.id)
		for k := range rnd.IntN(3) {
			r.row(p.id*10+k, p.id, pick(rnd, firstNames)+" "+p.last, pick(rnd, relations), phone(rnd), k == 0)
		}
	}},
	{name: "public.encounters", columns: "encounter_id, patient_id, provider_id, department_id, encounter_type, admitted_at, discharged_at, diagnosis_code, reason, status", patient: func(g *generator, p *person, r *rows) {
		for _, v := range p.visits {
			rnd := g.random(ofEncounter, v.id)
			status, discharged := "finished", any(v.admitted.Add(time.Duration(30+rnd.IntN(9000))*time.Minute))
			if chance(rnd, 4) {
				status, discharged = "in progress", nil
			}
			r.row(v.id, p.id, v.provider, 1+rnd.IntN(len(departments)), pick(rnd, []string{"inpatient", "outpatient", "emergency", "telehealth"}),
				v.admitted, discharged, v.diagnosis.code, v.reason, status)
		}
	}},
	{name: "public.notes", columns: "note_id, encounter_id, author_id, note_type, written_at, body, tags", patient: noteRows},
	{name: "public.lab_results", columns: "lab_id, patient_id, test_code, collected_on, value_num, value_float, value_text, flag, machine_zone", patient: labRows},
	{name: "public.prescriptions", columns: "rx_id, patient_id, provider_id, drug_id, rx_number, sig, refills, written_on", patient: func(g *generator, p *person, r *rows) {
		rnd := g.random(ofRx, p.id)
		for k := range rnd.IntN(4) {
			r.row(p.id*10+k, p.id, 1+rnd.IntN(providers), 1+rnd.IntN(len(drugs)), 7_000_000_000+p.id*10+k, pick(rnd, sigs), rnd.IntN(6), day(today.AddDate(0, 0, -rnd.IntN(900))))
		}
	}},
	{name: "public.documents", columns: "document_id, patient_id, resource_type, version, doc", patient: documentRows},
	{name: "public.devices", columns: "device_id, patient_id, model_name, serial_no, mac, implanted_on, reading", patient: func(g *generator, p *person, r *rows) {
		rnd := g.random(ofDevice, p.id)
		if chance(rnd, 15) {
			// 00-00-5E-00-53-00 to -FF are the addresses for documentation (RFC 7042).
			r.row(p.id, p.id, pick(rnd, []string{"Pacer 3", "Pump M", "Sense G"}), fmt.Sprintf("SN%07d", rnd.IntN(10_000_000)),
				fmt.Sprintf("00:00:5e:00:53:%02x", rnd.IntN(256)), day(today.AddDate(0, 0, -rnd.IntN(3000))), float64(rnd.IntN(40000))/256)
		}
	}},
	{name: "billing.coverages", columns: "coverage_id, patient_id, plan_id, member_no, subscriber_name", patient: func(g *generator, p *person, r *rows) {
		rnd := g.random(ofCoverage, p.id)
		r.row(p.id, p.id, 1+rnd.IntN(len(plans)), fmt.Sprintf("HP%c%09d", 'A'+rune(rnd.IntN(26)), rnd.IntN(1_000_000_000)), p.first+" "+p.last)
	}},
	{name: "billing.claims", columns: "claim_id, patient_id, encounter_id, claim_no, amount, diagnosis_codes, status, submitted_on", patient: func(g *generator, p *person, r *rows) {
		for _, v := range p.visits {
			rnd := g.random(ofClaim, v.id)
			codes := []string{v.diagnosis.code}
			if chance(rnd, 30) {
				codes = append(codes, pick(rnd, diagnoses).code)
			}
			r.row(v.id, p.id, v.id, fmt.Sprintf("CLM-%d-%07d", v.admitted.Year(), v.id), cents(4000+rnd.IntN(900_000)), codes,
				v.claim, day(v.admitted.AddDate(0, 0, 1+rnd.IntN(20))))
		}
	}},
	{name: "billing.payments", columns: "payment_id, claim_id, amount, method, card_last4, paid_at", patient: func(g *generator, p *person, r *rows) {
		for _, v := range p.visits {
			if v.claim != "paid" {
				continue
			}
			rnd := g.random(ofPayment, v.id)
			method, card := "transfer", any(nil)
			if chance(rnd, 40) {
				method, card = "card", fmt.Sprintf("%04d", rnd.IntN(10000))
			}
			r.row(v.id, v.id, cents(2000+rnd.IntN(300_000)), method, card, v.admitted.AddDate(0, 0, 20+rnd.IntN(60)))
		}
	}},
	{name: "portal.accounts", columns: "account_id, patient_id, username, profile_url, last_ip, last_login_at, email_verified, locale", patient: func(g *generator, p *person, r *rows) {
		rnd := g.random(ofPortal, p.id)
		if !chance(rnd, 60) {
			return
		}
		ip, _ := address(rnd)
		name := fmt.Sprintf("%s%d", strings.ToLower(p.first), p.id)
		r.row(p.id, p.id, name, "https://portal.example.org/u/"+name, ip, today.Add(-time.Duration(rnd.IntN(1_000_000))*time.Minute), chance(rnd, 90), pick(rnd, []string{"en_US", "es_US"}))
	}},
	{name: "portal.access_log", columns: "log_id, account_id, at, action, client_ip, ip_version, detail", patient: func(g *generator, p *person, r *rows) {
		if !chance(g.random(ofPortal, p.id), 60) {
			return
		}
		rnd := g.random(ofAccess, p.id)
		for k := range 1 + rnd.IntN(6) {
			ip, version := address(rnd)
			r.row(p.id*10+k, p.id, today.Add(-time.Duration(rnd.IntN(500_000))*time.Minute), pick(rnd, actions), ip, version,
				jsonText(map[string]any{"user": strings.ToLower(p.first), "agent": "Mozilla/5.0", "ms": rnd.IntN(900)}))
		}
	}},
}

func patientRow(g *generator, p *person, r *rows) {
	rnd := p.r
	var fax, license, plate any
	if chance(rnd, 10) {
		fax = phone(rnd)
	}
	if chance(rnd, 70) {
		license = fmt.Sprintf("DL-%s-%07d", p.place.state, rnd.IntN(10_000_000))
	}
	if chance(rnd, 50) {
		plate = fmt.Sprintf("%c%c%c-%04d", 'A'+rune(rnd.IntN(26)), 'A'+rune(rnd.IntN(26)), 'A'+rune(rnd.IntN(26)), rnd.IntN(10000))
	}
	var photo any
	if chance(rnd, 80) {
		// A PNG's signature and noise: nobody's face.
		b := []byte("\x89PNG\r\n\x1a\n")
		for range 24 {
			b = append(b, byte(rnd.Uint32()))
		}
		photo = b
	}
	r.row(p.id, p.uuid, p.mrn, p.first, p.last, p.aliases, day(p.birth), chance(rnd, 3), p.age(), p.death, p.sex, pick(rnd, languages), p.ssn, p.phone, fax, p.email,
		p.street, p.place.city, p.place.state, p.place.zip, license, plate, photo, chance(rnd, 70), pick(rnd, []string{"low", "low", "medium", "high"}), 1+rnd.IntN(providers), p.death == nil, 1)
}

// noteRows hide identifiers in prose, as notes do.
func noteRows(g *generator, p *person, r *rows) {
	for _, v := range p.visits {
		rnd := g.random(ofNote, v.id)
		var b strings.Builder
		fmt.Fprintf(&b, "%s %s (%s), %d, seen on %s for %s.\n", p.first, p.last, p.mrn, p.age(), v.admitted.Format("January 2, 2006"), v.reason)
		fmt.Fprintf(&b, "%s %s", pick(rnd, findings), pick(rnd, findings))
		if chance(rnd, 40) {
			fmt.Fprintf(&b, " Call back at %s", p.phone)
			if p.email != nil {
				fmt.Fprintf(&b, " or %s", p.email)
			}
			b.WriteString(".")
		}
		if chance(rnd, 20) {
			fmt.Fprintf(&b, " Lives at %s, %s with a %s.", p.street, p.place.city, pick(rnd, relations))
		}
		tags := []string{}
		for _, t := range noteTags {
			if chance(rnd, 20) {
				tags = append(tags, t)
			}
		}
		r.row(v.id, v.id, v.provider, pick(rnd, []string{"progress", "admission", "discharge", "phone"}), v.admitted.Add(time.Duration(5+rnd.IntN(600))*time.Minute), b.String(), tags)
	}
}

func labRows(g *generator, p *person, r *rows) {
	rnd := g.random(ofLab, p.id)
	for k := range rnd.IntN(10) {
		t := pick(rnd, labTests)
		on := day(today.AddDate(0, 0, -rnd.IntN(900)))
		zone := 1 + rnd.IntN(len(zoneNames))
		if t.high == 0 {
			word := "negative"
			if chance(rnd, 7) {
				word = "positive"
			}
			r.row(p.id*10+k, p.id, t.code, on, nil, nil, word, nil, zone)
			continue
		}
		span := int(t.high - t.low)
		v := max(1, t.low+cents(rnd.IntN(2*span)-span/2))
		var flag any
		switch {
		case v < t.low:
			flag = "L"
		case v > t.high:
			flag = "H"
		}
		r.row(p.id*10+k, p.id, t.code, on, v, float64(v)/100, nil, flag, zone)
	}
}

// documentRows are in the manner of HL7 FHIR.
func documentRows(g *generator, p *person, r *rows) {
	rnd := g.random(ofDocument, p.id)
	doc := map[string]any{
		"resourceType": "Patient",
		"id":           p.uuid,
		"identifier":   []any{map[string]any{"system": "urn:mrn", "value": p.mrn}, map[string]any{"system": "urn:ssn", "value": p.ssn}},
		"name":         []any{map[string]any{"family": p.last, "given": []string{p.first}}},
		"birthDate":    p.birth.Format("2006-01-02"),
		"active":       p.death == nil,
		"telecom":      []any{map[string]any{"system": "phone", "value": p.phone}},
		"address":      []any{map[string]any{"line": []string{p.street}, "city": p.place.city, "state": p.place.state, "postalCode": p.place.zip}},
	}
	r.row(uuid(rnd), p.id, "Patient", 1+rnd.IntN(4), jsonText(doc))
	for _, v := range p.visits {
		if chance(rnd, 20) {
			r.row(uuid(rnd), p.id, "Condition", 1, jsonText(map[string]any{
				"resourceType": "Condition", "subject": map[string]any{"reference": "Patient/" + p.uuid, "display": p.first + " " + p.last},
				"code": map[string]any{"coding": []any{map[string]any{"code": v.diagnosis.code, "display": v.diagnosis.title}}}, "onsetDateTime": v.admitted.Format(time.RFC3339), "note": nil, "rank": 1.5}))
		}
	}
}
