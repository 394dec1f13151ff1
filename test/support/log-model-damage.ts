// A small log with everything in it, and what must be true of it after somebody damaged its files: it opens, never serves a
// wrong byte, serves what is not touched, tells what is missing, and goes on.

import { dirname } from 'node:path'
import type { Entry, Gap, LossMark, Message, Seq } from '../../src/core/contract.ts'
import type { Log, LogReader } from '../../src/core/log-contract.ts'
import { openCursor } from '../../src/log/cursor.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { openReader } from '../../src/log/reader.ts'
import { SegmentFile } from '../../src/log/segment-file.ts'
import { seqInName } from '../../src/log/segment-header.ts'
import { message, openTestLog } from './durable-log.ts'
import { Violation } from './log-model.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { SimulatedFile } from './simulated-disk-file.ts'
import { idle, SimulatedTime, withTime } from './simulated-disk-time.ts'

const DIRECTORY = '/data'
/** A header, and a few blocks. */
const SEGMENT_BYTES = 1_500
const NO_TEST = { teardown: () => undefined }
/** A log this small has no more reads than this in it. */
const MAX_READS = 1_000
/** Turns of waiting for what the log does by itself. */
const PATIENCE = 50

export type Files = ReadonlyMap<string, Buffer>

export interface BlockPlace {
  readonly path: string
  readonly from: number
  readonly to: number
  readonly seqs: readonly Seq[]
  /** Offsets of the blocks that say what its channels are, if no footer does. */
  readonly needs: readonly number[]
}

export interface SampleLog {
  readonly files: Files
  readonly messages: ReadonlyMap<Seq, Entry>
  readonly last: Seq
  /** Without the sparse ones of a thinned segment. */
  readonly blocks: readonly BlockPlace[]
}

const open = (fileSystem: FileSystem): Promise<Log> =>
  openTestLog(NO_TEST, DIRECTORY, { fileSystem, segmentBytes: SEGMENT_BYTES, maxBytes: 1_000_000 })

const textOf = (entry: Message): string =>
  [entry.topic, entry.source, entry.qos, entry.retain, entry.origin?.packetId, entry.payload.toString('latin1')].join(
    ' ',
  )

/** Messages of two channels, a block for every two of them. */
const append = async (log: Log, from: number, to: number): Promise<void> => {
  for (let index = from; index <= to; index += 2) await Promise.all([index, index + 1].map((one) => deliver(log, one)))
}

const deliver = (log: Log, index: number): Promise<Seq> =>
  log.deliver({
    ...message(`${index}`.padStart(12, '.'), `topic/${index % 2}`),
    ...(index % 3 === 0 ? { qos: 2 as const, origin: { clientHash: index, packetId: index + 1 } } : {}),
  })

/** Three runs: one that was closed, with full segments; one that was killed; and one that is killed now. */
export const sampleLog = async (): Promise<SampleLog> => {
  const time = new SimulatedTime()
  const restore = time.install()
  try {
    return await withTime(time, makeSample())
  } finally {
    restore()
  }
}

const makeSample = async (): Promise<SampleLog> => {
  const disk = new SimulatedDisk({ seed: 1 })
  const first = disk.start()
  const one = await open(first)
  await append(one, 1, 10)
  await one.recordLoss({ first: 2, last: 3, count: 2, reason: 'rejected' })
  const cursor = await openCursor({ directory: `${DIRECTORY}/cursors`, name: 'cloud', fileSystem: first })
  cursor.settle(1, 4)
  await cursor.flush()
  await cursor.close()
  await one.close()
  const two = await open(disk.start())
  await append(two, 101, 104)
  disk.crash('kill')
  const third = disk.start()
  const three = await open(third)
  await append(three, 201, 206)
  const { entries } = await readAll(three.reader(), 0)
  const last = three.durable
  disk.crash('kill')
  await two.close().catch(() => undefined)
  const files = new Map<string, Buffer>()
  for (const [path, file] of disk.names.files) files.set(path, Buffer.from(file.bytes))
  const messages = new Map(entries.filter(({ kind }) => kind === 'message').map((entry) => [entry.seq, entry]))
  return { files, messages, last, blocks: await blocksOf(diskOf(files).start(), files, entries) }
}

