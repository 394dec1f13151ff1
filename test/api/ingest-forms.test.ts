// Every form in which readings may be posted, through a real server.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { encode } from 'cborg'
import { test } from 'tap'
import { createRouter } from '../../src/decode/router.ts'
import { startApi, type TestApi } from '../support/api-server.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { decoders, profiles, router } from '../support/profiles.ts'

const post = (url: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string>) =>
  fetch(url, { method: 'POST', headers, body })

const readings = async ({ url }: TestApi, query = '') =>
  (await (await fetch(`${url}/api/v1/readings${query}`)).json()).readings

test('every example of the OpenAPI description is taken', async (t) => {
  const { url } = await startApi(t, { router })
  const { paths } = await (await fetch(`${url}/api/v1/openapi.json`)).json()
  let posted = 0
  for (const [path, status] of [
    ['/api/v1/readings', 201],
    ['/write', 204],
    ['/api/v2/write', 204],
  ] as const)
    for (const [type, { examples = {} }] of Object.entries<{ examples?: object }>(paths[path].post.requestBody.content))
      for (const [name, { value }] of Object.entries<{ value: unknown }>(
        examples as Record<string, { value: unknown }>,
      )) {
        const body = typeof value === 'string' ? value : JSON.stringify(value)
        const response = await post(url + path, body, { 'content-type': type })
        t.equal(response.status, status, `${path} ${type} ${name}: ${await response.text()}`)
        posted++
      }
  t.ok(posted >= 9, `${posted} examples`)
})

test('line protocol is kept as it came, and read by its profile', async (t) => {
  const api = await startApi(t, { router })
  const body =
    'weather,room=attic,host=pi temperature=21.5,open=t 1795168800123456789\n# comment\n' +
    'meter total=9223372036854775807i,note="two\nlines" 1795168800123456789\n'
  const response = await post(`${api.url}/api/v1/readings`, body, { 'content-type': 'text/plain; charset=utf-8' })
  t.same([response.status, await response.json()], [201, { seq: 1 }])
  t.equal(api.log.entries[0]?.topic, 'http/line-protocol/ns')
  t.equal(`${api.log.entries[0]?.payload}\n`, body)
  t.match(await readings(api), [
    { device: 'weather/pi/attic', name: 'temperature', value: 21.5, time: '2026-11-20T10:00:00.123Z' },
    { device: 'weather/pi/attic', name: 'open', value: true },
    { device: 'meter', name: 'total', value: '9223372036854775807' },
    { device: 'meter', name: 'note', value: 'two\nlines' },
  ])
})

test('a line that is none is named, and nothing of the body is taken', async (t) => {
  const api = await startApi(t, { router })
  for (const [body, detail] of [
    ['a b=1\na b=\n', /line 2: field 'b'/],
    ['a b=1\n\n\na b=1 x\n', /line 4: the time 'x'/],
    ['# nothing\n', /no reading/],
    [`a b="${'x'.repeat(5_000)}"`, /line 1: the text of field 'b' is longer/],
  ] as const) {
    const response = await post(`${api.url}/api/v1/readings`, body, { 'content-type': 'text/plain' })
    t.equal(response.status, 400)
    t.match(await response.json(), { code: 'TG_BAD_REQUEST', detail })
  }
  t.equal(api.log.entries.length, 0)
})

test('without its profile, line protocol is kept as a SenML Pack', async (t) => {
  const api = await startApi(t)
  const response = await post(`${api.url}/write?precision=s`, 'tank,no=7 level=3u 1795168800', {})
  t.equal(response.status, 204)
  t.match(await readings(api), [{ device: 'tank/7', name: 'level', value: 3, time: '2026-11-20T10:00:00.000Z' }])
})

test('a batch with more values than one message holds becomes several, answered with the first and the last seq', async (t) => {
  const api = await startApi(t, { router })
  const fields = Array.from({ length: 10 }, (_, index) => `f${index}=${index}`).join(',')
  const body = Array.from({ length: 1_200 }, (_, index) => `m,n=${index} ${fields}`).join('\n')
  const response = await post(`${api.url}/api/v1/readings`, body, { 'content-type': 'text/plain' })
  t.same([response.status, await response.json()], [201, { first: 1, seq: 3 }])
  t.equal((await readings(api)).length, 12_000)
})

