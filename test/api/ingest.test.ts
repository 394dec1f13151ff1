import { test } from 'tap'
import { TidegateError } from '../../src/core/errors.ts'
import { startApi } from '../support/api-server.ts'

const post = (url: string, body: unknown, type = 'application/json') =>
  fetch(`${url}/api/v1/readings`, {
    method: 'POST',
    headers: { 'content-type': type },
    body: typeof body === 'string' || body instanceof Blob ? body : JSON.stringify(body),
  })

test('posted readings come out with exactly their device, name, value, unit and time', async (t) => {
  const { url } = await startApi(t)
  const readings = [
    { device: 'sensors/greenhouse', name: 'temperature', value: 21.5, unit: 'Cel', time: '2026-11-20T10:00:00.123Z' },
    { device: 'Küche am Hof', name: 'Türe offen', value: true },
    { device: 'a/b:c', name: 'state', value: 'running "fast" </script>' },
    { device: '$odd/😀', name: 'x/y', value: -0.1 },
    { device: 'trailing/', name: 'n', value: 1e-300 },
    { device: '__proto__', name: 'constructor', value: 0 },
    { device: 'single', name: 'level', value: 1, time: '2026-11-20T10:00:00.001+01:00' },
  ]
  const response = await post(url, readings)
  t.equal(response.status, 201)
  const { seq } = await response.json()
  const kept = (await (await fetch(`${url}/api/v1/readings`)).json()).readings
  for (const [index, { time, ...reading }] of readings.entries()) t.match(kept[index], { ...reading, seq })
  t.equal(kept.length, readings.length)
  t.equal(kept[0].time, '2026-11-20T10:00:00.123Z')
  t.equal(kept[6].time, '2026-11-20T09:00:00.001Z')
})

test('an integer that no double holds stays text with all its digits, as it does over MQTT', async (t) => {
  const { publish, url } = await startApi(t)
  await publish('meter', '{"over mqtt":1152921504606846977}')
  const body =
    '[{"device":"meter","name":"over http","value":1152921504606846977},{"device":"meter","name":"n","value":1}]'
  t.equal((await post(url, body)).status, 201)
  const { readings } = await (await fetch(`${url}/api/v1/readings`)).json()
  t.strictSame(
    readings.map(({ value }: { value: unknown }) => value),
    ['1152921504606846977', '1152921504606846977', 1],
  )
})

test('a day that is in no calendar is refused, not moved', async (t) => {
  const { url } = await startApi(t)
  for (const time of [
    '2026-02-31T10:00:00Z',
    '2026-02-29',
    '2026-13-01',
    '2026-11-20T24:30:00Z',
    '2026-11-20T10:60:00Z',
  ])
    t.equal((await post(url, { device: 'a', name: 'b', value: 1, time })).status, 400, time)
  for (const time of ['2028-02-29T23:59:59.999+14:00', '2026-11-20', '2026-01-01T00:30:00-09:30'])
    t.equal((await post(url, { device: 'a', name: 'b', value: 1, time })).status, 201, time)
})

test('one reading is taken as it is, and so is what the gateway itself gave out', async (t) => {
  const { url } = await startApi(t)
  t.equal((await post(url, { device: 'a', name: 'b', value: 1 })).status, 201)
  const { readings } = await (await fetch(`${url}/api/v1/readings`)).json()
  t.equal((await post(url, readings)).status, 201)
  t.match((await (await fetch(`${url}/api/v1/readings`)).json()).readings, [
    { seq: 2, device: 'a', name: 'b', value: 1 },
  ])
})

test('a SenML Pack is kept as it came', async (t) => {
  const { log, url } = await startApi(t)
  const pack =
    '[{"bn":"urn:dev:ow:10e2073a01080063:","n":"voltage","u":"V","v":120.1},\n {"n":"current","u":"A","v":1.2}]'
  const response = await post(url, pack, 'application/senml+json; charset=utf-8')
  t.equal(response.status, 201)
  t.equal(log.entries[0]?.payload.toString(), pack)
  t.equal(log.entries[0]?.source, 'http')
  t.equal((await post(url, '[{"n":"temperature","u":"Cel","v":21.5}]')).status, 201)
  t.match((await (await fetch(`${url}/api/v1/readings`)).json()).readings, [
    { device: 'urn:dev:ow:10e2073a01080063', name: 'voltage', value: 120.1, unit: 'V' },
    { device: 'urn:dev:ow:10e2073a01080063', name: 'current', value: 1.2, unit: 'A' },
    { device: 'http', name: 'temperature', value: 21.5, unit: 'Cel' },
  ])
})

