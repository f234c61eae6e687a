package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"pgveil/catalog"
	"pgveil/config"
	"pgveil/proxy"
)

// connectTimeout bounds a connection of check and explain.
const connectTimeout = 15 * time.Second

// connect opens a connection of the catalog account.
func connect(ctx context.Context, cfg *config.Config, database string) (*pgx.Conn, error) {
	pc, err := proxy.CatalogConfig(cfg, database)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, pc)
	if err != nil {
		return nil, fmt.Errorf("connect to database %q as the catalog account: %w", database, err)
	}
	return conn, nil
}

// databases lists the databases that clients can use: those that allow connections, templates
// left out. named, when not empty, is the only one.
func databases(ctx context.Context, cfg *config.Config, named string) ([]string, error) {
	if named != "" {
		return []string{named}, nil
	}
	if env := os.Getenv("PGDATABASE"); env != "" {
		return []string{env}, nil
	}
	var conn *pgx.Conn
	var err error
	for _, maintenance := range []string{"postgres", cfg.Catalog.User, "template1"} {
		if conn, err = connect(ctx, cfg, maintenance); err == nil {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT datname FROM pg_catalog.pg_database
		WHERE datallowconn AND NOT datistemplate AND pg_catalog.has_database_privilege(oid, 'CONNECT')
		ORDER BY datname OPERATOR(pg_catalog.=) 'postgres', datname`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// oneDatabase picks the database that a statement is about: the named one, or the only one
// besides postgres.
func oneDatabase(ctx context.Context, cfg *config.Config, named string) (string, error) {
	all, err := databases(ctx, cfg, named)
	if err != nil {
		return "", err
	}
	others := slices.DeleteFunc(slices.Clone(all), func(s string) bool { return s == "postgres" })
	switch {
	case len(all) == 1:
		return all[0], nil
	case len(others) == 1:
		return others[0], nil
	case len(others) == 0:
		return "", fmt.Errorf("no database to connect to")
	}
	return "", fmt.Errorf("say which database with --database: %s", strings.Join(others, ", "))
}

// load reads the catalog of one database.
func load(ctx context.Context, cfg *config.Config, database string) (*catalog.Snapshot, error) {
	conn, err := connect(ctx, cfg, database)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	return catalog.Load(ctx, conn)
}