test('a value that a profile thinks wrong is kept and shown as a fault, and the others count', async (t) => {
  const own = profiles
    .filter(({ name }) => name === 'line-protocol')
    .map((profile) => ({ ...profile, fields: [{ match: ['temp'], unit: 'Cel', range: [-50, 90] as const }] }))
  const api = await startApi(t, { router: createRouter(own, { decoders }) })
  const response = await post(`${api.url}/write`, 'm temp=500,other=1\nm,n=2 temp=20', {})
  t.equal(response.status, 204)
  t.match(await readings(api), [
    { device: 'm', name: 'other' },
    { device: 'm/2', name: 'temp', value: 20, unit: 'Cel' },
  ])
  const fields = Array.from({ length: 5_001 }, (_, index) => `f${index}=1`).join(',')
  t.equal((await post(`${api.url}/write`, `m ${fields}`, {})).status, 413)
  t.equal(api.log.entries.length, 1)
})

test('the doors of InfluxDB take what devices send, whatever they call it', async (t) => {
  const api = await startApi(t, { router })
  const form = 'application/x-www-form-urlencoded'
  const cases: [path: string, body: string, type?: string][] = [
    ['/write?db=sensors&precision=ms', 'a b=1 1795168800000', form],
    ['/write?db=sensors&precision=u', 'a b=2 1795168800000000'],
    ['/write?db=sensors&precision=n&u=&rp=autogen', 'a b=3 1795168800000000000', 'text/plain'],
    ['/api/v2/write?org=o&bucket=b&precision=s', 'a b=4 1795168800', 'application/octet-stream'],
    ['/api/v2/write?org=o&bucket=b&precision=m', 'a b=5 29919480', form],
  ]
  for (const [path, body, type] of cases) {
    const response = await post(api.url + path, Buffer.from(body), type === undefined ? {} : { 'content-type': type })
    t.same([response.status, await response.text()], [204, ''], path)
  }
  const page = await (await fetch(`${api.url}/api/v1/history?device=a`)).json()
  t.same(
    page.readings.map(({ value, time }: { value: number; time: string }) => [value, time]),
    [1, 2, 3, 4, 5].map((value) => [value, '2026-11-20T10:00:00.000Z']),
  )
  t.equal((await fetch(`${api.url}/ping`)).status, 204)
  t.equal((await post(`${api.url}/write?precision=d`, 'a b=1', {})).status, 400)
})

test('where tokens are needed, the doors of InfluxDB need one too, in a header only', async (t) => {
  const hash = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08' // "test"
  const { url } = await startApi(t, { router, api: { tokens: [{ name: 'one', hash }] } })
  for (const path of ['/write', '/api/v2/write', '/api/v1/readings']) {
    const type = { 'content-type': 'text/plain' }
    t.equal((await post(`${url}${path}?u=x&p=test&token=test`, 'a b=1', type)).status, 401, path)
    t.equal((await post(url + path, 'a b=1', { ...type, authorization: 'Token wrong' })).status, 401, path)
    for (const scheme of ['Token', 'Bearer'])
      t.ok((await post(url + path, 'a b=1', { ...type, authorization: `${scheme} test` })).ok, `${path} ${scheme}`)
  }
})

test('SenML in CBOR is kept as it came', async (t) => {
  const api = await startApi(t)
  const pack = Buffer.from(
    encode([
      new Map<number, unknown>([
        [-2, 'dev/'],
        [-3, 1795168800],
        [0, 'a'],
        [1, 'V'],
        [2, 1.5],
      ]),
      new Map<number, unknown>([
        [0, 'b'],
        [8, Buffer.from('hi')],
      ]),
    ]),
  )
  const type = { 'content-type': 'application/senml+cbor' }
  t.equal((await post(`${api.url}/api/v1/readings`, pack, type)).status, 201)
  t.strictSame(api.log.entries[0]?.payload, pack)
  t.match(await readings(api, '?device=dev'), [
    { device: 'dev', name: 'a', value: 1.5, unit: 'V', time: '2026-11-20T10:00:00.000Z' },
    { device: 'dev', name: 'b', value: 'aGk' },
  ])
  for (const bad of ['', 'ff', '9a', '81a0', '81a10061', '81a2006161fb', '5fff', '81'.repeat(1_000)]) {
    const response = await post(`${api.url}/api/v1/readings`, Buffer.from(bad, 'hex'), type)
    t.equal(response.status, 400, bad.slice(0, 20))
  }
  // An extension is no reason to refuse it; but bytes that are not certainly SenML are kept in a form that is.
  const extended = Buffer.from(
    encode([
      new Map<unknown, unknown>([
        [0, 'dev/x'],
        [2, 7],
        ['note', 'new'],
      ]),
    ]),
  )
  t.equal((await post(`${api.url}/api/v1/readings`, extended, type)).status, 201)
  t.equal(api.log.entries[1]?.payload.toString(), '[{"bn":"dev/","n":"x","v":7}]')
})

