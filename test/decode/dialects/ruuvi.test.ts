import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { brief, messageOn } from '../../support/decoding.ts'
import { dialectDecoder } from '../../support/dialect.ts'
import { router } from '../../support/profiles.ts'

const decode = dialectDecoder('ruuvi')
const hex = (digits: string): Buffer => Buffer.from(digits, 'hex')

const VALID = '0512FC5394C37C0004FFFC040CAC364200CDCBB8334C884F'
const READ = [
  'temperature=24.3 Cel',
  'humidity=53.49 %RH',
  'pressure=100044 Pa',
  'acceleration.x=0.0392266 m/s2',
  'acceleration.y=-0.0392266 m/s2',
  'acceleration.z=10.1596894 m/s2',
  'battery=2.977 V',
  'tx-power=4 dBm',
  'movements=66 count',
  'sequence=205 count',
  'mac="CB:B8:33:4C:88:4F"',
]

test('the data are found alone, behind the identifier, and in an advertisement, as bytes and as text', async (t) => {
  for (const digits of [
    VALID,
    `9904${VALID}`,
    `0201061BFF9904${VALID}`,
    `1BFF9904${VALID}`,
    `0201061BFF9904${VALID}0000`,
  ]) {
    t.strictSame(brief(decode(hex(digits))), READ, digits)
    t.strictSame(brief(decode(digits)), READ, digits)
    t.strictSame(brief(decode(` 0x${digits.toLowerCase()}\r\n`)), READ, digits)
  }
})

test("another maker's advertisement is no reading and no fault, and no data of Ruuvi's", async (t) => {
  for (const digits of ['02011A0AFF4C0010050B1C0D1E2F', '0303AAFE0916AAFE10F603727500', '0502010203040416AAFE10'])
    t.strictSame(brief(decode(digits)), [], digits)
})

test('what is cut off or unknown is a fault', async (t) => {
  for (let length = 0; length < VALID.length; length += 2) {
    t.match(decode(hex(VALID.slice(0, length))), { readings: [], fault: /./ }, `${length}`)
    t.match(decode(`0201061BFF9904${VALID.slice(0, length)}`), { readings: [], fault: /./ }, `${length}`)
  }
  t.match(decode(`05FF990408${VALID.slice(2, 4)}`), { fault: /data format 08 is not known/ })
  t.match(decode('hello'), { fault: /no data format of Ruuvi/ })
})

test('data formats 3, 6 and E1 are those of the documentation', async (t) => {
  t.strictSame(brief(decode('03291A1ECE1EFC18F94202CA0B53')), [
    'temperature=26.3 Cel',
    'humidity=20.5 %RH',
    'pressure=102766 Pa',
    'acceleration.x=-9.80665 m/s2',
    'acceleration.y=-16.9262779 m/s2',
    'acceleration.z=7.0019481 m/s2',
    'battery=2.899 V',
  ])
  t.match(brief(decode('0300FF6300008001800180010000')), [
    'temperature=-127.99 Cel',
    'humidity=0 %RH',
    'pressure=50000 Pa',
  ])
  t.strictSame(brief(decode('06170C5668C79E007000C90501D9FFCD004C884F')), [
    'temperature=29.5 Cel',
    'humidity=55.3 %RH',
    'pressure=101102 Pa',
    'pm2.5=11.2 ug/m3',
    'co2=201 ppm',
    'voc-index=10',
    'nox-index=2',
    'illuminance=13026.67 lux',
    'sequence=205 count',
    'calibrating=false',
    'mac="4C:88:4F"',
  ])
  t.match(brief(decode('067FFF9C40FFFE27109C40FAFAFEFFFFC14C8F4F')), [
    'temperature=163.835 Cel',
    'humidity=100 %RH',
    'pressure=115534 Pa',
    'pm2.5=1000 ug/m3',
    'co2=40000 ppm',
    'voc-index=501',
    'nox-index=501',
    'illuminance=65535 lux',
    'sequence=255 count',
    'calibrating=true',
  ])
  t.strictSame(brief(decode('068000FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF')), ['sequence=255 count', 'calibrating=true'])
  t.strictSame(brief(decode('E1170C5668C79E0065007004BD11CA00C90A0213E0ACFFFFFFDECDEE00FFFFFFFFFFCBB8334C884F')), [
    'temperature=29.5 Cel',
    'humidity=55.3 %RH',
    'pressure=101102 Pa',
    'pm1=10.1 ug/m3',
    'pm2.5=11.2 ug/m3',
    'pm4=121.3 ug/m3',
    'pm10=455.4 ug/m3',
    'co2=201 ppm',
    'voc-index=20',
    'nox-index=4',
    'illuminance=13027 lux',
    'sequence=14601710 count',
    'calibrating=false',
    'mac="CB:B8:33:4C:88:4F"',
  ])
})

