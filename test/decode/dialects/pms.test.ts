import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { brief } from '../../support/decoding.ts'
import { dialectDecoder } from '../../support/dialect.ts'
import { framedBy } from '../../support/framed.ts'

const decode = dialectDecoder('pms')

const frame = (words: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(4 + 2 * words.length + 2)
  bytes.write('BM')
  bytes.writeUInt16BE(2 * words.length + 2, 2)
  for (const [index, word] of words.entries()) bytes.writeUInt16BE(word & 0xffff, 4 + 2 * index)
  bytes.writeUInt16BE(
    bytes.reduce((total, byte) => total + byte, 0),
    bytes.length - 2,
  )
  return bytes
}
const DUST = [23, 39, 41, 22, 35, 41]
const WORDS = [...DUST, 4104, 1193, 278, 12, 4, 1]

test('each model has its own words', async (t) => {
  const dust = ['pm1.cf1=23', 'pm2.5.cf1=39', 'pm10.cf1=41', 'pm1=22', 'pm2.5=35', 'pm10=41'].map(
    (one) => `${one} ug/m3`,
  )
  const counts = [4104, 1193, 278, 12, 4, 1].map(
    (value, index) => `particles.${['0.3', '0.5', '1', '2.5', '5', '10'][index]}um=${value} count`,
  )
  for (const model of ['pms5003', 'pms7003', 'pmsa003', 'pms1003'])
    t.strictSame(brief(dialectDecoder('pms', { model })(frame([...WORDS, 0x9700]))), [...dust, ...counts], model)
  t.strictSame(brief(dialectDecoder('pms', { model: 'pms3003' })(frame([...DUST, 1, 2, 3]))), dust)
  t.strictSame(brief(dialectDecoder('pms', { model: 'pms5003s' })(frame([...WORDS, 17]))), [
    ...dust,
    ...counts,
    'formaldehyde=17 ug/m3',
  ])
  t.strictSame(brief(dialectDecoder('pms', { model: 'pms5003st' })(frame([...WORDS, 17, -55, 224, 0, 0x9100]))), [
    ...dust,
    ...counts,
    'formaldehyde=17 ug/m3',
    'temperature=-5.5 Cel',
    'humidity=22.4 %RH',
  ])
  t.match(decode(frame([...DUST, 1, 2, 3])), { readings: [], fault: /24 bytes, but this model sends 32/ })
})

test('a sensor that reports an error is not believed', async (t) => {
  const decoding = decode(frame([...WORDS, 0x9704]))
  t.match(decoding, { readings: [], fault: /the sensor reports the error 4/ })
  t.match(decoding.doubtful?.[3], { device: 'house/meter', name: 'pm1', reason: 'faulty', value: 22 })
  t.equal(decoding.doubtful?.length, 12)
  t.match(
    dialectDecoder('pms', { model: 'pms1003' })(frame([...WORDS, 0x0004])),
    { readings: { length: 12 } },
    'reserved',
  )
})

test('frames are found among noise, answers are none, and damaged ones are named', async (t) => {
  const good = frame([...WORDS, 0x9700])
  t.match(decode(Buffer.concat([good, good])), { readings: { length: 24 }, fault: undefined })
  t.match(decode(Buffer.concat([Buffer.from('BMBM'), good, Buffer.from('B')])), {
    readings: { length: 12 },
    fault: /5 bytes/,
  })
  t.strictSame(brief(decode(Buffer.from('424d0004e1000174', 'hex'))), [])
  for (let index = 0; index < good.length; index++) {
    const bad = Buffer.from(good)
    bad[index] = (bad[index] ?? 0) ^ 0x10
    t.match(decode(bad), { readings: [], fault: /./ }, `byte ${index}`)
    t.match(decode(good.subarray(0, index)), { readings: [], fault: /./ }, `cut at ${index}`)
  }
})

const folder = new URL('../../../../shared/samples/pm-sensors/', import.meta.url)
test('the recorded PMS5003T gives the values of its table', {
  skip: !existsSync(folder) && 'no samples here',
}, async (t) => {
  const [header = '', ...rows] = readFileSync(new URL('PMS5003T.csv', folder), 'utf8').trim().split('\n')
  const names = header.split(', ').slice(1)
  t.strictSame(names, [
    'raw01',
    'raw25',
    'raw10',
    'pm01',
    'pm25',
    'pm10',
    'n0_3',
    'n0_5',
    'n1_0',
    'n2_5',
    'temp',
    'rhum',
  ])
  const stream = hexdump(new URL('PMS5003T.hexdump', folder))
  const { frames } = framedBy('pms5003t', Buffer.concat([stream.subarray(9, 32), stream]))
  t.equal(frames.length, rows.length)
  const model = dialectDecoder('pms', { model: 'pms5003t' })
  for (const [index, bytes] of frames.entries()) {
    const { readings, fault } = model(bytes)
    t.equal(fault, undefined)
    // The table counts particles in a cubic centimetre, the sensor in a hundred of them.
    const values = readings.map(({ value, unit }) => (unit === 'count' ? Number(value) / 100 : Number(value)))
    t.strictSame(values, (rows[index] ?? '').split(', ').slice(1).map(Number), `frame ${index}`)
  }
})

const hexdump = (file: URL): Buffer => {
  const digits = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.slice(10).split('  ')[0])
  return Buffer.from(digits.join('').replaceAll(' ', ''), 'hex')
}
