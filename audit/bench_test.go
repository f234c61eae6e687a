package audit

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func BenchmarkEncode(b *testing.B) {
	r := sample()
	now := time.Now()
	var buf []byte
	prev := genesis
	b.ReportAllocs()
	for b.Loop() {
		buf, prev = appendRecord(buf[:0], r, now, 1234567, &prev)
	}
	b.SetBytes(int64(len(buf)))
}

// Append alone: the disk has its own pace, the log may gather what it likes.
func BenchmarkAppend(b *testing.B) {
	l := openLog(b, Options{File: tempLog(b), MaxPending: 1 << 40})
	r := sample()
	b.ReportAllocs()
	for b.Loop() {
		l.Append(r, nil)
	}
	perSecond(b)
}

// Append and wait for the callback, as a session does before it releases a result.
func BenchmarkAppendWait(b *testing.B) {
	for _, durable := range []bool{true, false} {
		for _, goroutines := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("sync=%v/goroutines=%d", durable, goroutines), func(b *testing.B) {
				l := openLog(b, Options{File: tempLog(b), Sync: durable})
				b.ReportAllocs()
				b.ResetTimer()
				var all sync.WaitGroup
				for g := range goroutines {
					n := b.N / goroutines
					if g < b.N%goroutines {
						n++
					}
					all.Go(func() {
						r := sample()
						done := make(chan error, 1)
						tell := func(err error) { done <- err }
						for range n {
							l.Append(r, tell)
							if err := <-done; err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				all.Wait()
				perSecond(b)
			})
		}
	}
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkVerify(b *testing.B) {
	file := tempLog(b)
	l := openLog(b, Options{File: file})
	for range 20000 {
		l.Append(sample(), nil)
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		mustVerify(b, file)
	}
	b.ReportMetric(20001*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
