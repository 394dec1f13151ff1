import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { verb as check } from '../src/cli/check.ts'
import { verb as decode } from '../src/cli/decode.ts'
import { verb as devices } from '../src/cli/devices.ts'
import { runVerb } from '../src/cli/verb.ts'
import { loadDeviceProfiles } from '../src/config/device-profiles.ts'
import { loadConfig } from '../src/config/load.ts'
import type { DecoderPlugin } from '../src/core/plugin-contract.ts'
import { createRouter } from '../src/decode/router.ts'
import { Gateway } from '../src/gateway.ts'
import { createLogger } from '../src/ops/logger.ts'
import { createMetrics } from '../src/ops/metrics.ts'
import { builtInPlugins, decoderPlugins, loadPlugin, sinkPlugin, sourceBindings, sourcePlugin } from '../src/plugins.ts'
import { capturedIo } from './support/captured-io.ts'
import { messageOn, profileOf } from './support/decoding.ts'
import { temporaryDirectory } from './support/directory.ts'
import { until } from './support/until.ts'

const SINK = `export const plugin = {
  kind: 'sink',
  type: 'notebook',
  schema: { type: 'object', required: ['path'], properties: { path: { type: 'string' } } },
  create: (config) => ({ config }),
}
`
const SOURCE = `export const plugin = { kind: 'source', type: 'ticker', schema: { type: 'object' }, create: () => ({}) }\n`

test('a third-party plug-in is loaded from the path of its module', async (t) => {
  const directory = await temporaryDirectory(t)
  const [sink, source] = [join(directory, 'sink.mjs'), join(directory, 'source.mjs')]
  await writeFile(sink, SINK)
  await writeFile(source, SOURCE)
  t.equal((await loadPlugin(sink)).type, 'notebook')
  t.equal((await sinkPlugin('notebook', [source, sink])).kind, 'sink')
  t.equal((await sourcePlugin('ticker', [sink, source])).kind, 'source')
  await t.rejects(sourcePlugin('notebook', [sink, source]), { code: 'TG_PLUGIN' })
})

test('a plug-in may be a CommonJS module', async (t) => {
  const file = join(await temporaryDirectory(t), 'sink.cjs')
  await writeFile(file, SINK.replace('export const plugin', 'exports.plugin'))
  t.equal((await loadPlugin(file)).type, 'notebook')
})

test('a configuration may use a plug-in of a third party by a path relative to its file', async (t) => {
  const directory = await temporaryDirectory(t)
  await mkdir(join(directory, 'plug-ins'))
  await writeFile(join(directory, 'plug-ins', 'sink.mjs'), SINK)
  const file = join(directory, 'tidegate.yaml')
  const text = [
    `gateway: { data: ${join(directory, 'data')}, plugins: [ plug-ins/sink.mjs ] }`,
    'sinks:',
    '  - { name: notes, type: notebook, path: notes.txt }',
  ]
  await writeFile(file, `${text.join('\n')}\n`)
  const valid = capturedIo()
  t.equal(await runVerb(check, ['--config', file], valid), 0, valid.err())
  t.match(valid.out(), /sinks: notes;/)

  await writeFile(file, (await readFile(file, 'utf8')).replace('path:', 'pth:'))
  const invalid = capturedIo()
  t.equal(await runVerb(check, ['--config', file], invalid), 2)
  t.match(invalid.err() + invalid.out(), /:3:\d+: unknown key pth in sinks\[0\]; did you mean path\?/)
})

test('what is no plug-in is refused, and says once why', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'other.mjs')
  await writeFile(file, 'export const plugin = { kind: "sink" }\n')
  await t.rejects(loadPlugin(file), { code: 'TG_PLUGIN', message: /does not export a plugin/ })

  const config = join(directory, 'tidegate.yaml')
  await writeFile(config, 'gateway: { plugins: [ missing.mjs ] }\n')
  const io = capturedIo()
  t.equal(await runVerb(check, ['--config', config], io), 2)
  t.match(io.err() + io.out(), /:1:23: .*missing\.mjs cannot be loaded: it does not exist\n/)
  t.equal((io.err() + io.out()).split('cannot be loaded').length, 2)
})

const FIXTURES = join(import.meta.dirname, 'fixtures', 'plugins')

