import { test } from 'tap'
import { brief } from '../support/decoding.ts'
import { dialectDecoder } from '../support/dialect.ts'

const hex = (text: string) => Buffer.from(text.replace(/\s/g, ''), 'hex')
const binary = (options: Readonly<Record<string, unknown>>, payload: string) =>
  brief(dialectDecoder('binary', options)(hex(payload)))
/** One field at 0. */
const one = (field: object, payload: string, more: object = {}) =>
  binary({ fields: [{ name: 'x', at: 0, ...field }], ...more }, payload)

test('numbers of every type are read in both byte orders', async (t) => {
  const cases: readonly (readonly [type: string, payload: string, big: unknown, little: unknown])[] = [
    ['u8', 'fe', 254, 254],
    ['i8', 'fe', -2, -2],
    ['u16', '0102', 258, 513],
    ['i16', 'ff00', -256, 255],
    ['u24', '010203', 66051, 197121],
    ['i24', 'ffff00', -256, 65535],
    ['u32', 'ffffff00', 4294967040, 16777215],
    ['i32', 'ffffff00', -256, 16777215],
    ['u48', '000000000100', 256, 4294967296],
    ['u64', '0000000000000001', 1, '72057594037927936'],
    ['i64', 'ffffffffffffffff', -1, -1],
    ['f32', '41a8cccd', 21.1, -429197340],
    ['f64', '3ff8000000000000', 1.5, 3.13984e-319],
  ]
  for (const [type, payload, big, little] of cases) {
    t.strictSame(one({ type }, payload), [`x=${JSON.stringify(big)}`], `${type} big`)
    t.strictSame(one({ type, endian: 'little' }, payload), [`x=${JSON.stringify(little)}`], `${type} little`)
    t.strictSame(one({ type }, payload, { endian: 'little' }), [`x=${JSON.stringify(little)}`], `${type} layout`)
  }
  t.strictSame(one({ type: 'u64' }, '0020000000000001'), ['x="9007199254740993"'], 'beyond 2^53 stays exact')
  t.strictSame(one({ type: 'u64', scale: 0.001 }, '0020000000000001'), ['x=9007199254740'])
})

test('bits, switches, BCD, text and bytes are read', async (t) => {
  t.strictSame(one({ type: 'u8', bits: [4, 7] }, 'a5'), ['x=10'])
  t.strictSame(one({ type: 'u16', bits: [0, 11] }, 'f123'), ['x=291'])
  t.strictSame(one({ type: 'i16', bits: [0, 11] }, '0fff'), ['x=-1'])
  t.strictSame(one({ type: 'u64', bits: [60, 63] }, 'f000000000000000'), ['x=15'])
  t.strictSame(one({ type: 'bool', bits: [3, 3] }, '08'), ['x=true'])
  t.strictSame(one({ type: 'bool' }, '00'), ['x=false'])
  t.strictSame(one({ type: 'bcd', length: 3, scale: 0.01 }, '012345'), ['x=123.45'])
  t.strictSame(one({ type: 'bcd', length: 2, endian: 'little' }, '3412'), ['x=1234'])
  t.match(one({ type: 'bcd', length: 1 }, '1f'), [/no BCD number: 1f/])
  t.strictSame(one({ type: 'text', length: 6 }, '4142432000ff'), ['x="ABC"'])
  t.strictSame(one({ type: 'text', length: 2 }, '0000'), [])
  t.strictSame(one({ type: 'hex', length: 3 }, 'c0ffee'), ['x="c0ffee"'])
})

test('scale, offset, unit, absent and impossible values are as the data sheet says', async (t) => {
  const field = { type: 'i16', scale: 0.1, offset: -40, unit: 'Cel' }
  t.strictSame(one(field, '0267'), ['x=21.5 Cel'])
  t.strictSame(one({ ...field, missing: [-1] }, 'ffff'), [])
  t.strictSame(one({ ...field, missing: ['FFFF'] }, 'ffff'), [])
  t.strictSame(one({ type: 'u64', missing: ['ffffffffffffffff'] }, 'ffffffffffffffff'), [])
  t.match(one({ ...field, faulty: [-32768] }, '8000'), [/x is marked as faulty/])
  t.match(one({ ...field, range: [-40, 85] }, '7fff'), [/x: 3236.7 is outside -40 to 85/])
  t.match(one({ type: 'f32' }, '7fc00000'), [/x is marked as faulty/])
  t.strictSame(
    dialectDecoder('binary', { fields: [{ name: 'x', at: 0, type: 'u8', faulty: [255] }] })(hex('ff')).doubtful,
    [{ device: 'house/meter', name: 'x', reason: 'faulty' }],
  )
})

