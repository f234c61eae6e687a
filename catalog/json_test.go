package catalog

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// small is a snapshot that holds each kind of object once.
const small = `{"database":"d","server_version":150018,"login_triggers":true,
"schemas":[{"oid":11,"name":"pg_catalog","usage":[0]},{"oid":20,"name":"s"}],
"roles":[{"oid":10,"name":"a","member_of":[12]},{"oid":12,"name":"b"}],
"settings":[{"role":10,"name":"search_path","value":"s"}],
"relations":[{"oid":100,"schema":"s","name":"t","kind":"r","row_type":0,"columns":[{"num":1,"name":"c","type":23},{"num":3,"name":"d","type":50}],"primary_key":[1]},
 {"oid":101,"schema":"s","name":"u","kind":"r","row_type":0,"columns":[],"parents":[100]}],
"types":[{"oid":23,"schema":"pg_catalog","name":"int4","kind":"b","category":"N","array":1007},
 {"oid":1007,"schema":"pg_catalog","name":"_int4","kind":"b","category":"A","elem":23},
 {"oid":50,"schema":"s","name":"dom","kind":"d","category":"N","base":23}],
"functions":[{"oid":30,"schema":"pg_catalog","name":"int4pl","kind":"f","args":[23,23],"result":23,"volatility":"i","language":"internal"}],
"operators":[{"oid":40,"schema":"pg_catalog","name":"+","left":23,"right":23,"result":23,"function":30}],
"casts":[{"source":50,"target":23,"context":"i","method":"b"}]}`

func TestReadJSON(t *testing.T) {
	s, err := ReadJSON(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	if !s.LoginTriggers || s.RelationByName("s", "t").Children[0] != 101 || s.BaseType(50).Name != "int4" || !s.MemberOf("a", "b") || s.CastBetween(50, 23) == nil {
		t.Error("the index is not built")
	}
}

// TestReadJSONRefuses changes one thing in a good snapshot.
func TestReadJSONRefuses(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`"server_version":150018`, `"server_version":120000`, "server version"},
		{`"server_version":150018`, `"server_version":150018,"more":1`, "unknown field"},
		{`{"database":"d"`, `{"database":""`, "database"},
		{`"casts":[`, `"casts":[null,`, "missing"},
		{`"relations":[`, `"relations":[null,`, "missing"},
		{`"types":[`, `"types":[{},`, "missing"},
		{`"functions":[`, `"functions":[null,`, "missing"},
		{`"operators":[`, `"operators":[null,`, "missing"},
		{`"name":"s"`, `"name":"s\u0000"`, "UTF-8"},
		{`"name":"s"`, `"name":"` + strings.Repeat("n", 2000) + `"`, "bytes"},
		{`{"oid":20,"name":"s"}`, `{"oid":11,"name":"s"}`, "twice"},
		{`{"oid":101`, `{"oid":100`, "twice"},
		{`"name":"u"`, `"name":"t"`, "twice"},
		{`"schema":"s","name":"u"`, `"schema":"x","name":"u"`, "schema"},
		{`"kind":"r"`, `"kind":"x"`, "kind"},
		{`"kind":"r"`, `"kind":"rr"`, "character"},
		{`"num":3`, `"num":1`, "out of order"},
		{`"num":1,"name":"c"`, `"num":0,"name":"c"`, "out of order"},
		{`"name":"d","type":50`, `"name":"c","type":50`, "twice"},
		{`"name":"d","type":50`, `"name":"d","type":51`, "unknown"},
		{`"primary_key":[1]`, `"primary_key":[2]`, "primary key"},
		{`"parents":[100]`, `"parents":[102]`, "parent"},
		{`"parents":[100]`, `"parents":[100,100]`, "twice"},
		{`"parents":[100]`, `"parents":[101]`, "ancestor"},
		{`"primary_key":[1]`, `"parents":[101]`, "ancestor"},
		{`"base":23`, `"base":50`, "made of itself"},
		{`"base":23`, `"base":0`, "base type"},
		{`"elem":23`, `"elem":1007`, "made of itself"},
		{`"array":1007`, `"array":1007,"elem":1007`, "made of itself"},
		{`"array":1007`, `"array":1`, "unknown"},
		{`"args":[23,23]`, `"args":[23,0]`, "unknown"},
		{`"args":[23,23]`, `"args":[23,23],"arg_modes":"x"`, "modes"},
		{`"args":[23,23]`, `"args":[23,23],"arg_modes":"ix"`, "mode"},
		{`"args":[23,23]`, `"args":[23,23],"arg_names":["a","b","c"]`, "names"},
		{`"args":[23,23]`, `"args":[23,23],"defaults":3`, "defaults"},
		{`"args":[23,23]`, `"args":[23,23],"defaults":-1`, "defaults"},
		{`"args":[23,23]`, `"args":[` + strings.Repeat("23,", 2000) + `23]`, "arguments"},
		{`"volatility":"i"`, `"volatility":"x"`, "volatility"},
		{`"function":30`, `"function":31`, "function"},
		{`"method":"b"`, `"method":"f"`, "method"},
		{`"method":"b"`, `"method":"x"`, "method"},
		{`"context":"i"`, `"context":"x"`, "context"},
		{`"member_of":[12]`, `"member_of":[13]`, "group"},
		{`"name":"b"`, `"name":"a"`, "twice"},
		{`"name":"search_path"`, `"name":""`, "name"},
		{`"method":"b"}]}`, `"method":"b"}]} {}`, "after the end"},
		{`"method":"b"}]}`, `"method":"b"}]`, "unexpected EOF"},
		{`"method":"b"}]}`, `"method":"b"},{"source":50,"target":23,"context":"i","method":"b"}]}`, "twice"},
	} {
		text := strings.Replace(small, c.old, c.new, 1)
		if text == small {
			t.Fatalf("%s is not in the snapshot", c.old)
		}
		if _, err := ReadJSON(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.new[:min(len(c.new), 80)], err, c.want)
		}
	}
}