const LPP_PROFILE = `name: field-node
title: Node in the field
source: https://example.com/
about: Channels are sensors.
fields: [{ match: '*.temperature', range: [-40, 85] }]
rules:
  - topics: ['field/{device}/up']
    decoder: cayenne-lpp
    options: { names: { '1': soil } }
  - decoder: cayenne-lpp # for sources that name the profile
    options: { names: { '1': pool } }
examples:
  - topic: field/north/up
    hex: 01 67 01 0a
    device: north
    readings: [{ name: soil.temperature, value: 26.6, unit: Cel }]
`

/** A directory with a configuration that uses all the examples, and a profile that needs one of them. */
const withExamples = async (directory: string): Promise<string> => {
  await mkdir(join(directory, 'profiles'))
  await writeFile(join(directory, 'profiles', 'field-node.yaml'), LPP_PROFILE)
  const file = join(directory, 'tidegate.yaml')
  const config = {
    gateway: {
      data: join(directory, 'data'),
      plugins: ['cayenne-lpp.mjs', 'tcp-lines.mjs', 'json-lines.mjs'].map((name) => join(FIXTURES, name)),
      devices: [join(directory, 'profiles')],
    },
    api: { listen: '127.0.0.1:0' },
    sources: [{ name: 'loggers', type: 'tcp-lines', port: 0, profile: 'field-node', device: 'south' }],
    sinks: [{ name: 'notebook', type: 'json-lines', path: join(directory, 'readings.jsonl') }],
  }
  await writeFile(file, JSON.stringify(config))
  return file
}

test('check, decode and devices test know the decoder of a third party', async (t) => {
  const directory = await temporaryDirectory(t)
  const config = await withExamples(directory)
  const run = async (verb: Parameters<typeof runVerb>[0], parameters: readonly string[]) => {
    const io = capturedIo()
    const code = await runVerb(verb, [...parameters, '--config', config], io)
    return { code, text: io.out() + io.err() }
  }
  t.match(await run(check, []), { code: 0 })
  t.match(await run(devices, ['test']), { code: 0, text: /field-node/ })
  const payload = join(directory, 'payload.bin')
  await writeFile(payload, Buffer.from('0167010a', 'hex'))
  t.match(await run(decode, ['--topic', 'field/north/up', '--file', payload]), {
    code: 0,
    text: /soil\.temperature.*26\.6/,
  })
  const profile = join(directory, 'profiles', 'field-node.yaml')
  await writeFile(profile, LPP_PROFILE.replace("names: { '1': soil }", 'nmes: {}'))
  t.match(await run(check, []), { code: 2, text: /field-node\.yaml:9:\d+: unknown key nmes.*did you mean names/ })
})

test('a decoder that throws or gives nonsense costs its message the readings, and nothing else', async (t) => {
  const good = { device: 'd', name: 'a', value: 1 }
  const cases: readonly (readonly [decode: () => unknown, fault: RegExp, readings: number])[] = [
    [() => (undefined as never as string).length, /decoder 'third' is faulty: Cannot read/, 0],
    [
      () => {
        throw Object.assign(new Error('not mine'), { name: 'DecodeError' })
      },
      /^not mine$/,
      0,
    ],
    [
      () => {
        throw 'a text'
      },
      /is faulty: a text/,
      0,
    ],
    [() => undefined, /gives no readings/, 0],
    [() => 'text', /gives no readings/, 0],
    [() => Promise.reject(new Error('late')), /is asynchronous/, 0],
    [() => [good, { ...good, name: undefined }], /gives a reading that is none/, 1],
    [() => [good, null, { ...good, value: { deep: 1 } }, { ...good, value: 1n }], /gives a reading that is none/, 1],
    [() => [good, { ...good, value: Number.NaN }], /not a finite number/, 1],
    [() => [good, { ...good, value: 'x'.repeat(5_000) }], /gives a reading that is none/, 1],
    [() => [good, { ...good, timeMs: Number.POSITIVE_INFINITY }], /gives a reading that is none/, 1],
    [() => [good, { ...good, name: '' }], /no name/, 1],
    [() => new Array(6_000).fill(good), /more than 5000 values/, 0],
    [() => ({ readings: [good], fault: 7 }), /its fault is no text/, 1],
    [() => ({ readings: [good], presence: 'yes', doubtful: [1] }), /gives a doubtful value that is none/, 1],
    [
      () => ({ readings: [good], request: { topic: 'a/#', payload: Buffer.alloc(0), reason: 'x' } }),
      /gives a request/,
      1,
    ],
  ]
  for (const [decodeWith, fault, readings] of cases) {
    const third: DecoderPlugin = {
      kind: 'decoder',
      type: 'third',
      schema: {},
      create: () => ({ decode: decodeWith as never }),
    }
    const profile = profileOf('tested', [{ topics: ['{device}/x'], decoder: 'third' }])
    const router = createRouter([profile], { decoders: new Map([['third', third]]) })
    const decoding = router.decode(messageOn('d/x', '1'))
    t.match(decoding.fault, fault, fault.source)
    t.equal(decoding.readings.length, readings, fault.source)
    t.ok((decoding.fault ?? '').length <= 301)
  }
})