test('positions may count from the end, and what lies beyond it is a fault unless it is optional', async (t) => {
  t.strictSame(one({ type: 'u16', at: -2 }, '00000102'), ['x=258'])
  t.match(one({ type: 'u16', at: 3 }, '00000102'), [/beyond the 4 bytes/])
  t.match(one({ type: 'u8', at: -5 }, '00000102'), [/beyond the 4 bytes/])
  t.strictSame(one({ type: 'u16', at: 3, optional: true }, '00000102'), [])
})

test('length, magic bytes and checksum are verified', async (t) => {
  const options = {
    length: 9,
    magic: [{ at: 0, hex: 'ff 86' }],
    checksum: { type: 'sum8-negated', at: 8, from: 1 },
    fields: [{ name: 'co2', type: 'u16', at: 2, unit: 'ppm' }],
  }
  // An MH-Z19 that measures 400 ppm.
  t.strictSame(binary(options, 'ff 86 01 90 41 00 00 00 a8'), ['co2=400 ppm'])
  t.match(binary(options, 'ff 86 01 91 41 00 00 00 a8'), [/checksum is 0xa8 instead of 0xa7/])
  t.match(binary(options, 'ff 87 01 90 41 00 00 00 a8'), [/no ff86 at 0/])
  t.match(binary(options, 'ff 86'), [/2 bytes instead of 9/])
  t.match(binary({ minLength: 3 }, 'ff 86'), [/less than 3/])
  t.match(binary({}, ''), [/0 bytes, less than 1/])
  const modbus = {
    checksum: { type: 'crc16-modbus', at: -2, endian: 'little' },
    fields: [{ name: 'x', type: 'u16', at: 3 }],
  }
  t.strictSame(binary(modbus, '01 03 02 00 01 79 84'), ['x=1'])
  t.match(binary(modbus, '01'), [/too short for its checksum/])
})

test('groups repeat as often as they fit, as they are counted, or as a byte says', async (t) => {
  const fields = [{ name: 't', type: 'i8', at: 0 }]
  t.strictSame(binary({ groups: [{ at: 1, sizeBytes: 2, fields }] }, '00 0a00 0b00 0c'), ['1.t=10', '2.t=11'])
  t.strictSame(binary({ groups: [{ at: 1, sizeBytes: 2, fields, count: 1, prefix: 'p{index}_' }] }, '00 0a00 0b00'), [
    'p1_t=10',
  ])
  t.strictSame(binary({ groups: [{ at: 1, sizeBytes: 1, fields, countAt: 0 }] }, '02 0a 0b 0c'), ['1.t=10', '2.t=11'])
  t.strictSame(binary({ groups: [{ at: 0, sizeBytes: 1, fields, until: -2 }] }, '0a 0b 0c'), ['1.t=10'])
  t.match(binary({ groups: [{ at: 1, sizeBytes: 1, fields, countAt: 0 }] }, 'ff 0a'), [
    '1.t=10',
    /1 groups instead of 255/,
  ])
})

test('of several layouts the first that fits decides', async (t) => {
  const options = {
    layouts: [
      { magic: [{ at: 0, hex: '01' }], fields: [{ name: 'a', type: 'u8', at: 1 }] },
      { length: 3, fields: [{ name: 'b', type: 'u16', at: 1 }] },
    ],
  }
  t.strictSame(binary(options, '0105'), ['a=5'])
  t.strictSame(binary(options, '020005'), ['b=5'])
  t.match(binary(options, '02'), [/no layout fits: the payload has no 01 at 0; the payload has 1 bytes instead of 3/])
})

test('bytes may be written as hexadecimal or Base64 text', async (t) => {
  const fields = [{ name: 'x', type: 'u16', at: 0 }]
  const text = (encoding: string, payload: string) => brief(dialectDecoder('binary', { encoding, fields })(payload))
  t.strictSame(text('hex', '01 02\r\n'), ['x=258'])
  t.strictSame(text('hex', '"0102"'), ['x=258'])
  t.strictSame(text('base64', 'AQI='), ['x=258'])
  t.strictSame(text('base64', 'AQI'), ['x=258'])
  t.match(text('hex', '01 0'), [/no hex/])
  t.match(text('base64', 'A*I='), [/no base64/])
})

test('a layout that cannot be is refused when the profile is loaded', async (t) => {
  const refused = (field: object, message: RegExp) =>
    t.throws(() => one({ type: 'u8', ...field }, '00'), message, message.source)
  refused({ type: 'bcd' }, /needs a length/)
  refused({ length: 2 }, /has 1 bytes, always/)
  refused({ bits: [0, 8] }, /has no bits 0 to 8/)
  refused({ type: 'f32', bits: [0, 1] }, /has no bits/)
  refused({ unit: 'degC' }, /no SenML unit/)
  refused({ range: [2, 1] }, /is empty/)
  refused({ type: 'text', length: 2, scale: 2 }, /neither scale/)
  refused({ type: 'u12' }, /must be one of u8/)
})
