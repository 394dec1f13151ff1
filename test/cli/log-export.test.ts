import { once } from 'node:events'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { test } from 'tap'
import { verb } from '../../src/cli/log.ts'
import { runVerb } from '../../src/cli/verb.ts'
import type { Message } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import { capturedIo } from '../support/captured-io.ts'
import { turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { message, openTestLog } from '../support/durable-log.ts'
import { parseCsv, parseLine, resolvePack } from '../support/export-parsers.ts'

const exported = async (...args: readonly string[]) => {
  const io = capturedIo()
  const code = await runVerb(verb, ['export', ...args], io)
  return { code, out: io.out(), err: io.err() }
}

const lines = (text: string) =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))

/** What every format has to get through whole. */
const NASTY: readonly Message[] = [
  message('21.5', 'a b/c,d=e/"temp" \'x\''),
  message('{"Text":"say \\"hi\\", \\\\ and\\nmore","formula":"=1+1","neg":-5,"on":true}', '=cmd|x/ünï☃ 🌊'),
  message('not, "quoted"', 'back\\slash\\/tail\\'),
  message('nan', 'a/nan'),
  message(Buffer.from([0xff, 0x00, 0xfe, 0x0a]), 'binary/one'),
  message('', 'empty/one'),
  message('[{"bn":"urn:x:","n":"t","u":"Cel","v":1.25,"t":1700000000}]', 'pack'),
  message('1e300', 'big/number'),
  { ...message('on', 'switch/state'), qos: 2, retain: true, origin: { clientHash: 7, packetId: 9 } },
]

const filled = async (t: Parameters<typeof temporaryDirectory>[0] & Parameters<typeof openTestLog>[0]) => {
  const directory = await temporaryDirectory(t)
  const clock = turnableClock()
  const log = await openTestLog(t, directory, { clock })
  for (const one of NASTY) {
    clock.advance(1_000.5)
    await log.deliver(one)
  }
  return { directory, log, clock }
}

test('JSON lines hold every message as it was, and what it decodes to', async (t) => {
  const { directory } = await filled(t)
  const { code, out, err } = await exported('--data', directory)
  t.equal(code, 0)
  t.equal(err, '')
  const found = lines(out)
  t.equal(found.length, NASTY.length)
  for (const [index, one] of NASTY.entries()) {
    const line = found[index]
    const payload =
      line.payloadBase64 === undefined ? Buffer.from(line.payload) : Buffer.from(line.payloadBase64, 'base64')
    t.ok(payload.equals(one.payload), one.topic)
    const { topic, source, qos, retain, origin } = line
    t.strictSame(
      { topic, source, qos, retain, origin },
      { topic: one.topic, source: one.source, qos: one.qos, retain: one.retain, origin: one.origin },
    )
    t.equal(line.seq, index + 1)
    t.equal(line.kind, 'message')
  }
  t.equal(found[0].receivedAt, '2026-11-20T10:00:01.000500Z')
  t.match(found[0].readings, [{ seq: 1, name: '"temp" \'x\'', value: 21.5, time: '2026-11-20T10:00:01.000Z' }])
  t.match(found[3], { payload: 'nan', readings: [], fault: /no value/ })
  t.match(found[4], { payloadBase64: '/wD+Cg==', readings: [], fault: /binary/ })
  t.match(found[6], { readings: [{ device: 'urn:x', name: 't', value: 1.25, unit: 'Cel' }] })
})

test('SenML, line protocol and CSV are read back as the same readings by readers of their own', async (t) => {
  const { directory } = await filled(t)
  const expected = lines((await exported('--data', directory)).out).flatMap(({ readings }) => readings)
  t.ok(expected.length > 8)

  const pack = resolvePack((await exported('--data', directory, '--format', 'senml')).out)
  t.strictSame(
    pack.map(({ name, value, unit, seq }) => ({ name, value, unit, seq })),
    expected.map(({ device, name, value, unit, seq }) => ({ name: `${device}/${name}`, value, unit, seq })),
  )
  t.ok(Math.abs((pack[0]?.timeS ?? 0) - 1_795_168_801.000_5) < 1e-6)
  t.equal(pack.find(({ name }) => name === 'urn:x/t')?.timeS, 1_700_000_000)

  const influx = await exported('--data', directory, '--format', 'influx')
  const points = influx.out.trimEnd().split('\n').map(parseLine)
  const inTag = (text: string) => text.replace(/\\(?=[, =\\]|$)/g, '\uff3c')
  t.strictSame(
    points.map(({ tags, fields }) => ({ tags, fields })),
    expected.map(({ device, name, unit, value, seq }) => ({
      tags: { device: inTag(device), name: inTag(name), ...(unit !== undefined && { unit }) },
      fields: {
        ...(typeof value === 'number' && { value }),
        ...(typeof value === 'boolean' && { state: value }),
        ...(typeof value === 'string' && { text: value.replace('\n', '\\n') }),
        seq,
      },
    })),
  )
  t.equal(points[0]?.nanoseconds, 1_795_168_801_000_500_000n)

  const csv = await exported('--data', directory, '--format', 'csv')
  const [head, ...rows] = parseCsv(csv.out)
  t.strictSame(head, ['seq', 'time', 'timeQuality', 'topic', 'device', 'name', 'value', 'unit', 'fault'])
  const guarded = (text: string) => (/^[=+\-@]/.test(text) ? `'${text}` : text)
  t.strictSame(
    rows.filter((row) => row[5] !== '').map((row) => [row[0], row[4], row[5], row[6], row[7]]),
    expected.map(({ seq, device, name, unit = '', value }) => [
      String(seq),
      guarded(device),
      guarded(name),
      typeof value === 'string' ? guarded(value) : String(value),
      unit,
    ]),
  )
  t.ok(
    rows.some((row) => row[6] === '-5'),
    'a number is a number',
  )
  t.ok(
    rows.some((row) => row[6] === "'=1+1"),
    'a text is no formula',
  )
  t.strictSame(
    rows.filter((row) => row[5] === '').map((row) => [row[0], row[3]]),
    [
      ['4', 'a/nan'],
      ['5', 'binary/one'],
      ['6', 'empty/one'],
    ],
  )
  for (const { code } of [influx, csv]) t.equal(code, 0)
  t.match(influx.err, /3 messages could not be decoded/)
  t.equal(csv.err, '')
})

