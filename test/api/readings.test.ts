import { request } from 'node:http'
import { test } from 'tap'
import { startApi } from '../support/api-server.ts'
import { until } from '../support/until.ts'

test('the last value of each device and name is there, with seq, unit and time', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('sensors/greenhouse/temperature', '21.4')
  await publish('sensors/greenhouse', '{"temperature":21.5,"humidity":60}')
  await publish('temperature', '25°C')
  const response = await fetch(`${url}/api/v1/readings`)
  t.equal(response.status, 200)
  t.match(response.headers.get('content-type'), /^application\/json/)
  const body = await response.json()
  t.equal(body.seq, 3)
  t.match(body.readings, [
    { seq: 2, device: 'sensors/greenhouse', name: 'temperature', value: 21.5 },
    { seq: 2, device: 'sensors/greenhouse', name: 'humidity', value: 60 },
    { seq: 3, device: 'broker', name: 'temperature', value: 25, unit: 'Cel' },
  ])
  t.match(body.readings[0].time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
})

test('device filters and names select; an invalid filter is refused by name', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('summer house', '{"temperature":20}')
  for (const device of ['house/attic', 'house/cellar', 'garden/pond'])
    await publish(device, '{"temperature":20,"humidity":50}')
  const devices = async (query: string) => {
    const { readings } = await (await fetch(`${url}/api/v1/readings?${query}`)).json()
    return readings.map((reading: { device: string; name: string }) => `${reading.device}:${reading.name}`)
  }
  t.same(await devices('device=house/%2B&name=humidity'), ['house/attic:humidity', 'house/cellar:humidity'])
  for (const query of ['device=house/+&name=humidity', 'device=+/attic&name=humidity&device=+%2Fcellar'])
    t.same(await devices(query), ['house/attic:humidity', 'house/cellar:humidity'], query)
  t.same(await devices('device=garden/pond&name=temperature'), ['garden/pond:temperature'])
  t.same(await devices('device=garden/%23&device=house/attic&name=temperature'), [
    'house/attic:temperature',
    'garden/pond:temperature',
  ])
  t.same(await devices('device=nowhere/%23'), [])
  t.same(await devices(String(new URLSearchParams({ device: 'summer house' }))), ['summer house:temperature'])
  const refused = await fetch(`${url}/api/v1/readings?device=a%23b`)
  t.equal(refused.status, 400)
  t.match(refused.headers.get('content-type'), /^application\/problem\+json/)
  t.match(await refused.json(), { status: 400, code: 'TG_FILTER_INVALID', detail: /a#b/, title: String, type: String })
})

test('polling with an entity tag costs no body until something that matches changes', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('house/attic/temperature', '20')
  const first = await fetch(`${url}/api/v1/readings?device=house/%23`)
  const etag = first.headers.get('etag') ?? ''
  t.match(etag, /^"[\w-]+"$/)
  await first.json()
  const poll = (tag: string, method = 'GET') =>
    fetch(`${url}/api/v1/readings?device=house/%23`, { method, headers: { 'if-none-match': tag } })

  await publish('garden/pond/temperature', '12') // of no concern to the filter
  for (const tag of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const same = await poll(tag)
    t.equal(same.status, 304, tag)
    t.equal(same.headers.get('etag'), etag)
    t.equal(await same.text(), '')
  }
  t.equal((await poll('"other"')).status, 200)

  const head = await poll('"other"', 'HEAD')
  t.equal(head.status, 200)
  t.equal(head.headers.get('etag'), etag)
  t.ok(Number(head.headers.get('content-length')) > 20)
  t.equal(await head.text(), '')
  const unchanged = await poll(etag, 'HEAD')
  t.equal(unchanged.status, 304)
  t.equal(unchanged.headers.get('content-length'), null, 'it would be that of the whole answer')
  const nothing = await fetch(`${url}/api/v1/readings?after=2`, { method: 'HEAD' })
  t.equal(nothing.status, 204)
  t.equal(nothing.headers.get('content-length'), null)

  await publish('house/attic/temperature', '21')
  const changed = await poll(etag)
  t.equal(changed.status, 200)
  t.not(changed.headers.get('etag'), etag)
  t.match(await changed.json(), { seq: 3, readings: [{ value: 21 }] })
})

