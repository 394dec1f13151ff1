import { existsSync, readFileSync } from 'node:fs'
import fc from 'fast-check'
import { test } from 'tap'
import { resolveModbus, type WrittenModbus } from '../../src/config/modbus-section.ts'
import type { DecoderInput } from '../../src/core/decoder-contract.ts'
import { DecodeError } from '../../src/core/errors.ts'
import { modbusCrc } from '../../src/core/modbus.ts'
import type { ModbusType } from '../../src/core/profile.ts'
import { plugin } from '../../src/decode/dialects/modbus/plugin.ts'
import { matchAnswer } from '../../src/sources/modbus/answer.ts'

const decode = (section: WrittenModbus, payload: unknown) => {
  const input: DecoderInput = {
    topic: 'solar',
    device: 'solar',
    source: 'bus',
    payload: typeof payload === 'string' ? Buffer.from(payload) : Buffer.from(JSON.stringify(payload)),
    receivedAt: 0,
    captures: new Map(),
    description: () => undefined,
  }
  const decoded = plugin.create({ ...resolveModbus(section) }).decode(input)
  if ('readings' in decoded) return decoded
  throw new Error('the short form')
}

/** The value of one holding register at 0. */
const valueIn = (register: Partial<WrittenModbus['registers'][number]>, data: string): unknown => {
  const section = { registers: [{ name: 'x', address: 0, ...register }] }
  const { readings, doubtful } = decode(section, { unit: 1, reads: [{ table: 'holding', address: 0, data }] })
  return readings[0]?.value ?? (doubtful === undefined ? undefined : 'faulty')
}

const orders = [
  ['big', 'big', (bytes: string) => bytes],
  ['little', 'big', (bytes: string) => (bytes.match(/.{4}/g) ?? []).toReversed().join('')],
  ['big', 'little', (bytes: string) => bytes.replace(/(..)(..)/g, '$2$1')],
  ['little', 'little', (bytes: string) => (bytes.match(/../g) ?? []).toReversed().join('')],
] as const

test('every type is read in every order of words and bytes', async (t) => {
  const cases: readonly (readonly [ModbusType, string, unknown, number?])[] = [
    ['u16', 'fffe', 65_534],
    ['i16', 'fffe', -2],
    ['u32', '80000001', 2_147_483_649],
    ['i32', '80000001', -2_147_483_647],
    ['f32', '4366199a', 230.1],
    ['f32', 'c2c7fae1', -99.99],
    ['u64', '0000000100000002', 4_294_967_298],
    ['u64', '0020000000000001', '9007199254740993'],
    ['u64', 'ffffffffffffffff', '18446744073709551615'],
    ['i64', 'ffffffffffffffff', -1],
    ['i64', '8000000000000000', '-9223372036854775808'],
    ['f64', '400921fb54442d18', Math.PI],
    ['bcd', '12345678', 12_345_678, 2],
    ['string', '534e2d3132330000', 'SN-123', 4],
  ]
  for (const [type, bytes, value, length] of cases)
    for (const [wordOrder, byteOrder, arranged] of orders) {
      const register = { type, wordOrder, byteOrder, ...(length === undefined ? {} : { length }) }
      t.equal(valueIn(register, arranged(bytes)), value, `${type} ${wordOrder} ${byteOrder}`)
    }
})

