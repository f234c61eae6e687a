package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that prints as [redacted], whatever prints it. Value gives it away.
type Secret string

const redacted = "[redacted]"

// Value returns the secret itself.
func (s Secret) Value() string { return string(s) }

// String returns "" for an empty secret, else a fixed text.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// Format prints the fixed text for every verb: %d or %x would otherwise go around String.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) }

// MarshalText keeps the secret out of JSON and of YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue keeps the secret out of logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
