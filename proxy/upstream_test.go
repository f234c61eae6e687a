package proxy

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestCatalogConfig: nothing of the environment reaches the catalog account's connections.
func TestCatalogConfig(t *testing.T) {
	c := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{})
	for name, value := range map[string]string{
		"PGHOST": "192.0.2.1", "PGPORT": "1", "PGDATABASE": "other", "PGUSER": "other", "PGPASSWORD": "other",
		"PGSSLMODE": "verify-full", "PGSSLROOTCERT": "/nonexistent", "PGSSLNEGOTIATION": "direct", "PGTARGETSESSIONATTRS": "standby",
		"PGOPTIONS": "-c search_path=public", "PGTZ": "Asia/Tokyo", "PGAPPNAME": "other", "PGCHANNELBINDING": "require",
		"PGREQUIREAUTH": "none", "PGMINPROTOCOLVERSION": "3.2", "PGMAXPROTOCOLVERSION": "3.2", "PGCONNECT_TIMEOUT": "1", "PGSSLSNI": "0",
	} {
		t.Setenv(name, value)
	}
	p, err := CatalogConfig(c, "template1")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.ConnectConfig(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	var got string
	if err := conn.QueryRow(t.Context(), `SELECT pg_catalog.concat_ws(' ', current_user, pg_catalog.current_database(), pg_catalog.current_setting('search_path'),
		pg_catalog.current_setting('application_name'), pg_catalog.current_setting('TimeZone') = 'Asia/Tokyo')`).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := "postgres template1 pg_catalog pgveil f"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestCatalogPasswordStaysSecret: the catalog account's password does not go over the wire in clear text without TLS.
func TestCatalogPasswordStaysSecret(t *testing.T) {
	pg := upstreamServer(t)
	const catalog = "\ncatalog: {user: plain, password: secret}"
	for mode, want := range map[string]bool{"disable": false, "require": true} {
		c := configure(t, filepath.Join(t.TempDir(), "pgveil.yaml"), setup{extra: catalog,
			upstream: fmt.Sprintf("{host: 127.0.0.1, port: %d, sslmode: %s}", pg.Port, mode)})
		p, err := CatalogConfig(c, "postgres")
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.ConnectConfig(t.Context(), p)
		if (err == nil) != want {
			t.Errorf("%s: %v", mode, err)
		}
		if err == nil {
			conn.Close(context.Background())
		}
	}
}