test('scale, offset, bits, exponents and missing values', async (t) => {
  t.equal(valueIn({ scale: 0.1 }, '08fc'), 230)
  t.equal(valueIn({ scale: 0.1, offset: -273.15 }, '0ba5'), 24.95)
  t.equal(valueIn({ type: 'u64', scale: 0.001 }, '0000000deadbeef1'), 59_774_856.945)
  t.equal(valueIn({ bit: 15 }, '8000'), true)
  t.equal(valueIn({ bit: 0 }, '8000'), false)
  t.equal(valueIn({ bits: [4, 7] }, '0ab0'), 11)
  t.equal(valueIn({ type: 'u32', bits: [30, 31] }, 'c0000000'), 3)
  t.equal(valueIn({ type: 'i16', missing: [0x8000] }, '8000'), undefined)
  t.equal(valueIn({ type: 'i16', missing: [-1] }, 'ffff'), undefined)
  t.equal(valueIn({ type: 'u64', missing: ['0xFFFFFFFFFFFFFFFF'] }, 'ffffffffffffffff'), undefined)
  t.equal(valueIn({ type: 'f32' }, '7fc00000'), 'faulty', 'not a number')
  t.equal(valueIn({ type: 'f32', missing: ['nan'] }, '7fc00000'), undefined)
  t.equal(valueIn({ type: 'f32' }, '7f800000'), 'faulty', 'infinite')
  t.equal(valueIn({ type: 'bcd', length: 1 }, '12a4'), 'faulty')
  t.equal(valueIn({ type: 'string', length: 2 }, '00000000'), undefined)
  t.equal(valueIn({ type: 'string', length: 2 }, '41070000'), 'faulty', 'a control character')
  const section: WrittenModbus = {
    registers: [
      { name: 'power', address: 0, type: 'i16', exponent: 'power_exponent' },
      { name: 'power_exponent', address: 1, type: 'i16', missing: [0x8000] },
    ],
  }
  const power = (data: string) => {
    const { readings, doubtful } = decode(section, { unit: 1, reads: [{ table: 'holding', address: 0, data }] })
    return readings.find(({ name }) => name === 'power')?.value ?? doubtful?.[0]?.reason
  }
  t.equal(power('3b13ffff'), 1_512.3)
  t.equal(power('3b130002'), 1_512_300)
  t.equal(power('3b138000'), undefined, 'without its exponent it is no value')
  t.equal(power('3b131234'), 'faulty')
})

test('a register is read wherever its answer covers it, and left out where none does', async (t) => {
  const section: WrittenModbus = {
    registers: [
      { name: 'a', address: 10 },
      { name: 'b', address: 11, type: 'u32' },
      { name: 'c', table: 'coil', address: 9 },
      { name: 'd', table: 'discrete', address: 0 },
    ],
  }
  const { readings, fault, presence } = decode(section, {
    unit: 3,
    online: true,
    reads: [
      { table: 'holding', address: 8, data: '0000000000050006' },
      { table: 'coil', address: 1, count: 9, data: '0001' },
    ],
    errors: [{ table: 'discrete', address: 0, count: 1, code: 2 }, { error: 'x' }],
  })
  t.strictSame(readings, [
    { device: 'solar', name: 'a', value: 5 },
    { device: 'solar', name: 'c', value: true },
  ])
  t.equal(fault, 'unit 3: discrete 0: exception 2, illegal data address (and 1 more)')
  t.strictSame(presence, [{ device: 'solar', online: true }])
})

test('a payload that no source writes is a DecodeError', async (t) => {
  const section: WrittenModbus = { registers: [{ name: 'x', address: 0 }] }
  for (const payload of [
    '',
    '21.5',
    '[]',
    '{}',
    { unit: 1, reads: {} },
    { unit: 256 },
    { unit: 1, online: 'yes' },
    { unit: 1, reads: [1] },
    { unit: 1, reads: [{ table: 'x', address: 0, data: '00' }] },
    { unit: 1, reads: [{ table: 'input', address: 65_536, data: '0000' }] },
    { unit: 1, reads: [{ table: 'input', address: 0, data: '000' }] },
    { unit: 1, reads: [{ table: 'input', address: 0, data: '00' }] },
    { unit: 1, reads: [{ table: 'input', address: 0, data: '0000'.repeat(126) }] },
    { unit: 1, reads: [{ table: 'coil', address: 0, data: '00' }] },
    { unit: 1, reads: [{ table: 'coil', address: 0, count: 9, data: '00' }] },
    { unit: 1, reads: Array.from({ length: 2_001 }, () => ({})) },
  ])
    t.throws(() => decode(section, payload), DecodeError, JSON.stringify(payload))
})

test('arbitrary payloads and answers give finite values or a DecodeError', async (t) => {
  const section: WrittenModbus = {
    registers: [
      { name: 'f', address: 0, type: 'f32', scale: 1e30 },
      { name: 'g', address: 2, type: 'f64', exponent: 'e' },
      { name: 'e', address: 6, type: 'i16' },
      { name: 's', address: 7, type: 'string', length: 3 },
      { name: 'b', address: 10, type: 'bcd', length: 2 },
      { name: 'u', address: 12, type: 'u64', scale: 0.1 },
      { name: 'bit', address: 16, bit: 3 },
    ],
  }
  const check = (payload: unknown): void => {
    try {
      for (const { value } of decode(section, payload).readings)
        if (typeof value === 'number' && !Number.isFinite(value)) throw new Error('not finite')
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
    }
  }
  const hex = fc.uint8Array({ minLength: 34, maxLength: 34 }).map((bytes) => Buffer.from(bytes).toString('hex'))
  const read = fc.oneof(
    fc.record({ table: fc.constant('holding'), address: fc.constant(0), data: hex }),
    fc.record({
      table: fc.constantFrom('coil', 'input', 'x'),
      address: fc.anything(),
      count: fc.anything(),
      data: fc.anything(),
    }),
  )
  const payload = fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({ unit: fc.nat(300), reads: fc.array(read, { maxLength: 3 }), errors: fc.anything() }),
    },
    fc.json(),
    fc.string(),
  )
  const text = payload.map((value) => (typeof value === 'string' ? value : (JSON.stringify(value) ?? '')))
  const numRuns = process.env['TIDEGATE_LONG'] === '1' ? 100_000 : 2_000
  fc.assert(fc.property(text, check), { numRuns })
  t.pass()
})

