# psycopg 3: the extended protocol, prepared statements, binary results, COPY, and libpq's pipeline mode.
import threading

import psycopg

c = psycopg.connect("application_name=psycopg3", prepare_threshold=1)
k = c.cursor()


def one(sql, *args):
    return k.execute(sql, args).fetchone()


def state(sql, *args):
    try:
        k.execute(sql, args)
        return "none"
    except psycopg.Error as e:
        return e.sqlstate
    finally:
        c.rollback()


print("user", one("SELECT current_user")[0])
for binary in (False, True, True):
    b = c.cursor(binary=binary)
    rows = b.execute("SELECT id, secret, shown FROM people WHERE id > %s ORDER BY id", (0,)).fetchall()
print("rows", len(rows))
print("first", *rows[0], sep="|")
with c.cursor("server_side") as s:
    s.itersize = 7
    s.execute("SELECT id, secret FROM people")
    print("cursor", sum(1 for _ in s))
with k.copy("COPY people (id, secret) TO STDOUT") as copy:
    rows = list(copy.rows())
print("copy out", len(rows), "|".join(rows[0]))
with k.copy("COPY arrivals FROM STDIN") as copy:
    for r in ((1, "a"), (2, "b"), (3, "c")):
        copy.write_row(r)
print("copy in", one("SELECT count(*) FROM arrivals")[0])
c.rollback()
print("rolled back", one("SELECT count(*) FROM arrivals")[0])
c.rollback()
with c.pipeline():
    several = [c.execute("SELECT id, secret FROM people WHERE id = %s", (1 + i % 100,)) for i in range(300)]
print("pipeline", sum(len(s.fetchall()) for s in several))
try:
    with c.pipeline():
        k.execute("SELECT 1/0")
        k.execute("SELECT 1")
except psycopg.Error as e:
    print("pipeline error", e.sqlstate)
c.rollback()
for sql in ("SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO people (id) VALUES (1)"):
    print("error", state(sql))

ended = threading.Event()


def cancel():
    while not ended.wait(0.3):
        c.cancel()


t = threading.Thread(target=cancel)
t.start()
print("cancel", state("SELECT pg_sleep(%s)", 60))
ended.set()
t.join()
print("bye", one("SELECT 1")[0])
