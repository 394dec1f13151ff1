// One damage, and the note about it as it stands in quarantine: JSON for a person and for the next start. Its name tells the
// segment and the bytes of it that are damaged, `0000000000000001.seg.1024-1100`, or the seqs when there are no bytes.

import { join } from 'node:path'
import type { Seq, UnixMs } from '../core/contract.ts'
import { systemCode } from '../core/errors.ts'
import type { FileSystem } from './file-system.ts'
import { readFully } from './file-system.ts'
import { segmentName, seqInName } from './segment-header.ts'

/** What is destroyed, and what is lost with it. */
export interface Damage {
  /** First seq in the name of the segment. */
  readonly segment: Seq
  /** Bytes of its file, `to` excluded; equal when there are none. */
  readonly from: number
  readonly to: number
  /** Seqs that are lost with it; none when `last` is below `first`. */
  readonly first: Seq
  readonly last: Seq
  /** How many messages these were, at most. */
  readonly count: number
  readonly why: string
  /** How many per Topic Name, where the footer tells. */
  readonly topics?: Readonly<Record<string, number>>
}

export interface Note extends Damage {
  /** Of the bytes beside it, and without its suffix of the note itself. */
  readonly name: string
  readonly time: UnixMs
  /** How many bytes were kept. */
  readonly bytes: number
}

/** A note names at most MAX_LOSS_NAMES topics of at most 64 KiB: longer ones are cut off, and with them the note. */
const MAX_NOTE_BYTES = 8 * 1_024 * 1_024
export const NOTE_SUFFIX = '.json'
/** Of a note whose loss mark is not durable yet. */
export const OWED_SUFFIX = '.owed.json'

export const isNote = (name: string): boolean => name.endsWith(NOTE_SUFFIX)

export const damageName = ({ segment, from, to, first, last }: Damage): string =>
  `${segmentName(segment)}.${to > from ? `${from}-${to}` : `seq-${first}-${last}`}`

export const encodeNote = ({ segment, from, to, first, last, count, why, topics, time, bytes }: Note): Buffer => {
  const note = { segment: segmentName(segment), from, to, first, last, count, why, topics, time: timeText(time), bytes }
  return Buffer.from(`${JSON.stringify(note, undefined, 2)}\n`)
}

/** Undefined when it is no note. */
const parseNote = (name: string, text: string): Note | undefined => {
  const value = parsed(text)
  if (typeof value !== 'object' || value === null) return undefined
  const field = (key: string): unknown => (value as Readonly<Record<string, unknown>>)[key]
  const whole = (key: string): number => {
    const number = field(key)
    return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : -1
  }
  const segment = seqInName(String(field('segment')))
  const [from, to, first, last] = [whole('from'), whole('to'), whole('first'), whole('last')]
  if (segment === undefined || from < 0 || to < 0 || first < 1 || last < 0) return undefined
  const topics = field('topics')
  return {
    name,
    segment,
    from,
    to,
    first,
    last,
    count: Math.max(0, whole('count')),
    why: String(field('why')),
    time: Date.parse(String(field('time'))) || 0,
    bytes: Math.max(0, whole('bytes')),
    ...(isCounts(topics) ? { topics } : {}),
  }
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const isCounts = (value: unknown): value is Readonly<Record<string, number>> =>
  typeof value === 'object' && value !== null && Object.values(value).every((count) => typeof count === 'number')

const timeText = (time: UnixMs): string => new Date(Math.max(0, time)).toISOString()

/** Everything that is in quarantine, for inspection: its files, notes left out, and the notes that can be read. */
export const readNotes = async (
  fileSystem: FileSystem,
  directory: string,
): Promise<{ files: string[]; notes: Note[] }> => {
  const names = await listOrNothing(fileSystem, directory)
  const notes: Note[] = []
  for (const name of names.filter(isNote)) {
    const note = await readNote(fileSystem, directory, name)
    if (note !== undefined) notes.push(note)
  }
  return {
    files: [...new Set([...names.filter((name) => !isNote(name)), ...notes.map(({ name }) => name)])].sort(),
    notes,
  }
}

/** Undefined when it is no note, or has gone. */
export const readNote = async (fileSystem: FileSystem, directory: string, name: string): Promise<Note | undefined> => {
  try {
    const handle = await fileSystem.open(join(directory, name), 'read')
    try {
      const bytes = Buffer.alloc(Math.min(await handle.size(), MAX_NOTE_BYTES))
      const length = await readFully(handle, bytes, 0, bytes.length, 0)
      return parseNote(baseOf(name), bytes.toString('utf8', 0, length))
    } finally {
      await handle.close()
    }
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return undefined
  }
}

const listOrNothing = async (fileSystem: FileSystem, directory: string): Promise<string[]> => {
  try {
    return (await fileSystem.list(directory)).sort()
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw error
  }
}

/** A note's name without its suffix. */
export const baseOf = (name: string): string =>
  name.endsWith(OWED_SUFFIX) ? name.slice(0, -OWED_SUFFIX.length) : name.slice(0, -NOTE_SUFFIX.length)
