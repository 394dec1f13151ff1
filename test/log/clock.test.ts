import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Entry } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { BOOT_MS, earlyClock, RIGHT, type SettableClock, setMark, settableClock } from '../support/clock.ts'
import { rememberingLogger } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, message, openTestLog, readAll } from '../support/durable-log.ts'
import { until } from '../support/until.ts'

const OTHER_BOOT = '00000000-0000-4000-8000-000000000002'

/** The same boot in a later run. */
const laterClock = (monotonicMs: number, synced = true): SettableClock =>
  settableClock({ synced, wallMs: synced ? RIGHT + monotonicMs - BOOT_MS : 10_000, monotonicMs })

/** Another thread or process: it has nothing but the directory. */
const readOutside = async (directory: string) => {
  const reader = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
  try {
    return (await readAll(reader)).entries
  } finally {
    await reader.close()
  }
}

const messagesOf = (entries: readonly Entry[]) =>
  entries
    .filter(({ kind }) => kind === 'message')
    .map(({ receivedAt, timeQuality, payload }) => [payload.toString(), receivedAt, timeQuality])

/** Three messages a second apart before the clock is set, one after it, and the mark. */
const syncedLog = async (log: Log, clock: SettableClock): Promise<void> => {
  for (const text of ['a', 'b', 'c']) {
    await log.deliver(message(text))
    clock.advance(1_000)
  }
  const mark = setMark(clock)
  await log.recordClock(mark)
  clock.advance(1_000)
  await log.deliver(message('d'))
}
const CORRECTED = [
  ['a', RIGHT, 'corrected'],
  ['b', RIGHT + 1_000, 'corrected'],
  ['c', RIGHT + 2_000, 'corrected'],
  ['d', RIGHT + 4_000, undefined],
]

test('without a clock that was ever set, messages keep the time that it said, and are marked unsynced', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { clock: earlyClock() })
  const live: Entry[] = []
  log.onDurable((entries) => live.push(...entries))
  await appendAll(log, ['a'])
  const expected = [['a', 10_000, 'unsynced']]
  t.strictSame(messagesOf(live), expected)
  t.strictSame(messagesOf((await readAll(log.reader())).entries), expected)
  t.strictSame(messagesOf(await readOutside(directory)), expected)
  await log.close()
  const next = await openTestLog(t, directory, { clock: earlyClock(OTHER_BOOT) })
  t.strictSame(messagesOf((await readAll(next.reader())).entries), expected, 'another boot knows nothing about it')
})

test('once the clock is set, readers correct what arrived before it, here and elsewhere and after a restart', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = earlyClock()
  const log = await openTestLog(t, directory, { clock })
  const told: unknown[] = []
  log.onCorrection((bootId, correctionMs) => told.push([bootId, correctionMs]))
  const outside = openReader({ directory, fileSystem: nodeFileSystem(), durable: () => log.durable })
  t.teardown(() => outside.close())
  await log.deliver(message('first'))
  t.match((await outside.read(0, { entries: 9, bytes: 99 })).entries, [{ timeQuality: 'unsynced', receivedAt: 10_000 }])
  await syncedLog(log, clock)
  t.strictSame(told, [[clock.bootId, RIGHT - BOOT_MS]])
  const expected = [['first', RIGHT, 'corrected'], ...CORRECTED]
  t.strictSame(messagesOf((await readAll(log.reader())).entries), expected)
  await until('the index is written', async () => (await readdir(join(directory, 'log'))).includes('clocks'))
  t.strictSame(messagesOf(await readOutside(directory)), expected)
  await until('a reader of another thread that had looked before', async () => {
    const { entries } = await outside.read(0, { entries: 9, bytes: 99 })
    return entries[0]?.timeQuality === 'corrected' && entries[0].receivedAt === RIGHT
  })
  const { entries } = await readAll(log.reader())
  t.match(
    entries.filter(({ kind }) => kind === 'clock').map(({ payload }) => JSON.parse(payload.toString())),
    [{ reason: 'set', bootId: clock.bootId, monotonicMs: BOOT_MS + 3_000, time: RIGHT + 3_000 }],
  )
  await log.close()
  const next = await openTestLog(t, directory, { clock: laterClock(BOOT_MS + 60_000) })
  t.strictSame(messagesOf((await readAll(next.reader())).entries), expected)
  t.equal((await readAll(next.reader())).entries.filter(({ kind }) => kind === 'clock').length, 1, 'no second mark')
})

test('a block that was open when the clock was set holds right times in both halves', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = earlyClock()
  const log = await openTestLog(t, directory, { clock, commitDelayMs: 60_000 })
  const first = log.deliver(message('a'))
  clock.advance(500)
  const mark = setMark(clock)
  clock.advance(250)
  const second = log.deliver(message('b'))
  const marked = log.recordClock(mark)
  clock.advance(5_000)
  const third = log.deliver(message('c'))
  await log.close()
  await Promise.all([first, second, third, marked])
  const times = (await readOutside(directory)).filter(({ kind }) => kind === 'message').map((entry) => entry.receivedAt)
  t.strictSame(times, [RIGHT, RIGHT + 750, RIGHT + 5_750])
})