test('a gateway says when it heard the tag, and how strongly', async (t) => {
  const topic = 'ruuvi/C8:25:2D:8E:9C:2C/CB:B8:33:4C:88:4F'
  const sent = (more: object) =>
    router.decode(
      messageOn(
        topic,
        JSON.stringify({ gw_mac: 'C8:25:2D:8E:9C:2C', rssi: -26, aoa: [], data: `0201061BFF9904${VALID}`, ...more }),
      ),
    )
  for (const ts of ['1653668027', 1653668027]) {
    const decoding = sent({ gwts: ts, ts })
    t.match(decoding, { profile: 'ruuvi-gateway', device: 'ruuvi/CB:B8:33:4C:88:4F', fault: undefined })
    t.strictSame(brief(decoding), [...READ, 'rssi=-26 dBm'])
    for (const { timeMs } of decoding.readings) t.equal(timeMs, 1653668027000)
  }
  t.equal(sent({}).readings[0]?.timeMs, undefined, 'a gateway without a clock sends no times')
  t.equal(sent({ ts: 17 }).readings[0]?.timeMs, undefined)
  for (const data of [5, null, '', 'xyz', '0201061BFF9904', `05${VALID}`]) t.ok(sent({ data }).fault, `${data}`)
  for (const topicOfOthers of ['ruuvi/kitchen/temperature', 'ruuvi/a/b'])
    t.equal(router.decode(messageOn(topicOfOthers, '21.5')).profile, 'generic')
})

const sample = new URL('../../../../shared/samples/ruuvi/df5-vectors.json', import.meta.url)
test('the vectors of data format 5 come out as they say', {
  skip: !existsSync(sample) && 'no samples here',
}, async (t) => {
  const vectors = JSON.parse(readFileSync(sample, 'utf8'))
  const keys = [
    ['temperature', 'temperature_c'],
    ['humidity', 'humidity_rh'],
    ['pressure', 'pressure_pa'],
    ['battery', 'battery_v'],
    ['tx-power', 'tx_dbm'],
    ['movements', 'movement'],
    ['sequence', 'seq'],
  ] as const
  for (const kind of ['valid', 'max', 'min']) {
    const { readings, fault } = decode(hex(vectors[kind].hex))
    t.equal(fault, undefined)
    const values = new Map(readings.map(({ name, value }) => [name, value]))
    for (const [name, key] of keys) t.equal(values.get(name), vectors[kind][key], `${kind} ${name}`)
    for (const [index, axis] of ['x', 'y', 'z'].entries()) {
      const inGravities = Number(values.get(`acceleration.${axis}`)) / 9.80665
      const expected = vectors[kind].accel_g?.[index] ?? (kind === 'max' ? 32.767 : -32.767)
      t.ok(Math.abs(inGravities - expected) < 1e-6, `${kind} ${axis}`)
    }
    if (vectors[kind].mac !== undefined) t.equal(values.get('mac'), vectors[kind].mac)
  }
  t.strictSame(brief(decode(hex(vectors.invalid.hex))), [])
  for (const kind of ['valid', 'max', 'min']) {
    const profiled = router.decodeAs('ruuvi', messageOn('tag', hex(vectors[kind].hex)))
    t.strictSame(
      profiled.readings,
      decode(hex(vectors[kind].hex)).readings.map((one) => ({ ...one, device: 'tag' })),
    )
  }
})
