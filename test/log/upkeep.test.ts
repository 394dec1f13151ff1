import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'tap'
import type { LossMark } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { MAX_SEGMENTS } from '../../src/log/limits.ts'
import type { UpkeepOptions } from '../../src/log/upkeep.ts'
import { Upkeep } from '../../src/log/upkeep.ts'
import { rememberingLogger, turnableClock } from '../support/context.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, killedNow, lossMarks, message, openTestLog, readAll, texts } from '../support/durable-log.ts'
import { smallDisk } from '../support/small-disk.ts'
import { until } from '../support/until.ts'
import { watchedDisk } from '../support/watched-disk.ts'

const SEGMENT = 65_536
const ROOMY = { segmentBytes: SEGMENT, maxBytes: 40 * SEGMENT }
const TIGHT = { segmentBytes: SEGMENT, maxBytes: 8 * SEGMENT }

/** About so many segments of messages of 500 bytes; returns what was sent. */
const fill = async (log: Log, segments: number, from = 0): Promise<string[]> => {
  const sent = texts(segments * 120, 500, from)
  for (let start = 0; start < sent.length; start += 60) await appendAll(log, sent.slice(start, start + 60))
  return sent
}

const onDisk = async (directory: string): Promise<number> => {
  let bytes = 0
  for (const name of await readdir(join(directory, 'log'))) {
    if (!name.endsWith('.seg') && name !== 'spare') continue
    bytes += await stat(join(directory, 'log', name)).then(
      ({ size }) => size,
      () => 0,
    )
  }
  return bytes
}

const marksOf = async (log: Log) => lossMarks((await readAll(log.reader(), 0, 1_000)).entries) as LossMark[]

/** What is left, once the marks name exactly what is not, which they do as soon as nothing is being removed. */
const accounted = (log: Log, sent: number) =>
  until('the marks count what is missing', async () => {
    const { entries, gaps, texts: left } = await readAll(log.reader(), 0, 1_000)
    const marks = lossMarks(entries) as LossMark[]
    const told = marks.filter(({ reason }) => reason === 'retention').reduce((sum, { count }) => sum + count, 0)
    return told === sent - left.length && { gaps, left, marks }
  })

test('a full disk cannot keep the log from making room: what is lost is on the disk before it goes', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = smallDisk()
  const first = await openTestLog(t, directory, { ...ROOMY, fileSystem: disk })
  const sent = await fill(first, 20)
  await first.close()
  // Not a byte is free, and the log may be a third of what it is: the mark finds no room until something has gone.
  disk.setCapacity(disk.usedBytes())
  const log = await openTestLog(t, directory, { ...TIGHT, fileSystem: disk })
  log.settledUpTo(0)
  await log.deliver(message('after'))
  await until('the log is within its bounds', () => log.info().bytes <= TIGHT.maxBytes)
  t.equal(log.info().state, 'ok')
  const { gaps, left, marks } = await accounted(log, sent.length + 1)
  t.equal(left.at(-1), 'after')
  t.strictSame(left.slice(0, -1), sent.slice(sent.length - left.length + 1))
  t.strictSame(
    gaps.map(({ reason }) => reason),
    ['retention'],
  )
  await log.close()
  const again = await openTestLog(t, directory, { ...TIGHT, fileSystem: disk, settledWithinMs: 60_000 })
  t.strictSame(await marksOf(again), marks, 'it is told once')
})

test('a stop while a loss is owed leaves it for the next start to tell', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = smallDisk()
  const before = await openTestLog(t, directory, { ...ROOMY, fileSystem: disk })
  const sent = await fill(before, 20)
  await before.close()
  let full = true
  const gated = watchedDisk(() => undefined)
  // Nothing that is new finds room, however much goes.
  const sick: typeof gated = {
    ...gated,
    open: async (path, mode) => {
      if (full && path.endsWith('.new')) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      return gated.open(path, mode)
    },
  }
  const log = await openTestLog(t, directory, { ...TIGHT, fileSystem: sick })
  log.settledUpTo(0)
  await until('the log is within its bounds', () => log.info().bytes <= TIGHT.maxBytes)
  t.equal(log.info().state, 'refusing')
  await log.close()
  full = false
  const again = await openTestLog(t, directory, TIGHT)
  again.settledUpTo(0)
  await again.deliver(message('after'))
  const { marks } = await accounted(again, sent.length + 1)
  const first = marks.find(({ reason }) => reason === 'retention')
  t.strictSame(first?.topics, { 'sensors/greenhouse': first?.count })
})

