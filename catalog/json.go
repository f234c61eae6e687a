package catalog

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxJSON bounds the text that ReadJSON takes, in bytes.
const maxJSON = 256 << 20

// document is the JSON form of a Snapshot.
type document struct {
	Database      string          `json:"database"`
	ServerVersion int             `json:"server_version"`
	SearchPath    string          `json:"search_path,omitempty"`
	LoginTriggers bool            `json:"login_triggers,omitempty"`
	Schemas       []Schema        `json:"schemas"`
	Roles         []Role          `json:"roles"`
	Settings      []RoleSetting   `json:"settings"`
	Relations     []*relationJSON `json:"relations"`
	Types         []*typeJSON     `json:"types"`
	Functions     []*functionJSON `json:"functions"`
	Operators     []*Operator     `json:"operators"`
	Casts         []*castJSON     `json:"casts"`
	Objects       []string        `json:"objects,omitempty"`
}

// The catalog's one-letter codes are letters in JSON, not numbers.
type letter byte

func (l letter) MarshalText() ([]byte, error) { return []byte{byte(l)}, nil }

func (l *letter) UnmarshalText(b []byte) error {
	if len(b) != 1 || b[0] < ' ' || b[0] > '~' {
		return errors.New("not one ASCII character")
	}
	*l = letter(b[0])
	return nil
}

type relationJSON struct {
	*Relation
	Kind letter `json:"kind"`
}

type typeJSON struct {
	*Type
	Kind     letter `json:"kind"`
	Category letter `json:"category"`
}

type functionJSON struct {
	*Function
	Kind       letter `json:"kind"`
	Volatility letter `json:"volatility"`
}

type castJSON struct {
	*Cast
	Context letter `json:"context"`
	Method  letter `json:"method"`
}

// ReadJSON reads what WriteJSON wrote, as a snapshot with a Version of its own. Its input may be hostile: it checks
// sizes, names, references and cycles, and refuses unknown keys.
func ReadJSON(r io.Reader) (*Snapshot, error) {
	limited := &io.LimitedReader{R: r, N: maxJSON + 1}
	dec := json.NewDecoder(limited)
	dec.DisallowUnknownFields()
	var d document
	err := dec.Decode(&d)
	if err == nil {
		if _, more := dec.Token(); more != io.EOF {
			err = errors.New("text after the end of the snapshot")
		}
	}
	if limited.N <= 0 {
		err = fmt.Errorf("more than %d bytes", maxJSON)
	}
	if err != nil {
		return nil, fmt.Errorf("catalog snapshot: %w", err)
	}
	s := &Snapshot{Database: d.Database, ServerVersion: d.ServerVersion, Version: nextVersion(), SearchPath: d.SearchPath, LoginTriggers: d.LoginTriggers,
		Schemas: d.Schemas, Roles: d.Roles, Settings: d.Settings, Operators: d.Operators, Objects: d.Objects}
	for i, x := range d.Relations {
		if x == nil || x.Relation == nil {
			return nil, problem("relation", OID(i), "(by position) missing")
		}
		x.Relation.Kind = RelKind(x.Kind)
		s.Relations = append(s.Relations, x.Relation)
	}
	for i, x := range d.Types {
		if x == nil || x.Type == nil {
			return nil, problem("type", OID(i), "(by position) missing")
		}
		x.Type.Kind, x.Type.Category = byte(x.Kind), byte(x.Category)
		s.Types = append(s.Types, x.Type)
	}
	for i, x := range d.Functions {
		if x == nil || x.Function == nil {
			return nil, problem("function", OID(i), "(by position) missing")
		}
		x.Function.Kind, x.Function.Volatility = byte(x.Kind), byte(x.Volatility)
		s.Functions = append(s.Functions, x.Function)
	}
	for i, x := range d.Casts {
		if x == nil || x.Cast == nil {
			return nil, problem("cast", OID(i), "(by position) missing")
		}
		x.Cast.Context, x.Cast.Method = byte(x.Context), byte(x.Method)
		s.Casts = append(s.Casts, x.Cast)
	}
	if err := s.build(); err != nil {
		return nil, err
	}
	return s, nil
}

// WriteJSON writes the snapshot, one object a line, so that two of them can be compared
// line by line. It fails for a snapshot that ReadJSON would refuse.
func (s *Snapshot) WriteJSON(w io.Writer) error {
	if err := s.validate(); err != nil {
		return err
	}
	b := bufio.NewWriter(w)
	head, err := json.Marshal(struct {
		Database      string `json:"database"`
		ServerVersion int    `json:"server_version"`
		SearchPath    string `json:"search_path,omitempty"`
		LoginTriggers bool   `json:"login_triggers,omitempty"`
	}{s.Database, s.ServerVersion, s.SearchPath, s.LoginTriggers})
	if err != nil {
		return err
	}
	b.Write(bytes.TrimSuffix(head, []byte("}")))
	lines(b, &err, "schemas", s.Schemas, func(x Schema) any { return x })
	lines(b, &err, "roles", s.Roles, func(x Role) any { return x })
	lines(b, &err, "settings", s.Settings, func(x RoleSetting) any { return x })
	lines(b, &err, "relations", s.Relations, func(x *Relation) any { return relationJSON{x, letter(x.Kind)} })
	lines(b, &err, "types", s.Types, func(x *Type) any { return typeJSON{x, letter(x.Kind), letter(x.Category)} })
	lines(b, &err, "functions", s.Functions, func(x *Function) any { return functionJSON{x, letter(x.Kind), letter(x.Volatility)} })
	lines(b, &err, "operators", s.Operators, func(x *Operator) any { return x })
	lines(b, &err, "objects", s.Objects, func(x string) any { return x })
	lines(b, &err, "casts", s.Casts, func(x *Cast) any { return castJSON{x, letter(x.Context), letter(x.Method)} })
	if err != nil {
		return err
	}
	b.WriteString("\n}\n")
	return b.Flush()
}

// lines writes one list of the document. bufio.Writer keeps write errors until Flush.
func lines[T any](b *bufio.Writer, err *error, key string, list []T, form func(T) any) {
	fmt.Fprintf(b, ",\n%q: [", key)
	for i, x := range list {
		if *err != nil {
			return
		}
		var line []byte
		if line, *err = json.Marshal(form(x)); *err != nil {
			return
		}
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		b.Write(line)
	}
	b.WriteByte(']')
}
