import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'tap'
import { readProfileFiles } from '../../src/config/device-profiles.ts'
import type { Decodable } from '../../src/core/contract.ts'
import { TidegateError } from '../../src/core/errors.ts'
import { topicNameFault } from '../../src/core/topic.ts'
import { runExamples } from '../../src/decode/examples.ts'
import { createRouter } from '../../src/decode/router.ts'
import { suggestProfile } from '../../src/decode/suggest/draft.ts'
import { messageOn } from '../support/decoding.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { decoders } from '../support/profiles.ts'

type Test = Parameters<typeof temporaryDirectory>[0] & { strictSame(found: unknown, wanted: unknown): void }

/** The draft as the gateway reads it: valid, and its own examples come out. */
const drafted = async (t: Test, filter: string, messages: readonly Decodable[]) => {
  const yaml = suggestProfile(messages, { filter, decoders })
  const file = join(await temporaryDirectory(t), 'draft.yaml')
  await writeFile(file, yaml)
  const { profiles, problems } = await readProfileFiles([file], [...decoders.values()])
  t.strictSame(problems, [])
  const [profile] = profiles
  if (profile === undefined) throw new Error(yaml)
  const router = createRouter([profile], { decoders })
  t.strictSame(
    runExamples(profile, router).flatMap(({ faults }) => faults),
    [],
  )
  return { yaml, profile, router }
}

test('JSON becomes fields with units, a time and noise, and a device that the topics tell apart', async (t) => {
  const payload = (temperature: number) =>
    JSON.stringify({
      ts: 1_795_168_800,
      mac: 'AA:BB:CC:DD:EE:FF',
      env: { temperature, humidity: 40.5 },
      battery: 87,
      batteryVoltage: 3.1,
      door: true,
      pm2_5: '12.5',
    })
  const messages = ['attic', 'hall'].map((room, index) => messageOn(`house/${room}/report`, payload(20 + index)))
  const { profile, router, yaml } = await drafted(t, 'house/#', messages)
  t.strictSame(profile.name, 'house')
  t.match(profile.rules, [
    { topics: ['house/{device}/report'], decoder: 'json', time: { path: 'ts', format: 'unix' }, numbers: true },
  ])
  const { readings } = router.decode(messageOn('house/cellar/report', payload(7)))
  t.strictSame(
    readings.map(({ device, name, value, unit, timeMs }) => [device, name, value, unit, timeMs]),
    [
      ['cellar', 'env.temperature', 7, 'Cel', 1_795_168_800_000],
      ['cellar', 'env.humidity', 40.5, '%RH', 1_795_168_800_000],
      ['cellar', 'battery', 87, '%EL', 1_795_168_800_000],
      ['cellar', 'batteryVoltage', 3.1, 'V', 1_795_168_800_000],
      ['cellar', 'door', true, undefined, 1_795_168_800_000],
      ['cellar', 'pm2_5', 12.5, 'ug/m3', 1_795_168_800_000],
    ],
  )
  t.match(yaml, /CHECK/)
})

test('a single topic, and one asked for with +, give a pattern', async (t) => {
  const one = messageOn('garden/pump/state', '{"flow":1.5}')
  t.match((await drafted(t, 'garden/pump/state', [one])).profile.rules, [{ topics: ['garden/{device}/state'] }])
  t.match((await drafted(t, '+/pump/state', [one])).profile.rules, [{ topics: ['{device}/pump/state'] }])
  t.match((await drafted(t, 'garden/pump', [messageOn('garden/pump', '{"flow":1.5}')])).profile.rules, [
    { topics: ['garden/{device}'] },
  ])
})

test('one value a topic is named by its last level', async (t) => {
  const messages = [
    messageOn('z/attic/temperature', '21.5'),
    messageOn('z/attic/humidity', '40'),
    messageOn('z/attic/temperature', '21.75'),
  ]
  const { profile, router } = await drafted(t, 'z/#', messages)
  t.match(profile.rules, [{ topics: ['z/{device}/{name}'], decoder: 'scalar' }])
  t.match(router.decode(messageOn('z/hall/temperature', '5')).readings, [
    { device: 'hall', name: 'temperature', value: 5, unit: 'Cel' },
  ])
})

test('lines of a known dialect are recognised by their content', async (t) => {
  const sentence = '$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A'
  for (const [decoder, payload] of [
    ['nmea', `${sentence}\r\n`],
    ['senml', '[{"bn":"urn:dev:ow:10e2073a01080063","u":"Cel","v":23.1}]'],
    ['pairs', 'temp:21.5,hum:40'],
  ] as const) {
    const { profile } = await drafted(t, 'box/line', [messageOn('box/line', payload), messageOn('box/line', payload)])
    t.equal(profile.rules[0]?.decoder, decoder)
  }
})

test('what no decoder understands is drafted with its bytes as an example', async (t) => {
  const { profile } = await drafted(t, 'raw/x', [messageOn('raw/x', Buffer.from([0xff, 0x00, 0xc3]))])
  t.match(profile, { rules: [{ decoder: 'generic' }], examples: [{ hex: 'ff00c3', fault: String }] })
})

test('nothing to go by is an error that names the topic', async (t) => {
  for (const messages of [[], [messageOn('a', '')]])
    t.throws(() => suggestProfile(messages, { filter: 'a/#', decoders }), { code: 'TG_NO_MESSAGES', message: /a\/#/ })
})

test('whatever strangers send, the draft is a valid profile whose examples come out', async (t) => {
  const level = fc.oneof(
    fc.constantFrom('a', 'temperature', '{x}', '__proto__', '-', 'ü ö', '"'),
    fc.string({ maxLength: 5 }),
  )
  const topic = fc
    .array(level, { minLength: 1, maxLength: 4 })
    .map((levels) => levels.join('/'))
    .filter((text) => text !== '' && topicNameFault(text) === undefined)
  const payload = fc.oneof(
    fc.json({ maxDepth: 3 }).map((text) => Buffer.from(text)),
    fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
    fc
      .constantFrom('21.5', 'on', 'x:1,y:2', '1;2;3', '{"a":"nan","b":{"__proto__":1},"time":"yesterday"}')
      .map((text) => Buffer.from(text)),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(topic, payload), { minLength: 1, maxLength: 5 }), async (list) => {
      const messages = list.map(([name, bytes]) => messageOn(name, bytes))
      try {
        await drafted(t, '#', messages)
      } catch (error) {
        if (!(error instanceof TidegateError && error.code === 'TG_NO_MESSAGES')) throw error
      }
    }),
    { numRuns: 60 },
  )
})