test('CloudEvents give their data, and their time to readings without one', async (t) => {
  const api = await startApi(t, { router })
  const event = { specversion: '1.0', id: '1', source: '/s', type: 't', time: '2026-11-20T10:00:00Z' }
  const batch = [
    { ...event, data: { device: 'json', name: 'n', value: 'LARGE' } },
    { ...event, datacontenttype: 'text/plain; charset=utf-8', data: 'line,x=y n=2i' },
    {
      ...event,
      datacontenttype: 'application/senml+cbor',
      data_base64: Buffer.from(
        encode([
          new Map<number, unknown>([
            [0, 'cbor/n'],
            [2, 3],
          ]),
        ]),
      ).toString('base64'),
    },
    { ...event, datacontenttype: 'application/senml+json', data: [{ n: 'pack/n', v: 4, t: 1795168860 }] },
  ]
  const text = JSON.stringify(batch).replace('"LARGE"', '1152921504606846977')
  const response = await post(`${api.url}/api/v1/readings`, text, {
    'content-type': 'application/cloudevents-batch+json',
  })
  t.same([response.status, await response.json()], [201, { seq: 1 }])
  const binary = {
    'content-type': 'text/plain',
    'ce-specversion': '1.0',
    'ce-id': '2',
    'ce-source': '/s%20s',
    'ce-type': 't',
    'ce-time': '2026-11-20T10:00:05Z',
  }
  t.equal((await post(`${api.url}/api/v1/readings`, 'binary n=5', binary)).status, 201)
  t.match(await readings(api), [
    { device: 'json', value: '1152921504606846977', time: '2026-11-20T10:00:00.000Z' },
    { device: 'line/y', value: 2, time: '2026-11-20T10:00:00.000Z' },
    { device: 'cbor', value: 3, time: '2026-11-20T10:00:00.000Z' },
    { device: 'pack', value: 4, time: '2026-11-20T10:01:00.000Z' },
    { device: 'binary', value: 5, time: '2026-11-20T10:00:05.000Z' },
  ])
})

test('an event that is not right is named, and none of the batch is taken', async (t) => {
  const api = await startApi(t)
  const data = { device: 'a', name: 'b', value: 1 }
  const event = { specversion: '1.0', id: '1', source: '/s', type: 't', data }
  const cases: [body: unknown, detail: RegExp, status?: number][] = [
    [[event, { ...event, specversion: '0.3' }], /event 1: 'specversion'/],
    [[event, { ...event, id: '' }], /event 1: 'id'/],
    [[event, { ...event, data: undefined }], /event 1 has no data/],
    [[event, { ...event, data_base64: 'AA==' }], /both/],
    [[event, { ...event, data: undefined, data_base64: '!' }], /not base64/],
    [[event, { ...event, time: 'now' }], /event 1: 'time'/],
    [[event, { ...event, data: { ...data, value: null } }], /'value'/],
    [[event, { ...event, datacontenttype: 'image/png', data: 'x' }], /image\/png/, 415],
    [[event, null], /event 1 is not an object/],
    [event, /array/],
    [[event, { ...event, datacontenttype: 'text/plain' }], /not a text/],
  ]
  for (const [body, detail, status = 400] of cases) {
    const type = { 'content-type': 'application/cloudevents-batch+json' }
    const response = await post(`${api.url}/api/v1/readings`, JSON.stringify(body), type)
    t.equal(response.status, status, String(detail))
    t.match(await response.json(), { detail })
  }
  t.equal(api.log.entries.length, 0)
})