test('an answer is known among arbitrary bytes, and nothing else is taken for it', async (t) => {
  const frame = (...bytes: readonly number[]) => {
    const body = Buffer.from(bytes)
    const crc = Buffer.alloc(2)
    crc.writeUInt16LE(modbusCrc(body, 0, body.length))
    return Buffer.concat([body, crc])
  }
  const request = frame(1, 4, 0, 0, 0, 2)
  const answer = frame(1, 4, 4, 1, 2, 3, 4)
  t.strictSame(matchAnswer(request, answer, 0), { answer: 9 })
  t.strictSame(matchAnswer(request, frame(1, 0x84, 2), 0), { answer: 5 })
  for (let length = 0; length < answer.length; length++)
    t.equal(matchAnswer(request, answer.subarray(0, length), 0), 'more')
  for (const other of [frame(2, 4, 4, 1, 2, 3, 4), frame(1, 3, 4, 1, 2, 3, 4), frame(1, 4, 2, 1, 2), frame(1, 0x83, 2)])
    t.equal(matchAnswer(request, other, 0), 'no')
  const write = frame(1, 6, 0, 1, 0, 7)
  t.strictSame(matchAnswer(write, write, 0), { answer: 8 })
  t.equal(matchAnswer(write, frame(1, 6, 0, 1, 0, 8), 0), 'no', 'the value is another')
  t.equal(matchAnswer(write, frame(1, 6, 0, 2, 0, 7), 0), 'no', 'the address is another')
  for (let index = 0; index < answer.length; index++) {
    const flipped = Buffer.from(answer)
    flipped[index] = (flipped[index] ?? 0) ^ 0x10
    t.notMatch(matchAnswer(request, flipped, 0), { answer: 9 })
  }
})

const samples = new URL('../../../shared/samples/modbus/rtu-frames.json', import.meta.url)
test('frames of another implementation have the CRC and the meaning that they are documented with', {
  skip: !existsSync(samples) && 'no samples here',
}, async (t) => {
  const { frames }: { frames: readonly { desc: string; hex: string; crc_ok: boolean }[] } = JSON.parse(
    readFileSync(samples, 'utf8'),
  )
  t.equal(frames.length, 7)
  const bytes = frames.map(({ hex }) => Buffer.from(hex, 'hex'))
  for (const [index, frame] of bytes.entries()) {
    const right = modbusCrc(frame, 0, frame.length - 2) === frame.readUInt16LE(frame.length - 2)
    t.equal(right, frames[index]?.crc_ok, frames[index]?.desc ?? '')
  }
  const [read, answer, refusal, readFf, answerFf, refusalFf] = bytes
  if (read === undefined || answer === undefined || refusal === undefined) throw new Error('there are no frames')
  if (readFf === undefined || answerFf === undefined || refusalFf === undefined) throw new Error('there are too few')
  t.strictSame(matchAnswer(read, answer, 0), { answer: answer.length })
  t.strictSame(matchAnswer(read, refusal, 0), { answer: 5 })
  t.strictSame(matchAnswer(readFf, answerFf, 0), { answer: answerFf.length })
  t.strictSame(matchAnswer(readFf, refusalFf, 0), { answer: 5 })
  t.equal(matchAnswer(read, answerFf, 0), 'no')
  const section: WrittenModbus = { registers: [124, 125].map((address) => ({ name: `r${address}`, address })) }
  const data = answer.subarray(3, -2).toString('hex')
  const { readings } = decode(section, { unit: 0x11, reads: [{ table: 'holding', address: 124, data }] })
  t.strictSame(
    readings.map(({ value }) => value),
    [141, 142],
  )
})
