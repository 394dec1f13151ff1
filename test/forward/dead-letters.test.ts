import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Rejection } from '../../src/core/contract.ts'
import { DeadLetters } from '../../src/forward/dead-letters.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'

const rejection = (first: number, body: Buffer | string = '[]'): Rejection => ({
  first,
  last: first + 1,
  device: 'a/b',
  reason: 'too large',
  body: Buffer.from(body),
  contentType: 'application/senml+json',
})

const lettersIn = (directory: string, limits: { maxLetters?: number; maxBytes?: number } = {}) => {
  const meter = rememberingMeter()
  return {
    meter,
    letters: new DeadLetters({ directory, clock: turnableClock(), logger: rememberingLogger(), meter, ...limits }),
  }
}

test('a letter is one readable file, with the body as text or, where it is none, as base64', async (t) => {
  const directory = join(await temporaryDirectory(t), 'dead-letters')
  const { letters, meter } = lettersIn(directory)
  await letters.add('cloud', [rejection(1, '[{"n":"ü"}]'), rejection(5, Buffer.from([0xff, 0x00]))])
  const names = (await readdir(directory)).sort()
  t.match(names, [/^cloud-1-2-[0-9a-f]{8}\.json$/, /^cloud-5-6-[0-9a-f]{8}\.json$/])
  const [text, binary] = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(join(directory, name), 'utf8'))),
  )
  t.same(text, {
    sink: 'cloud',
    first: 1,
    last: 2,
    device: 'a/b',
    reason: 'too large',
    contentType: 'application/senml+json',
    time: '2026-11-20T10:00:00.000Z',
    body: '[{"n":"ü"}]',
  })
  t.equal(binary.bodyBase64, '/wA=')
  t.equal(meter.values.get('sink_dead_letters_total{sink=cloud}'), 2)
})

test('the same rejection again is the same file', async (t) => {
  const directory = await temporaryDirectory(t)
  await lettersIn(directory).letters.add('cloud', [rejection(1)])
  await lettersIn(directory).letters.add('cloud', [rejection(1), rejection(1)])
  t.equal((await readdir(directory)).length, 1)
  await lettersIn(directory).letters.add('cloud', [rejection(1, '[1]')])
  t.equal((await readdir(directory)).length, 2, 'another body is another letter')
})

test('beyond the limits the oldest letters go, counted, also over a restart', async (t) => {
  const directory = await temporaryDirectory(t)
  const before = lettersIn(directory, { maxLetters: 3 })
  for (const first of [1, 2, 3]) await before.letters.add('cloud', [rejection(first)])
  const after = lettersIn(directory, { maxLetters: 3 })
  await after.letters.add('cloud', [rejection(4), rejection(5)])
  t.match((await readdir(directory)).sort(), [/^cloud-3-/, /^cloud-4-/, /^cloud-5-/])
  t.equal(after.meter.values.get('sink_dead_letters_dropped_total'), 2)

  const small = lettersIn(directory, { maxBytes: 500 })
  await small.letters.add('cloud', [rejection(6, 'x'.repeat(1_000))])
  t.match(await readdir(directory), [/^cloud-6-/], 'the newest one stays, even if it is too large alone')
})

test('letters that somebody took away are no loss, and half-written ones are cleared away', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'cloud-0-0-00000000.json.tmp'), '{')
  await writeFile(join(directory, 'notes.txt'), 'mine')
  const { letters, meter } = lettersIn(directory, { maxLetters: 1 })
  await letters.add('cloud', [rejection(1)])
  const [name = ''] = (await readdir(directory)).filter((file) => file.startsWith('cloud-1'))
  await rm(join(directory, name))
  await letters.add('cloud', [rejection(2)])
  t.match((await readdir(directory)).sort(), [/^cloud-2-/, 'notes.txt'])
  t.equal(meter.values.get('sink_dead_letters_dropped_total'), undefined)
})

test('without a place to write, adding rejects and says where, and works again once there is one', async (t) => {
  const directory = await temporaryDirectory(t)
  const path = join(directory, 'dead-letters')
  await writeFile(path, 'a file in the way')
  const { letters } = lettersIn(path)
  await t.rejects(letters.add('cloud', [rejection(1)]), { code: 'TG_DATA_UNUSABLE', message: /dead-letters/ })
  await rm(path)
  await letters.add('cloud', [rejection(1)])
  t.equal((await readdir(path)).length, 1)
})