const blocksOf = async (fileSystem: FileSystem, files: Files, entries: readonly Entry[]): Promise<BlockPlace[]> => {
  const blocks: BlockPlace[] = []
  for (const path of files.keys()) {
    const first = seqInName(path.slice(path.lastIndexOf('/') + 1))
    if (first === undefined) continue
    const segment = await SegmentFile.open(fileSystem, dirname(path), first)
    if (segment === undefined) throw new Error(`${path} is no segment`)
    const definedAt = new Map<string, number>()
    for (let from = segment.start; ; ) {
      const block = await segment.block(from)
      if (block === undefined) break
      const { header } = block
      const seqs = Array.from({ length: header.count }, (_, index) => header.first + index)
      const topics = entries.filter(({ seq }) => seqs.includes(seq)).map(({ topic }) => topic)
      for (const topic of topics) if (!definedAt.has(topic)) definedAt.set(topic, from)
      const needs = segment.summary === undefined ? topics.map((topic) => definedAt.get(topic) ?? from) : []
      blocks.push({ path, from, to: from + header.length, seqs, needs })
      from += header.length
    }
    await segment.close()
  }
  return blocks
}

const diskOf = (files: Files): SimulatedDisk => {
  const disk = new SimulatedDisk({ seed: 1 })
  for (const [path, bytes] of files) {
    disk.names.makeDirectory(dirname(path))
    const file = new SimulatedFile()
    file.become(bytes)
    disk.names.put(path, file)
  }
  disk.names.sync('/')
  disk.names.sync(DIRECTORY)
  return disk
}

/** Seqs of messages whose blocks, and the definitions that they need, lie outside of what was damaged. */
export const untouched = (log: SampleLog, isTouched: (path: string, from: number, to: number) => boolean): Set<Seq> => {
  const seqs = new Set<Seq>()
  const isWhole = (path: string, from: number): boolean => {
    const block = log.blocks.find((one) => one.path === path && one.from === from)
    return block !== undefined && !isTouched(path, block.from, block.to)
  }
  for (const { path, from, seqs: held, needs } of log.blocks) {
    if (!isWhole(path, from) || !needs.every((place) => isWhole(path, place))) continue
    for (const seq of held) if (log.messages.has(seq)) seqs.add(seq)
  }
  return seqs
}

export interface Expected {
  /** Seqs that must be there. */
  readonly whole: ReadonlySet<Seq>
  /**
   * A whole file went, or has another name. Without the oldest one nobody knows that there was more, without the newest one
   * that so many seqs were given.
   */
  readonly misplaced?: boolean
  /** Also what another process reads before anybody repairs anything, and what the next start finds. */
  readonly thorough?: boolean
}

/** Throws a Violation unless the damaged log is served as well as can be. */
export const checkDamaged = async (log: SampleLog, files: Files, expected: Expected): Promise<void> => {
  // The timers of the logs that are killed here must not outlive them.
  const time = new SimulatedTime()
  const restore = time.install()
  try {
    await withTime(time, check(log, files, expected))
  } finally {
    restore()
  }
}

