import { test } from 'tap'
import { startApi } from '../support/api-server.ts'
import { memoryLog } from '../support/memory-log.ts'

const START = Date.UTC(2026, 10, 20, 10)
const iso = (ms: number) => new Date(ms).toISOString()

/** One message a minute, two devices in turn. */
const filledLog = async (count: number) => {
  let now = START
  const log = memoryLog(() => now)
  for (let index = 0; index < count; index++) {
    now = START + index * 60_000
    await log.deliver({
      topic: `device/${index % 2}`,
      payload: Buffer.from(`{"value":${index},"state":"on"}`),
      source: 'broker',
      qos: 1,
      retain: false,
    })
  }
  return log
}

test('history is read oldest first, between two times, page by page', async (t) => {
  const { url } = await startApi(t, { log: await filledLog(200) })
  const values: number[] = []
  const query = new URLSearchParams({
    device: 'device/1',
    name: 'value',
    from: iso(START + 50 * 60_000),
    to: iso(START + 150 * 60_000),
    limit: '20',
  })
  let pages = 0
  for (let next: number | undefined = 0; next !== undefined; pages++) {
    query.set('after', String(next))
    const response = await fetch(`${url}/api/v1/history?${query}`)
    t.equal(response.status, 200)
    const body = await response.json()
    values.push(...body.readings.map(({ value }: { value: number }) => value))
    next = body.next
  }
  t.same(
    values,
    Array.from({ length: 50 }, (_, index) => 51 + 2 * index),
  )
  t.ok(pages >= 3 && pages <= 4)
})

test('history without limits is everything; a hole is said', async (t) => {
  const log = await filledLog(10)
  const { url } = await startApi(t, { log })
  const all = await (await fetch(`${url}/api/v1/history`)).json()
  t.equal(all.readings.length, 20)
  t.notOk('next' in all)
  log.forget(4)
  const rest = await (await fetch(`${url}/api/v1/history?name=value`)).json()
  t.same(rest.gaps, [{ from: 1, to: 4, reason: 'retention' }])
  t.equal(rest.readings.length, 6)
  const zoned = await (await fetch(`${url}/api/v1/history?name=value&from=2026-11-20T11:08:00+01:00`)).json()
  t.equal(zoned.readings.length, 2)
  const nothing = await (await fetch(`${url}/api/v1/history?device=other`)).json()
  t.same(nothing.readings, [])
  t.notOk('next' in nothing)
})

test('with every there are minimum, mean and maximum of each step', async (t) => {
  const { url } = await startApi(t, { log: await filledLog(120) })
  const body = await (await fetch(`${url}/api/v1/history?device=device/0&every=1h`)).json()
  t.same(body.readings, [
    { device: 'device/0', name: 'value', time: iso(START), min: 0, mean: 29, max: 58, count: 30 },
    { device: 'device/0', name: 'value', time: iso(START + 3_600_000), min: 60, mean: 89, max: 118, count: 30 },
  ])
})

test('times and durations that make no sense are refused', async (t) => {
  const { url } = await startApi(t)
  for (const query of ['from=yesterday', 'to=2026-13-01', 'every=5', 'every=1y', 'limit=x', 'device=%23a'])
    t.equal((await fetch(`${url}/api/v1/history?${query}`)).status, 400, query)
})

test('a device that only the payload names is found like any other', async (t) => {
  const { url, publish } = await startApi(t)
  await publish('packs/one', '[{"bn":"urn:dev:7:","n":"t","v":1}]')
  await publish('packs/two', ' \n[{"bn":"urn:dev:7:","n":"t","v":2}]')
  await publish('packs/three', '{"t":3}')
  const { readings } = await (await fetch(`${url}/api/v1/history?device=urn:dev:7`)).json()
  t.same(
    readings.map(({ value }: { value: number }) => value),
    [1, 2],
  )
})

test('holes from before and after the time that was asked for are not told', async (t) => {
  const log = await filledLog(100)
  log.forget(10)
  const { url } = await startApi(t, { log })
  const gaps = async (from: number, to: number) => {
    const query = new URLSearchParams({ from: iso(START + from * 60_000), to: iso(START + to * 60_000) })
    return (await (await fetch(`${url}/api/v1/history?${query}`)).json()).gaps
  }
  t.same(await gaps(0, 60), [{ from: 1, to: 10, reason: 'retention' }])
  t.same(await gaps(5, 9), [{ from: 1, to: 10, reason: 'retention' }])
  t.equal(await gaps(50, 60), undefined)
})
