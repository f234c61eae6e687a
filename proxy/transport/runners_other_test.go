//go:build !linux

package transport

func runners() map[string]runner { return map[string]runner{"goroutines": runGoroutines} }
