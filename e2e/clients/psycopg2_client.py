# psycopg2: libpq's simple protocol, with COPY streams and server-side cursors.
import io
import threading

import psycopg2

c = psycopg2.connect("application_name=psycopg2")
k = c.cursor()


def one(sql, *args):
    k.execute(sql, args)
    return k.fetchone()


def state(sql):
    try:
        k.execute(sql)
        return "none"
    except psycopg2.Error as e:
        return e.pgcode
    finally:
        c.rollback()


print("user", one("SELECT current_user")[0])
k.execute("SELECT id, secret, shown FROM people WHERE id > %s ORDER BY id", (0,))
rows = k.fetchall()
print("rows", len(rows))
print("first", *rows[0], sep="|")
with c.cursor("server_side") as s:
    s.itersize = 7
    s.execute("SELECT id, secret FROM people")
    print("cursor", sum(1 for _ in s))
out = io.StringIO()
k.copy_expert("COPY people (id, secret) TO STDOUT", out)
lines = out.getvalue().splitlines()
print("copy out", len(lines), lines[0].replace("\t", "|"))
k.copy_expert("COPY arrivals FROM STDIN", io.StringIO("1\ta\n2\tb\n3\tc\n"))
print("copy in", one("SELECT count(*) FROM arrivals")[0])
c.rollback()
print("rolled back", one("SELECT count(*) FROM arrivals")[0])
c.rollback()
for sql in ("SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO people (id) VALUES (1)"):
    print("error", state(sql))

ended = threading.Event()


def cancel():
    while not ended.wait(0.3):
        c.cancel()


t = threading.Thread(target=cancel)
t.start()
print("cancel", state("SELECT pg_sleep(60)"))
ended.set()
t.join()
print("bye", one("SELECT 1")[0])