test('what is no reading is refused, says why, and is not kept', async (t) => {
  const { log, url } = await startApi(t)
  const cases: [body: unknown, detail: RegExp, type?: string][] = [
    ['', /no body/],
    ['{"device":"a","name":"b","value":NaN}', /not valid JSON/],
    ['{"device":"a","name":"b","value":1e999}', /finite/],
    [{ device: 'a', name: 'b', value: null }, /finite/],
    [{ device: 'a', name: 'b' }, /'value'/],
    [{ device: 'a', name: '', value: 1 }, /'name'/],
    [{ device: 'a/#', name: 'b', value: 1 }, /'device' contains a wildcard/],
    [{ device: '', name: 'b', value: 1 }, /'device' is empty/],
    [{ name: 'b', value: 1 }, /'device'/],
    [{ device: 'a', name: 'b', value: 1, units: 'V' }, /unknown member 'units'/],
    [{ device: 'a', name: 'b', value: 1, time: 'yesterday' }, /'time'/],
    [{ device: 'a', name: 'b', value: 1, time: '1970-01-01T00:00:10Z' }, /'time'/],
    [[{ device: 'a', name: 'b', value: 1 }, { device: 'a' }], /reading 1/],
    [[], /no reading/],
    ['null', /not an object/],
    ['42', /not an object/],
    ['{"n":"x"}', /array of records/, 'application/senml+json'],
    ['[{"n":"x","v":"1"}]', /'v' is not a number/, 'application/senml+json'],
    ['[{"n":"x"}]', /neither a value/, 'application/senml+json'],
    [new Blob([new Uint8Array([0x22, 0xff, 0x22])]), /UTF-8/],
    [`[${'[['.repeat(100_000)}`, /JSON/],
  ]
  for (const [body, detail, type] of cases) {
    const response = await post(url, body, type)
    const problem = await response.json()
    t.equal(response.status, 400, `${problem.detail}`)
    t.match(problem, { status: 400, code: /^TG_(BAD_REQUEST|DECODE)$/, detail, remedy: String })
  }
  t.equal(log.entries.length, 0)
})

test('a body of another type or of more than a mebibyte is refused', async (t) => {
  const { log, url } = await startApi(t)
  const type = await post(url, 'a=b', 'application/x-www-form-urlencoded')
  t.equal(type.status, 415)
  t.match(await type.json(), { code: 'TG_MEDIA_TYPE' })
  const large = await post(url, `"${'x'.repeat(2 ** 20)}"`)
  t.equal(large.status, 413)
  t.match(await large.json(), { code: 'TG_BODY_TOO_LARGE' })
  t.equal(log.entries.length, 0)
})

test('the answer comes once the message is durable, not before', async (t) => {
  const { log, url } = await startApi(t)
  log.hold()
  let answered = false
  const answer = post(url, { device: 'a', name: 'b', value: 1 }).then((response) => {
    answered = true
    return response
  })
  await fetch(`${url}/livez`)
  while (log.entries.length === 0) await fetch(`${url}/livez`)
  t.equal(answered, false)
  log.release()
  const response = await answer
  t.equal(response.status, 201)
  t.same(await response.json(), { seq: 1 })
})

test('when the log cannot take it, the client is told so', async (t) => {
  const { log, url } = await startApi(t)
  log.fail(new TidegateError('TG_LOG_WRITE', 'no space left on device'))
  const response = await post(url, { device: 'a', name: 'b', value: 1 })
  t.equal(response.status, 503)
  t.equal(response.headers.get('retry-after'), '5')
  t.match(await response.json(), { code: 'TG_LOG_WRITE' })
})
