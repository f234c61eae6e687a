package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"pgveil/roles"
)

const (
	ms   = time.Millisecond
	hour = time.Hour
	day  = 24 * time.Hour
)

// valueType is how the value of a setting is read. Exactly one of scalar and node is set.
type valueType struct {
	name string // for the docs
	// scalar stores the text of a scalar, which is never empty. The error is a sentence about the value, without the value.
	scalar func(p *parser, s *setting, text string, field any) error
	// node reads anything else and reports its own problems.
	node func(p *parser, s *setting, n *yaml.Node, path string, field any)
}

var (
	typeWord     = &valueType{name: "word", scalar: setWord}
	typeText     = &valueType{name: "text", scalar: setText}
	typeName     = &valueType{name: "name", scalar: setName}
	typeQuery    = &valueType{name: "SQL", scalar: setQuery}
	typeVerifier = &valueType{name: "SCRAM verifier", scalar: setVerifier}
	typeHost     = &valueType{name: "host or directory", scalar: setHost}
	typeFile     = &valueType{name: "file", scalar: setFile}
	typeNewFile  = &valueType{name: "file", scalar: setNewFile}
	typeInt      = &valueType{name: "whole number", scalar: setInt}
	typeBool     = &valueType{name: "true or false", scalar: setBool}
	typeDuration = &valueType{name: "duration", scalar: setDuration}
	typeSize     = &valueType{name: "size", scalar: setSize}
	typeAddress  = &valueType{name: "address", scalar: setAddress}

	typeAddresses  = &valueType{name: "list of addresses", node: readAddresses}
	typeMembers    = &valueType{name: "list of members", node: readMembers}
	typeSignatures = &valueType{name: "list of functions", node: readSignatures}
	typeRules      = &valueType{name: "mapping", node: readRules}
	typeClasses    = &valueType{name: "list of classes", node: readClasses}
	typeMasks      = &valueType{name: "mapping", node: readMasks}
)

func setWord(_ *parser, s *setting, text string, field any) error {
	if note, ok := s.notes[text]; ok {
		return errors.New(note)
	}
	for _, w := range s.words {
		if w == text {
			*field.(*string) = text
			return nil
		}
	}
	if len(s.words) == 1 {
		return fmt.Errorf("it must be %s", s.words[0])
	}
	return fmt.Errorf("not one of %s%s", strings.Join(s.words, ", "), didYouMean(text, s.words))
}

func setText(_ *parser, _ *setting, text string, field any) error {
	if strings.ContainsRune(text, 0) {
		return errors.New("a zero byte cannot stand in it")
	}
	if secret, ok := field.(*Secret); ok {
		*secret = Secret(text)
		return nil
	}
	*field.(*string) = text
	return nil
}

// maxName is the longest name of an account in bytes: NAMEDATALEN - 1 (PostgreSQL docs, 4.1.1).
const maxName = 63

func checkName(text string) error {
	switch {
	case len(text) > maxName:
		return fmt.Errorf("longer than %d bytes", maxName)
	case strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("a control character cannot stand in a name")
	}
	return nil
}

func setName(_ *parser, _ *setting, text string, field any) error {
	if err := checkName(text); err != nil {
		return err
	}
	*field.(*string) = text
	return nil
}

func setQuery(p *parser, s *setting, text string, field any) error {
	if !strings.Contains(text, "$1") {
		return errors.New("the query does not use $1, the user's name")
	}
	return setText(p, s, text, field)
}

func setHost(_ *parser, _ *setting, text string, field any) error {
	if strings.HasPrefix(text, "/") {
		if err := checkDir(text); err != nil {
			return err
		}
	} else if err := checkHost(text); err != nil {
		return err
	}
	*field.(*string) = text
	return nil
}

func setInt(_ *parser, s *setting, text string, field any) error {
	n, err := parseInt(text)
	if err != nil {
		return err
	}
	if n < s.min || n > s.max {
		return fmt.Errorf("out of range: it must be from %d to %d", s.min, s.max)
	}
	*field.(*int) = int(n)
	return nil
}

func setBool(_ *parser, _ *setting, text string, field any) error {
	v, err := parseBool(text)
	if err != nil {
		return err
	}
	*field.(*bool) = v
	return nil
}

func setDuration(_ *parser, s *setting, text string, field any) error {
	d, err := parseDuration(text)
	if err != nil {
		return err
	}
	if int64(d) < s.min || int64(d) > s.max {
		return fmt.Errorf("out of range: it must be from %s to %s", formatDuration(time.Duration(s.min)), formatDuration(time.Duration(s.max)))
	}
	*field.(*time.Duration) = d
	return nil
}

func setSize(_ *parser, s *setting, text string, field any) error {
	n, err := parseSize(text)
	if err != nil {
		return err
	}
	if n < s.min || n > s.max {
		return fmt.Errorf("out of range: it must be from %s to %s", formatSize(s.min), formatSize(s.max))
	}
	*field.(*int64) = n
	return nil
}

