import { existsSync, readdirSync, readFileSync } from 'node:fs'
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
    ...['home/kitchen/temperature', 'home/kitchen/sensor/co2', 'home/LWT', 'home/garage/door/state', 'home/power'],
    ...[
      'solar/power',
      'solar/roof/power',
      'solar/roof/1/power',
      'inverter/power',
      'inverter/pv/power',
      'weather/wind_speed',
    ],
    ...['weather/outside/temperature', 'dsmr/power', 'meter/reading/total', 'energy/grid/import', 'heating/status'],
    ...['application/x/temperature', 'v3/x/y', 'device/1/event/up', 'zwave', 'frigate', 'msh/x', 'wled', 'evcc/x'],
    ...[
      'N/a/b',
      'owntracks',
      'a/b/json/c',
      'rtl_433/x',
      'shellies',
      'airgradient/x',
      'ems/boiler_data',
      'garden/pump/online',
    ],
    ...[
      'a/b/events',
      'a/b/c/d/e',
      'plant/soil/moisture',
      'tank/level',
      '/slash/first',
      'ESP_Easy/BME/Temperature',
      'a//b',
    ],
    ...[
      'sensor/1/state',
      'node1/status/LWT',
      '__proto__',
      '__proto__/constructor',
      'openWB/evu/W',
      '$SYS/broker/uptime',
    ],
  ]
  for (const topic of topics) t.equal(router.decode(messageOn(topic, '21.5')).profile, 'generic', topic)
})

test('an example of one profile is claimed by another at most through a pattern for any device at all', async (t) => {
  for (const profile of profiles)
    for (const { topic, ...example } of profile.examples) {
      const { candidates } = router.explain(topic, examplePayload({ topic, ...example }))
      const others = candidates.filter((candidate) => candidate.profile !== profile.name)
      for (const { pattern } of others)
        t.match(pattern, /^\{device\.\.\.\}\/status$/, `${profile.name}: ${topic} is claimed by ${pattern}`)
    }
})

test('there are at least twenty profiles, each with its source of truth and what it takes for noise', async (t) => {
  t.ok(profiles.length >= 20, `${profiles.length} profiles`)
  for (const { name, source, about } of profiles) {
    t.match(source, /^https?:\/\//, name)
    t.match(about, /Device/i, name)
  }
})

test('a key or a level named like a part of every object is a name like any other, in every profile', async (t) => {
  const before = Object.getOwnPropertyNames(Object.prototype).length
  for (const { name, examples } of profiles)
    for (const { topic, payload = '' } of examples) {
      const odd = topic.replace(/[^/]+(?=\/[^/]*$)/, '__proto__')
      const keyed = payload.startsWith('{"') ? payload.replace('{"', '{"__proto__":{"polluted":1},"') : payload
      for (const message of [messageOn(odd, payload), messageOn(topic, keyed), messageOn(odd, keyed)])
        t.notMatch(router.decode(message).fault ?? '', /inside tidegate/, `${name}: ${message.topic}`)
    }
  t.notOk('polluted' in {})
  t.equal(Object.getOwnPropertyNames(Object.prototype).length, before)
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
  for (const file of readdirSync(shelly).filter((name) => !name.endsWith('.json'))) {
    const answer = readFileSync(new URL(file, shelly))
    t.match(router.decode(messageOn(`${id}/rpc`, answer)), { profile: 'shelly-gen2', device: id, readings: [] }, file)
    t.match(router.decode(messageOn(`${id}/events/rpc`, answer)), { readings: [], fault: /no 'params'/ }, file)
  }
})

const ttn = new URL('../../shared/samples/ttn/', import.meta.url)
test('real messages of The Things Stack decode: the uplink to what its gateway heard, the join to nothing', {
  skip: !existsSync(ttn) && 'no samples here',
}, async (t) => {
  const decoded = (file: string, event: string) =>
    router.decode(messageOn(`v3/app1/devices/dev1/${event}`, readFileSync(new URL(file, ttn))))
  const uplink = decoded('uplink_message-2.json', 'up')
  t.match(uplink, { profile: 'the-things-stack', device: 'v3/app1/devices/dev1', fault: undefined })
  t.strictSame(brief(uplink), [
    'frm_payload="VGVtcGVyYXR1cmUgPSAwLjA="',
    'f_port=15',
    'f_cnt=0',
    'spreading_factor=7',
    'rssi=-35 dBm',
    'snr=5 dB',
    'gateway="eui-0242020000247803"',
    'gateways=1',
  ])
  const join = decoded('join_accept-1.json', 'join')
  t.match(join, { profile: 'the-things-stack', device: 'v3/app1/devices/dev1', readings: [], fault: undefined })
  t.match(decoded('join_accept-1.json', 'up').fault, /no 'uplink_message'/)
})

test('what others send on topics like those of ESPHome and Venus OS is read as what it is', async (t) => {
  t.match(router.decode(messageOn('home/light/kitchen/state', 'ON')), {
    profile: 'generic',
    device: 'home/light/kitchen',
    readings: [{ name: 'state', value: true }],
    fault: undefined,
  })
  t.strictSame(brief(router.decode(messageOn('N/a/b/c/d', '{"temperature":21.5,"humidity":40}'))), [
    'd.temperature=21.5',
    'd.humidity=40',
  ])
})
