package clinic

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"math/rand/v2"
	"strings"
	"time"
)

// table is one table's COPY: its rows are made patient by patient, or at once for
// the tables that are about no patient.
type table struct {
	name, columns string
	fixed         func(r *rows)
	patient       func(g *generator, p *person, r *rows)
}

// generator makes the clinic of one seed. What belongs to a patient depends on the
// seed and the patient's number alone: the first patients of a large clinic are
// those of a small one.
type generator struct {
	seed     uint64
	patients int
}

// The clinic's clock stands still, so that a seed gives the same rows on any day.
var today = time.Date(2025, time.June, 30, 12, 0, 0, 0, time.UTC)

const providers = 40

// Streams of random numbers: one for each kind of thing.
const (
	ofPerson = iota + 1
	ofContact
	ofVisit
	ofEncounter
	ofNote
	ofLab
	ofRx
	ofDocument
	ofDevice
	ofCoverage
	ofClaim
	ofPayment
	ofPortal
	ofAccess
)

func (g *generator) random(stream, id int) *rand.Rand {
	return rand.New(rand.NewPCG(g.seed, uint64(stream)<<32|uint64(uint32(id))))
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// chance is true in percent of all cases.
func chance(r *rand.Rand, percent int) bool { return r.IntN(100) < percent }

// person is a patient.
type person struct {
	id                     int
	uuid, mrn, first, last string
	aliases                []string
	birth                  time.Time
	death                  any // day or nil
	sex, ssn, phone        string
	email                  any // string or nil
	street                 string
	place                  place
	r                      *rand.Rand // for what only the patients table needs
	visits                 []visit
}

// visit is an encounter.
type visit struct {
	id, provider int
	admitted     time.Time
	diagnosis    diagnosis
	reason       string
	claim        string // status of its claim
}

func (g *generator) person(id int) *person {
	r := g.random(ofPerson, id)
	p := &person{id: id, uuid: uuid(r), first: pick(r, firstNames), last: pick(r, lastNames), ssn: g.ssn(id), phone: phone(r), place: pick(r, places), r: r}
	p.mrn = fmt.Sprintf("MRN%08d", (uint64(id)*48_271+g.seed%99_999_989)%99_999_989) // prime: no two alike
	days := r.IntN(96 * 365)
	p.birth = today.AddDate(0, 0, -days).Truncate(24 * time.Hour)
	p.sex = pick(r, []string{"F", "M", "X", "F", "M", "F", "M", "F", "M"})
	if days > 60*365 && chance(r, 12) {
		p.death = day(today.AddDate(0, 0, -r.IntN(900)))
	}
	p.street = fmt.Sprintf("%d %s", 1+r.IntN(240), pick(r, streets))
	if chance(r, 85) {
		p.email = strings.ToLower(p.first) + "." + fmt.Sprint(id) + "@" + pick(r, []string{"example.org", "example.com", "example.net"})
	}
	if chance(r, 10) {
		p.aliases = append(p.aliases, pick(r, firstNames)+" "+p.last)
	}
	v := g.random(ofVisit, id)
	for k := range v.IntN(6) {
		p.visits = append(p.visits, visit{id: id*10 + k, provider: 1 + v.IntN(providers), diagnosis: pick(v, diagnoses), reason: pick(v, reasons),
			admitted: today.Add(-time.Duration(v.IntN(900*24*60)) * time.Minute), claim: pick(v, claimStatuses)})
	}
	return p
}

// ssn is of an area that is never assigned: 666 and 900–999 (SSA, "Social Security
// Number Randomization"), with a group outside those of taxpayer numbers. No two
// patients share one.
func (g *generator) ssn(id int) string {
	const areas, groups, serials = 101, 49, 9999
	n := (uint64(id)*7919 + g.seed) % (areas * groups * serials)
	area, group, serial := n%areas, n/areas%groups, n/areas/groups
	if area == 100 {
		area = 666
	} else {
		area += 900
	}
	return fmt.Sprintf("%03d-%02d-%04d", area, group+1, serial+1)
}

// phone is of the numbers that are kept for fiction: 555-0100 to 555-0199.
func phone(r *rand.Rand) string { return fmt.Sprintf("%d-555-01%02d", 201+r.IntN(780), r.IntN(100)) }

// address is of the networks for documentation (RFC 5737, RFC 3849).
func address(r *rand.Rand) (ip string, version int) {
	if chance(r, 20) {
		return fmt.Sprintf("2001:db8:%x::%x", r.IntN(1<<16), 1+r.IntN(1<<16-1)), 6
	}
	return pick(r, []string{"192.0.2.", "198.51.100.", "203.0.113."}) + fmt.Sprint(1+r.IntN(254)), 4
}

// uuid is of version 4 (RFC 9562).
func uuid(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (p *person) age() int {
	years := today.Year() - p.birth.Year()
	if today.YearDay() < p.birth.YearDay() {
		years--
	}
	return years
}

// jsonText is a value as JSON; the values here always have one.
func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// make writes the rows of t.
func (g *generator) make(t *table) *rows {
	r := &rows{}
	if t.fixed != nil {
		t.fixed(r)
		return r
	}
	for id := 1; id <= g.patients; id++ {
		t.patient(g, g.person(id), r)
	}
	return r
}

// Checksum is a digest of all rows that Load loads with these options.
func Checksum(o Options) string {
	g, sum := &generator{seed: o.Seed, patients: o.Patients}, newChecksum()
	for _, t := range tables {
		sum.add(&t, g.make(&t))
	}
	return sum.text()
}

type checksum struct{ h hash.Hash }

func newChecksum() checksum { return checksum{sha256.New()} }

func (c checksum) add(t *table, r *rows) {
	fmt.Fprintf(c.h, "%s(%s)\n", t.name, t.columns)
	c.h.Write(r.buf)
}

func (c checksum) text() string { return hex.EncodeToString(c.h.Sum(nil)) }