test('a stop between a mark and the removal does not make the next start tell of it again', async (t) => {
  const directory = await temporaryDirectory(t)
  const stops: string[] = []
  const disk = watchedDisk(async (call) => {
    if (stops.length === 0 && /^(unlink .*\.seg$|rename .*spare)/.test(call)) stops.push(await killedNow(directory))
  })
  const log = await openTestLog(t, directory, { ...TIGHT, fileSystem: disk })
  log.settledUpTo(0)
  await fill(log, 9)
  const stop = await until('a removal begins', () => stops[0])
  const again = await openTestLog(t, stop, { ...TIGHT, settledWithinMs: 60_000 })
  await until('the marks of the earlier run are found', () => (again.info().lost['retention'] ?? 0) > 0)
  const told = again.info().lost['retention'] ?? 0
  again.settledUpTo(0)
  await again.deliver(message('after'))
  await until('the segment has gone', async () => {
    await fill(again, 1)
    return again.info().first > told
  })
  const marks = (await marksOf(again)).filter(({ reason }) => reason === 'retention')
  const seqs = marks.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, index) => first + index))
  t.equal(new Set(seqs).size, seqs.length, 'no seq is told of twice')
})

test('a loss for which there is neither a mark nor a place in the file is told once, however often it is tried', async (t) => {
  const directory = await temporaryDirectory(t)
  const before = await openTestLog(t, directory, ROOMY)
  const sent = await fill(before, 20)
  await before.close()
  let full = true
  const gated = watchedDisk(() => undefined)
  let tries = 0
  const sick: typeof gated = {
    ...gated,
    open: async (path, mode) => {
      if (path.endsWith('/owed')) tries++
      if (full && /\.new$|\/owed$/.test(path)) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
      return gated.open(path, mode)
    },
    freeBytes: async (path) => {
      tries++
      return gated.freeBytes(path)
    },
  }
  const log = await openTestLog(t, directory, { ...TIGHT, fileSystem: sick })
  for (let look = 1; look <= 6; look++) {
    const seen = tries
    log.settledUpTo(look % 2)
    await until('it has looked', () => tries > seen && (log.info().lost['retention'] ?? 0) > 0)
  }
  t.equal(log.info().first, 1, 'nothing has gone')
  t.ok((log.info().lost['retention'] ?? 0) <= sent.length, `${log.info().lost['retention']} of ${sent.length} are lost`)
  full = false
  await log.deliver(message('after'))
  await until('the log is within its bounds', () => log.info().bytes <= TIGHT.maxBytes)
  const marks = (await marksOf(log)).filter(({ reason }) => reason === 'retention')
  for (const [index, { first }] of marks.entries())
    t.ok(first > (marks[index - 1]?.last ?? 0), 'no seq is told of twice')
  t.equal(marks[0]?.first, 2)
  t.ok((marks.at(-1)?.last ?? 0) < log.info().first)
})

test('after many short runs neighbours are merged before the oldest go for their number', async (t) => {
  const directory = await temporaryDirectory(t)
  const calls: string[] = []
  const clock = turnableClock()
  const bootId = 'now'
  const segments = Array.from({ length: MAX_SEGMENTS + 10 }, (_, index) => ({
    ...{ first: index + 1, last: index + 1, messages: 1, bytes: 300, bootId, synced: true },
    ...{ createdMs: 0, createdMonotonicMs: 0, endedMs: 0, endedMonotonicMs: 0 },
  }))
  const store = {
    spareBytes: 0,
    replace: async () => {
      calls.push('merge')
      throw new Error('enough')
    },
    remove: async (first: number) => void calls.push(`remove ${first}`),
  }
  const upkeep = new Upkeep({
    ...{ directory, fileSystem: nodeFileSystem(), clock, logger: rememberingLogger(), segments, store },
    ...{ maxBytes: 2 ** 30, maxAgeMs: 1e12, minFreeBytes: 0, whenFull: 'dropOldest', segmentBytes: SEGMENT },
    ...{ activeBytes: () => SEGMENT, recordLoss: async () => 1, refusing: () => false },
    ...{ onWritten: () => undefined, onRemoved: () => undefined },
  } as unknown as UpkeepOptions)
  await upkeep.tend()
  t.strictSame(calls, ['merge'])
})