test('a plug-in with a wrong shape is refused with what is wrong, not later with a surprise', async (t) => {
  const directory = await temporaryDirectory(t)
  const cases: Readonly<Record<string, RegExp>> = {
    'export const plugin = 5': /does not export a plugin/,
    'export default { kind: "sink" }': /does not export a plugin/,
    'export const plugin = { kind: "sensor", type: "x", schema: {}, create() {} }':
      /kind must be source, decoder or sink/,
    'export const plugin = { kind: "sink", type: "", schema: {}, create() {} }': /type must be a name/,
    'export const plugin = { kind: "sink", type: "x", create() {} }': /schema must be a JSON Schema/,
    'export const plugin = { kind: "sink", type: "x", schema: { type: "text" }, create() {} }': /schema is not valid/,
    'export const plugin = { kind: "sink", type: "x", schema: {}, create: {} }': /create must be a function/,
    'export const plugin = ]': /cannot be loaded/,
    'throw new Error("at home")': /cannot be loaded: at home/,
  }
  for (const [index, [text, message]] of Object.entries(cases).entries()) {
    const file = join(directory, `plugin-${index}.mjs`)
    await writeFile(file, `${text}\n`)
    await writeFile(join(directory, 'tidegate.yaml'), `gateway: { plugins: [ plugin-${index}.mjs ] }\n`)
    const io = capturedIo()
    t.equal(await runVerb(check, ['--config', join(directory, 'tidegate.yaml')], io), 2, text)
    t.match(io.err() + io.out(), message, text)
  }
})

test('source, decoder and sink of a third party work together in the gateway, from a device to the file', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = await withExamples(directory)
  const plugins = await builtInPlugins()
  const logger = createLogger({ level: 'silent', format: 'json' })
  const config = await loadConfig({ file, env: {}, hostname: 'here', plugins, loadPlugin })
  const decoders = await decoderPlugins(config.gateway.plugins)
  const gateway = new Gateway({
    config,
    profiles: await loadDeviceProfiles([join(directory, 'profiles')], [...decoders.values()]),
    decoders,
    bindings: await sourceBindings(config.sources, config.gateway.plugins),
    version: '0.0.0',
    logger,
    logLevel: 'silent',
    logFormat: 'json',
    metrics: createMetrics(logger),
  })
  t.teardown(() => gateway.close())
  await gateway.start(new AbortController().signal)
  const { detail } = gateway.status().sources[0] ?? {}
  const socket = connect(Number(detail?.['port']), '127.0.0.1')
  t.teardown(async () => void socket.destroy())
  const answered = once(socket, 'data')
  socket.write(Buffer.concat([Buffer.from('0167010b', 'hex'), Buffer.from('\n')]))
  t.equal(String((await answered)[0]), 'ok\n', 'acknowledged once durable')
  const live = await until('the reading is live', async () => {
    const response = await fetch(new URL('/api/v1/readings', gateway.apiAddress))
    const { readings } = (await response.json()) as { readings: readonly object[] }
    return readings[0]
  })
  t.match(live, { device: 'south', name: 'pool.temperature', value: 26.7, unit: 'Cel' })
  const written = await until(
    'the sink has written',
    async () => (await readFile(join(directory, 'readings.jsonl'), 'utf8').catch(() => '')) || undefined,
    30_000,
  )
  t.match(JSON.parse(written), { device: 'south', name: 'pool.temperature', value: 26.7, unit: 'Cel' })
})