func setAddress(_ *parser, _ *setting, text string, field any) error {
	a, err := parseAddress(text, false)
	if err != nil {
		return err
	}
	*field.(*Address) = a
	return nil
}

func readAddresses(p *parser, s *setting, n *yaml.Node, path string, field any) {
	list := field.(*[]Address)
	nodes := []*yaml.Node{} // of the addresses in list
	at := map[Address]int{}
	for _, it := range p.items(n, path) {
		a, err := parseAddress(it.text, true)
		if err == nil && a.Unix() {
			err = checkDir(a.Host)
		}
		if err != nil {
			p.badValue(it.node, s, path, it.shown, err)
			continue
		}
		if line, dup := at[a]; dup && a.Port != 0 || dup && a.Unix() {
			p.problem(it.node, "%s: %s stands in the list twice, first in line %d", path, it.shown, line)
			continue
		}
		at[a] = it.node.Line
		*list, nodes = append(*list, a), append(nodes, it.node)
	}
	port := DefaultPort
	for _, a := range *list {
		if !a.Unix() && a.Port != 0 {
			port = a.Port
			break
		}
	}
	for i := range *list {
		a := &(*list)[i]
		if !a.Unix() {
			continue
		}
		a.Port = port
		if name := a.String(); len(name) > maxSocketPath {
			p.problem(nodes[i], "%s: the path of the socket is longer than %d bytes; choose a shorter directory", path, maxSocketPath)
		}
	}
}

func readMembers(p *parser, s *setting, n *yaml.Node, path string, field any) {
	list := field.(*[]roles.Member)
	for _, it := range p.items(n, path) {
		m := roles.Member{Kind: "any"}
		if it.text != "*" {
			var ok bool
			m.Kind, m.Name, ok = strings.Cut(it.text, ":")
			if !ok || m.Kind != "group" && m.Kind != "user" {
				p.problem(it.node, "%s: %s is not a member: write group:NAME, user:NAME or \"*\"", path, it.shown)
				continue
			}
			if m.Name == "" {
				p.problem(it.node, "%s: the name behind %s: is missing", path, m.Kind)
				continue
			}
			if err := checkName(m.Name); err != nil {
				p.badValue(it.node, s, path, it.shown, err)
				continue
			}
		}
		if containsMember(*list, m) {
			p.problem(it.node, "%s: %s stands in the list twice", path, it.shown)
			continue
		}
		*list = append(*list, m)
	}
}

func containsMember(list []roles.Member, m roles.Member) bool {
	for _, o := range list {
		if o == m {
			return true
		}
	}
	return false
}

func readSignatures(p *parser, _ *setting, n *yaml.Node, path string, field any) {
	list := field.(*[]string)
	seen := map[string]bool{}
	for _, it := range p.items(n, path) {
		switch {
		case !roles.ValidSignature(it.text):
			p.problem(it.node, "%s: %s does not name a function: write \"schema.name(type, …)\"", path, it.shown)
		case seen[it.text]:
			p.problem(it.node, "%s: %s stands in the list twice", path, it.shown)
		default: // a well-formed signature seen for the first time
			seen[it.text] = true
			*list = append(*list, it.text)
		}
	}
}

// maxFile is the size of the largest certificate or key file in bytes.
const maxFile = 1 << 20

func setFile(p *parser, _ *setting, text string, field any) error {
	name := p.resolve(text)
	if err := checkFile(name); err != nil {
		return err
	}
	*field.(*string) = name
	return nil
}

// checkFile wants a regular file of sane size that opens for reading: reading a pipe or a device would hang.
func checkFile(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fileError("the file cannot be read", err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	if info.Size() > maxFile {
		return fmt.Errorf("the file is larger than %s", formatSize(maxFile))
	}
	f, err := os.Open(name)
	if err != nil {
		return fileError("the file cannot be read", err)
	}
	return f.Close()
}

func setNewFile(p *parser, _ *setting, text string, field any) error {
	if strings.ContainsRune(text, 0) {
		return errors.New("a zero byte cannot stand in it")
	}
	name := p.resolve(text)
	if err := checkDir(filepath.Dir(name)); err != nil {
		return err
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return errors.New("not a regular file")
	}
	*field.(*string) = name
	return nil
}

func checkDir(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fileError("the directory cannot be found", err)
	}
	if !info.IsDir() {
		return errors.New("not a directory")
	}
	return nil
}

// fileError keeps the reason of err, not the path: the message that it goes into names the value already.
func fileError(what string, err error) error {
	if pe, ok := err.(*os.PathError); ok {
		err = pe.Err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// show quotes a value for a message.
func show(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) > most {
		r := []rune(text)
		text = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", text)
}