test('for free space settled segments go, until there is enough, and what a sink wants stays', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = smallDisk(60 * SEGMENT)
  const log = await openTestLog(t, directory, { ...ROOMY, fileSystem: disk, minFreeBytes: 10 * SEGMENT })
  const sent = await fill(log, 20)
  disk.setCapacity(disk.usedBytes() + 5 * SEGMENT)
  // The end of a segment makes it look.
  for (const text of texts(240, 500, 10_000)) log.append(message(text))
  await until('it refuses', () => log.info().state === 'refusing')
  t.match(log.info().reason, /minFree/)
  t.equal(log.info().first, 1, 'nothing has gone that a sink wants')
  const late = log.deliver(message('late'))
  log.settledUpTo(log.durable - 120)
  await late
  await until('it is well again', () => log.info().state === 'ok')
  const { texts: left } = await readAll(log.reader(), 0, 1_000)
  t.ok(left[0] !== sent[0], 'some went')
  t.equal(left.at(-1), 'late')
  t.strictSame(await marksOf(log), [], 'nothing is lost')
})

test('when others fill the disk, deleting the log would not help, and it stays', async (t) => {
  const directory = await temporaryDirectory(t)
  const disk = smallDisk(60 * SEGMENT)
  const log = await openTestLog(t, directory, { ...ROOMY, fileSystem: disk, minFreeBytes: 30 * SEGMENT })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  const sent = await fill(log, 10)
  disk.setCapacity(disk.usedBytes() + 5 * SEGMENT)
  for (const text of texts(240, 500, 10_000)) log.append(message(text))
  await until('it refuses', () => log.info().state === 'refusing')
  const late = log.deliver(message('late'))
  t.strictSame((await readAll(log.reader(), 0, 1_000)).texts.slice(0, sent.length), sent)
  disk.setCapacity(200 * SEGMENT)
  await late
  await until('it is well again', () => log.info().state === 'ok')
})

test('the newest segment stays until there is another: it says which seqs were given', async (t) => {
  const directory = await temporaryDirectory(t)
  const first = await openTestLog(t, directory, ROOMY)
  await fill(first, 3)
  const { durable } = first
  await first.close()
  let full = true
  const gated = watchedDisk((call) => {
    if (full && call.endsWith('.new')) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  })
  const log = await openTestLog(t, directory, { ...TIGHT, maxBytes: 1, fileSystem: gated })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  await until('all but one have gone', () => log.info().segments === 1)
  const late = log.deliver(message('late'))
  await until('it refuses', () => log.info().state === 'refusing')
  t.ok((await readdir(join(directory, 'log'))).some((name) => name.endsWith('.seg')))
  const again = await openTestLog(t, await killedNow(directory), ROOMY)
  t.ok((await again.deliver(message('after a stop'))) > durable)
  full = false
  t.equal(await late, durable + 1)
})

test('commits go on while the disk takes its time to remove what is old', async (t) => {
  const directory = await temporaryDirectory(t)
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  let waiting = 0
  const disk = watchedDisk(async (call) => {
    if (!/^(unlink .*\.seg$|rename .*spare)/.test(call)) return
    waiting++
    await gate
  })
  const log = await openTestLog(t, directory, { ...TIGHT, fileSystem: disk })
  log.settledUpTo(Number.POSITIVE_INFINITY)
  await fill(log, 20)
  t.ok(waiting > 0, 'a removal is under way')
  t.equal(log.info().first, 1, 'and nothing has gone yet')
  open()
  await until('the log is within its bounds', () => log.info().bytes <= TIGHT.maxBytes)
})

test('what is lost is counted by topic, exactly, also of a segment that is settled in part', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, TIGHT)
  const marks: LossMark[] = []
  log.onDurable((entries) => marks.push(...(lossMarks(entries) as LossMark[])))
  const sent = new Map<number, string>()
  const send = async (count: number) => {
    for (let index = 0; index < count; index++) {
      const topic = index % 3 === 0 ? 'rare' : 'often'
      sent.set(await log.deliver(message('x'.repeat(500), topic)), topic)
    }
  }
  await send(50)
  log.settledUpTo(50)
  await send(1_500)
  await until('what the marks name is gone', () => marks.at(-1)?.last === log.info().first - 1)
  const there = new Set((await readAll(log.reader(), 0, 1_000)).entries.map(({ seq }) => seq))
  const lost = { rare: 0, often: 0 }
  for (const [seq, topic] of sent) if (seq > 50 && !there.has(seq)) lost[topic === 'rare' ? 'rare' : 'often']++
  const told = { rare: 0, often: 0 }
  let count = 0
  for (const mark of marks) {
    told.rare += mark.topics?.['rare'] ?? 0
    told.often += mark.topics?.['often'] ?? 0
    count += mark.count
  }
  t.strictSame(told, lost)
  t.equal(count, lost.rare + lost.often)
})