test('an empty range is still what the format promises', async (t) => {
  const { directory } = await filled(t)
  const args = ['--data', directory, '--after', '1000']
  t.strictSame(JSON.parse((await exported(...args, '--format', 'senml')).out), [])
  t.equal(parseCsv((await exported(...args, '--format', 'csv')).out).length, 1)
  t.equal((await exported(...args)).out, '')
})

test('loss marks, clock marks and gaps are lines, or warnings where the format cannot hold them', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { segmentBytes: 4_096 })
  const send = (count: number) => Promise.all(Array.from({ length: count }, () => log.deliver(message('1'.padEnd(90)))))
  for (let round = 0; round < 8; round++) await send(20)
  await log.recordLoss({ first: 3, last: 5, count: 3, reason: 'rejected' })
  await log.recordClock({ reason: 'set', bootId: 'x', monotonicMs: 1, offsetMs: 2, time: 3 })
  const [oldest = ''] = (await readdir(join(directory, 'log'))).filter((name) => name.endsWith('.seg')).sort()
  await unlink(join(directory, 'log', oldest))
  const found = lines((await exported('--data', directory, '--topic', 'other')).out)
  t.match(found, [
    { kind: 'gap', from: 1, reason: 'retention' },
    { kind: 'loss', loss: { first: 3, last: 5, count: 3, reason: 'rejected' } },
    { kind: 'clock', clock: { reason: 'set', offsetMs: 2 } },
  ])
  t.equal(found.length, 3)
  const { code, out, err } = await exported('--data', directory, '--format', 'influx', '--topic', 'other')
  t.equal(code, 0)
  t.equal(out, '')
  t.match(err, /seq 1 to [0-9]+: not there \(retention\)/)
  t.match(err, /seq 3 to 5: 3 messages were lost \(rejected\)/)
})

test('seq, time, device, topic and a limit choose', async (t) => {
  const { directory, log, clock } = await filled(t)
  clock.advance(60_000)
  await log.deliver(message('1', 'pack/other'))
  const seqs = async (...args: readonly string[]) =>
    lines((await exported('--data', directory, ...args)).out).map(({ seq }) => seq)
  t.strictSame(await seqs('--after', '8'), [9, 10])
  t.strictSame(await seqs('--limit', '2'), [1, 2])
  t.strictSame(await seqs('--from', '2026-11-20T10:00:05Z', '--to', '2026-11-20T10:00:07Z'), [5, 6])
  t.strictSame(await seqs('--topic', 'a/+', '--topic', 'pack'), [4, 7])
  t.strictSame(await seqs('--device', 'urn:x'), [7], 'a device that only the payload names')
  t.strictSame(await seqs('--device', 'pack'), [10])
})

test('nothing is decoded further ahead than a slow reader takes it, and one that has gone ends it quietly', async (t) => {
  const directory = await temporaryDirectory(t)
  const log: Log = await openTestLog(t, directory)
  const payload = 'x'.repeat(1_000)
  for (let round = 0; round < 10; round++)
    await Promise.all(Array.from({ length: 200 }, () => log.deliver(message(payload))))
  const taken: string[] = []
  const waiting: (() => void)[] = []
  const stdout = new Writable({
    highWaterMark: 1_000,
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      taken.push(chunk)
      waiting.push(done)
    },
  })
  const gone = new AbortController()
  const base = capturedIo()
  const result = runVerb(verb, ['export', '--data', directory], { ...base, stdout, signal: gone.signal })
  for (let chunk = 1; chunk <= 5; chunk++) {
    while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve))
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
    t.equal(taken.length, chunk, 'one chunk at a time')
    const drained = once(stdout, 'drain')
    waiting.shift()?.()
    await drained
  }
  gone.abort(Object.assign(new Error('EPIPE'), { code: 'EPIPE' }))
  t.equal(await result, 0)
  t.equal(base.err(), '')
  t.ok(taken.join('').length < 600_000)
})
