// The checkpoint's file: one JSON value a line, first a head, then retained messages, sessions and open QoS 2 publications,
// last the CRC-32 of everything before. It is replaced as a whole (write, fsync, rename, fsync of the directory), so that a
// crash leaves the old one or the new one.

import { type FileHandle, open, readFile, rename, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { Origin, Seq } from '../../core/contract.ts'
import { topicFilterFault, topicNameFault } from '../../core/topic.ts'
import { MAX_CHECKPOINT_BYTES } from './limits.ts'
import type { Qos } from './packet.ts'
import type { RetainedMessage } from './retained.ts'
import type { StoredSession } from './sessions.ts'

export interface CheckpointState {
  /** Everything the log holds up to here is in it. */
  readonly seq: Seq
  readonly retained: readonly RetainedMessage[]
  readonly sessions: readonly StoredSession[]
  readonly open: readonly { readonly origin: Origin; readonly crc: number }[]
}

const FILE = 'checkpoint'
const VERSION = 1
/** Written at once: large enough to be quick, small enough not to hold up the event loop. */
const PIECE_CHARACTERS = 64 * 1024

export const writeCheckpoint = async (directory: string, state: CheckpointState): Promise<void> => {
  const path = join(directory, FILE)
  const file = await open(`${path}.new`, 'w', 0o600)
  try {
    await writeLines(file, state)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(`${path}.new`, path)
  const parent = await open(directory, 'r')
  try {
    await parent.sync()
  } finally {
    await parent.close()
  }
}

/** undefined when there is none; throws when there is one that is not whole or not ours. */
export const readCheckpoint = async (directory: string): Promise<CheckpointState | undefined> => {
  const path = join(directory, FILE)
  let bytes: Buffer
  try {
    const { size } = await stat(path)
    if (size > MAX_CHECKPOINT_BYTES) throw new Error(`the checkpoint has ${size} bytes`)
    bytes = await readFile(path)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  return decode(bytes)
}

const writeLines = async (file: FileHandle, state: CheckpointState): Promise<void> => {
  let crc = 0
  let piece = ''
  const flush = async () => {
    const bytes = Buffer.from(piece)
    piece = ''
    crc = crc32(bytes, crc)
    await file.writeFile(bytes)
  }
  for (const line of lines(state)) {
    piece += `${JSON.stringify(line)}\n`
    if (piece.length > PIECE_CHARACTERS) await flush()
  }
  await flush()
  await file.writeFile(`${JSON.stringify(['end', crc])}\n`)
}

function* lines({ seq, retained, sessions, open }: CheckpointState): Generator<readonly unknown[]> {
  yield ['tidegate mqtt-broker checkpoint', VERSION, seq]
  for (const { topic, payload, qos } of retained) yield ['retained', topic, qos, payload.toString('base64')]
  for (const { clientId, filters } of sessions) yield ['session', clientId, filters]
  for (const { origin, crc } of open) yield ['open', origin.clientHash, origin.packetId, crc]
}

const decode = (bytes: Buffer): CheckpointState => {
  const lastLine = bytes.lastIndexOf(0x0a, bytes.length - 2) + 1
  const [endMark, crc] = parse(bytes.toString('utf8', lastLine, bytes.length - 1))
  if (endMark !== 'end' || crc !== crc32(bytes.subarray(0, lastLine))) throw new Error('the checkpoint is torn')

  const retained: RetainedMessage[] = []
  const sessions: StoredSession[] = []
  const openPublishes: { origin: Origin; crc: number }[] = []
  const headEnd = bytes.indexOf(0x0a)
  const [magic, version, seq] = parse(bytes.toString('utf8', 0, headEnd))
  if (magic !== 'tidegate mqtt-broker checkpoint' || version !== VERSION || !isCount(seq))
    throw new Error('the checkpoint is of another version')
  for (let start = headEnd + 1; start < lastLine; ) {
    const end = bytes.indexOf(0x0a, start)
    const [kind, first, second, third] = parse(bytes.toString('utf8', start, end))
    if (kind === 'retained' && isTopic(first) && isQos(second) && typeof third === 'string')
      retained.push({ topic: first, qos: second, payload: Buffer.from(third, 'base64') })
    else if (kind === 'session' && typeof first === 'string' && isFilters(second))
      sessions.push({ clientId: first, filters: second })
    else if (kind === 'open' && isCount(first) && isCount(second) && isCount(third))
      openPublishes.push({ origin: { clientHash: first, packetId: second }, crc: third })
    else throw new Error(`the checkpoint has an unknown line of kind ${JSON.stringify(kind)}`)
    start = end + 1
  }
  return { seq, retained, sessions, open: openPublishes }
}

const parse = (line: string): readonly unknown[] => {
  const value: unknown = JSON.parse(line)
  return Array.isArray(value) ? value : []
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0
const isQos = (value: unknown): value is Qos => value === 0 || value === 1 || value === 2
const isTopic = (value: unknown): value is string => typeof value === 'string' && topicNameFault(value) === undefined
const isFilters = (value: unknown): value is (readonly [string, Qos])[] =>
  Array.isArray(value) &&
  value.every(
    (pair) =>
      Array.isArray(pair) && typeof pair[0] === 'string' && topicFilterFault(pair[0]) === undefined && isQos(pair[1]),
  )
