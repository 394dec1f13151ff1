import { existsSync, readFileSync } from 'node:fs'
import { test } from 'tap'
import { brief } from '../../support/decoding.ts'
import { dialectDecoder } from '../../support/dialect.ts'
import { framedBy } from '../../support/framed.ts'

const decode = dialectDecoder('vedirect')

const block = (fields: Readonly<Record<string, string>>): Buffer => {
  const lines = Object.entries(fields).map(([label, value]) => `\r\n${label}\t${value}`)
  const body = Buffer.from(`${lines.join('')}\r\nChecksum\t`, 'latin1')
  const sum = body.reduce((total, byte) => total + byte, 0)
  return Buffer.concat([body, Buffer.from([-sum & 0xff])])
}
const HEX = ':A5010000000000000172\n'

test('the sum of a block decides about all of it', async (t) => {
  const good = block({ V: '12530', I: '-640' })
  t.strictSame(brief(decode(good)), ['V=12.53 V', 'I=-0.64 A'])
  for (let index = 0; index < good.length; index++) {
    const bad = Buffer.from(good)
    bad[index] = (bad[index] ?? 0) ^ 0x04
    const decoding = decode(bad)
    t.ok(decoding.fault, `byte ${index}`)
    t.strictSame(decoding.readings, [], `byte ${index}`)
  }
  t.match(decode(good.subarray(0, -1)), { readings: [], fault: /checksum/ })
  t.match(decode(good.subarray(2)), { readings: { length: 2 }, fault: undefined }, 'without the first line end')
  t.match(decode(Buffer.concat([good, good, Buffer.from('\r\n')])), { readings: { length: 4 }, fault: undefined })
  t.match(decode(Buffer.concat([good, good.subarray(0, 9)])), { readings: { length: 2 }, fault: /cut off/ })
  for (const payload of ['', 'hello', '\r\nV\t12530']) t.match(decode(payload), { readings: [], fault: /./ })
})

test('frames of the HEX protocol before, between and inside blocks do not count', async (t) => {
  const good = block({ V: '12530', I: '-640' })
  const hex = Buffer.from(HEX)
  const expected = ['V=12.53 V', 'I=-0.64 A']
  t.strictSame(brief(decode(Buffer.concat([hex, good]))), expected)
  t.strictSame(brief(decode(Buffer.concat([good, hex, hex, good, hex]))), [...expected, ...expected])
  t.strictSame(brief(decode(Buffer.concat([good.subarray(0, 9), hex, good.subarray(9)]))), expected)
  t.strictSame(brief(decode(hex)), [])
})

test('labels have their units, codes their meaning, and each label one type', async (t) => {
  const values = {
    VS: '---',
    VM: '6012',
    DM: '-3',
    T: '23',
    P: '-85',
    CE: '-13500',
    SOC: '876',
    TTG: '-1',
    Alarm: 'ON',
    Relay: 'Off',
    AR: '6',
    WARN: '32768',
    OR: '0x00000101',
    CS: '77',
    ERR: '33',
    MODE: '2',
    MPPT: '1',
    AC_OUT_V: '23005',
    AC_OUT_I: '12',
    AC_OUT_S: '276',
    H7: '10345',
    H9: '86400',
    H18: '1234',
    'SER#': 'HQ1411MYIKN',
    NEW: '5',
  }
  t.strictSame(brief(decode(block(values))), [
    'VM=6.012 V',
    'DM=-3 /1000',
    'T=23 Cel',
    'P=-85 W',
    'CE=-13.5 Ah',
    'SOC=87.6 %EL',
    'Alarm=true',
    'Relay=false',
    'AR="high voltage, low SOC"',
    'WARN="bit 15"',
    'OR="no input power, analysing input voltage"',
    'CS="77"',
    'ERR="input voltage too high"',
    'MODE="inverter"',
    'MPPT="voltage or current limited"',
    'AC_OUT_V=230.05 V',
    'AC_OUT_I=1.2 A',
    'AC_OUT_S=276 VA',
    'H7=10.345 V',
    'H9=86400 s',
    'H18=12.34 kWh',
    'SER#="HQ1411MYIKN"',
    'NEW="5"',
  ])
  t.match(decode(block({ TTG: '240', V: '12x', LOAD: 'MAYBE', CS: '-1' })), {
    readings: [{ name: 'TTG', value: 240, unit: 'min' }],
    fault: /^V has no value that can be read: 12x \(and 2 more\)$/,
  })
})

const sample = new URL('../../../../shared/samples/vedirect/bluesolar_1.23.dump', import.meta.url)
const skip = !existsSync(sample) && 'no samples here'

/** Cut behind each checksum byte, whatever is in between. */
const cut = (bytes: Buffer): readonly Buffer[] => {
  const parts: Buffer[] = []
  let start = 0
  for (let at = bytes.indexOf('Checksum\t'); at >= 0; at = bytes.indexOf('Checksum\t', start)) {
    parts.push(bytes.subarray(start, at + 10))
    start = at + 10
  }
  return parts
}

test('the recorded charger has 240 blocks whose bytes sum up, and 8 others that are explained', { skip }, async (t) => {
  const parts = cut(readFileSync(sample))
  const sumsUp = (part: Buffer) => part.reduce((total, byte) => total + byte, 0) % 256 === 0
  const others = parts.filter((part) => !sumsUp(part))
  t.equal(parts.length - others.length, 240)
  t.equal(others.length, 8)
  for (const part of parts.filter(sumsUp)) t.match(decode(part), { fault: undefined, readings: { length: 17 } })
  // Seven follow a frame of the HEX protocol, which does not count: they are right without it. The first one begins with
  // the checksum byte of a block that was not recorded.
  const hex = others.filter((part) => part[0] === 0x3a)
  t.equal(hex.length, 7)
  for (const part of hex) {
    t.ok(sumsUp(part.subarray(part.indexOf('\n') + 1)))
    t.match(decode(part), { fault: undefined, readings: { length: 17 } })
  }
  t.match(
    others.filter((part) => part[0] !== 0x3a).map((part) => decode(part)),
    [{ readings: [], fault: /checksum of the block is wrong/ }],
  )
})

test('the framing of the profile cuts the recorded stream into the same blocks', { skip }, async (t) => {
  const { frames, faults } = framedBy('vedirect', readFileSync(sample))
  const decodings = frames.map((frame) => decode(frame))
  t.equal(decodings.filter(({ readings }) => readings.length === 17).length, 247)
  t.equal(decodings.filter(({ readings }) => readings.length === 0).length, 7, 'frames of the HEX protocol')
  t.equal(decodings.filter(({ fault }) => fault !== undefined).length, 0)
  t.ok(faults.length <= 1, 'the first block is not whole, and discarded')
})