test('curl posts each form from a file', { skip: !existsSync('/usr/bin/curl') && 'needs curl' }, async (t) => {
  const api = await startApi(t, { router })
  const cbor = encode([
    new Map<number, unknown>([
      [0, 'cbor/n'],
      [2, 2],
    ]),
  ])
  const cases: [name: string, body: Uint8Array | string, path: string, ...options: string[]][] = [
    ['lines', 'lines n=1\n', '/api/v1/readings', '-H', 'content-type: text/plain'],
    ['cbor', cbor, '/api/v1/readings', '-H', 'content-type: application/senml+cbor'],
    ['gzip', gzipSync('gzip n=3 1795168800\n'), '/write?precision=s', '-H', 'content-encoding: gzip'],
    ['form', 'form n=4', '/api/v2/write'],
  ]
  const directory = await temporaryDirectory(t)
  for (const [name, body, path, ...options] of cases) {
    const file = join(directory, name)
    await writeFile(file, body)
    await promisify(execFile)('/usr/bin/curl', ['-sSf', '--data-binary', `@${file}`, ...options, api.url + path])
  }
  t.match(await readings(api), [
    { device: 'lines', value: 1 },
    { device: 'cbor', value: 2 },
    { device: 'gzip', value: 3, time: '2026-11-20T10:00:00.000Z' },
    { device: 'form', value: 4 },
  ])
})

test('a compressed body is inflated, within the limit of all bodies', async (t) => {
  const api = await startApi(t, { router })
  const url = `${api.url}/api/v1/readings`
  const gzip = { 'content-encoding': 'gzip', 'content-type': 'text/plain' }
  t.equal((await post(url, gzipSync('a b=1'), gzip)).status, 201)
  t.equal(api.log.entries[0]?.payload.toString(), 'a b=1')
  const bomb = await post(url, gzipSync(Buffer.alloc(200 * 2 ** 20, 0x20)), gzip)
  t.equal(bomb.status, 413)
  t.match(await bomb.json(), { code: 'TG_BODY_TOO_LARGE' })
  t.equal((await post(url, Buffer.from('a b=1'), gzip)).status, 400)
  t.equal((await post(url, gzipSync('a b=1').subarray(0, 20), gzip)).status, 400)
  const other = await post(url, Buffer.from('a b=1'), { ...gzip, 'content-encoding': 'br' })
  t.equal(other.status, 415)
  t.match(await other.json(), { detail: /gzip/ })
  t.equal(api.log.entries.length, 1)
})

test('a media type that is not taken is answered with those that are', async (t) => {
  const { log, url } = await startApi(t)
  for (const type of ['application/xml', 'application/cloudevents+xml', '']) {
    const response = await post(`${url}/api/v1/readings`, Buffer.from('x'), type === '' ? {} : { 'content-type': type })
    t.equal(response.status, 415, type)
    t.match(await response.json(), { code: 'TG_MEDIA_TYPE', detail: /application\/cloudevents\+json/ })
  }
  t.equal(log.entries.length, 0)
})

test('more readings than one message holds are refused as too large', async (t) => {
  const { log, url } = await startApi(t)
  const many = (record: object) => JSON.stringify(Array.from({ length: 5_001 }, () => record))
  const json = { 'content-type': 'application/json' }
  t.equal((await post(`${url}/api/v1/readings`, many({ device: 'a', name: 'b', value: 1 }), json)).status, 413)
  t.equal((await post(`${url}/api/v1/readings`, many({ n: 'a/b', v: 1 }), json)).status, 413)
  t.equal(log.entries.length, 0)
})

test('an integer of a SenML Pack that no double holds stays text with all its digits', async (t) => {
  const api = await startApi(t)
  const body = '[{"n":"a/b","v":18446744073709551615},{"n":"a/c","v":-9007199254740993},{"n":"a/d","v":1e300}]'
  t.equal((await post(`${api.url}/api/v1/readings`, body, { 'content-type': 'application/senml+json' })).status, 201)
  t.equal(api.log.entries[0]?.payload.toString(), body)
  t.match(await readings(api), [{ value: '18446744073709551615' }, { value: '-9007199254740993' }, { value: 1e300 }])
})
