package proxy

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// BenchmarkLogin compares a login through the proxy, lookup and upstream login
// included, with one to the server: connect, log in, leave.
func BenchmarkLogin(b *testing.B) {
	p := start(b, setup{})
	for _, c := range []struct {
		name string
		port int
	}{{"proxy", p.port}, {"direct", upstreamServer(b).Port}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			dsn := fmt.Sprintf("host=127.0.0.1 port=%d user=alice password=wonderland dbname=postgres sslmode=disable", c.port)
			for b.Loop() {
				conn, err := pgconn.Connect(context.Background(), dsn)
				if err != nil {
					b.Fatal(err)
				}
				conn.Close(context.Background())
			}
		})
	}
}
