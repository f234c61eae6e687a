package masking

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestExtensionForms holds redact's values of types that no server of the tests has. PostGIS 3.6.2 and pgvector 0.8.0 took these
// in columns of the type, in text and binary, and wrote them so.
func TestExtensionForms(t *testing.T) {
	for _, c := range []struct {
		extension, name string
		mod             int32
		text, binary    string // "" for NULL
	}{
		{"vector", "vector", -1, "[0]", "0001000000000000"},
		{"vector", "vector", 3, "[0,0,0]", "00030000000000000000000000000000"},
		{"vector", "vector", maxVector + 1, "", ""},
		{"vector", "halfvec", 3, "[0,0,0]", "00030000000000000000"},
		{"vector", "sparsevec", 5, "{}/5", "000000050000000000000000"},
		{"vector", "sparsevec", maxSparse + 1, "", ""},
		{"postgis", "geometry", -1, "0101000000000000000000F87F000000000000F87F", "0101000000000000000000f87f000000000000f87f"},
		{"postgis", "geometry", 4326<<8 | 1<<2, "0101000020E6100000000000000000F87F000000000000F87F", "0101000020e6100000000000000000f87f000000000000f87f"},
		{"postgis", "geometry", 4326<<8 | 1<<2 | 2, "01010000A0E6100000000000000000F87F000000000000F87F000000000000F87F", "01010000a0e6100000000000000000f87f000000000000f87f000000000000f87f"},
		{"postgis", "geometry", 3<<2 | 3, "01030000C000000000", "01030000c000000000"},                        // PolygonZM
		{"postgis", "geometry", 3857<<8 | 14<<2, "0111000020110F000000000000", "0111000020110f000000000000"}, // Triangle is 17 in EWKB
		{"postgis", "geometry", 16 << 2, "", ""},           // no such type
		{"postgis", "geometry", 0x10000000 | 1<<2, "", ""}, // a negative reference system
		{"postgis", "geography", -1, "0101000020E6100000000000000000F87F000000000000F87F", "0101000020e6100000000000000000f87f000000000000f87f"},
		{"", "geometry", -1, "", ""},      // of no extension
		{"geo", "geometry", -1, "", ""},   // of another one
		{"postgis", "raster", -1, "", ""}, // not known
	} {
		typ := Type{OID: firstUserOID, Kind: 'b', Name: c.name, Extension: c.extension, Mod: c.mod}
		text, ok := compile(t, typ, textFormat, Spec{Method: Redact}, Session{}).MaskCell(nil, []byte("x"))
		if string(text) != c.text || ok != (c.text != "") {
			t.Errorf("%s.%s(%d): %s, %v, want %s", c.extension, c.name, c.mod, text, ok, c.text)
		}
		binary, _ := compile(t, typ, binaryFormat, Spec{Method: Redact}, Session{}).MaskCell(nil, []byte("x"))
		if hex.EncodeToString(binary) != c.binary {
			t.Errorf("%s.%s(%d): %x, want %s", c.extension, c.name, c.mod, binary, c.binary)
		}
	}
}

// TestDatabaseWithoutEncoding: under SQL_ASCII a server gives bytes that may be no UTF-8. Nothing of such a value shows to a client that did not name an encoding of one byte.
func TestDatabaseWithoutEncoding(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	dir := startServer(t)
	connect(ctx, t, dir, "CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
	for _, encoding := range []string{"SQL_ASCII", "LATIN1"} {
		conn, err := pgconn.Connect(ctx, "host="+dir+" user=postgres database=bytes sslmode=disable client_encoding="+encoding)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(ctx)
		result := conn.ExecParams(ctx, `SELECT convert_from('\x4d6172ed61204cf370657a', 'SQL_ASCII'), 'Maria Lopez'`, nil, nil, nil, nil).Read()
		if result.Err != nil {
			t.Fatal(result.Err)
		}
		session := Session{ClientEncoding: conn.ParameterStatus("client_encoding")}
		for i, want := range []string{"***", "*********ez"} {
			if encoding == "LATIN1" && i == 0 {
				want = "*********ez" // one byte is one character there
			}
			got, _ := compile(t, base(oidText), textFormat, partial(0, 2), session).MaskCell(nil, result.Rows[0][i])
			if string(got) != want {
				t.Errorf("%s, reported as %q: %q, want %q", encoding, session.ClientEncoding, got, want)
			}
		}
	}
}
