import { test } from 'tap'
import { templatePlace } from '../../src/decode/dialects/home-assistant/template.ts'
import { brief } from '../support/decoding.ts'
import { router as shared } from '../support/profiles.ts'

/** A router that learns and decodes message by message. */
const line = () => {
  const router = shared.forgetful()
  let seq = 0
  return (topic: string, payload: string | object, source = 'broker') => {
    const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
    const message = { topic, payload: Buffer.from(text), source, receivedAt: 0, seq: ++seq }
    router.learn(message)
    return router.decode(message)
  }
}

test('a generic topic keeps its device and names, and gets its units', (t) => {
  const send = line()
  t.strictSame(send('homeassistant/sensor/n/t/config', { stat_t: 'n/t', unit_of_meas: '°F' }).readings, [])
  const scalar = send('n/t', '77')
  t.equal(scalar.device, 'n')
  t.strictSame(brief(scalar), ['t=25 Cel'])
  t.strictSame(brief(send('n/t', '25 °C')), ['t=25 Cel'], 'its own unit comes first')
  t.strictSame(brief(line()('n/t', '77')), ['t=77'], 'without the announcement')

  const config = (name: string, unit: string, kind: string) => ({
    '~': 'home/node',
    name,
    state_topic: '~/state',
    value_template: `{{ value_json.${name} | round(1) }}`,
    unit_of_measurement: unit,
    device_class: kind,
  })
  send('homeassistant/sensor/temp/config', config('temp', '°C', 'temperature'))
  send('homeassistant/sensor/hum/config', config('a.hum', '%', 'humidity'))
  send('homeassistant/sensor/bat/config', config('level', '%', 'battery'))
  const json = send('home/node/state', '{"temp":21.55,"a":{"hum":40},"level":88,"other":1}')
  t.equal(json.device, 'home/node/state')
  t.strictSame(brief(json), ['temp=21.55 Cel', 'a.hum=40 %RH', 'level=88 %EL', 'other=1'])
  t.end()
})

test('an announcement that is changed or taken back counts from then on', (t) => {
  const send = line()
  send('homeassistant/sensor/t/config', { stat_t: 'n/t', unit_of_meas: 'W' })
  send('homeassistant/sensor/t/config', { stat_t: 'n/t', unit_of_meas: 'kW' })
  t.strictSame(brief(send('n/t', '2')), ['t=2 kW'])
  send('homeassistant/sensor/t/config', '')
  t.strictSame(brief(send('n/t', '2')), ['t=2'])
  send('homeassistant/sensor/t/config', '{"broken"')
  t.strictSame(brief(send('n/t', '2')), ['t=2'])
  send('homeassistant/sensor/t/config', { stat_t: 'n/t', unit_of_meas: 'W' }, 'other')
  t.strictSame(brief(send('n/t', '2')), ['t=2'], 'what came through another source is about another broker')
  t.end()
})

test('two texts become true and false where they are named', (t) => {
  const send = line()
  send('homeassistant/binary_sensor/door/config', { stat_t: 'n/door', pl_on: 'open', pl_off: 'closed' })
  send('homeassistant/switch/s/config', { stat_t: 'n/s', pl_on: 'TURN', pl_off: 'STOP', stat_on: '1', stat_off: '0' })
  t.strictSame(brief(send('n/door', 'open')), ['door=true'])
  t.strictSame(brief(send('n/door', 'closed')), ['door=false'])
  t.strictSame(brief(send('n/door', 'ajar')), ['door="ajar"'])
  t.strictSame(brief(send('n/s', '1')), ['s=true'])
  t.end()
})

test('availability topics say who is there', (t) => {
  const send = line()
  send('homeassistant/sensor/a/config', { stat_t: 'n/t', avty_t: 'n/lwt', pl_avail: 'up', pl_not_avail: 'down' })
  const down = send('n/lwt', 'down')
  t.strictSame(down.presence, [{ device: 'n', online: false }])
  t.strictSame(brief(down), ['lwt="down"'], 'the reading stays')
  t.strictSame(send('n/lwt', 'up').presence, [{ device: 'n', online: true }])
  t.equal(send('n/lwt', 'busy').presence, undefined)

  const bridge = { topic: 'b/state', value_template: '{{ value_json.state }}' }
  send('homeassistant/sensor/x/config', {
    stat_t: 'b/x',
    val_tpl: '{{ value_json.v }}',
    availability: [bridge, { t: 'b/x/a' }],
    availability_mode: 'all',
  })
  t.strictSame(send('b/state', '{"state":"offline"}').presence, [{ device: 'b/x', online: false }])
  t.equal(send('b/state', '{"state":"online"}').presence, undefined, 'one of two is not all')
  t.end()
})

test('topics that are named for attributes or commands alone are decoded as if nobody had named them', (t) => {
  const send = line()
  send('homeassistant/light/l/config', { stat_t: 'n/s', json_attr_t: 'n/attributes', cmd_t: 'n/s/set' })
  t.strictSame(brief(send('n/attributes', '{"rssi":-60}')), ['rssi=-60'])
  t.strictSame(brief(send('n/s/set', 'ON')), ['set=true'])
  t.strictSame(brief(send('n/s', 'ON')), ['s=true'])
  t.end()
})

