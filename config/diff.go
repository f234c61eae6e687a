package config

import "reflect"

// Diff returns the settings, by their paths, that differ between the two
// configurations although a reload cannot change them: they need a restart.
// It is empty when the new one can take over. Both must be Valid.
func Diff(old, new *Config) []string {
	var changed []string
	for _, s := range settings {
		if !s.restart {
			continue
		}
		a, b := s.field(&target{config: old}), s.field(&target{config: new})
		if !reflect.DeepEqual(a, b) {
			changed = append(changed, s.path)
		}
	}
	return changed
}