const check = async (log: SampleLog, files: Files, { whole, misplaced = false, thorough = true }: Expected) => {
  if (thorough) await checkForeign(log, files)
  const disk = diskOf(files)
  const opened = await open(disk.start())
  checkServed(log, await readAll(opened.reader(), 0), whole)
  const text = 'after the damage'
  const seq = await opened.deliver(message(text))
  if (seq <= log.last && !misplaced) throw new Violation(`seq ${seq} is given again: ${log.last} was given before`)
  await told(misplaced ? NOTHING : log.messages, log, opened, disk)
  disk.crash('kill')
  if (!thorough) return
  const again = await open(disk.start())
  const { entries } = await told(misplaced ? NOTHING : log.messages, log, again, disk)
  if (entries.find((entry) => entry.seq === seq)?.payload.toString() !== text)
    throw new Violation(`what was appended behind the damage is not there`)
  const missing = [...whole].find((one) => !entries.some((entry) => entry.seq === one))
  if (missing !== undefined) throw new Violation(`seq ${missing} is gone at the next start`)
  disk.crash('kill')
}

const checkForeign = async (log: SampleLog, files: Files): Promise<void> => {
  const fileSystem = diskOf(files).start()
  const reader = openReader({ directory: DIRECTORY, fileSystem, durable: () => Number.POSITIVE_INFINITY })
  checkServed(log, await readAll(reader, 0), new Set())
}

const NOTHING: ReadonlyMap<Seq, Entry> = new Map()

/** Waits until loss marks name every one of these messages that is missing. */
const told = async (messages: ReadonlyMap<Seq, Entry>, log: SampleLog, opened: Log, disk: SimulatedDisk) => {
  for (let turns = 0; ; turns++) {
    const read = await readAll(opened.reader(), 0)
    checkServed(log, read, new Set())
    const marks = read.entries
      .filter(({ kind }) => kind === 'loss')
      .map(({ payload }) => JSON.parse(payload.toString()) as LossMark)
    const there = new Set(read.entries.map(({ seq }) => seq))
    const untold = [...messages.keys()].find(
      (seq) => !there.has(seq) && !marks.some(({ first, last }) => first <= seq && seq <= last),
    )
    if (untold === undefined) return read
    if (turns > PATIENCE) throw new Violation(`seq ${untold} is gone, and no loss mark says so`)
    await idle(disk)
  }
}

const readAll = async (reader: LogReader, after: Seq) => {
  const entries: Entry[] = []
  const gaps: Gap[] = []
  let next = after
  for (let reads = 0; reads < MAX_READS; reads++) {
    const result = await reader.read(next, { entries: 50, bytes: 100_000 })
    entries.push(...result.entries)
    gaps.push(...result.gaps)
    if (result.next === next) {
      await reader.close()
      return { entries, gaps, next }
    }
    next = result.next
  }
  throw new Violation('reading does not end')
}

/** Nothing but what was appended, in order, and every hole told. */
const checkServed = (
  log: SampleLog,
  { entries, gaps, next }: Awaited<ReturnType<typeof readAll>>,
  whole: ReadonlySet<Seq>,
): void => {
  let previous = 0
  for (const entry of entries) {
    if (entry.seq <= previous) throw new Violation(`seq ${entry.seq} is read behind ${previous}`)
    previous = entry.seq
    const original = log.messages.get(entry.seq)
    if (entry.kind !== 'message' || entry.seq > log.last) continue
    if (original === undefined) throw new Violation(`seq ${entry.seq} is ${textOf(entry)}, which nobody appended`)
    if (textOf(original) !== textOf(entry))
      throw new Violation(`seq ${entry.seq} is ${textOf(entry)}, and was ${textOf(original)}`)
    if (original.receivedAt !== entry.receivedAt) throw new Violation(`seq ${entry.seq} has another time`)
  }
  let expected = 1
  const parts = [...entries.map(({ seq }) => ({ first: seq, last: seq })), ...gaps].sort((a, b) => a.first - b.first)
  for (const { first, last } of parts) {
    if (first !== expected) throw new Violation(`${expected} is neither read nor missed, or both`)
    expected = last + 1
  }
  if (expected !== next + 1) throw new Violation(`${expected} is neither read nor missed`)
  const there = new Set(entries.map(({ seq }) => seq))
  for (const seq of whole) if (!there.has(seq)) throw new Violation(`seq ${seq} is missed, and was not touched`)
}
