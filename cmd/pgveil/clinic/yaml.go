package clinic

import (
	_ "embed"
	"encoding/json"
	"strings"
	"text/template"
)

// File is what differs between the configuration files of two clinics.
type File struct {
	Listen   string // host:port for clients
	Host     string // of the server: a name, an address or a socket's folder
	Port     int
	Password string // of the catalog account; may be ${NAME}
	Key      string // file of the masking key
	Audit    string // file of the audit log
	Metrics  string // host:port; "" for no metrics
}

// Demo says that the file shows the catalog account's password.
func (f File) Demo() bool { return !strings.HasPrefix(f.Password, "${") }

//go:embed pgveil.yaml.tmpl
var yamlTemplate string

// A JSON string is a YAML string in double quotes.
var parsed = template.Must(template.New("pgveil.yaml").Funcs(template.FuncMap{"yaml": func(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}}).Parse(yamlTemplate))

// YAML is a pgveil.yaml that classifies every protected column of the clinic and
// has a role for each of Users.
func YAML(f File) (string, error) {
	var b strings.Builder
	err := parsed.Execute(&b, f)
	return b.String(), err
}
