package config

import (
	"errors"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"pgveil/masking"
	"pgveil/roles"
)

// checkClass accepts a class: words of lower-case letters, digits and underscores, joined by dots.
func checkClass(class string) error {
	for word := range strings.SplitSeq(class, ".") {
		if word == "" || word[0] >= '0' && word[0] <= '9' || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
			return errors.New("not a class: write words of lower-case letters, digits and underscores, joined by dots, as in date.birth")
		}
	}
	return nil
}

// readRules reads classification.columns, in the order of the file.
func readRules(p *parser, s *setting, n *yaml.Node, path string, field any) {
	list := field.(*[]roles.Rule)
	pairs, _ := p.pairs(n, path)
	for _, pr := range pairs {
		if !roles.ValidPattern(pr.name) {
			p.problem(pr.key, "%s: %s: a rule has three parts, schema.table.column; * stands for any characters within a part", path, show(pr.name))
			continue
		}
		v, ok := p.scalar(pr.value, join(path, pr.name), false)
		if !ok {
			continue
		}
		class, shown := v.text, v.shown
		if err := checkClass(class); err != nil {
			p.badValue(pr.value, s, join(path, pr.name), shown, err)
			continue
		}
		switch class {
		case roles.ClassUnlisted, roles.ClassSystem, roles.ClassDefinition, roles.ClassDefinitionText:
			p.problem(pr.value, "%s: pgveil itself gives the class %s; choose another word", join(path, pr.name), shown)
			continue
		}
		*list = append(*list, roles.Rule{Pattern: pr.name, Class: class, Line: pr.key.Line, Col: pr.key.Column})
	}
}

// readClasses reads a list of classes, "*" among them.
func readClasses(p *parser, s *setting, n *yaml.Node, path string, field any) {
	list := field.(*[]string)
	for _, it := range p.items(n, path) {
		if it.text != "*" {
			if err := checkClass(it.text); err != nil {
				p.badValue(it.node, s, path, it.shown, err)
				continue
			}
			switch it.text {
			case roles.ClassClear, roles.ClassSystem, roles.ClassDefinition, roles.ClassDefinitionText:
				p.problem(it.node, "%s: the class %s has no values of its own: this entry could never apply", path, it.shown)
				continue
			}
		}
		if slices.Contains(*list, it.text) {
			p.problem(it.node, "%s: %s stands in the list twice", path, it.shown)
			continue
		}
		*list = append(*list, it.text)
	}
	if strings.HasSuffix(path, ".reveal") && len(*list) > 0 {
		p.revealing = append(p.revealing, keyedMask{place: placeOf(n), path: path})
	}
}

// readMasks reads the masks of a role: class: mask, or class: {mask: NAME, option: value}.
func readMasks(p *parser, s *setting, n *yaml.Node, path string, field any) {
	masks := *field.(*map[string]masking.Spec)
	pairs, _ := p.pairs(n, path)
	for _, pr := range pairs {
		at := join(path, pr.name)
		if pr.name != "*" {
			if err := checkClass(pr.name); err != nil {
				p.problem(pr.key, "%s: %s: %v", path, show(pr.name), err)
				continue
			}
			if pr.name == roles.ClassClear || pr.name == roles.ClassSystem {
				p.problem(pr.key, "%s: the class %s has no mask of its own: this entry could never apply", at, pr.name)
				continue
			}
		}
		spec, ok := p.mask(pr.value, at)
		if !ok {
			continue
		}
		masks[pr.name] = spec
		if spec.Keyed() {
			p.keyed = append(p.keyed, keyedMask{placeOf(pr.value), at, spec})
		}
	}
}

// mask reads one mask.
func (p *parser) mask(n *yaml.Node, path string) (masking.Spec, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		method, ok := p.scalar(n, path, false)
		if !ok {
			return masking.Spec{}, false
		}
		return p.spec(path, item{n, method}, nil)
	}
	var method *item
	options := map[string]item{}
	pairs, good := p.pairs(n, path)
	if !good {
		return masking.Spec{}, false
	}
	for _, pr := range pairs {
		v, ok := p.scalar(pr.value, join(path, pr.name), pr.name == "value")
		good = good && ok
		if pr.name == "mask" {
			method = &item{pr.value, v}
			continue
		}
		options[pr.name] = item{pr.key, v}
	}
	if method == nil {
		p.problem(n, "%s: the key mask is missing: write {mask: NAME, option: value}", path)
		return masking.Spec{}, false
	}
	if !good {
		return masking.Spec{}, false
	}
	return p.spec(path, *method, options)
}

// spec has package masking judge a mask. Its error is noted at the option that it names, else at the mask.
func (p *parser) spec(path string, method item, options map[string]item) (masking.Spec, bool) {
	texts := map[string]string{}
	expanded := method.expanded
	for name, o := range options {
		texts[name] = o.text
		expanded = expanded || o.expanded
	}
	spec, err := masking.ParseSpec(method.text, texts)
	if err == nil {
		return spec, true
	}
	if expanded {
		p.problem(method.node, "%s: the mask or an option of it that an environment variable gives is not valid", path)
		return masking.Spec{}, false
	}
	at, named := method.node, ""
	for name, o := range options {
		if len(name) > len(named) && strings.Contains(err.Error(), name) {
			at, named = o.node, name
		}
	}
	p.problem(at, "%s: %v", path, err)
	return masking.Spec{}, false
}
