import { execFileSync } from 'node:child_process'
import { symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { temporaryDirectory } from '../../support/directory.ts'
import { needs } from '../../support/needs.ts'
import { SerialPair } from '../../support/serial-pair.ts'
import { startSerial } from '../../support/serial-source.ts'
import { until } from '../../support/until.ts'

type Test = Parameters<typeof startSerial>[0]

const REPLUG_MS = 2_000

const pair = async (t: Test, name = 'tty'): Promise<SerialPair> => {
  const cable = new SerialPair(await temporaryDirectory(t), name)
  t.teardown(() => cable.unplug())
  await cable.plug()
  return cable
}

test(
  'each line is a message of QoS 0 under the device, and the half line after opening is none',
  needs('socat'),
  async (t) => {
    const cable = await pair(t)
    const { source, log, frames, meter } = await startSerial(t, { path: cable.path, device: 'well/level' })
    t.match(source.health(), { state: 'ok', detail: { open: true, openings: 1, frames: 0 } })
    await cable.write('alf\r\n12.5\r\n12.6\r\n12.')
    await until('two lines', () => frames().length === 2)
    t.same(frames(), ['12.5', '12.6'])
    t.match(log.entries[0], { topic: 'well/level', qos: 0, retain: false, source: 'port' })
    t.match(source.health(), { detail: { frames: 2, bytes: 20, faults: 0, lastFrameSeconds: 0 } })
    await until('the count', () => meter.values.get('messages_received_total{source=port}') === 2)
  },
)

test('a port that is not there at the start is waited for, and says what to do', needs('socat'), async (t) => {
  const cable = new SerialPair(await temporaryDirectory(t), 'tty')
  t.teardown(() => cable.unplug())
  const { source, frames, logger } = await startSerial(t, { path: cable.path })
  t.match(source.health(), { state: 'degraded', reason: /nothing is plugged in at .*tty; plug the device in/ })
  await t.rejects(async () => source.send?.({ id: '1', device: 'port', payload: Buffer.from('x'), qos: 0 }), {
    code: 'TG_COMMAND_UNDELIVERABLE',
    message: /nothing is plugged in/,
  })
  await cable.plug()
  await until('it is opened', () => source.health().state === 'ok', REPLUG_MS)
  await cable.write('\nhello\n')
  await until('a line', () => frames().includes('hello'))
  t.equal(logger.lines.filter(({ level }) => level === 'warn').length, 1)
})

test('an unplug is noticed and a re-plug found within 2 s, also right after opening', needs('socat'), async (t) => {
  const cable = await pair(t)
  const { source, frames, meter } = await startSerial(t, { path: cable.path })
  for (let round = 1; round <= 5; round++) {
    if (round % 2 === 0) {
      await cable.write(`\nround ${round}\npart`)
      await until('a line', () => frames().includes(`round ${round}`))
    }
    await cable.unplug()
    await until('the unplug is noticed', () => source.health().state === 'degraded', REPLUG_MS)
    t.match(source.health().reason, /gone|nothing is plugged in/)
    await cable.plug()
    await until('the re-plug is found', () => source.health().state === 'ok', REPLUG_MS)
  }
  t.match(source.health(), { detail: { openings: 6 } })
  t.equal(meter.values.get('serial_closings_total{source=port,reason=unplugged}'), 5)
  t.equal(meter.values.get('serial_faults_total{source=port,reason=incomplete}'), 2, 'half lines are counted')
  t.same(frames(), ['round 2', 'round 4'])
})

test('a name that leads to another device is followed', needs('socat'), async (t) => {
  const one = await pair(t, 'one')
  const other = await pair(t, 'other')
  const link = join(await temporaryDirectory(t), 'by-id')
  symlinkSync(one.path, link)
  const { source, frames, meter } = await startSerial(t, { path: link })
  unlinkSync(link)
  symlinkSync(other.path, link)
  await until('it is opened anew', () => source.health().detail?.['openings'] === 2, REPLUG_MS)
  await one.write('\nold\n')
  await other.write('\nnew\n')
  await until('a line', () => frames().length > 0)
  t.same(frames(), ['new'])
  t.equal(meter.values.get('serial_closings_total{source=port,reason=replaced}'), 1)
})

test('a silent port is opened anew and is not well until something comes', needs('socat'), async (t) => {
  const cable = await pair(t)
  const { source, frames } = await startSerial(t, { path: cable.path, silence: '1s' })
  await until('it is opened anew', () => Number(source.health().detail?.['openings']) >= 2)
  await until('it says so', () => /nothing has come from .* for 1 s/.test(source.health().reason ?? ''))
  await until('it takes what comes', async () => {
    await cable.write('\nback\n')
    return frames().includes('back')
  })
  t.equal(source.health().state, 'ok')
})

test('what the profile says of the line holds where the source says nothing', needs('socat'), async (t) => {
  const cable = await pair(t)
  const serial = { baudRate: 9_600, framing: { type: 'delimiter', start: '<', end: '>' } } as const
  const profiles = [{ name: 'brackets', serial }]
  const { frames } = await startSerial(t, { path: cable.path, profile: 'brackets', baudRate: 19_200 }, profiles)
  await cable.write('x><1><2>')
  await until('two frames', () => frames().length === 2)
  t.same(frames(), ['<1>', '<2>'])
  t.match(execFileSync('stty', ['-F', cable.path], { encoding: 'utf8' }), /speed 19200 baud/)
})

test('commands are written one after the other, each with its terminator', needs('socat'), async (t) => {
  const cable = await pair(t)
  const { source } = await startSerial(t, { path: cable.path, write: { terminator: '\r\n' } })
  const send = (payload: string) =>
    source.send?.({ id: payload, device: 'port', payload: Buffer.from(payload), qos: 0 })
  await Promise.all(['led on', 'led off', 'beep'].map(send))
  let heard = ''
  await until('the device has them', async () => {
    heard += await cable.read()
    return heard.endsWith('beep\r\n')
  })
  t.equal(heard, 'led on\r\nled off\r\nbeep\r\n')
})

test(
  'a command that the device does not take fails in time, and no half of it is sent later',
  needs('socat'),
  async (t) => {
    const cable = await pair(t)
    const { source } = await startSerial(t, { path: cable.path, write: { timeout: '300ms' } })
    const payload = Buffer.alloc(64 * 1024, 'x')
    await t.rejects(async () => source.send?.({ id: '1', device: 'port', payload, qos: 0 }), {
      code: 'TG_COMMAND_UNDELIVERABLE',
      message: /not taken within 300 ms/,
    })
    await until('the port is opened anew', () => source.health().detail?.['openings'] === 2)
    t.equal(source.health().state, 'ok')
  },
)

test('a port that another program holds names it', needs('socat'), async (t) => {
  const cable = await pair(t)
  await startSerial(t, { path: cable.path }, [], 'first')
  const second = await startSerial(t, { path: cable.path }, [], 'second')
  t.match(second.source.health(), { state: 'degraded', reason: /is in use by this gateway; stop it/ })
})

test('what is no serial port says so', async (t) => {
  const file = await startSerial(t, { path: '/etc/hostname' })
  t.match(file.source.health(), { state: 'degraded', reason: /is no serial port/ })
  const device = await startSerial(t, { path: '/dev/null' })
  t.match(device.source.health(), { state: 'degraded', reason: /is no serial port/ })
})

test(
  'without flow control frames go to the log however full it is; with it, reading waits',
  needs('socat'),
  async (t) => {
    const free = await pair(t)
    const held = await pair(t)
    const one = await startSerial(t, { path: free.path })
    const other = await startSerial(t, { path: held.path, rtscts: true })
    for (const { log } of [one, other]) log.full()
    await free.write('\na\n')
    await held.write('\na\n')
    await until('both have one', () => one.frames().length === 1 && other.frames().length === 1)
    await free.write('b\nc\n')
    await held.write('b\nc\n')
    await until('one has all', () => one.frames().length === 3)
    t.equal(other.frames().length, 1)
    await held.unplug()
    await until('the unplug is noticed all the same', () => other.source.health().state === 'degraded', REPLUG_MS)
    await held.plug()
    await until('it is back', () => other.source.health().state === 'ok', REPLUG_MS)
    other.log.room()
    await held.write('\nd\n')
    await until('reading goes on', () => other.frames().includes('d'))
  },
)

test('closing is idempotent, at any moment, and nothing is delivered after it', needs('socat'), async (t) => {
  const cable = await pair(t)
  const { source, frames } = await startSerial(t, { path: cable.path, rtscts: true })
  await Promise.all([source.close(), source.close()])
  await cable.write('\nlate\n')
  t.equal(source.health().state, 'closed')
  await source.close()
  t.same(frames(), [])
})
