import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { examplePayload, runExamples } from '../src/decode/examples.ts'
import { createRouter } from '../src/decode/router.ts'
import { brief, messageOn } from './support/decoding.ts'
import { decoders, profiles, router } from './support/profiles.ts'

for (const profile of profiles) {
  test(`the examples of ${profile.name} come out as its profile says`, async (t) => {
    t.ok(profile.examples.length > 0)
    for (const { number, topic, faults } of runExamples(profile, router))
      t.strictSame(faults, [], `${number}: ${topic}`)
  })
  test(`every rule of ${profile.name} has an example`, async (t) => {
    const single = createRouter([profile], { decoders })
    const used = new Set(
      profile.examples.map((example) => single.explain(example.topic, examplePayload(example)).candidates[0]?.pattern),
    )
    for (const rule of profile.rules)
      if (rule.topics.length > 0)
        t.ok(
          rule.topics.some((topic) => used.has(topic)),
          rule.topics.join(' '),
        )
  })
}

test('an example that does not come out says what is different', async (t) => {
  const [tasmota] = profiles.filter(({ name }) => name === 'tasmota')
  if (tasmota === undefined) throw new Error('there is no tasmota profile')
  const topic = 'tele/x/LWT'
  const examples = [
    { topic, payload: 'Online', device: 'y', readings: [{ name: 'online', value: false, unit: 'V' }] },
    { topic, payload: 'Online', fault: 'x' },
    { topic, payload: 'nan', fault: 'something else' },
    { topic, payload: 'nan', readings: [] },
    { topic: 'x', payload: '1', readings: [] },
  ]
  t.match(
    runExamples({ ...tasmota, examples }, router).map(({ faults }) => faults),
    [
      ['lacks the reading y online = false V', 'has the reading x online = true'],
      ['lacks the fault: x', 'has the reading online = true'],
      [/^has another fault: .*no value/],
      [/^has the fault: .*no value/],
      ['was decoded by profile generic'],
    ],
  )
})

test('profiles leave the topics of plain sensors to the generic decoder', async (t) => {
  const topics = [
    'sensors/greenhouse/temperature',
    'temperature',
    'house/status',
    'house/online',
    'a/status/b',
    'stat/x',
    'tele/x',
    'x/debug',
    'x/set',
  ]
  for (const topic of topics) t.equal(router.decode(messageOn(topic, '21.5')).profile, 'generic', topic)
})

const samples = new URL('../../shared/samples/tasmota/ha-core-tests-apache2.ndjson', import.meta.url)
test('real Tasmota messages decode without a fault, each value with its unit', {
  skip: !existsSync(samples) && 'no samples here',
}, async (t) => {
  const lines = readFileSync(samples, 'utf8').trim().split('\n')
  const decodings = lines.map((line) => {
    const { topic, payload }: { topic: string; payload: string } = JSON.parse(line)
    return router.decode(messageOn(topic, payload))
  })
  for (const decoding of decodings)
    t.match(decoding, { profile: 'tasmota', device: 'tasmota_49A3BC', fault: undefined })
  t.strictSame(decodings.map(brief).slice(0, 7), [
    ['DHT11.Temperature=20.5 Cel'],
    ['TX23.Speed.Act=12.3 km/h', 'TX23.Dir.Card="WSW"'],
    ['ENERGY.TotalTariff.0=1.2 kWh', 'ENERGY.TotalTariff.1=3.4 kWh'],
    ['DS18B20.Id="01191ED79190"', 'DS18B20.Temperature=12.3 Cel'],
    ['ENERGY.Total.Phase1=1.2 kWh', 'ENERGY.Total.Phase2=3.4 kWh'],
    ['ANALOG.Temperature1=1.2 Cel', 'ANALOG.Temperature2=3.4 Cel', 'ANALOG.Illuminance3=5.6 lux'],
    [
      'ANALOG.CTEnergy1.Energy=0.5 kWh',
      'ANALOG.CTEnergy1.Power=2300 W',
      'ANALOG.CTEnergy1.Voltage=230 V',
      'ANALOG.CTEnergy1.Current=10 A',
    ],
  ])
  const times = decodings.map(({ readings }) => readings[0]?.timeMs)
  t.strictSame(
    times.filter((timeMs) => timeMs !== undefined),
    [Date.UTC(2020, 2, 3)],
    'only the time with a zone counts',
  )
})

const shelly = new URL('../../shared/samples/shelly/shellyplus2pm/', import.meta.url)
test('real Shelly answers on an events topic are a fault or readings, never a crash', {
  skip: !existsSync(shelly) && 'no samples here',
}, async (t) => {
  const info = readFileSync(new URL('shelly.json', shelly))
  const { id }: { id: string } = JSON.parse(info.toString())
  t.match(router.decode(messageOn(`${id}/events/rpc`, info)), {
    profile: 'shelly-gen2',
    device: id,
    fault: /no 'params'/,
  })
  t.match(router.decode(messageOn(`${id}/rpc`, readFileSync(new URL('Cover.Close_success', shelly)))), {
    profile: 'shelly-gen2',
    readings: [],
  })
})
