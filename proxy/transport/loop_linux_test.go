package transport

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"pgveil/proxy/session"
	"pgveil/wire"
)

// One turn of the loop reads one buffer of a large result, and deals with every other session.
func TestTurnIsFair(t *testing.T) {
	for _, poller := range pollers() {
		for _, tls := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%v", poller, tls), func(t *testing.T) { testTurnIsFair(t, poller, tls) })
		}
	}
}

func testTurnIsFair(t *testing.T, poller string, tls bool) {
	var fromServer int
	l, open := loopOfTest(t, poller, tls, &Deps{Audit: &sink{}, Traffic: func(_, n int) { fromServer += n }})
	large, small := open(), open()
	large.send(large.client, query)
	turnUntil(t, l, func() bool { return !large.carried.(*polled).s.Idle() && len(l.sending) == 0 })
	large.expect(large.server, query)
	rows := bytes.Repeat(wire.AppendDataRow(nil, bytes.Repeat([]byte("x"), 1000)), 5000)
	go large.server.Write(rows)
	got := make([]byte, 64<<10)
	turnUntil(t, l, func() bool { return fromServer > 0 })
	if _, err := large.client.Read(got); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond) // the sockets fill
	small.send(small.client, query)
	time.Sleep(50 * time.Millisecond)
	before := fromServer
	l.turn()
	if n := fromServer - before; n == 0 || n > readSize+maxRecord {
		t.Errorf("%d bytes of the large result in one turn", n)
	}
	turnUntil(t, l, func() bool { return len(l.sending) == 0 })
	small.expect(small.server, query)
	large.carried.Cut()
	small.carried.Cut()
	turnUntil(t, l, func() bool { return len(large.result)+len(small.result) == 2 })
}

// loopOfTest returns a loop that the test turns, and what opens a session on it.
func loopOfTest(t *testing.T, poller string, tls bool, deps *Deps) (*loop, func() *stage) {
	t.Helper()
	l, err := newLoop(poller)
	if err != nil {
		t.Fatal(err)
	}
	return l, func() *stage {
		st := &stage{t: t, result: make(chan error, 1)}
		nearClient, client := pair(t)
		nearServer, server := pair(t)
		st.client, st.server = client, server
		if tls {
			nearClient, st.client = overTLS(t, nearClient, client)
			st.server, nearServer = overTLS(t, server, nearServer)
		}
		st.carried = l.carry(nearClient, nearServer, session.New(session.Config{Judge: judge{}, Clear: true}), deps, st.done)
		if st.carried == nil {
			t.Fatal("not carried by the loop")
		}
		return st
	}
}

func turnUntil(t *testing.T, l *loop, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); !done(); {
		if time.Now().After(limit) {
			t.Fatal("it never came about")
		}
		l.post(post{to: &polled{state: closed}}) // so that a turn does not wait
		l.turn()
	}
}
