package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// evidence writes what pgveil and the server are at to a file that stays, and returns its name.
func (s *stage) evidence() string {
	f, err := os.CreateTemp("", "pgveil-soak-*.txt")
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	fmt.Fprintf(f, "pgveil's goroutines\n\n")
	client := http.Client{Timeout: 30 * time.Second}
	if r, err := client.Get(fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/goroutine?debug=2", s.monitor)); err != nil {
		fmt.Fprintln(f, err)
	} else {
		io.Copy(f, r.Body)
		r.Body.Close()
	}
	fmt.Fprintf(f, "\nthe server's sessions\n\n")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if conn, err := s.server.Connect(ctx, database); err != nil {
		fmt.Fprintln(f, err)
	} else {
		defer conn.Close(ctx)
		rows, err := conn.PgConn().Exec(ctx, `SELECT pid, usename, client_port, state, wait_event_type, wait_event, now() - state_change, pg_blocking_pids(pid), left(query, 80) FROM pg_stat_activity
			WHERE datname = '`+database+`' ORDER BY state_change`).ReadAll()
		if err != nil {
			fmt.Fprintln(f, err)
		}
		for _, r := range rows {
			for _, row := range r.Rows {
				fmt.Fprintf(f, "%s\n", row)
			}
		}
	}
	fmt.Fprintf(f, "\npgveil's log\n\n%s", s.log)
	return f.Name()
}
