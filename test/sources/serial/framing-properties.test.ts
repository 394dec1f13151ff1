import { deepStrictEqual } from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { test } from 'tap'
import type { FramingSettings } from '../../../src/core/serial-settings.ts'
import { createFraming } from '../../../src/sources/serial/framings.ts'
import { frame } from '../../support/serial-frames.ts'

const RUNS = process.env['TIDEGATE_LONG'] === '1' ? 20_000 : 400
const MAX_BYTES = 24

/** Few different bytes, so that markers, their parts and their repetitions come often. */
const settings: readonly (readonly [FramingSettings, string])[] = [
  [{ type: 'line' }, 'ab\r\n'],
  [{ type: 'line', end: 'crlf' }, 'ab\r\n'],
  [{ type: 'delimiter', end: 'aab', trailing: 1 }, 'aab:'],
  [{ type: 'delimiter', end: 'ab', trailing: 2, aside: { start: ':', end: 'b' } }, 'ab:'],
  [{ type: 'delimiter', start: 'aa', end: 'ab', through: 'line', restart: true }, 'aab\n'],
  [{ type: 'delimiter', start: '~', end: '~' }, 'ab~'],
  [{ type: 'fixed', length: 7, start: 'aa', end: 'b' }, 'aab'],
  [{ type: 'fixed', length: 5, start: 'ab' }, 'ab'],
  [{ type: 'length-prefix', start: 'ab', offset: 2, size: 1 }, 'ab\x01\x04\x20'],
  [{ type: 'length-prefix', start: 'aa', offset: 3, size: 2, endian: 'little', add: 2 }, 'a\0\x05\x09'],
  [{ type: 'slip' }, 'a\xc0\xdb\xdc\xdd'],
  [{ type: 'cobs' }, '\0\x01\x02\x03a'],
]

const bytesOf = (alphabet: string) =>
  fc.array(fc.constantFrom(...Buffer.from(alphabet, 'latin1')), { maxLength: 200 }).map((bytes) => Buffer.from(bytes))

for (const [given, alphabet] of settings) {
  const title = JSON.stringify(given)
  test(`arbitrary chunks give the frames and faults of one chunk, within the bound: ${title}`, (t) => {
    fc.assert(
      fc.property(bytesOf(alphabet), fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }), (bytes, sizes) => {
        const whole = frame(createFraming(given, MAX_BYTES), bytes)
        deepStrictEqual(frame(createFraming(given, MAX_BYTES), bytes, sizes), whole)
        if (whole.frames.some(({ length }) => length > MAX_BYTES || length === 0)) throw new Error('out of bounds')
      }),
      { numRuns: RUNS },
    )
    t.pass('for every input that was tried')
    t.end()
  })
}

/** Framings that frames can be written for, and the frames that may follow any garbage. */
const writable: readonly (readonly [FramingSettings, (body: string) => Buffer, (body: string) => string])[] = [
  [{ type: 'line' }, (body) => Buffer.from(`${body}\n`), (body) => body],
  [
    { type: 'delimiter', start: '/', end: '!', through: 'line' },
    (body) => Buffer.from(`/${body}!12\n`),
    (body) => `/${body}!12\n`,
  ],
  [
    { type: 'fixed', length: 12, start: { hex: 'AAC0' }, end: { hex: 'AB' } },
    (body) => Buffer.from(`\xaa\xc0${body.padEnd(9)}\xab`, 'latin1'),
    (body) => `\xaa\xc0${body.padEnd(9)}\xab`,
  ],
  [
    { type: 'length-prefix', start: { hex: '424D' }, offset: 2, size: 2 },
    (body) => Buffer.from(`BM\0${String.fromCharCode(body.length)}${body}`, 'latin1'),
    (body) => `BM\0${String.fromCharCode(body.length)}${body}`,
  ],
  [{ type: 'slip' }, (body) => createFraming({ type: 'slip' }, 64).encode(Buffer.from(body)), (body) => body],
  [{ type: 'cobs' }, (body) => createFraming({ type: 'cobs' }, 64).encode(Buffer.from(body)), (body) => body],
]

function inner(found: Buffer): Buffer {
  return found.subarray(1, -1)
}

const isRight = (text: string): boolean => text.length > 8 && checked(text.slice(0, -8)) === text

const body = fc.string({ minLength: 1, maxLength: 9, unit: fc.constantFrom(...'xyz09,.') })

