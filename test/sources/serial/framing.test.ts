import { test } from 'tap'
import type { FramingSettings } from '../../../src/core/serial-settings.ts'
import { createFraming } from '../../../src/sources/serial/framings.ts'
import { frame, texts } from '../../support/serial-frames.ts'

const framed = (settings: FramingSettings, bytes: string, maxBytes = 1024) =>
  frame(createFraming(settings, maxBytes), Buffer.from(bytes, 'latin1'))

test('a line ends with CR, LF or both; the half line after opening and empty lines are none', (t) => {
  t.same(texts(framed({ type: 'line' }, 'alf\r\none\r\n\r\ntwo\nthree\rfour')), ['one', 'two', 'three'])
  t.same(texts(framed({ type: 'line', end: 'lf' }, '\none\r\ntwo\n')), ['one\r', 'two'])
  t.same(texts(framed({ type: 'line', end: 'cr' }, '\rone\rtwo\n\r')), ['one', 'two\n'])
  t.same(texts(framed({ type: 'line', end: 'crlf' }, 'x\r\none\ntwo\rthree\r\n')), ['one\ntwo\rthree'])
  t.end()
})

test('a line above the bound is one fault, and the next line comes', (t) => {
  const { frames, faults } = framed({ type: 'line' }, `\n${'x'.repeat(21)}\nshort\n${'y'.repeat(16)}\n`, 16)
  t.same(frames.map(String), ['short', 'y'.repeat(16)])
  t.same(faults, [{ reason: 'too-long', sizeBytes: 17 }])
  t.end()
})

test('a line that never ends, as at a wrong baud rate, is a fault again and again', (t) => {
  t.equal(framed({ type: 'line' }, 'x'.repeat(1_000), 100).faults.length, 10)
  t.end()
})

test('a telegram of DSMR is everything from / to the end of the line with its CRC', (t) => {
  const telegram = '/ISK5\\2M550E-1012\r\n\r\n1-0:1.8.1(000001.234*kWh)\r\n!AB12\r\n'
  const settings = { type: 'delimiter', start: '/', end: '!', through: 'line' } as const
  const { frames, faults } = framed(settings, `ff)\r\n!0000\r\n${telegram}${telegram}??${telegram}`)
  t.same(frames.map(String), [telegram, telegram, telegram])
  t.same(faults, [{ reason: 'noise', sizeBytes: 2 }])
  t.end()
})

test('a block of VE.Direct ends with any byte after its label; hex messages inside are frames of their own', (t) => {
  const settings = {
    type: 'delimiter',
    end: '\r\nChecksum\t',
    trailing: 1,
    aside: { start: ':', end: '\n' },
  } as const
  const block = (checksum: string) => `\r\nPID\t0xA053\r\nV\t12800\r\nChecksum\t${checksum}`
  const found = framed(settings, `0\r\nChecksum\tx${block(':')}${block('\n')}\r\nPID\t1:A0102\n\r\nCheck:B\nsum\tz:C\n`)
  t.same(texts(found), [block(':'), block('\n'), ':A0102\n', ':B\n', '\r\nPID\t1\r\nChecksum\tz', ':C\n'])
  t.same(found.faults, [])
  t.end()
})

test('delimiters may be left out of the frame, and a start inside a frame may begin a new one', (t) => {
  const settings = { type: 'delimiter', start: '<', end: '>', strip: true, restart: true } as const
  const { frames, faults } = framed(settings, 'x><1,2><broken<3>noise<4><>')
  t.same(frames.map(String), ['1,2', '3', '4'])
  t.match(faults, [
    { reason: 'incomplete', sizeBytes: 7 },
    { reason: 'noise', sizeBytes: 5 },
  ])
  t.end()
})

test('where start and end are the same, the phase is found', (t) => {
  t.same(texts(framed({ type: 'delimiter', start: '~', end: '~' }, 'tail~~one~~two~')), ['~one~', '~two~'])
  t.end()
})

test('a frame without its end is a fault at the bound, and the next one is found', (t) => {
  const settings = { type: 'delimiter', start: '/', end: '!' } as const
  const { frames, faults } = framed(settings, `/${'x'.repeat(40)}/good!`, 20)
  t.same(frames.map(String), ['/good!'])
  t.same(faults[0], { reason: 'too-long', sizeBytes: 20 })
  t.end()
})

