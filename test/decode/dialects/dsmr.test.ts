import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { checksums } from '../../../src/decode/checksum.ts'
import { brief } from '../../support/decoding.ts'
import { dialectDecoder } from '../../support/dialect.ts'
import { framedBy } from '../../support/framed.ts'

const decode = dialectDecoder('dsmr')

const telegram = (lines: readonly string[], crc = true): string => {
  const body = `/KFM5KAIFA-METER\r\n\r\n${lines.map((line) => `${line}\r\n`).join('')}!`
  const value = checksums['crc16-arc'].of(Buffer.from(body, 'latin1')).toString(16).toUpperCase()
  return `${body}${crc ? value.padStart(4, '0') : ''}\r\n`
}
const all = (...lines: readonly string[]) => decode(telegram(lines))
const told = ({ readings }: ReturnType<typeof decode>): readonly string[] =>
  readings.map(
    ({ device, name, value, timeMs }) =>
      `${device.replace('house/', '')} ${name}=${value}${timeMs === undefined ? '' : ` ${new Date(timeMs).toISOString()}`}`,
  )

test('the CRC covers the telegram from / to !, with and without leading zeros', async (t) => {
  // Numbered until one has a CRC that begins with zeros.
  const bodies = Array.from({ length: 5_000 }, (_, index) => telegram([`1-3:0.2.8(50)`, `0-0:96.13.0(${index})`]))
  for (const zeros of ['0', '00']) {
    const padded = bodies.find((text) => new RegExp(`!${zeros}[1-9A-F]`).test(text)) ?? ''
    t.match(decode(padded), { fault: undefined, readings: [{}, {}] })
    t.match(decode(padded.replace(`!${zeros}`, '!')), { fault: undefined })
    t.match(decode(padded.toLowerCase().replace(/^.*!/s, padded.replace(/!.*$/s, '!'))), { fault: undefined })
  }
  const [good = ''] = bodies
  t.match(decode(good.replace('0.2.8(50)', '0.2.8(51)')), { readings: [], fault: /the CRC of the telegram is/ })
  t.match(decode(good.replace(/\r\n$/, '')), { fault: undefined }, 'the last line end may be missing')
  t.match(decode(good.replaceAll('\r', '')), { fault: undefined }, 'who read it may have turned CRLF into LF')
})

test('a telegram without a CRC is believed only where the version has none', async (t) => {
  t.match(decode(telegram(['1-0:1.8.1(00001.001*kWh)'], false)), { readings: [{ value: 1.001, unit: 'kWh' }] })
  for (const version of ['1-3:0.2.8(42)', '1-3:0.2.8(50)', '0-0:96.1.4(50217)'])
    t.match(decode(telegram([version], false)), { readings: [], fault: /CRC of the telegram is missing/ })
  t.match(dialectDecoder('dsmr', { crc: 'required' })(telegram(['1-0:1.8.1(1*kWh)'], false)), { fault: /missing/ })
  t.match(dialectDecoder('dsmr', { crc: 'ignored' })(`${telegram(['1-0:1.8.1(1*kWh)'], false)}`), { fault: undefined })
})