for (const [given, write, expected] of writable) {
  test(`after garbage frames are found again: ${JSON.stringify(given)}`, (t) => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }),
        fc.array(body, { minLength: 12, maxLength: 20 }),
        (garbage, bodies) => {
          const bytes = Buffer.concat([Buffer.from(garbage), ...bodies.map(write)])
          const { frames } = frame(createFraming(given, 64), bytes)
          // Garbage may look like the start of a frame of up to 64 bytes, which takes some real ones with it.
          const sure = bodies.map(expected).slice(10)
          const last = frames.slice(-sure.length).map((found) => found.toString('latin1'))
          deepStrictEqual(last, sure)
        },
      ),
      { numRuns: RUNS },
    )
    t.pass('for every input that was tried')
    t.end()
  })
}

const checked = (text: string): string => `${text}${crc32(text).toString(16).padStart(8, '0')}`

/** Frames with a checksum, as a decoder would test them: what is right and was not sent is a wrong frame. */
const carriers: readonly (readonly [FramingSettings, (text: string) => Buffer, (found: Buffer) => Buffer])[] = [
  [{ type: 'line' }, (text) => Buffer.from(`${text}\r\n`), (found) => found],
  [{ type: 'delimiter', start: '<', end: '>', restart: true }, (text) => Buffer.from(`<${text}>`), inner],
  [{ type: 'fixed', length: 40, start: '<', end: '>' }, (text) => Buffer.from(`<${text.padStart(38)}>`), inner],
  [
    { type: 'length-prefix', start: '<', offset: 1, size: 1 },
    (text) => Buffer.from(`<${String.fromCharCode(text.length)}${text}`),
    (found) => found.subarray(2),
  ],
  [{ type: 'slip' }, (text) => createFraming({ type: 'slip' }, 64).encode(Buffer.from(text)), (found) => found],
  [{ type: 'cobs' }, (text) => createFraming({ type: 'cobs' }, 64).encode(Buffer.from(text)), (found) => found],
]

const edit = fc.record({
  at: fc.nat({ max: 10_000 }),
  how: fc.constantFrom('change', 'insert', 'delete', 'cut'),
  byte: fc.integer({ min: 0, max: 255 }),
})

const edited = (bytes: Buffer, edits: readonly { at: number; how: string; byte: number }[]): Buffer =>
  edits.reduce((before, { at, how, byte }) => {
    const index = at % before.length
    const removed = { change: 1, insert: 0, delete: 1, cut: byte }[how] ?? 0
    const added = how === 'change' || how === 'insert' ? [byte] : []
    return Buffer.concat([before.subarray(0, index), Buffer.from(added), before.subarray(index + removed)])
  }, bytes)

for (const [given, write, read] of carriers) {
  test(`bytes changed, inserted and lost never make a frame that was not sent: ${JSON.stringify(given)}`, (t) => {
    fc.assert(
      fc.property(
        fc.array(body, { minLength: 8, maxLength: 16 }),
        fc.array(edit, { maxLength: 6 }),
        (bodies, edits) => {
          const sent = bodies.map((text, index) => checked(`${index},${text},`))
          const { frames } = frame(createFraming(given, 64), edited(Buffer.concat(sent.map(write)), edits))
          const right = frames.map((found) => read(found).toString('latin1').trim()).filter(isRight)
          deepStrictEqual(
            right,
            sent.filter((text) => right.includes(text)),
            'in order, each once, none that was not sent',
          )
          // An edit spoils what it touches and, at most, the two frames that a lost end or a wrong length takes with it.
          if (right.length < sent.length - 1 - edits.reduce((sum, { how }) => sum + (how === 'cut' ? 26 : 4), 0))
            throw new Error(`only ${right.length} of ${sent.length} frames came`)
        },
      ),
      { numRuns: RUNS },
    )
    t.pass('for every input that was tried')
    t.end()
  })
}

test('the worst input takes time in proportion to its length', (t) => {
  const worst: readonly (readonly [FramingSettings, string])[] = [
    [{ type: 'line' }, 'x'],
    [{ type: 'delimiter', start: 'aaaaaaaaaaaaaaab', end: 'aaaaaaaaaaaaaaac' }, 'a'],
    [{ type: 'delimiter', end: 'aaaaaaaaaaaaaaac', trailing: 1 }, 'a'],
    [{ type: 'fixed', length: 65_536, start: 'a', end: 'b' }, 'a'],
    [{ type: 'length-prefix', start: 'a', offset: 60, size: 4 }, 'a'],
    [{ type: 'slip' }, '\xdb'],
    [{ type: 'cobs' }, '\xff'],
  ]
  for (const [given, text] of worst) {
    const measure = (sizeBytes: number) => {
      const framing = createFraming(given, 65_536)
      const bytes = Buffer.alloc(sizeBytes, text, 'latin1')
      const startedMs = performance.now()
      frame(framing, bytes, [4_096])
      return performance.now() - startedMs
    }
    measure(100_000)
    // Quadratic in the frame this would be minutes.
    t.ok(measure(2_000_000) < 5_000, JSON.stringify(given))
  }
  t.end()
})
