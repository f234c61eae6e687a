# asyncpg: the extended protocol in binary, with its own codecs and type introspection.
import asyncio
import io

import asyncpg


async def main():
    c = await asyncpg.connect()

    async def state(sql):
        try:
            await c.fetch(sql)
            return "none"
        except asyncpg.PostgresError as e:
            return e.sqlstate

    print("user", await c.fetchval("SELECT current_user"))
    p = await c.prepare("SELECT id, secret, shown FROM people WHERE id > $1 ORDER BY id")
    rows = await p.fetch(0)
    print("rows", len(rows))
    print("first", *rows[0], sep="|")
    async with c.transaction():
        n = 0
        async for _ in c.cursor("SELECT id, secret FROM people", prefetch=7):
            n += 1
        print("cursor", n)
    out = io.BytesIO()
    await c.copy_from_query("SELECT id, secret FROM people", output=out)
    lines = out.getvalue().decode().splitlines()
    print("copy out", len(lines), lines[0].replace("\t", "|"))
    t = c.transaction()
    await t.start()
    await c.copy_records_to_table("arrivals", records=[(1, "a"), (2, "b"), (3, "c")])
    print("copy in", await c.fetchval("SELECT count(*) FROM arrivals"))
    await t.rollback()
    print("rolled back", await c.fetchval("SELECT count(*) FROM arrivals"))
    # Types that asyncpg has to ask the catalog for.
    mood, list_ = await c.fetchrow("SELECT 'glad'::mood, ARRAY['sad'::mood]")
    print("types", mood, *list_)
    await c.executemany("UPDATE people SET shown = shown WHERE id = $1", [(i,) for i in range(300)])
    for sql in ("SELECT 1/0", "SELECT * FROM nothing", "INSERT INTO people (id) VALUES (1)"):
        print("error", await state(sql))
    task = asyncio.ensure_future(state("SELECT pg_sleep(60)"))
    await asyncio.sleep(0.5)
    try:
        await c.fetch("SELECT 1")
    except asyncpg.InterfaceError:
        pass  # another operation is in progress
    other = await asyncpg.connect()
    while not await other.fetchval("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND usename = current_user AND state = 'active'"):
        await asyncio.sleep(0.2)
    print("cancel", await task)
    try:
        await c.fetch("SELECT pg_sleep(60)", timeout=0.5)  # sends a CancelRequest
    except asyncio.TimeoutError:
        print("timeout")
    print("bye", await c.fetchval("SELECT 1"))
    await other.close()
    await c.close()


asyncio.run(main())