test('what is not a whole telegram is named, and the whole ones around it count', async (t) => {
  const good = telegram(['1-3:0.2.8(50)', '1-0:1.7.0(00.244*kW)'])
  const power = [{ name: 'version' }, { name: 'power.import', value: 0.244 }]
  t.match(decode(`0(002)\r\n1-0:1.8.1(000004.426*kWh)\r\n!6EEE\r\n${good}`), { readings: power, fault: /no beginning/ })
  t.match(decode(`/ISk5\\2MT382-1000\r\n\r\n1-0:1.8.1(0000${'\r\n'}${good}`), {
    readings: power,
    fault: /bytes before/,
  })
  t.match(decode(`${good}${good}`), { readings: [...power, ...power], fault: undefined })
  t.match(decode(`${good}${good.slice(0, 40)}`), { readings: power, fault: /cut off/ })
  for (const bad of ['', '!', '/', '!!!!', '/!', '\r\n', '{"a":1}', '/x\r\n'.repeat(100)]) t.ok(decode(bad).fault, bad)
  const strange = all('1-3:0.2.8(50)', '1-0:1.8.0(12*kWh', 'hello', '1-0:2.8.0(1x*kWh)')
  t.match(strange, { readings: [{ value: '50' }], fault: /no data object: 1-0:1.8.0\(12\*kWh \(and 2 more\)/ })
})

test('the letter behind the time is summer or winter', async (t) => {
  const time = (stamp: string, options = {}) =>
    dialectDecoder('dsmr', options)(telegram([`0-0:1.0.0(${stamp})`, '1-0:1.7.0(1*kW)'])).readings[0]?.timeMs
  t.equal(time('261120110000W'), Date.UTC(2026, 10, 20, 10))
  t.equal(time('260720120000S'), Date.UTC(2026, 6, 20, 10))
  t.equal(time('261025023000S'), Date.UTC(2026, 9, 25, 0, 30), 'the hour that comes twice')
  t.equal(time('261025023000W'), Date.UTC(2026, 9, 25, 1, 30))
  t.equal(time('260101003000W'), Date.UTC(2025, 11, 31, 23, 30))
  t.equal(time('261120120000W', { winterOffsetHours: 2 }), Date.UTC(2026, 10, 20, 10))
  t.equal(time('261120110000'), undefined, 'no zone')
  t.equal(time('010101000000W'), undefined, 'a clock that was never set')
  for (const impossible of ['261320110000W', '260230110000W', '261120250000W', '261120116000W'])
    t.match(all(`0-0:1.0.0(${impossible})`, '1-0:1.7.0(1*kW)'), { readings: [{ value: 1 }], fault: /no such time/ })
})

test('what hangs on the M-Bus is a device of its own, with its own time', async (t) => {
  const two = all(
    '0-0:1.0.0(261120110000W)',
    '0-1:24.1.0(003)',
    '0-1:96.1.0()',
    '0-1:24.2.1(632525252525W)(00000.000*m3)',
    '0-2:24.1.0(003)',
    '0-2:24.2.3(261120105502W)(00012.345*m3)',
    '0-3:24.1.0(007)',
    '0-3:96.1.1(4B3832)',
    '0-3:24.2.1(261120105500W)(00001.5*m3)',
    '0-4:24.1.0(099)',
    '0-4:24.2.1(261120105500W)(2*MJ)',
  )
  t.strictSame(told(two), [
    'meter/gas-2 volume.uncorrected=12.345 2026-11-20T09:55:02.000Z',
    'meter/water id=K82 2026-11-20T10:00:00.000Z',
    'meter/water volume=1.5 2026-11-20T09:55:00.000Z',
    'meter/mbus-4 energy=2000000 2026-11-20T09:55:00.000Z',
  ])
  t.strictSame(two.doubtful, [{ device: 'house/meter/gas', name: 'volume', reason: 'faulty', value: 0 }])
  const exchanged = all('0-1:24.1.0(003)', '0-1:96.1.0()', '0-2:24.1.0(003)', '0-2:24.2.1(261120105502W)(1*m3)')
  t.strictSame(
    told(exchanged),
    ['meter/gas volume=1 2026-11-20T09:55:02.000Z'],
    'the one with a value is the gas meter',
  )
})

test('logs tell their newest entry, and the others where history is asked for', async (t) => {
  const log =
    '1-0:99.97.0(3)(0-0:96.7.19)(000104180320W)(0000237126*s)(260301001511W)(0000000301*s)(260201001511W)(0000000500*s)'
  const peaks =
    '0-0:98.1.0(2)(1-0:1.6.0)(1-0:1.6.0)(260901000000S)(260822201500S)(06.134*kW)(261001000000S)(260912173000S)(05.378*kW)'
  const running = '1-0:1.6.0(261118101500W)(03.250*kW)'
  t.strictSame(told(all(log, peaks, running, '1-0:1.4.0(02.351*kW)')), [
    'meter power-failure=301 2026-02-28T23:15:11.000Z',
    'meter power.import.peak=3.25 2026-11-18T09:15:00.000Z',
    'meter power.import.average=2.351',
  ])
  t.match(dialectDecoder('dsmr', { history: true })(telegram([log, peaks])).readings, [
    { name: 'power-failure', value: 301, unit: 's', historical: undefined },
    { name: 'power-failure', value: 500, historical: true },
    { name: 'power.import.peak', value: 5.378, unit: 'kW', historical: true },
    { name: 'power.import.peak', value: 6.134, historical: true },
  ])
  t.strictSame(told(all('1-0:99.97.0(0)(0-0:96.7.19)', '1-0:99.97.0()')), [])
})

test('codes have names, messages are text, and what is unknown keeps its code', async (t) => {
  t.strictSame(
    brief(
      all(
        '0-0:96.13.0(48656C6C6F2021)',
        '0-0:96.13.1()',
        '1-0:4.7.0(000000166*var)',
        '1-0:32.7.0(230.1*V)',
        '1-0:91.7.0(1*A)',
        '1-0:14.7.0(49.98*Hz)',
        '1-1:31.4.0(016*A)',
        '0-0:96.3.10(1)',
        '0-0:94.32.1(400)',
        '7-0:3.1.0(12)',
        '1-0:1.8.0*255(000012.5*kWh)',
        '1.8.1(7*kWh)',
        '1-0:15.7.0(3*zz)',
      ),
    ),
    [
      'message="Hello !"',
      'reactive-power.export=166 var',
      'voltage.l1=230.1 V',
      'current.neutral=1 A',
      'frequency=49.98 Hz',
      'current.limit=16 A',
      'breaker=1',
      '0-0:94.32.1="400"',
      '7-0:3.1.0="12"',
      'energy.import=12.5 kWh',
      'energy.import.tariff1=7 kWh',
      '1-0:15.7.0=3',
    ],
  )
})

const folder = new URL('../../../../shared/samples/dsmr/', import.meta.url)
const skip = !existsSync(folder) && 'no samples here'
test('the recorded telegrams decode whole', { skip }, async (t) => {
  for (const [name, count, energy, gas] of [
    ['v2_2', 13, 'energy.import.tariff1=1.001', 'meter/gas volume=1.001'],
    [
      'v4_2',
      28,
      'energy.import.tariff1=1581.123 2016-11-13T19:57:57.000Z',
      'meter/gas volume=981.443 2016-11-29T19:00:00.000Z',
    ],
    [
      'v5',
      31,
      'energy.import.tariff1=4.426 2017-01-02T18:20:02.000Z',
      'meter/gas volume=0.107 2017-01-02T15:10:05.000Z',
    ],
    ['sagemcom_t210_d_r', 17, 'energy.import=6545766 2022-10-06T13:50:14.000Z', undefined],
    ['unpadded_crc', 4, undefined, 'meter/heat energy=240860000000 2026-02-15T19:05:23.000Z'],
  ] as const) {
    const payload = readFileSync(new URL(`telegram_${name}.txt`, folder))
    const decoding = decode(payload)
    t.match(decoding, { fault: undefined, doubtful: undefined }, name)
    t.equal(decoding.readings.length, count, name)
    if (energy !== undefined) t.ok(told(decoding).includes(`meter ${energy}`), name)
    if (gas !== undefined) t.ok(told(decoding).includes(gas), name)
    const broken = Buffer.from(payload)
    broken[60] = (broken[60] ?? 0) ^ 1
    if (name !== 'v2_2') t.match(decode(broken), { readings: [], fault: /CRC/ }, name)
  }
})

test('the framing of the profile gives whole telegrams', { skip }, async (t) => {
  const names = ['v2_2', 'v4_2', 'v5', 'sagemcom_t210_d_r', 'unpadded_crc']
  const bytes = names.map((name) => readFileSync(new URL(`telegram_${name}.txt`, folder)))
  const { frames } = framedBy('dsmr', Buffer.concat([Buffer.from('tail*kWh)\r\n!ABCD\r\n'), ...bytes]))
  const decodings = frames.map((frame) => decode(frame))
  t.strictSame(
    decodings.filter(({ fault }) => fault === undefined).map(({ readings }) => readings.length),
    [13, 28, 31, 17, 4],
  )
})
