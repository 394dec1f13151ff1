import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import type { Source } from '../../src/core/contract.ts'
import type { DecoderPlugin, Plugin, SinkPlugin, SourcePlugin } from '../../src/core/plugin-contract.ts'
import { loadPlugin } from '../../src/plugins.ts'
import { plugin as mqttBroker } from '../../src/sources/mqtt-broker/plugin.ts'
import type { Check } from '../../src/testing/check.ts'
import { type DecoderSubject, testDecoder } from '../../src/testing/decoder-contract.ts'
import { testSink } from '../../src/testing/sink-contract.ts'
import { testSource } from '../../src/testing/source-contract.ts'
import { Publisher } from '../support/broker-clients.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { occupyPort } from '../support/port.ts'

const fixture = <Kind extends Plugin['kind']>(name: string, kind: Kind) =>
  loadPlugin(join(import.meta.dirname, '../fixtures/plugins', name)).then((plugin) => {
    if (plugin.kind !== kind) throw new Error(`${name} is no ${kind}`)
    return plugin as Extract<Plugin, { kind: Kind }>
  })

/** Runs nothing on; the names of what failed, with why. */
const failures = async (suite: (check: Check) => Promise<void>) => {
  const failed: string[] = []
  await suite(async (name, run) => {
    await run().catch((error: unknown) => failed.push(`${name}: ${error instanceof Error ? error.message : error}`))
  })
  return failed
}

const temperature = {
  payload: Buffer.from('0167010a', 'hex'),
  readings: [{ name: 'soil.temperature', value: 26.6, unit: 'Cel' }],
}
const lpp: DecoderSubject = {
  options: { names: { 1: 'soil' } },
  examples: [
    temperature,
    { payload: Buffer.from('0167010a02ff', 'hex'), fault: 'unknown type 0xff' },
    { payload: '', fault: 'empty', readings: [] },
  ],
}

test('the example of a decoder keeps the contract', async (t) => {
  const plugin = await fixture('cayenne-lpp.mjs', 'decoder')
  await testDecoder(plugin, lpp, (name, run) => t.resolves(run(), name))
})

test('the example of a source keeps the contract', async (t) => {
  const plugin = await fixture('tcp-lines.mjs', 'source')
  const feed = async (source: Source) => {
    const socket = connect(Number(source.health().detail?.['port']), '127.0.0.1')
    try {
      await new Promise<void>((resolve, reject) => {
        socket
          .on('data', () => resolve())
          .on('error', reject)
          .on('close', () => reject(new Error('closed')))
        socket.write('21.5\n')
      })
    } finally {
      socket.destroy()
    }
  }
  await testSource(plugin, { config: { port: 0 }, feed }, (name, run) => t.resolves(run(), name))
})

test('the example of a sink keeps the contract', async (t) => {
  const plugin = await fixture('json-lines.mjs', 'sink')
  const path = join(await temporaryDirectory(t), 'readings.jsonl')
  const received = async () => (await readFile(path, 'utf8').catch(() => '')).split('\n').length - 1
  await testSink(plugin, { config: { path }, received }, (name, run) => t.resolves(run(), name))
})

test('the built-in broker keeps the contract', async (t) => {
  const { port, close } = await occupyPort()
  await close()
  const feed = async () => {
    const publisher = await Publisher.open({ port, clientId: 'feeder' })
    await publisher.publish('a/b', '1')
    await publisher.close()
  }
  const subject = { config: { listen: `127.0.0.1:${port}` }, feed }
  await testSource(mqttBroker, subject, (name, run) => t.resolves(run(), name))
})

test('a decoder that breaks the contract is told what it breaks', async (t) => {
  const good = { device: 'x', name: 'a', value: 1 }
  const broken = (decode: (payload: Buffer, calls: number) => unknown): DecoderPlugin => ({
    kind: 'decoder',
    type: 'broken',
    schema: {},
    create: () => {
      let calls = 0
      return { decode: ({ payload }) => decode(payload, ++calls) as never }
    },
  })
  const subject = { examples: [{ payload: 'abc' }], mutations: 50 }
  const cases: readonly (readonly [(payload: Buffer, calls: number) => unknown, RegExp])[] = [
    [() => [{ ...good, name: undefined }], /gives a reading that is none/],
    [() => [{ ...good, value: Number.NaN }], /a is NaN/],
    [() => undefined, /gives no readings/],
    [async () => [good], /asynchronous/],
    [(payload) => JSON.parse(payload.toString()), /is faulty/],
    [(_, calls) => [{ ...good, value: calls }], /same message gives the same/],
    [(payload) => [{ ...good, value: payload.fill(0).length }], /payload was changed|was changed/],
  ]
  for (const [decode, message] of cases)
    t.match(
      (await failures((check) => testDecoder(broken(decode), subject, check))).join('\n'),
      message,
      message.source,
    )
  const [fault] = await failures((check) => testDecoder({ ...broken(() => []), kind: 'sink' as never }, subject, check))
  t.match(fault, /kind is 'sink'/)
})

test('a source that breaks the contract is told what it breaks', async (t) => {
  const health = () => ({ state: 'ok' as const, since: 0 })
  const message = { topic: 'a', payload: Buffer.from('1'), source: 'contract-test', qos: 0 as const, retain: false }
  const broken = (source: Partial<Source>): SourcePlugin => ({
    kind: 'source',
    type: 'broken',
    schema: {},
    create: () => ({ start: async () => undefined, health, close: async () => undefined, ...source }),
  })
  const run = async (plugin: SourcePlugin, feed: () => Promise<void> = async () => undefined) =>
    (await failures((check) => testSource(plugin, { config: {}, feed }, check))).join('\n')
  const closing = broken({ close: () => Promise.reject(new Error('I am open')) })
  t.match(await run(closing), /I am open/)
  let late: (() => void) | undefined
  const talking = broken({
    start: async (intake) => {
      late = () => void intake.deliver(message).catch(() => undefined)
    },
  })
  t.match(await run(talking, async () => late?.()), /a message came after close/)
  t.match(await run({ ...talking, schema: { required: ['port'] } }), /lacks the key port/)
  const wordless = broken({ health: () => ({ state: 'failed', since: 0 }) })
  t.match(await run(wordless), /gives no reason/)
})

test('a sink that breaks the contract is told what it breaks', async (t) => {
  const broken = (sink: object): SinkPlugin => ({
    kind: 'sink',
    type: 'broken',
    schema: {},
    create: () => ({
      connect: async () => undefined,
      write: async ({ last }) => ({ settled: last, rejected: [] }),
      health: () => ({ state: 'ok', since: 0 }),
      close: async () => undefined,
      ...sink,
    }),
  })
  const run = async (sink: object, subject: object = {}) =>
    (await failures((check) => testSink(broken(sink), { config: {}, ...subject }, check))).join('\n')
  t.match(await run({}), /write\(\) after close\(\) did not reject/)
  t.match(await run({}, { received: async () => 0 }), /has 0 readings instead of 6, but all is settled/)
  t.match(await run({ write: async () => ({ settled: 1_000, rejected: [] }) }), /beyond the end of the batch/)
  t.match(await run({ write: async () => ({ settled: 1, rejected: [] }) }), /went back/)
  t.match(
    await run({ write: async ({ first }: { first: number }) => ({ settled: first - 1, rejected: [] }) }),
    /after 100 writes/,
  )
})
