package transport

import (
	"runtime"
	"time"
)

// yieldEvery is how long the loop keeps its processor at most. The runtime's monitor
// takes a goroutine of over 10 ms for one that has to be stopped: it would take the
// processor away at each wait, and wake up 500 times a second to do so.
const yieldEvery = 8 * time.Millisecond

// nobody is what awaited returns for more than one side.
const nobody = -1

// wait waits for something to do. It returns events, none when that is something else,
// and sets l.now.
func (l *loop) wait() []event {
	next, since := l.awaited(), l.now
	events, ok := l.look(next)
	if !ok {
		events = l.sleep()
	}
	l.now = time.Now()
	if next != nobody && len(events) > 0 {
		l.soon[next] = l.now.Sub(since) < l.busyPoll
	}
	return events
}

// awaited returns the side that is to speak next, if there is one such: the client
// when none waits for anything, and the server when one does that has just spoken.
// What comes after the beginning of an answer comes in pieces that had better be large.
func (l *loop) awaited() int {
	switch {
	case l.waiting == 0:
		return clientSide
	case l.waiting == 1 && l.last == clientSide:
		return serverSide
	}
	return nobody
}

// lookOut sets how long the loop looks out. With a single processor it would keep
// from it what it looks out for.
func (l *loop) lookOut(limit time.Duration) {
	if runtime.GOMAXPROCS(0) == 1 {
		limit = 0
	}
	l.busyPoll = limit
}

// look returns what has happened already; false means that this is nothing and time
// to sleep. It looks once when the turn was busy: where there was little to do there
// is mostly nothing to see. What is expected soon it looks out for: to be woken takes
// longer than short statements do, above all on a virtual machine.
func (l *loop) look(next int) ([]event, bool) {
	l.yield()
	if l.busy || len(l.sending)+len(l.again) > 0 {
		events := l.poller.poll(0)
		if len(events)+len(l.sending)+len(l.again) > 0 {
			return events, true
		}
	}
	if next == nobody || !l.soon[next] {
		return nil, false
	}
	for time.Since(l.now) < l.busyPoll {
		if events := l.poller.poll(0); len(events) > 0 {
			return events, true
		}
		if l.posted() {
			break
		}
	}
	return nil, false
}

func (l *loop) posted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.posts) > 0
}

// sleep waits in the kernel until something happens or is posted.
func (l *loop) sleep() []event {
	l.mu.Lock()
	if len(l.posts) > 0 {
		l.mu.Unlock()
		return l.poller.poll(0)
	}
	l.sleeping = true
	l.mu.Unlock()
	events := l.poller.poll(l.timeout())
	l.mu.Lock()
	l.sleeping = false
	l.mu.Unlock()
	return events
}

// yield gives the processor up for a moment, now and then.
func (l *loop) yield() {
	if l.now.Sub(l.yielded) > yieldEvery {
		l.yielded = l.now
		runtime.Gosched()
	}
}

// timeout is until the next deadline, below 0 without one.
func (l *loop) timeout() time.Duration {
	if len(l.timed) == 0 {
		return -1
	}
	least := time.Hour
	now := time.Now()
	for c := range l.timed {
		least = min(least, c.deadline.Sub(now))
	}
	return max(time.Millisecond, least)
}
