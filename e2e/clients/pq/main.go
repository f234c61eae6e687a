// Command pq drives lib/pq: prepared statements in text, COPY FROM, contexts that cancel.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/lib/pq"
)

func main() {
	db, err := sql.Open("postgres", "binary_parameters=yes")
	check(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	ctx := context.Background()
	var user, secret, shown string
	var id, rows int
	check(db.QueryRow("SELECT current_user").Scan(&user))
	fmt.Println("user", user)
	p, err := db.Prepare("SELECT id, secret, shown FROM people WHERE id > $1 ORDER BY id DESC")
	check(err)
	r, err := p.Query(0)
	check(err)
	for r.Next() {
		check(r.Scan(&id, &secret, &shown))
		rows++
	}
	check(r.Err())
	check(p.Close())
	fmt.Printf("rows %d\nfirst|%d|%s|%s\n", rows, id, secret, shown)
	tx, err := db.Begin()
	check(err)
	in, err := tx.Prepare(pq.CopyIn("arrivals", "id", "note"))
	check(err)
	for i, note := range []string{"a", "b", "c"} {
		_, err := in.Exec(i, note)
		check(err)
	}
	_, err = in.Exec()
	check(err)
	check(in.Close())
	check(tx.QueryRow("SELECT count(*) FROM arrivals").Scan(&rows))
	fmt.Println("copy in", rows)
	check(tx.Rollback())
	check(db.QueryRow("SELECT count(*) FROM arrivals").Scan(&rows))
	fmt.Println("rolled back", rows)
	for _, q := range []string{"SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO people (id) VALUES (1)"} {
		_, err := db.Exec(q)
		fmt.Println("error", state(err))
	}
	soon, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err = db.ExecContext(soon, "SELECT pg_sleep(60)")
	fmt.Println("cancel", state(err))
	check(db.QueryRow("SELECT 1").Scan(&rows))
	fmt.Println("bye", rows)
}

func state(err error) string {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return fmt.Sprint(err)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