test('what is told of as destroyed is not told of again when its segment goes', async (t) => {
  const directory = await temporaryDirectory(t)
  const log = await openTestLog(t, directory, TIGHT)
  log.settledUpTo(0)
  let sent = (await fill(log, 3)).length
  const file = await open(join(directory, 'log', '0000000000000001.seg'), 'r+')
  await file.write(Buffer.from('flipped'), 0, 7, 20_000)
  await file.close()
  const corrupt = await until('the damage is told of', async () => {
    await readAll(log.reader(), 0, 1_000)
    return log.info().lost['corrupt']
  })
  t.ok(corrupt < 240)
  sent += (await fill(log, 8, 10_000)).length
  await until('marks count what is missing, each message once', async () => {
    const { texts: left } = await readAll(log.reader(), 0, 1_000)
    const { lost, first } = log.info()
    return first > 1 && (lost['retention'] ?? 0) + corrupt === sent - left.length
  })
})

test('whatever comes in, the log comes to rest within maxBytes', async (t) => {
  const runs = process.env['TIDEGATE_LONG'] === '1' ? 60 : 4
  const load = fc.record({
    messages: fc.integer({ min: 1, max: 300 }),
    bytes: fc.constantFrom(1, 40, 500, 5_000),
    topics: fc.constantFrom(1, 30, 3_000),
    settles: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(
      fc.array(load, { minLength: 5, maxLength: 10 }),
      fc.constantFrom<number>(4_096, 16_384, 65_536),
      fc.boolean(),
      async (loads, segmentBytes, keeps) => {
        const directory = await temporaryDirectory(t)
        const clock = turnableClock()
        const keep = keeps ? [{ topic: '#', newest: 1, perMs: 10_000 }] : []
        const maxBytes = 2 ** 20
        const log = await openTestLog(t, directory, { segmentBytes, maxBytes, clock, keep })
        for (const { messages, bytes, topics, settles } of loads) {
          const payload = Buffer.alloc(bytes)
          await Promise.all(
            Array.from({ length: messages }, (_, index) => {
              clock.advance(50)
              return log.deliver(message(payload, `site/${index % topics}/${'level'.repeat(index % 9)}`))
            }),
          )
          if (settles) log.settledUpTo(log.durable)
        }
        await until('the log is within its bounds', () => log.info().bytes <= maxBytes)
        if ((await onDisk(directory)) > maxBytes) throw new Error(`${await onDisk(directory)} bytes on the disk`)
        await log.close()
      },
    ),
    { numRuns: runs, endOnFailure: true },
  )
  t.pass(`${runs} histories`)
})

test('a wall clock that jumps by 56 years deletes nothing, and neither does the next boot', async (t) => {
  const directory = await temporaryDirectory(t)
  const clock = turnableClock()
  let jumpMs = 0
  let bootId = clock.bootId
  const jumping = {
    ...clock,
    wallMs: () => clock.wallMs() + jumpMs,
    get bootId() {
      return bootId
    },
  }
  const options = { ...ROOMY, clock: jumping, maxAgeMs: 86_400_000 }
  const years = 56 * 365 * 86_400_000
  const sent: string[] = []
  for (const [index, jump] of [0, -years, years, 0].entries()) {
    bootId = `00000000-0000-4000-8000-00000000000${index}`
    const log = await openTestLog(t, directory, options)
    log.settledUpTo(Number.POSITIVE_INFINITY)
    sent.push(...(await fill(log, 2, index * 1_000)))
    jumpMs = jump
    sent.push(...(await fill(log, 2, index * 1_000 + 500)))
    t.equal(log.info().first, 1)
    await log.close()
  }
  const log = await openTestLog(t, directory, options)
  log.settledUpTo(Number.POSITIVE_INFINITY)
  await fill(log, 2)
  t.strictSame((await readAll(log.reader(), 0, 1_000)).texts.slice(0, sent.length), sent)
})
