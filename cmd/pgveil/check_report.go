package main

import (
	"fmt"
	"io"

	"pgveil/config"
	"pgveil/roles"
)

// checkReport is what pgveil check finds; its JSON form is the output of --format json.
type checkReport struct {
	File      string           `json:"file"`
	Unlisted  string           `json:"unlisted"`
	Roles     []roleReport     `json:"roles"`
	Databases []databaseReport `json:"databases,omitempty"`
	DeadRules []ruleReport     `json:"dead_rules,omitempty"` // rules that match no column of any database
}

// roleReport says whether a role's masks conform to the profiles' rules.
type roleReport struct {
	Name        string              `json:"name"`
	Clear       bool                `json:"clear"` // sees every class clear
	Profile     roles.Profile       `json:"profile,omitempty"`
	Conformance []conformanceReport `json:"conformance"`
}

type conformanceReport struct {
	Profile  roles.Profile  `json:"profile"`
	Conforms bool           `json:"conforms"`
	Breaches []breachReport `json:"breaches,omitempty"`
}

type breachReport struct {
	Class     string `json:"class,omitempty"`
	Mask      string `json:"mask,omitempty"`
	Paragraph string `json:"paragraph"` // of 45 CFR
	Reason    string `json:"reason"`
}

type databaseReport struct {
	Name         string       `json:"name"`
	Classified   []string     `json:"classified"`
	Unclassified []string     `json:"unclassified"`
	ViewRules    []ruleReport `json:"view_rules,omitempty"` // rules that match columns of views alone
	DeadMembers  []string     `json:"dead_members,omitempty"`
	EmptyRoles   []string     `json:"empty_roles,omitempty"`
	DeadMasks    []string     `json:"dead_masks,omitempty"`
	DeadReveals  []string     `json:"dead_reveals,omitempty"`
	DeadTrusted  []string     `json:"dead_trusted,omitempty"`
	Misfits      []string     `json:"misfits,omitempty"` // errors
}

type ruleReport struct {
	Rule   string `json:"rule"`
	Line   int    `json:"line"`
	Column int    `json:"column"`
}

func reportRules(rules []roles.Rule) (out []ruleReport) {
	for _, x := range rules {
		out = append(out, ruleReport{x.Pattern, x.Line, x.Col})
	}
	return out
}

// newCheckReport reports what the file alone tells.
func newCheckReport(cfg *config.Config, file string) *checkReport {
	r := &checkReport{File: file, Unlisted: cfg.Classification.Unlisted}
	classes := cfg.Policy().UsedClasses()
	for i := range cfg.Roles {
		role := &cfg.Roles[i]
		rr := roleReport{Name: role.Name, Clear: role.Clear(), Profile: role.Profile}
		for _, profile := range roles.Profiles {
			cr := conformanceReport{Profile: profile}
			for _, b := range role.Breaches(profile, classes) {
				mask := ""
				if b.Class != "" {
					mask = b.Mask.String()
				}
				cr.Breaches = append(cr.Breaches, breachReport{b.Class, mask, b.Paragraph, b.Why})
			}
			cr.Conforms = len(cr.Breaches) == 0
			rr.Conformance = append(rr.Conformance, cr)
		}
		r.Roles = append(r.Roles, rr)
	}
	return r
}

