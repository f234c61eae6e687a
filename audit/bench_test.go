package audit

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

func BenchmarkEncode(b *testing.B) {
	p := newPending(shared(sample()), time.Now)
	var buf []byte
	e := encoder{seq: 1234567, hash: genesis}
	b.ReportAllocs()
	for b.Loop() {
		buf = e.append(buf[:0], &p)
	}
	b.SetBytes(int64(len(buf)))
}

// Append without waiting, up to what may gather: the rest is the committer's work, and its writes.
func BenchmarkAppend(b *testing.B) {
	l := openLog(b, Options{File: tempLog(b)})
	r := shared(sample())
	done := make(chan error, 1)
	tell := func(err error) { done <- err }
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if n++; n%1000 != 0 {
			l.Append(r, nil)
			continue
		}
		l.Append(r, tell)
		if err := <-done; err != nil {
			b.Fatal(err)
		}
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
						r := shared(sample())
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
