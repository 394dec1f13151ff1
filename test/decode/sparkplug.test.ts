import { existsSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { BinaryWriter } from '@bufbuild/protobuf/wire'
import { test } from 'tap'
import type { Reading } from '../../src/core/contract.ts'
import { readPayload } from '../../src/decode/dialects/sparkplug/payload.ts'
import { brief } from '../support/decoding.ts'
import { router as shared } from '../support/profiles.ts'
import { sparkplugPayload, type TestMetric } from '../support/sparkplug.ts'

const SAMPLES = '../shared/samples/sparkplug'
const NOW = Date.UTC(2026, 10, 20, 10)

/** A router that learns and decodes message by message, as the gateway does. */
const line = () => {
  const router = shared.forgetful()
  let seq = 0
  return (type: string, where: string, payload: Buffer) => {
    seq++
    const [edge, device] = where.split('/')
    const topic = `spBv1.0/g/${type}/${edge}${device === undefined ? '' : `/${device}`}`
    const message = { topic, payload, source: 'broker', receivedAt: NOW, seq }
    router.learn(message)
    return router.decode(message)
  }
}

const single = (metric: TestMetric): Reading['value'] | undefined =>
  line()('NDATA', 'e', sparkplugPayload([{ name: 'x', ...metric }])).readings[0]?.value

test('the samples decode to what stands beside them', { skip: !existsSync(SAMPLES) }, (t) => {
  const index: unknown = JSON.parse(readFileSync(`${SAMPLES}/index.json`, 'utf8'))
  interface Sample {
    readonly topic: string
    readonly decoded: {
      metrics: { name?: string; alias?: number; value: unknown; isHistorical?: boolean; timestamp: number }[]
    }
  }
  const router = shared.forgetful()
  const names = new Map<number, string>()
  let seq = 0
  for (const [name, { topic, decoded }] of Object.entries(index as Record<string, Sample>)) {
    const message = { topic, payload: readFileSync(`${SAMPLES}/${name}.bin`), source: 's', receivedAt: NOW, seq: ++seq }
    router.learn(message)
    const { readings, fault, presence } = router.decode(message)
    t.equal(fault, undefined, name)
    for (const metric of decoded.metrics) if (metric.name && metric.alias) names.set(metric.alias, metric.name)
    const expected = decoded.metrics
      .map((metric) => ({ ...metric, name: metric.name ?? names.get(metric.alias ?? 0) ?? '' }))
      .filter((metric) => metric.name !== 'bdSeq' && !metric.name.startsWith('Node Control/'))
    t.strictSame(
      readings.map((one) => [one.name, one.value, one.timeMs, one.historical ?? false]),
      expected.map((one) => [one.name, one.value, one.timestamp, one.isHistorical ?? false]),
      name,
    )
    t.equal(readings.find((one) => one.name === 'Inputs/temperature')?.unit, name.startsWith('D') ? 'Cel' : undefined)
    if (name === 'NDEATH') t.strictSame(presence, [{ device: 'plant1/edge7', below: true, online: false }])
  }
  t.equal(seq, 5)
  t.end()
})

test('every datatype comes out as it was meant', (t) => {
  t.equal(single({ datatype: 1, int: 0xfffffff9 }), -7, 'Int8 of 32 bits')
  t.equal(single({ datatype: 1, int: 0xf9 }), -7, 'Int8 of 8 bits')
  t.equal(single({ datatype: 2, int: 0xfffe }), -2)
  t.equal(single({ datatype: 3, int: 0x80000000 }), -2147483648)
  t.equal(single({ datatype: 4, long: 2n ** 64n - 5n }), -5)
  t.equal(single({ datatype: 4, long: 2n ** 63n }), '-9223372036854775808')
  t.equal(single({ datatype: 5, int: 255 }), 255)
  t.equal(single({ datatype: 7, int: 4294967295 }), 4294967295)
  t.equal(single({ datatype: 8, long: 9007199254740991n }), 9007199254740991)
  t.equal(single({ datatype: 8, long: 9007199254740993n }), '9007199254740993')
  t.equal(single({ datatype: 9, float: 21.1 }), 21.1)
  t.equal(single({ datatype: 10, double: 1e300 }), 1e300)
  t.equal(single({ datatype: 11, boolean: false }), false)
  t.equal(single({ datatype: 12, string: '007' }), '007')
  t.equal(single({ datatype: 13, long: 1795168800000n }), '2026-11-20T10:00:00.000Z')
  t.equal(single({ datatype: 13, long: 2n ** 64n - 1n }), '18446744073709551615')
  t.equal(single({ datatype: 15, string: 'b2a3' }), 'b2a3')
  t.equal(single({ datatype: 17, bytes: Buffer.from('x') }), undefined)
  t.equal(single({ datatype: 3, isNull: true }), undefined)
  t.equal(single({ int: 4294967289 }), 4294967289, 'unknown: as it stands there')
  t.end()
})

test('members of templates and cells of data sets are readings of their own', (t) => {
  const send = line()
  const members = [
    { name: 'rpm', datatype: 3, int: 900, unit: 'rpm' },
    { name: 'on', boolean: true },
  ]
  const birth = sparkplugPayload([
    { name: 'motor_t', datatype: 19, members, isDefinition: true },
    { name: 'motor', alias: 1, datatype: 19, members },
    { name: 'table', alias: 2, datatype: 16, columns: ['a', 'b'], types: [10, 10], rows: [[1, 2]] },
  ])
  t.strictSame(brief(send('NBIRTH', 'e', birth)), ['motor/rpm=900 1/min', 'motor/on=true', 'table/a=1', 'table/b=2'])
  const data = sparkplugPayload([
    { alias: 1, members: [{ name: 'rpm', int: 0xffffffff }] },
    { alias: 2, columns: ['a'], rows: [[5], [6]] },
  ])
  t.strictSame(brief(send('NDATA', 'e', data)), ['motor/rpm=-1 1/min', 'table/0/a=5', 'table/1/a=6'])
  t.end()
})

test('an alias means what the newest birth of its session said, and nothing without one', (t) => {
  const send = line()
  const birth = (name: string) => sparkplugPayload([{ name, alias: 7, datatype: 10, double: 1 }])
  const data = sparkplugPayload([{ alias: 7, double: 2 }], { seq: 9 })
  const before = send('DDATA', 'e/d', data)
  t.match(before.fault, /1 metrics, the first with alias 7, are in no birth before/)
  t.match(before.request, { to: 'g/e', topic: 'spBv1.0/g/NCMD/e' })
  send('NBIRTH', 'e', birth('node'))
  send('DBIRTH', 'e/d', birth('old'))
  t.strictSame(brief(send('DDATA', 'e/d', data)), ['old=2'])
  send('DBIRTH', 'e/d', birth('new'))
  t.strictSame(brief(send('DDATA', 'e/d', data)), ['new=2'])
  t.strictSame(brief(send('NDATA', 'e', data)), ['node=2'])
  send('NBIRTH', 'e', birth('node'))
  const orphan = send('DDATA', 'e/d', data)
  t.match(orphan.fault, /in no birth before/, 'the device has to be born again after its node')
  t.ok(orphan.request)
  t.end()
})

test('the request is a rebirth command that others can read', (t) => {
  const { request } = line()('NDATA', 'e', sparkplugPayload([{ alias: 1, int: 1 }]))
  const payload = readPayload(request?.payload ?? Buffer.alloc(0))
  t.match(payload.metrics, [{ name: 'Node Control/Rebirth', datatype: 11, value: { kind: 'boolean', value: true } }])
  t.equal(payload.timestamp, BigInt(NOW))
  t.end()
})

test('bad and stale values are doubtful, and so are those that are no numbers', (t) => {
  const payload = sparkplugPayload([
    { name: 'a', datatype: 10, double: 1, quality: 192 },
    { name: 'b', datatype: 10, double: 2, quality: 0 },
    { name: 'c', datatype: 10, double: 3, quality: 500 },
    { name: 'd', datatype: 9, float: Number.NaN },
  ])
  const { readings, doubtful, fault } = line()('NBIRTH', 'e', payload)
  t.strictSame(
    readings.map(({ name }) => name),
    ['a'],
  )
  t.strictSame(doubtful, [
    { device: 'g/e', name: 'b', reason: 'faulty', value: 2 },
    { device: 'g/e', name: 'c', reason: 'faulty', value: 3 },
    { device: 'g/e', name: 'd', reason: 'faulty', value: 'NaN' },
  ])
  t.equal(fault, undefined)
  t.end()
})

test('the will of an earlier session does not take the node away', (t) => {
  const send = line()
  const bd = (number: bigint) => sparkplugPayload([{ name: 'bdSeq', datatype: 8, long: number }])
  send('NBIRTH', 'e', bd(4n))
  t.equal(send('NDEATH', 'e', bd(3n)).presence, undefined)
  t.strictSame(send('NDEATH', 'e', bd(4n)).presence, [{ device: 'g/e', below: true, online: false }])
  t.end()
})

test('a compressed payload is read, within bounds', (t) => {
  const inner = sparkplugPayload([{ name: 'x', datatype: 10, double: 4 }], { seq: 3 })
  const compressed = (body: Buffer) =>
    Buffer.from(new BinaryWriter().tag(4, 2).string('SPBV1.0_COMPRESSED').tag(5, 2).bytes(body).finish())
  t.strictSame(brief(line()('NDATA', 'e', compressed(gzipSync(inner)))), ['x=4'])
  t.match(line()('NDATA', 'e', compressed(gzipSync(Buffer.alloc(4_000_000)))).fault, /no Sparkplug B payload/)
  t.end()
})

test('what is no payload is a fault, whatever it is', (t) => {
  for (const bytes of ['ff', '08', '12ff', '120a0a', '1205920102', '9201', '00', '0b', '0c'])
    t.match(line()('NDATA', 'e', Buffer.from(bytes, 'hex')).fault, /no Sparkplug B payload/, bytes)
  let nested: readonly TestMetric[] = [{ name: 'x', int: 1 }]
  for (let depth = 0; depth < 40; depth++) nested = [{ name: 'x', members: nested }]
  t.match(line()('NDATA', 'e', sparkplugPayload(nested)).fault, /nested deeper/)
  t.end()
})
