package transport

import (
	"runtime"
	"testing"
	"time"

	"pgveil/wire"
)

// A loop knows who is to speak next while at most one client waits, and of no answer
// that has begun.
func TestAwaited(t *testing.T) {
	l, open := loopOfTest(t, "epoll", false, &Deps{Audit: &sink{}})
	one, two := open(), open()
	half := wire.AppendDataRow(nil, []byte("1"))
	rest := wire.AppendReadyForQuery(wire.AppendCommandComplete(nil, "SELECT 1"), 'I')
	for _, step := range []struct {
		name string
		do   func()
		want int
	}{
		{"at first", func() {}, clientSide},
		{"one asks", func() { one.send(one.client, query) }, serverSide},
		{"an answer begins", func() { one.send(one.server, half) }, nobody},
		{"two asks", func() { two.send(two.client, query) }, nobody},
		{"one has its answer", func() { one.send(one.server, rest) }, nobody},
		{"two has its answer", func() { two.send(two.server, append(half, rest...)) }, clientSide},
		{"two asks again", func() { two.send(two.client, query) }, serverSide},
		{"two leaves", func() { two.carried.Cut() }, clientSide},
	} {
		step.do()
		turnUntil(t, l, func() bool { return l.awaited() == step.want })
	}
	one.carried.Cut()
	turnUntil(t, l, func() bool { return len(one.result)+len(two.result) == 2 })
	if l.waiting != 0 {
		t.Errorf("%d wait, and nobody is there", l.waiting)
	}
}

// What came soon is looked out for, without sleep, for as long as is allowed; what
// took longer is slept for, the next time.
func TestLooksOut(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2)) // with a single processor nothing is looked out for
	l, open := loopOfTest(t, "epoll", false, &Deps{Audit: &sink{}})
	st := open()
	turnUntil(t, l, func() bool { return len(l.slots) > 0 })
	turn := func(busyPoll time.Duration) (slept bool) {
		t.Helper()
		l.lookOut(busyPoll)
		done := make(chan struct{})
		go func() { l.turn(); close(done) }()
		time.Sleep(20 * time.Millisecond)
		l.mu.Lock()
		slept = l.sleeping
		l.mu.Unlock()
		st.send(st.client, []byte{'H', 0, 0, 0, 4}) // Flush asks for nothing of its own
		<-done
		return slept
	}
	l.soon = [2]bool{}
	const long, short = time.Minute, time.Millisecond
	for i, step := range []struct {
		busyPoll time.Duration
		slept    bool // as the turn before was too slow
	}{{long, true}, {long, false}, {long, false}, {short, true}, {short, true}, {long, true}, {long, false}, {0, true}, {0, true}} {
		if slept := turn(step.busyPoll); slept != step.slept {
			t.Errorf("turn %d, %v: slept: %v", i, step.busyPoll, slept)
		}
	}
	l.lookOut(long)
	l.soon[clientSide] = true
	done := make(chan struct{})
	go func() { l.turn(); close(done) }()
	time.Sleep(20 * time.Millisecond)
	st.carried.Cut() // posted to a loop that looks out
	<-done
	if l.slots[0] != nil {
		t.Error("the loop did not see what was posted")
	}
}
