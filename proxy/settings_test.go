package proxy

import (
	"fmt"
	"testing"

	"pgveil/sqlparse"
	"pgveil/wire"
)

func TestMaskedSettings(t *testing.T) {
	for _, c := range []struct {
		in   []string // names and values
		want string   // of the settings passed on; "" refused
	}{
		{[]string{"application_name", "x", "TimeZone", "UTC"}, "[{application_name x} {timezone UTC}]"},
		{[]string{"options", "-c search_path=a,b --DateStyle=ISO -cwork-mem=4MB"}, "[{search_path a,b} {datestyle ISO} {work_mem 4MB}]"},
		{[]string{"options", `-c search_path=a\ b\\c`}, `[{search_path a b\c}]`},
		{[]string{"search_path", "a", "options", "-c search_path=b"}, "[{search_path a}]"},
		{[]string{"options", "  "}, "[]"},
		{[]string{"standard_conforming_strings", "on"}, "[{standard_conforming_strings on}]"},
		{[]string{"client_min_messages", "WARNING"}, "[{client_min_messages WARNING}]"},
		{[]string{"standard_conforming_strings", "off"}, "[{standard_conforming_strings off}]"},
		{[]string{"app.tenant", "7"}, "[{app.tenant 7}]"},
		{in: []string{"client_min_messages", "debug1"}},
		{in: []string{"client_min_messages", "log"}},
		{in: []string{"Client_Min_Messages", "info"}},
		{in: []string{"transform_null_equals", "on"}},
		{in: []string{"debug_print_rewritten", "on"}},
		{in: []string{"session_preload_libraries", "x"}},
		{in: []string{"log_statement", "all"}},
		{in: []string{"role", "postgres"}},
		{in: []string{"session_authorization", "postgres"}},
		{in: []string{"auto_explain.log_min_duration", "0"}},
		{in: []string{"pgveil.role", "clear"}},
		{in: []string{"OPTIONS", "-c role=postgres"}},
		{in: []string{"options", "-c options=x"}},
		{in: []string{"options", "-c debug_print_parse=on"}},
		{in: []string{"options", "-cdebug_print_parse=on"}},
		{in: []string{"options", "--debug-print-parse=on"}},
		{in: []string{"options", "-c log-statement=all"}},
		{in: []string{"options", "-c search_path"}},
		{in: []string{"options", "-c"}},
		{in: []string{"options", "-d 5"}},
		{in: []string{"options", "-S 10"}},
		{in: []string{"options", "--"}},
		{in: []string{"options", "search_path=a"}},
		{in: []string{"options", "-c search_path=a -d5"}},
	} {
		t.Run(fmt.Sprint(c.in), func(t *testing.T) {
			var params []wire.Param
			for i := 0; i < len(c.in); i += 2 {
				params = append(params, wire.Param{Name: c.in[i], Value: c.in[i+1]})
			}
			got, err := maskedSettings(params)
			if c.want == "" {
				if err == nil {
					t.Errorf("accepted as %v", got)
				}
				return
			}
			if err != nil || fmt.Sprint(got) != c.want && !(c.want == "[]" && len(got) == 0) {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

// TestSettingsReachTheServer compares what the settings do with and without the proxy's reading of options.
func TestSettingsReachTheServer(t *testing.T) {
	p := start(t, setup{})
	for user, password := range map[string]string{"alice": "wonderland", "masked_bob": "builder"} {
		c := p.mustConnect(t, user, password, `options='-c search_path=gate,\\ public -c work_mem=5MB --statement-timeout=1234' TimeZone=Asia/Tokyo`)
		for name, want := range map[string]string{"search_path": "gate, public", "work_mem": "5MB", "statement_timeout": "1234ms", "TimeZone": "Asia/Tokyo"} {
			var got string
			if err := c.QueryRow(t.Context(), "SELECT pg_catalog.current_setting($1)", name).Scan(&got); err != nil || got != want {
				t.Errorf("%s: %s = %q, %v", user, name, got, err)
			}
		}
	}
	if _, err := p.connect(t, "masked_bob", "builder", "options='-c debug_print_plan=on'"); code(err) != "42501" {
		t.Errorf("a masked role set debug_print_plan: %v", err)
	}
	c := p.mustConnect(t, "alice", "wonderland", "options='-c debug_print_plan=on'")
	var got string
	if err := c.QueryRow(t.Context(), "SHOW debug_print_plan").Scan(&got); err != nil || got != "on" {
		t.Errorf("a clear role's setting is %q, %v", got, err)
	}
}

// FuzzMaskedSettings: whatever options hold, only listed settings get through, and none twice.
func FuzzMaskedSettings(f *testing.F) {
	f.Add("-c search_path=a --work-mem=4MB", "TimeZone", "UTC")
	f.Add(`-c\ x=1 -crole=postgres`, "role", "x")
	f.Add("-c client_min_messages=log", "OPTIONS", "-d5")
	f.Fuzz(func(t *testing.T, options, name, value string) {
		got, err := maskedSettings([]wire.Param{{Name: "options", Value: options}, {Name: name, Value: value}})
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, p := range got {
			if !sqlparse.Settable(p.Name, &p.Value, false) || p.Name == "options" || seen[p.Name] {
				t.Errorf("%q and %q=%q gave %v", options, name, value, got)
			}
			seen[p.Name] = true
		}
	})
}