test('a frame of fixed length is found again after a false start inside noise', (t) => {
  const settings = { type: 'fixed', length: 10, start: { hex: 'AA C0' }, end: { hex: 'AB' } } as const
  const good = Buffer.from('aac0d4043a0aa1601dab', 'hex')
  const bytes = Buffer.concat([good, Buffer.from('aac0aac0', 'hex'), good, Buffer.from('00', 'hex'), good])
  const { frames, faults } = frame(createFraming(settings, 64), bytes)
  t.same(frames, [good, good, good])
  t.same(faults, [
    { reason: 'malformed', sizeBytes: 4 },
    { reason: 'noise', sizeBytes: 1 },
  ])
  t.end()
})

test('a length prefix says how long the frame is, and an impossible one is passed over', (t) => {
  const settings = { type: 'length-prefix', start: 'BM', offset: 2, size: 2 } as const
  const { frames, faults } = framed(settings, 'BM\0\x04abcdBM\xff\xffBM\0\x01xBM\0\0', 64)
  t.same(texts({ frames, faults: [] }), ['BM\0\x04abcd', 'BM\0\x01x', 'BM\0\0'])
  t.same(faults, [{ reason: 'malformed', sizeBytes: 4 }])
  const whole = { ...settings, endian: 'little', add: 0 } as const
  t.same(texts(framed(whole, 'BM\x06\0zzBM\x03\0BM\x04\0')), ['BM\x06\0zz', 'BM\x04\0'])
  t.end()
})

test('a frame that stands still is given up, so that the next one is whole', (t) => {
  const framing = createFraming({ type: 'fixed', length: 4, start: 'A', gap: 100 }, 64)
  const frames: string[] = []
  const faults: string[] = []
  const to = {
    frame: (bytes: Buffer) => void frames.push(String(bytes)),
    fault: (reason: string) => void faults.push(reason),
  }
  framing.push(Buffer.from('A12'), to)
  framing.pause?.(to)
  framing.push(Buffer.from('A345'), to)
  t.same([frames, faults], [['A345'], ['incomplete']])
  t.end()
})

test('idle framing takes a burst for a frame once a gap has proven its start', (t) => {
  const framing = createFraming({ type: 'idle', gap: 20 }, 8)
  const frames: string[] = []
  const faults: string[] = []
  const to = {
    frame: (bytes: Buffer) => void frames.push(String(bytes)),
    fault: (reason: string) => void faults.push(reason),
  }
  const push = (text: string) => framing.push(Buffer.from(text), to)
  push('half')
  framing.pause?.(to)
  push('wh')
  push('ole')
  framing.pause?.(to)
  push('much too long')
  push('and on')
  framing.pause?.(to)
  push('next')
  framing.pause?.(to)
  framing.pause?.(to)
  t.same([frames, faults], [['whole', 'next'], ['too-long']])
  t.end()
})

test('what is incomplete when the line ends is a fault, and what follows may be a tail again', (t) => {
  const framing = createFraming({ type: 'line' }, 64)
  const seen: string[] = []
  const to = {
    frame: (bytes: Buffer) => void seen.push(String(bytes)),
    fault: (reason: string) => void seen.push(`!${reason}`),
  }
  framing.push(Buffer.from('\none\ntw'), to)
  framing.reset(to)
  framing.push(Buffer.from('o\nthree\n'), to)
  t.same(seen, ['one', '!incomplete', 'three'])
  t.end()
})

test('SLIP and COBS: known encodings, and what is malformed is a fault', (t) => {
  const slip = createFraming({ type: 'slip' }, 64)
  t.equal(slip.encode(Buffer.from('01c0dbdd', 'hex')).toString('hex'), 'c001dbdcdbddddc0') // RFC 1055
  const found = frame(slip, Buffer.from('77c0c001dbdcc0db00c002c0', 'hex'))
  t.same(
    found.frames.map((bytes) => bytes.toString('hex')),
    ['01c0', '02'],
  )
  t.same(found.faults, [{ reason: 'malformed', sizeBytes: 2 }])
  const cobs = createFraming({ type: 'cobs' }, 600)
  // The examples of Cheshire and Baker's paper and of Wikipedia's article on it.
  for (const [plain, encoded] of [
    ['00', '0101'],
    ['0000', '010101'],
    ['00110000', '0102110101'],
    ['1122330044', '041122330244'],
    ['11000000', '0211010101'],
  ]) {
    t.equal(cobs.encode(Buffer.from(plain ?? '', 'hex')).toString('hex'), `00${encoded}00`)
    const again = frame(cobs, Buffer.from(`00${encoded}00`, 'hex'))
    t.same(
      again.frames.map((bytes) => bytes.toString('hex')),
      [plain],
    )
  }
  t.same(frame(cobs, Buffer.from('00051100', 'hex')).faults, [{ reason: 'malformed', sizeBytes: 2 }])
  t.end()
})
