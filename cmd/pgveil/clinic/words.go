package clinic

// The words that the clinic is made of. The people and the places are invented;
// drugs, laboratory tests and diagnosis codes are the usual ones.

var firstNames = []string{
	"Alma", "Anselm", "Aroha", "Basil", "Beatriz", "Bram", "Calla", "Cato", "Chidi", "Corin", "Dagny", "Darius",
	"Delphine", "Eamon", "Edda", "Elio", "Esme", "Fabian", "Farah", "Fiona", "Gideon", "Greta", "Hana", "Hector",
	"Ilse", "Imani", "Ivo", "Jamila", "Jorah", "Juno", "Kaia", "Kenji", "Lazlo", "Leda", "Linnea", "Lucian",
	"Maeve", "Malik", "Mirela", "Nadia", "Nils", "Oona", "Orson", "Paloma", "Pavel", "Petra", "Quentin", "Ravi",
	"Renske", "Rosalind", "Saskia", "Selim", "Signe", "Tamsin", "Teodor", "Thora", "Umar", "Ursula", "Vera",
	"Viggo", "Wanda", "Xenia", "Yara", "Zoltan",
}

// Two have what breaks careless code: an apostrophe and letters outside ASCII.
var lastNames = []string{
	"Abernant", "Alderwick", "Ashgrove", "Bellweather", "Birkenfall", "Blackmarsh", "Brambleton", "Brightwater",
	"Calloway-Finch", "Cindermoor", "Coldharrow", "Crowhurst", "Dellamere", "Dovecote", "Dunmarrow", "Elderfen",
	"Emberly", "Fairweir", "Fenwright", "Foxglade", "Glimmerholt", "Goldenrath", "Greymantle", "Hallowmere",
	"Hartsease", "Hazelbrook", "Hollowell", "Ironwood", "Ivoryvale", "Juniperhall", "Kestrelmoor", "Kingsfold",
	"Larkhaven", "Lindenmoor", "Lockridge", "Marchbanks-Ley", "Meadowsweet", "Mistlethwaite", "Moonfall",
	"Nettleship", "Nightingale-Orr", "O'Quillon", "Oakenshaw", "Orchardson", "Pemberlow", "Pinewhistle",
	"Quillfeather", "Ravensworth", "Redfern-Vale", "Rookwood", "Sablecrest", "Silverthorne", "Starling-Poe",
	"Stonebridge", "Thistledown", "Thornquist", "Umberfield", "Vantongeren", "Wexcombe", "Willowmere",
	"Wintergreen", "Wrenfield", "Yarrowby", "Zöllnersmühl",
}

var streets = []string{
	"Acorn Row", "Bluebell Lane", "Chandler's Walk", "Drover's End", "Elderberry Court", "Foundry Steps", "Gallows Hill",
	"Harbour View", "Inkwell Street", "Juniper Close", "Kiln Road", "Larkspur Lane", "Millrace Way", "Nutmeg Alley",
	"Orchard Terrace", "Paper Mill Road", "Quarry Bank", "Ropewalk", "Saffron Street", "Tanner's Yard",
}

// place is an invented town. Some ZIP codes begin with a prefix of few inhabitants,
// which Safe Harbor wants as 000.
type place struct{ city, state, zip string }

var places = []place{
	{"Fernhollow", "VT", "05901"}, {"Larch Harbor", "ME", "04611"}, {"Copper Falls", "MI", "49901"},
	{"New Thistle", "NY", "12099"}, {"Marrow Bay", "OR", "97199"}, {"Saltmarsh", "GA", "31399"},
	{"Windlass", "TX", "79999"}, {"Old Quarry", "WY", "82190"}, {"Pinecrest Junction", "NV", "89390"},
	{"Elk Meadow", "WY", "83190"}, {"Juniper Wells", "NM", "87890"}, {"Cinder Point", "WA", "98699"},
	{"Harrow", "OH", "45999"}, {"Bittern Lake", "MN", "55699"}, {"Kettle Creek", "MN", "55690"},
	{"Amber Hill", "PA", "19699"}, {"Drift", "NC", "28999"}, {"Hollowell", "IL", "62999"},
	{"Rookery", "CA", "96199"}, {"Starling", "FL", "34999"},
}

var languages = []string{"en", "en", "en", "en", "es", "es", "zh", "vi", "ar", "pl"}

var specialties = []string{"internal medicine", "cardiology", "pediatrics", "oncology", "surgery", "radiology", "neurology", "psychiatry"}

var zoneNames = []string{"North wing", "South wing", "Annex", "Harbor clinic"}

var departments = []string{"Emergency", "Cardiology", "Pediatrics", "Oncology", "Surgery", "Radiology", "Neurology", "Maternity", "Psychiatry", "Day clinic"}

type diagnosis struct {
	code, title string
	chapter     int
}