// TestLongChains has what would overflow a recursive walk's stack or take
// quadratic time.
func TestLongChains(t *testing.T) {
	const n = 200_000
	var b bytes.Buffer
	b.WriteString(`{"database":"d","server_version":150000,"schemas":[{"oid":11,"name":"s"}],"types":[{"oid":1,"schema":"s","name":"t1","kind":"b","category":"N","user_io":true}`)
	enc := json.NewEncoder(&b)
	for i := 2; i <= n; i++ {
		b.WriteByte(',')
		x := typeJSON{&Type{OID: OID(i), Schema: "s", Name: "t" + string(rune('0'+i%10)) + strings.Repeat("x", i%3) + jsonNumber(i), Base: OID(i - 1)}, 'd', 'N'}
		if err := enc.Encode(x); err != nil {
			t.Fatal(err)
		}
	}
	b.WriteString(`]}`)
	s, err := ReadJSON(&b)
	if err != nil {
		t.Fatal(err)
	}
	if s.BaseType(n).OID != 1 || !s.CustomIO(n) {
		t.Error("the chain is not followed to its end")
	}
}

func jsonNumber(i int) string { b, _ := json.Marshal(i); return string(b) }

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(`{}`))
	f.Add([]byte(strings.Replace(small, `"parents":[100]`, `"parents":[101]`, 1)))
	f.Add([]byte(strings.Replace(small, `"base":23`, `"base":50`, 1)))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := ReadJSON(bytes.NewReader(text))
		if err != nil {
			return
		}
		// What was accepted can be walked, and says the same after a second trip.
		var first, second bytes.Buffer
		if err := s.WriteJSON(&first); err != nil {
			t.Fatal(err)
		}
		again, err := ReadJSON(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.WriteJSON(&second); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatal("changed on its way")
		}
		for _, x := range s.Functions {
			s.Behaviour(x)
		}
		for _, a := range s.Types {
			s.BaseType(a.OID)
			for _, b := range s.Types {
				s.CastFaults(a, b)
			}
		}
		for _, a := range s.Roles {
			for _, b := range s.Roles {
				s.MemberOf(a.Name, b.Name)
			}
		}
	})
}
