// node-postgres: the extended protocol in text, and COPY through pg-copy-streams.
const { Client } = require('pg')
const { from, to } = require('pg-copy-streams')
const { pipeline } = require('stream/promises')
const { Readable } = require('stream')

async function main() {
  const c = new Client()
  await c.connect()
  const one = async (sql, args) => Object.values((await c.query(sql, args)).rows[0])[0]
  const state = async (query) => { try { await query; return 'none' } catch (e) { return e.code } }

  console.log('user', await one('SELECT current_user'))
  const named = { name: 'people', text: 'SELECT id, secret, shown FROM people WHERE id > $1 ORDER BY id', values: [0] }
  await c.query(named)
  const { rows } = await c.query(named)
  console.log('rows', rows.length)
  console.log(['first', ...Object.values(rows[0])].join('|'))
  let text = ''
  const out = c.query(to('COPY people (id, secret) TO STDOUT'))
  for await (const chunk of out) text += chunk
  const lines = text.trimEnd().split('\n')
  console.log('copy out', lines.length, lines[0].replace('\t', '|'))
  await c.query('BEGIN')
  await pipeline(Readable.from(['1\ta\n2\tb\n3\tc\n']), c.query(from('COPY arrivals FROM STDIN')))
  console.log('copy in', await one('SELECT count(*) FROM arrivals'))
  await c.query('ROLLBACK')
  console.log('rolled back', await one('SELECT count(*) FROM arrivals'))
  const many = await Promise.all(Array.from({ length: 300 }, (_, i) => c.query('SELECT secret FROM people WHERE id = $1', [1 + i % 100])))
  console.log('queued', many.reduce((n, r) => n + r.rows.length, 0))
  for (const sql of ['SELECT 1/0', 'SELECT * FROM nothing', 'INSERT INTO people (id) VALUES (1)']) {
    console.log('error', await state(c.query(sql)))
  }
  let ended = false
  const slow = state(c.query('SELECT pg_sleep(60)')).then((s) => { ended = true; return s })
  while (!ended) {
    await new Promise((r) => setTimeout(r, 300))
    if (c.activeQuery) new Client().cancel(c, c.activeQuery)
  }
  console.log('cancel', await slow)
  console.log('bye', await one('SELECT 1'))
  await c.end()
}
main().catch((e) => { console.error(e); process.exit(1) })