test('a later step is written down and changes no time that the clock had been set for', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = earlyClock()
  const log = await openTestLog(t, directory, { clock })
  await syncedLog(log, clock)
  clock.set(clock.wallMs() - 3_600_000)
  const { bootId } = clock
  const step = { bootId, monotonicMs: clock.monotonicMs(), offsetMs: -3_600_000, time: clock.wallMs() }
  await log.recordClock({ reason: 'step', ...step })
  await log.deliver(message('e'))
  const expected = [...CORRECTED, ['e', RIGHT + 4_000 - 3_600_000, undefined]]
  t.strictSame(messagesOf((await readAll(log.reader())).entries), expected)
  await log.close()
  t.strictSame(messagesOf(await readOutside(directory)), expected)
})

test('a run that ended before the clock was set is corrected by the next one of the same boot', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, { clock: earlyClock() })
  await appendAll(log, ['a'])
  await log.close()
  const logger = rememberingLogger()
  const next = await openTestLog(t, directory, { clock: laterClock(BOOT_MS + 60_000), logger })
  t.strictSame(messagesOf((await readAll(next.reader())).entries), [['a', RIGHT, 'corrected']])
  await until('the mark is durable', async () =>
    (await readAll(next.reader())).entries.some(({ kind }) => kind === 'clock'),
  )
  t.match(
    (await readAll(next.reader())).entries
      .filter(({ kind }) => kind === 'clock')
      .map(({ payload }) => JSON.parse(`${payload}`)),
    [{ reason: 'set', offsetMs: RIGHT - 10_000, time: RIGHT + 60_000 }],
  )
  await next.close()
  t.strictSame(messagesOf(await readOutside(directory)), [['a', RIGHT, 'corrected']])
  t.notOk(
    logger.lines.some(({ level }) => level === 'warn'),
    'nothing to complain about',
  )
})

for (const [how, spoil] of [
  ['is lost', (file: string) => rm(file)],
  ['is garbage', (file: string) => writeFile(file, 'x'.repeat(5_000))],
  ['is empty', (file: string) => writeFile(file, '')],
  [
    'has one changed digit',
    async (file: string) =>
      writeFile(
        file,
        (await readFile(file, 'utf8')).replace(/\d\n$/, (end) => `${(Number(end) + 1) % 10}\n`),
      ),
  ],
  ['is cut off', async (file: string) => writeFile(file, (await readFile(file, 'utf8')).slice(0, -4))],
] as const) {
  test(`an index of clock marks that ${how} is made anew from the marks`, async (t) => {
    const directory = await temporaryDirectory(t)
    const clock = earlyClock()
    const log = await openTestLog(t, directory, { clock })
    await syncedLog(log, clock)
    await log.close()
    const file = join(directory, 'log', 'clocks')
    const whole = await readFile(file, 'utf8')
    await spoil(file)
    t.match(messagesOf(await readOutside(directory)), [['a', 10_000, 'unsynced']], 'never a wrong time')
    const next = await openTestLog(t, directory, { clock: earlyClock(OTHER_BOOT) })
    await until('the mark is found', async () => (await readFile(file, 'utf8').catch(() => '')) === whole)
    t.strictSame(messagesOf((await readAll(next.reader())).entries), CORRECTED)
    t.strictSame(messagesOf(await readOutside(directory)), CORRECTED)
  })
}

test('a kill between the mark and its index loses neither', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = earlyClock()
  const log = await openTestLog(t, directory, { clock })
  await syncedLog(log, clock)
  const copy = await killedNow(directory)
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  await rm(join(copy, 'log', 'clocks'), { force: true })
  await writeFile(join(copy, 'log', 'clocks.new'), 'tide')
  const next = await openTestLog(t, copy, { clock: earlyClock(OTHER_BOOT) })
  await until('the index is written', async () => (await readdir(join(copy, 'log'))).includes('clocks'))
  t.strictSame(messagesOf((await readAll(next.reader())).entries), CORRECTED)
})

test('an index that the disk does not take is tried again, and keeps nobody from anything', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = earlyClock()
  const real = nodeFileSystem()
  let refusals = 2
  const fileSystem = {
    ...real,
    rename: async (from: string, to: string) => {
      if (to.endsWith('clocks') && refusals-- > 0) throw new Error('EIO')
      await real.rename(from, to)
    },
  }
  const log = await openTestLog(t, directory, { clock, fileSystem })
  await syncedLog(log, clock)
  t.strictSame(messagesOf((await readAll(log.reader())).entries), CORRECTED)
  await until('the index is written', async () => (await readdir(join(directory, 'log'))).includes('clocks'))
  t.ok(refusals <= 0)
})

test('boots whose clock was never set are looked for once, and forgotten when retention took them', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'log', 'clocks')
  const log = await openTestLog(t, directory, { clock: earlyClock(OTHER_BOOT) })
  await appendAll(log, ['a'])
  await log.close()
  const second = await openTestLog(t, directory, { clock: earlyClock() })
  await until('it is written down', async () =>
    (await readFile(file, 'utf8').catch(() => '')).includes(`${OTHER_BOOT} -`),
  )
  await second.close()
  const clock = laterClock(BOOT_MS + 1_000, false)
  const third = await openTestLog(t, directory, { clock, segmentBytes: 65_536, maxBytes: 200_000 })
  for (let round = 0; round < 8; round++) await third.deliver(message(Buffer.alloc(60_000)))
  third.settledUpTo(third.durable)
  await until('the first boot is gone', async () =>
    (await readAll(third.reader())).entries.every(({ bootId }) => bootId !== OTHER_BOOT),
  )
  await third.recordClock(setMark(clock))
  await until('the index forgets it', async () => {
    const text = await readFile(file, 'utf8')
    return text.includes(clock.bootId) && !text.includes(OTHER_BOOT)
  })
})