var diagnoses = []diagnosis{
	{"A09", "Infectious gastroenteritis and colitis, unspecified", 1},
	{"B20", "Human immunodeficiency virus [HIV] disease", 1},
	{"C50.9", "Malignant neoplasm of breast of unspecified site", 2},
	{"D64.9", "Anemia, unspecified", 3},
	{"E11.9", "Type 2 diabetes mellitus without complications", 4},
	{"E78.5", "Hyperlipidemia, unspecified", 4},
	{"F32.9", "Major depressive disorder, single episode, unspecified", 5},
	{"F41.1", "Generalized anxiety disorder", 5},
	{"G43.9", "Migraine, unspecified", 6},
	{"H25.9", "Unspecified age-related cataract", 7},
	{"I10", "Essential (primary) hypertension", 9},
	{"I48.9", "Unspecified atrial fibrillation and atrial flutter", 9},
	{"J18.9", "Pneumonia, unspecified organism", 10},
	{"J45.9", "Other and unspecified asthma", 10},
	{"K21.9", "Gastro-esophageal reflux disease without esophagitis", 11},
	{"L20.9", "Atopic dermatitis, unspecified", 12},
	{"M54.5", "Low back pain", 13},
	{"N39.0", "Urinary tract infection, site not specified", 14},
	{"O80", "Encounter for full-term uncomplicated delivery", 15},
	{"S52.5", "Fracture of lower end of radius", 19},
}

type drug struct{ name, form, strength string }

var drugs = []drug{
	{"amlodipine", "tablet", "5 mg"}, {"amoxicillin", "capsule", "500 mg"}, {"apixaban", "tablet", "5 mg"},
	{"atorvastatin", "tablet", "20 mg"}, {"cetirizine", "tablet", "10 mg"}, {"ibuprofen", "tablet", "400 mg"},
	{"insulin glargine", "pen", "100 U/ml"}, {"levothyroxine", "tablet", "75 µg"}, {"lisinopril", "tablet", "10 mg"},
	{"metformin", "tablet", "850 mg"}, {"omeprazole", "capsule", "20 mg"}, {"salbutamol", "inhaler", "100 µg"},
	{"sertraline", "tablet", "50 mg"}, {"sumatriptan", "tablet", "50 mg"}, {"tamoxifen", "tablet", "20 mg"},
}

type labTest struct {
	code, name, unit string
	low, high        cents // of the normal range; both 0: the result is a word
}

var labTests = []labTest{
	{"CRE", "Creatinine", "mg/dl", 60, 120}, {"GLU", "Glucose", "mg/dl", 7000, 10000},
	{"HBA1C", "Hemoglobin A1c", "%", 400, 560}, {"HGB", "Hemoglobin", "g/dl", 1200, 1700},
	{"K", "Potassium", "mmol/l", 350, 510}, {"LDL", "LDL cholesterol", "mg/dl", 5000, 13000},
	{"NA", "Sodium", "mmol/l", 13500, 14500}, {"PLT", "Platelets", "10^9/l", 15000, 40000},
	{"TSH", "Thyrotropin", "mU/l", 40, 400}, {"HCVAB", "Hepatitis C antibody", "", 0, 0},
	{"HIVAB", "HIV antibody", "", 0, 0}, {"SARS2", "SARS-CoV-2 RNA", "", 0, 0},
}

var concepts = []string{"Race", "Telephone encounter", "Date of birth", "Social security number", "Street address", "Patient portal message", "Blood pressure", "Body weight"}

type plan struct{ name, payer string }

var plans = []plan{
	{"Evergreen Silver", "Evergreen Mutual"}, {"Evergreen Gold", "Evergreen Mutual"}, {"Harbor HMO", "Harbor Health"},
	{"Harbor PPO", "Harbor Health"}, {"Statewide Basic", "Statewide Plan"}, {"Lantern Select", "Lantern Insurance"},
}

var reasons = []string{"chest pain since last night", "follow-up visit", "cough and fever", "fall on the stairs", "medication review", "abdominal pain", "shortness of breath", "headache, third this week", "pre-operative check", "vaccination"}

var findings = []string{"Vital signs stable.", "No acute distress.", "Lungs clear on both sides.", "Tender on palpation.", "Reports poor sleep.", "Wound healing well.", "Advised rest and fluids.", "Labs ordered."}

var noteTags = []string{"follow-up", "telehealth", "urgent", "interpreter", "consent", "discharge"}

var relations = []string{"spouse", "parent", "child", "sibling", "neighbor"}

var sigs = []string{"1 daily", "1 twice daily with food", "as needed for pain", "1 at bedtime", "2 puffs every 6 hours as needed"}

var actions = []string{"login", "view results", "message", "book", "download", "logout"}

var claimStatuses = []string{"paid", "paid", "paid", "submitted", "denied"}
