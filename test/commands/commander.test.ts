import { test } from 'tap'
import { Commander, type CommanderOptions } from '../../src/commands/commander.ts'
import { COMMAND_SOURCE, COMMAND_TOPIC } from '../../src/core/command.ts'
import type { Command, Source } from '../../src/core/contract.ts'
import { TidegateError } from '../../src/core/errors.ts'
import { createRouter } from '../../src/decode/router.ts'
import { packLosses } from '../../src/sinks/loss-note.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { profileOf } from '../support/decoding.ts'
import { memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

const sourceOf = (send?: (command: Command) => Promise<void>): Source => ({
  start: async () => undefined,
  health: () => ({ state: 'ok', since: 0 }),
  close: async () => undefined,
  ...(send === undefined ? {} : { send }),
})

const commanderOf = (sources: Readonly<Record<string, Source>>, options: Partial<CommanderOptions> = {}) => {
  const log = memoryLog()
  const meter = rememberingMeter()
  const commander = new Commander({
    sources: () => Object.entries(sources).map(([name, source]) => ({ name, source })),
    heard: (device) => (device === 'lamp' ? { source: 'second', profile: 'generic' } : undefined),
    profiles: [],
    intake: log,
    clock: turnableClock(),
    logger: rememberingLogger(),
    meter,
    ...options,
  })
  const audits = () => log.entries.map(({ payload }) => JSON.parse(payload.toString()))
  return { commander, log, meter, audits }
}

const order = { device: 'lamp', payload: Buffer.from('ON'), by: 'automatic', reason: 'a test' }

test('a command is written down, then sent by the source that heard the device, then its outcome is written down', async (t) => {
  const steps: string[] = []
  const { commander, log, audits, meter } = commanderOf({
    first: sourceOf(async () => void steps.push('wrong source')),
    second: sourceOf(async ({ id, payload }) => {
      steps.push(`${audits().length} entries, durable ${log.durable}, ${payload}, ${id === audits()[0].id}`)
    }),
  })
  const id = await commander.send(order)
  t.same(steps, ['1 entries, durable 1, ON, true'])
  await commander.close()
  t.match(audits(), [
    { id, device: 'lamp', by: 'automatic', reason: 'a test', source: 'second', payload: 'ON', payloadBytes: 2 },
    { id, device: 'lamp', by: 'automatic', outcome: 'sent' },
  ])
  t.notOk('outcome' in audits()[0])
  for (const { source, topic, retain } of log.entries)
    t.same([source, topic, retain], [COMMAND_SOURCE, `${COMMAND_TOPIC}lamp`, false])
  t.equal(meter.values.get('commands_total{reason=sent}'), 1)
  await t.rejects(commander.send(order), { code: 'TG_UNAVAILABLE' })
})

test('a device that nobody heard is reached by topic only, and one source is not another', async (t) => {
  const sent: string[] = []
  const { commander, log } = commanderOf({
    deaf: sourceOf(),
    serial: sourceOf(async () => void sent.push('another device')),
    first: { ...sourceOf(async ({ topic }) => void sent.push(`${topic}`)), publishes: true },
  })
  await t.rejects(commander.send({ ...order, device: 'stranger' }), { code: 'TG_COMMAND_UNDELIVERABLE' })
  await t.rejects(commander.send({ ...order, topic: 'a/b', source: 'deaf' }), { code: 'TG_COMMAND_UNDELIVERABLE' })
  t.equal(log.entries.length, 0, 'what cannot be sent is not written down')
  await commander.send({ ...order, device: 'stranger', topic: 'a/b' })
  t.same(sent, ['a/b'])
})

test('a source that throws at once is a failed command', async (t) => {
  const rude = sourceOf(() => {
    throw new Error('not today')
  })
  const { commander, audits } = commanderOf({ second: rude })
  await t.rejects(commander.send(order), { code: 'TG_COMMAND_UNDELIVERABLE', message: /not today/ })
  await commander.close()
  t.match(audits().at(-1), { outcome: 'failed' })
})

test('a device whose name is a topic of the server gets no command by its name', async (t) => {
  const { commander, log } = commanderOf(
    { second: sourceOf(async () => undefined) },
    { heard: () => ({ source: 'second', profile: 'generic' }) },
  )
  await t.rejects(commander.request('$SYS/broker', { payload: 'x' }, 'rest'), { code: 'TG_BAD_REQUEST' })
  t.equal(log.entries.length, 0)
})

test('a source that does not answer is an error in time, and its command is not sent again under the same id', async (t) => {
  let calls = 0
  const stuck = sourceOf(() => {
    calls++
    return new Promise(() => undefined)
  })
  const { commander, audits } = commanderOf({ second: stuck }, { deadlineMs: 1_000 })
  const body = { id: 'one', payload: 'ON' }
  await t.rejects(commander.request('lamp', body, 'rest'), { code: 'TG_UNAVAILABLE', message: /may still/ })
  await t.rejects(commander.request('lamp', body, 'rest'), { code: 'TG_UNAVAILABLE' })
  t.equal(calls, 1)
  await commander.close()
  t.match(audits().at(-1), { id: 'one', outcome: 'unknown' })
})

test('what the source refused may be tried again under the same id', async (t) => {
  let refuses = true
  const { commander, audits } = commanderOf({
    second: sourceOf(async () => {
      if (refuses) throw new TidegateError('TG_COMMAND_UNDELIVERABLE', 'nobody subscribes')
    }),
  })
  await t.rejects(commander.request('lamp', { id: 'one', payload: 'ON' }, 'rest'), { message: /subscribes/ })
  refuses = false
  t.equal(await commander.request('lamp', { id: 'one', payload: 'ON' }, 'rest'), 'one')
  await commander.close()
  t.same(
    audits().map(({ outcome }) => outcome),
    [undefined, 'failed', undefined, 'sent'],
  )
})

test('a log that takes nothing, or not in time, keeps a command from being sent', async (t) => {
  const sent: Command[] = []
  const { commander, log } = commanderOf(
    { second: sourceOf(async (command) => void sent.push(command)) },
    { deadlineMs: 50 },
  )
  log.hold()
  await t.rejects(commander.send(order), { code: 'TG_UNAVAILABLE', message: /not sent/ })
  log.release()
  await until('it says that it went no further', () => log.durable === 2)
  t.match(JSON.parse(log.entries[1]?.payload.toString() ?? ''), { outcome: 'failed' })
  log.fail(new TidegateError('TG_LOG_WRITE', 'full'))
  await t.rejects(commander.send(order), { code: 'TG_UNAVAILABLE' })
  t.equal(sent.length, 0)
  await commander.close()
})

test('so many commands at a time, and no more', async (t) => {
  const { commander } = commanderOf({ second: sourceOf(() => new Promise(() => undefined)) }, { deadlineMs: 100 })
  const all = await Promise.allSettled(Array.from({ length: 300 }, () => commander.send(order)))
  const codes = all.map((one) => (one.status === 'rejected' ? one.reason.code : 'sent'))
  t.equal(codes.filter((code) => code === 'TG_TOO_MANY').length, 44)
  await commander.close()
})

test('audit entries say nothing to decoders, whatever a profile claims or a device is called', async (t) => {
  const router = createRouter([profileOf('thief', [{ topics: ['$tidegate/#'], decoder: 'json', device: 'stolen' }])])
  const { commander, log } = commanderOf({ first: { ...sourceOf(async () => undefined), publishes: true } })
  await commander.send({ ...order, device: 'a/+/#/%', topic: 'a/b' })
  await commander.close()
  for (const entry of log.entries) {
    t.equal(entry.topic, '$tidegate/commands/a/%2B/%23/%25')
    t.same(router.decode(entry), { profile: 'commands', device: '', readings: [] })
    t.notOk(router.mayBeDevice(entry.topic, entry.source, true, () => true))
  }
})

test('upstream, an audit entry is accounted for like any message without readings', async (t) => {
  const { commander, log } = commanderOf({ second: sourceOf(async () => undefined) })
  await commander.send(order)
  await commander.close()
  const { decode } = createRouter([])
  const deliveries = log.entries.map((entry) => ({ entry, decoding: decode(entry) }))
  const notes = packLosses({ lane: 'fresh', first: 1, last: 2, deliveries, gaps: [] }, 'g', 10_000, 0)
  t.equal(notes.length, 1)
  t.match(JSON.parse(notes[0]?.body.toString() ?? ''), { marks: [{ first: 1, last: 2, count: 2, reason: 'filtered' }] })
})