test('the device-based form describes all components at once', (t) => {
  const send = line()
  send('homeassistant/device/node/config', {
    dev: { ids: ['x'] },
    o: { name: 'maker' },
    '~': 'maker/node',
    stat_t: '~/all',
    cmps: {
      t: { p: 'sensor', val_tpl: '{{ value_json.t }}', unit_of_meas: 'C' },
      p: { p: 'sensor', stat_t: 'other/p', unit_of_meas: 'hPa' },
      gone: { p: 'sensor' },
      wrong: 7,
    },
  })
  t.strictSame(brief(send('maker/node/all', '{"t":3}')), ['t=3 Cel'])
  t.strictSame(brief(send('other/p', '1013')), ['p=1013 hPa'])
  send('homeassistant/climate/c/config', {
    curr_temp_t: 'c/now',
    temp_unit: 'F',
    temp_stat_t: 'c/set',
    curr_hum_t: 'c/hum',
  })
  t.strictSame(brief(send('c/now', '50')), ['now=10 Cel'])
  t.strictSame(brief(send('c/hum', '50')), ['hum=50 %RH'])
  t.end()
})

test('topics of profiles keep their profile and get what is missing', (t) => {
  const send = line()
  const topic = 'greenhouse/sensor/air/state'
  send('homeassistant/sensor/greenhouse/air/config', {
    stat_t: topic,
    unit_of_meas: 'hPa',
    avty_t: 'greenhouse/status',
  })
  const decoding = send(topic, '1013')
  t.equal(decoding.profile, 'esphome')
  t.strictSame(brief(decoding), ['air=1013 hPa'])
  t.match(send('greenhouse/status', 'offline').presence, [{ device: 'greenhouse', online: false }])
  t.end()
})

test('strange announcements harm nobody', (t) => {
  const send = line()
  for (const config of [
    '{"__proto__":{"stat_t":"x"},"stat_t":"__proto__","unit_of_meas":"W"}',
    '{"stat_t":7,"avty":[1,null,{"t":[]}],"cmps":[1,{"stat_t":{}}]}',
    `{"stat_t":"n/t","val_tpl":"{{ ${' '.repeat(5_000)}"}`,
    '{"~":"~","stat_t":"~~~"}',
  ])
    t.equal(send('homeassistant/sensor/x/config', config).fault, undefined, config.slice(0, 40))
  send('homeassistant/sensor/y/config', '{"stat_t":"__proto__","unit_of_meas":"W"}')
  t.strictSame(brief(send('__proto__', '1')), ['__proto__=1 W'])
  t.match(send('homeassistant/sensor/x/config', 'null').fault, /not a JSON object/)
  t.end()
})

test('templates that only say where a value stands are understood, others are not', (t) => {
  const path = (text: string | undefined) => {
    const place = templatePlace(text)
    return place.kind === 'path' ? place.path : place.kind
  }
  t.equal(path(undefined), 'whole')
  t.equal(path('{{ value }}'), 'whole')
  t.equal(path('{{value|float(0)}}'), 'whole')
  t.equal(path('{{ value_json.a.b }}'), 'a.b')
  t.equal(path(`{{ value_json['x y']["z"][0].k | float | round(2) }}`), 'x y.z.0.k')
  for (const text of [
    '{{ value_json.a / 10 }}',
    '{{ (value_json.a | float) * 2 }}',
    '{% if value_json.a %}1{% endif %}',
    '{{ value_json.a | multiply(2) }}',
    '{{ value_json }}',
    '{{ value_json.a }} {{ value_json.b }}',
    `{{ value_json.a ${'| float '.repeat(100)}}}`,
  ])
    t.equal(path(text), 'none', text)
  t.end()
})

test('which of two contradicting announcements counts does not depend on the order in which they are learnt', (t) => {
  const announced = [
    { seq: 1, topic: 'homeassistant/sensor/b/config', unit: '°F' },
    { seq: 2, topic: 'homeassistant/sensor/a/config', unit: '°C' },
  ]
  const decoded = (order: typeof announced) => {
    const router = shared.forgetful()
    for (const { seq, topic, unit } of order) {
      const payload = Buffer.from(JSON.stringify({ stat_t: 'n/t', unit_of_meas: unit }))
      router.learn({ topic, payload, source: 'broker', receivedAt: 0, seq })
    }
    return brief(router.decode({ topic: 'n/t', payload: Buffer.from('77'), source: 'broker', receivedAt: 0, seq: 3 }))
  }
  t.strictSame(decoded(announced), decoded(announced.toReversed()))
  t.end()
})

test('a device that announces more than devices have holds nobody up', (t) => {
  const send = line()
  const components = Object.fromEntries(
    Array.from({ length: 500 }, (_, index) => [`c${index}`, { p: 'climate', stat_t: `n/${index}` }]),
  )
  const many = Object.fromEntries(Array.from({ length: 30_000 }, (_, index) => [`k${index}`, 1]))
  const availability = Array.from({ length: 500 }, (_, index) => ({ t: `a/${index}` }))
  const before = performance.now()
  send('homeassistant/device/wide/config', { ...many, components })
  send('homeassistant/device/there/config', { availability, components })
  t.ok(performance.now() - before < 2_500, 'the sizes of one times those of the other took more than four seconds')
  t.end()
})

test('the unit of a whole payload is not that of what stands inside JSON', (t) => {
  const send = line()
  send('homeassistant/sensor/n/t/config', { stat_t: 'n/t', unit_of_meas: '°F' })
  t.strictSame(brief(send('n/t', '77')), ['t=25 Cel'])
  t.strictSame(brief(send('n/t', '{"a":77}')), ['a=77'])
  t.strictSame(brief(send('n/t', '[{"n":"a","v":77}]')), ['a=77'])
  t.end()
})
