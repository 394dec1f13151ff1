// What an Idempotency-Key promises, on a log in memory; across kill -9 of the program: test/e2e/idempotency.test.ts.

import { test } from 'tap'
import { TidegateError } from '../../src/core/errors.ts'
import { startApi } from '../support/api-server.ts'
import { memoryLog } from '../support/memory-log.ts'
import { router } from '../support/profiles.ts'
import { until } from '../support/until.ts'

const reading = (value: unknown) => JSON.stringify({ device: 'a', name: 'b', value })

const post = async (url: string, key: string, body: string, type = 'application/json') => {
  const headers = { 'content-type': type, 'idempotency-key': key }
  const response = await fetch(`${url}/api/v1/readings`, { method: 'POST', headers, body })
  const { seq, code } = await response.json()
  return { status: response.status, seq, code, retryAfter: response.headers.get('retry-after') }
}

test('a request that is sent again with its key is answered as it was, and taken once', async (t) => {
  const { log, url } = await startApi(t)
  t.match(await post(url, '"one"', reading(1)), { status: 201, seq: 1 })
  t.match(await post(url, '"two"', reading(1)), { status: 201, seq: 2 })
  t.match(await post(url, '"one"', reading(1)), { status: 201, seq: 1 })
  t.match(await post(url, 'one', reading(1)), { status: 201, seq: 1 }, 'without quotes it is the same key')
  t.match(await post(url, '"one"', reading(2)), { status: 422, code: 'TG_KEY_REUSED' })
  t.equal(log.entries.length, 2)
})

test('a key that is none is refused', async (t) => {
  const { log, url } = await startApi(t)
  for (const key of ['""', '"open', 'a b', `"${'x'.repeat(256)}"`, 'a"b', 'ä'])
    t.match(await post(url, key, reading(1)), { status: 400, code: 'TG_BAD_REQUEST' }, key.slice(0, 20))
  t.equal(log.entries.length, 0)
})

test('while the first request waits for the log, the same key is told to come again', async (t) => {
  const { log, url } = await startApi(t)
  log.hold()
  const first = post(url, '"k"', reading(1))
  await until('the first is in the log', () => log.entries.length === 1)
  t.match(await Promise.all([post(url, '"k"', reading(1)), post(url, '"k"', reading(1))]), [
    { status: 409, code: 'TG_KEY_PENDING', retryAfter: '5' },
    { status: 409, code: 'TG_KEY_PENDING' },
  ])
  t.match(await post(url, '"k"', reading(2)), { status: 422 })
  log.release()
  t.match(await first, { status: 201, seq: 1 })
  t.match(await post(url, '"k"', reading(1)), { status: 201, seq: 1 })
  t.equal(log.entries.length, 1)
})

test('of many requests with one key at once, one is taken', async (t) => {
  const { log, url } = await startApi(t)
  const answers = await Promise.all(Array.from({ length: 40 }, () => post(url, '"k"', reading(1))))
  t.equal(log.entries.length, 1)
  for (const { status, seq } of answers) t.ok((status === 201 && seq === 1) || status === 409)
  t.ok(answers.some(({ status }) => status === 201))
})

test('what the log did not take is taken when it is sent again', async (t) => {
  const { log, url } = await startApi(t)
  log.fail(new TidegateError('TG_LOG_WRITE', 'no space left on device'))
  t.match(await post(url, '"k"', reading(1)), { status: 503 })
  log.fail(undefined)
  t.match(await post(url, '"k"', reading(1)), { status: 201, seq: 1 })
})

test('keys are found in the log by the next server, for every form', async (t) => {
  const log = memoryLog()
  const bodies: [key: string, body: string, type: string][] = [
    ['"plain"', reading(1), 'application/json'],
    ['"pack"', '[{"n":"a/b","v":1,"t":-5}]', 'application/senml+json'],
    ['"lines"', 'a b=1', 'text/plain'],
    [
      '"event"',
      JSON.stringify({ specversion: '1.0', id: '1', source: 's', type: 't', data: [{ n: 'a/b', v: 1, t: -5 }] }),
      'application/cloudevents+json',
    ],
  ]
  const before = await startApi(t, { log, router })
  for (const [index, [key, body, type]] of bodies.entries())
    t.match(await post(before.url, key, body, type), { status: 201, seq: index + 1 })
  await before.server.close()
  const after = await startApi(t, { log, router })
  for (const [index, [key, body, type]] of bodies.entries())
    t.match(await post(after.url, key, body, type), { status: 201, seq: index + 1 }, key)
  t.match(await post(after.url, '"plain"', reading(2)), { status: 422, code: 'TG_KEY_REUSED' })
  t.match(await post(after.url, '"new"', reading(2)), { status: 201, seq: 5 })
  t.equal(log.entries.length, 5)
})

test('a key is forgotten after a day, and the oldest of more than 10,000', async (t) => {
  let now = 1_000
  const clock = { wallMs: () => 1.7e12 + now, monotonicMs: () => now, bootId: 'b', synced: () => true }
  const { log, url } = await startApi(t, { api: { clock } })
  t.match(await post(url, '"old"', reading(1)), { status: 201, seq: 1 })
  now += 24 * 3_600_000 - 1
  t.match(await post(url, '"old"', reading(1)), { status: 201, seq: 1 })
  now += 2
  t.match(await post(url, '"old"', reading(1)), { status: 201, seq: 2 })
  t.equal(log.entries.length, 2)
})