// connect adds what the databases tell.
func (r *checkReport) connect(c *cli, cfg *config.Config, database string) error {
	names, err := databases(c.ctx, cfg, database)
	if err != nil {
		return err
	}
	policy, found := cfg.Policy(), map[ruleReport]bool{}
	for _, name := range names {
		snapshot, err := load(c.ctx, cfg, name)
		if err != nil {
			return err
		}
		b := policy.Bind(snapshot)
		report := b.Report()
		if len(report.Classified)+len(report.Unclassified) == 0 && len(names) > 1 {
			continue // an empty database has nothing to say
		}
		dead := map[ruleReport]bool{}
		for _, x := range reportRules(report.DeadRules) {
			dead[x] = true
		}
		for _, x := range reportRules(policy.Rules) {
			found[x] = found[x] || !dead[x]
		}
		d := databaseReport{Name: name, Classified: append([]string{}, report.Classified...), Unclassified: append([]string{}, report.Unclassified...), ViewRules: reportRules(report.ViewRules),
			DeadMembers: report.DeadMembers, EmptyRoles: report.EmptyRoles, DeadMasks: report.DeadMasks, DeadReveals: report.DeadReveals, DeadTrusted: report.DeadTrusted}
		for _, err := range b.Misfits() {
			d.Misfits = append(d.Misfits, err.Error())
		}
		r.Databases = append(r.Databases, d)
	}
	for _, x := range reportRules(policy.Rules) {
		if !found[x] {
			r.DeadRules = append(r.DeadRules, x)
		}
	}
	return nil
}

// misfits counts the masks that cannot serve a column that they meet.
func (r *checkReport) misfits() (n int) {
	for _, d := range r.Databases {
		n += len(d.Misfits)
	}
	return n
}

func (r *checkReport) print(stdout, stderr io.Writer) {
	fmt.Fprintf(stdout, "%s: valid\n", r.File)
	r.printRoles(stdout)
	for _, d := range r.Databases {
		d.print(stdout, stderr, r.Unlisted)
	}
	for _, x := range r.DeadRules {
		fmt.Fprintf(stdout, "%s:%d:%d: rule %s matches no column\n", r.File, x.Line, x.Column, x.Rule)
	}
}

func (r *checkReport) printRoles(w io.Writer) {
	fmt.Fprintln(w, "\nroles, by 45 CFR 164.514:")
	for _, role := range r.Roles {
		if role.Clear {
			fmt.Fprintf(w, "  role %s sees every class clear\n", role.Name)
			continue
		}
		for _, c := range role.Conformance {
			verdict := "conforms"
			if !c.Conforms {
				verdict = "does not conform"
			}
			fmt.Fprintf(w, "  role %s %s: %s\n", role.Name, verdict, c.Profile.Title())
			for _, b := range c.Breaches {
				what := b.Reason
				if b.Class != "" {
					what = b.Class + ", " + b.Mask + ": " + b.Reason
				}
				fmt.Fprintf(w, "    %s  %s\n", b.Paragraph, what)
			}
		}
	}
	if r.Unlisted == config.UnlistedClear {
		fmt.Fprintln(w, "  columns in no rule are clear (classification.unlisted): this judges the classified ones alone")
	}
}

func (d *databaseReport) print(stdout, stderr io.Writer, unlisted string) {
	fmt.Fprintf(stdout, "\ndatabase %s: %d columns classified, %d in scope and unclassified (unlisted: %s)\n", d.Name, len(d.Classified), len(d.Unclassified), unlisted)
	for _, s := range d.Classified {
		fmt.Fprintln(stdout, "  classified   "+s)
	}
	for _, s := range d.Unclassified {
		fmt.Fprintln(stdout, "  unclassified "+s)
	}
	for _, x := range d.ViewRules {
		fmt.Fprintf(stdout, "warning: line %d: rule %s matches columns of views only: a view's columns follow its tables'\n", x.Line, x.Rule)
	}
	for _, s := range d.DeadMembers {
		fmt.Fprintln(stdout, "warning: member matches no PostgreSQL role: "+s)
	}
	for _, s := range d.EmptyRoles {
		fmt.Fprintln(stdout, "warning: role without members: "+s)
	}
	for _, s := range d.DeadMasks {
		fmt.Fprintln(stdout, "warning: mask for a class that no column has: "+s)
	}
	for _, s := range d.DeadReveals {
		fmt.Fprintln(stdout, "warning: no column has the class, or no role sees it as tokens: "+s)
	}
	for _, s := range d.DeadTrusted {
		fmt.Fprintln(stdout, "warning: trusted function does not exist: "+s)
	}
	for _, s := range d.Misfits {
		fmt.Fprintln(stderr, "error:", s)
	}
}
