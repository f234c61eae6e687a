//go:build !linux

package transport

func runners() map[string]carry { return map[string]carry{"goroutines": carryGoroutines} }
