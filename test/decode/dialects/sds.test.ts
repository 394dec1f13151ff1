import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { brief } from '../../support/decoding.ts'
import { dialectDecoder } from '../../support/dialect.ts'
import { framedBy } from '../../support/framed.ts'

const decode = dialectDecoder('sds')
const good = Buffer.from('aac0d4043a0aa1601dab', 'hex')

test('the measurement frame of the protocol is read as its text says', async (t) => {
  t.strictSame(brief(decode(good)), ['pm2.5=123.6 ug/m3', 'pm10=261.8 ug/m3', 'id="A160"'])
  t.match(decode(Buffer.concat([good, good])), { readings: { length: 6 }, fault: undefined })
})

test('answers are no readings, and what is damaged is named', async (t) => {
  t.strictSame(brief(decode(Buffer.from('aac502010100a16005ab', 'hex'))), [])
  t.match(decode(Buffer.concat([Buffer.from('aaaa', 'hex'), good, Buffer.from('ab', 'hex')])), {
    readings: { length: 3 },
    fault: /3 bytes/,
  })
  t.match(decode(''), { readings: [], fault: /empty/ })
  for (let index = 0; index < good.length; index++) {
    const bad = Buffer.from(good)
    bad[index] = (bad[index] ?? 0) ^ 0x10
    const decoding = decode(bad)
    t.strictSame(decoding.readings, [], `byte ${index}`)
    // Another command is an answer, which has nothing to say.
    if (index !== 1) t.ok(decoding.fault, `byte ${index}`)
    t.strictSame(decode(good.subarray(0, index)).readings, [], `cut at ${index}`)
  }
})

const folder = new URL('../../../../shared/samples/pm-sensors/', import.meta.url)
test('the recorded SDS01x gives the values of its table', {
  skip: !existsSync(folder) && 'no samples here',
}, async (t) => {
  const rows = readFileSync(new URL('SDS01x.csv', folder), 'utf8').trim().split('\n').slice(1)
  const dump = readFileSync(new URL('SDS01x.hexdump', folder), 'utf8').trim().split('\n')
  const stream = Buffer.from(dump.map((line) => line.slice(10, 40).replaceAll(' ', '')).join(''), 'hex')
  const { frames } = framedBy('sds011', Buffer.concat([stream.subarray(3, 10), stream]))
  t.equal(frames.length, rows.length)
  for (const [index, frame] of frames.entries()) {
    const { readings, fault } = decode(frame)
    t.equal(fault, undefined)
    t.strictSame(
      readings.slice(0, 2).map(({ value }) => value),
      (rows[index] ?? '').split(', ').slice(1).map(Number),
    )
  }
})