test('what is newer than a seq comes in order and page by page', async (t) => {
  const { publish, url } = await startApi(t)
  for (let value = 1; value <= 25; value++) await publish('a/x', String(value))
  const values: number[] = []
  let after = 3
  for (;;) {
    const response = await fetch(`${url}/api/v1/readings?after=${after}&limit=10`)
    if (response.status === 204) break
    const { seq, readings } = await response.json()
    values.push(...readings.map((reading: { value: number }) => reading.value))
    after = seq
  }
  t.equal(after, 25)
  t.same(
    values,
    Array.from({ length: 22 }, (_, index) => index + 4),
  )
})

test('a long poll answers as soon as something newer matches', async (t) => {
  const { live, publish, url } = await startApi(t)
  await publish('house/attic/temperature', '20')
  const waiting = fetch(`${url}/api/v1/readings?after=1&wait=30s&device=house/%23`)
  await until('the request waits', () => live.hub.subscriberCount === 1)
  await publish('garden/pond/temperature', '12')
  await publish('house/attic/temperature', '21')
  const response = await waiting
  t.equal(response.status, 200)
  const body = await response.json()
  t.match(body.readings, [{ seq: 3, value: 21 }])
  t.equal(body.readings.length, 1)
  t.ok(body.seq >= 3)
  t.equal(live.hub.subscriberCount, 0)
})

test('a long poll answers 204 after the wait, and says where the log is', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('a/x', '1')
  const startedMs = performance.now()
  const response = await fetch(`${url}/api/v1/readings?after=1&wait=120ms`)
  t.equal(response.status, 204)
  t.equal(await response.text(), '')
  t.equal(response.headers.get('tidegate-seq'), '1')
  t.ok(performance.now() - startedMs >= 110)
  t.equal((await fetch(`${url}/api/v1/readings?after=1`)).status, 204)
})

test('a long poll whose client went away leaves nothing behind', async (t) => {
  const { live, url } = await startApi(t)
  const clients = Array.from({ length: 200 }, () => {
    const client = request(`${url}/api/v1/readings?after=0&wait=60s`)
    client.on('error', () => undefined)
    client.end()
    return client
  })
  await until('all requests wait', () => live.hub.subscriberCount === 200)
  for (const client of clients) client.destroy()
  await until('all are gone', () => live.hub.subscriberCount === 0)
  t.pass()
})

test('waiting requests are limited', async (t) => {
  const { live, url } = await startApi(t, { api: { limits: { longPolls: 1 } } })
  const abort = new AbortController()
  const first = fetch(`${url}/api/v1/readings?after=0&wait=60s`, { signal: abort.signal }).catch(() => undefined)
  await until('the first waits', () => live.hub.subscriberCount === 1)
  const second = await fetch(`${url}/api/v1/readings?after=0&wait=60s`)
  t.equal(second.status, 429)
  t.match(await second.json(), { code: 'TG_TOO_MANY' })
  abort.abort()
  await first
})

test('a hole that retention left is said', async (t) => {
  const { log, publish, url } = await startApi(t, { windowLimits: { readings: 2, bytes: 10_000 } })
  for (let value = 1; value <= 10; value++) await publish('a/x', String(value))
  log.forget(5)
  const body = await (await fetch(`${url}/api/v1/readings?after=2`)).json()
  t.same(body.gaps, [{ from: 3, to: 5, reason: 'retention' }])
  t.same(
    body.readings.map((reading: { seq: number }) => reading.seq),
    [6, 7, 8, 9, 10],
  )
})

test('parameters that make no sense are refused', async (t) => {
  const { url } = await startApi(t)
  for (const query of ['after=-1', 'after=x', 'after=1e3', 'after=1&after=2', 'after=0&wait=5', 'after=0&limit=0']) {
    const response = await fetch(`${url}/api/v1/readings?${query}`)
    t.equal(response.status, 400, query)
    t.match(await response.json(), { code: 'TG_BAD_REQUEST' })
  }
})

test('names that JavaScript knows are names like others', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('__proto__', '{"__proto__":1,"constructor":2,"toString":3}')
  await publish('x', '{"<script>alert(1)</script>":"</script>"}')
  const body = await (await fetch(`${url}/api/v1/readings?device=__proto__`)).json()
  t.same(
    body.readings.map((reading: { name: string }) => reading.name),
    ['__proto__', 'constructor', 'toString'],
  )
  t.equal((await fetch(`${url}/api/v1/devices/__proto__`)).status, 200)
  t.equal((await fetch(`${url}/api/v1/devices/constructor`)).status, 404)
  t.equal((await fetch(`${url}/api/v1/readings?__proto__=1`)).status, 200)
})
