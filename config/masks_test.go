package config

import (
	"fmt"
	"strings"
	"testing"

	"pgveil/masking"
)

// TestMaskOptions reads testdata/masks.txt: every mask and option with good and bad values.
func TestMaskOptions(t *testing.T) {
	const file = "testdata/masks.txt"
	s := newSite(t)
	tried := map[string]bool{} // "good hash", "bad shift.days"
	for n, line := range strings.Split(strings.TrimSpace(string(readFile(t, file))), "\n") {
		if strings.HasPrefix(line, "#") {
			continue
		}
		want, mask, ok := strings.Cut(line, " | ")
		if !ok {
			t.Fatalf("%s:%d is no case", file, n+1)
		}
		const head = "upstream: {host: 127.0.0.1}\ncatalog: {user: pgveil}\naudit: {file: audit.jsonl}\nkeys: {file: pgveil.key}\nroles:\n  - name: a\n    members: [user:a]\n    masks:\n      x: "
		c, err := s.parse("masks.yaml", []byte(head+mask+"\n"))
		kind := "good "
		if want != "ok" {
			kind = "bad "
		}
		for _, method := range masking.Methods {
			if !strings.HasPrefix(mask, string(method)) && !strings.HasPrefix(mask, fmt.Sprintf("%q", method)) &&
				!strings.HasPrefix(mask, "{mask: "+string(method)) && !strings.HasPrefix(mask, fmt.Sprintf("{mask: %q", method)) {
				continue
			}
			tried[kind+string(method)] = true
			for _, option := range method.Options() {
				if strings.Contains(mask, " "+option+": ") {
					tried[kind+string(method)+"."+option] = true
				}
			}
		}
		switch {
		case want == "ok" && err != nil:
			t.Errorf("%s:%d: %s: %v", file, n+1, mask, err)
		case want == "ok":
			if c.Roles[0].Masks["x"].Method == "" {
				t.Errorf("%s:%d: %s: no mask", file, n+1, mask)
			}
		case err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "masks.yaml:9:"):
			t.Errorf("%s:%d: %s: %v, want %q", file, n+1, mask, err, want)
		}
	}
	for _, method := range masking.Methods {
		if _, err := masking.ParseSpec(string(method), nil); err != nil && strings.Contains(err.Error(), "not supported yet") {
			continue
		}
		for _, kind := range []string{"good ", "bad "} {
			if !tried[kind+string(method)] {
				t.Errorf("%s has no %smask %s", file, kind, method)
			}
			for _, option := range method.Options() {
				if !tried[kind+string(method)+"."+option] {
					t.Errorf("%s has no %svalue of %s's option %s", file, kind, method, option)
				}
			}
		}
	}
}
