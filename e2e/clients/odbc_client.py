# psqlODBC through pyodbc: its catalog functions are what Excel, Power BI and Tableau ask.
import os
import threading

import pyodbc

c = pyodbc.connect(
    "Driver={PostgreSQL Unicode};Server=%(PGHOST)s;Port=%(PGPORT)s;Database=%(PGDATABASE)s;UID=%(PGUSER)s;PWD=%(PGPASSWORD)s;SSLmode=disable" % os.environ,
    autocommit=False)
k = c.cursor()


def one(sql):
    return k.execute(sql).fetchone()[0]


def state(sql):
    try:
        k.execute(sql)
        return "none"
    except pyodbc.Error as e:
        return e.args[0]
    finally:
        c.rollback()


print("user", one("SELECT current_user"))
rows = k.execute("SELECT id, secret, shown FROM people WHERE id > ? ORDER BY id", 0).fetchall()
print("rows", len(rows))
print("first", *rows[0], sep="|")
k.execute("INSERT INTO arrivals VALUES (?, ?)", 1, "a")
c.rollback()
print("rolled back", one("SELECT count(*) FROM arrivals"))
for sql in ("SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO people (id) VALUES (1)"):
    print("error", state(sql))
for ask in (
    k.tables, lambda: k.columns("people", schema="public"), lambda: k.primaryKeys("people", schema="public"), lambda: k.statistics("people", schema="public"),
    lambda: k.foreignKeys(table="people", schema="public"), lambda: k.procedures(), lambda: k.getTypeInfo(), lambda: k.rowIdColumns("people"),
    lambda: k.rowVerColumns("people"),
):
    ask().fetchall()
print("metadata", len(k.columns("people", schema="public").fetchall()), "columns")
c.rollback()
ended = threading.Event()


def cancel():
    while not ended.wait(0.3):
        k.cancel()


t = threading.Thread(target=cancel)
t.start()
print("cancel", state("SELECT pg_sleep(60)"))
ended.set()
t.join()
print("bye", one("SELECT 1"))
