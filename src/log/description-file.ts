// What messages told about others (births, discovery topics), kept beside the log because retention takes them while what they
// explain still comes in: {data}/descriptions, format 1. Replaced as a whole: written to a new name, synced, renamed, directory
// synced. It follows from the log, so one that is damaged, or from a newer version, is set aside and never in the way.
//
// Little endian: 0 magic 'TGde' · 4 CRC-32 of everything behind it · 8 u16 format version · 10 u16 zero · 12 u32 length of the
// text · 16 the text, JSON in UTF-8, deflated (RFC 1951).

import { join } from 'node:path'
import { promisify } from 'node:util'
import { crc32, deflateRaw, inflateRaw } from 'node:zlib'
import { describe, systemCode } from '../core/errors.ts'
import type { Known, KnownTopic } from '../core/known-topic.ts'
import { topicNameFault } from '../core/topic.ts'
import type { FileSystem } from './file-system.ts'
import { readFully, writeFully } from './file-system.ts'
import { MAX_PLAUSIBLE_SEQ } from './limits.ts'

const DESCRIPTIONS_NAME = 'descriptions'
const MAGIC = 0x65644754
const VERSION = 1
const HEADER_BYTES = 16
/** What the decoders hold at most, in base64 and with names, and some more. */
const MAX_FILE_BYTES = 32 * 2 ** 20
const MAX_TEXT_BYTES = 64 * 2 ** 20

const deflate = promisify(deflateRaw)
const inflate = promisify(inflateRaw)

interface Options {
  /** The data directory. */
  readonly directory: string
  readonly fileSystem: FileSystem
}

/** As JSON has it: topics with what they told, base64, and when: seq, arrival and tags. */
interface Written {
  readonly upTo: number
  readonly topics: readonly (readonly [source: string, topic: string, told: readonly WrittenSaying[]])[]
}
type WrittenSaying = readonly [payload: string, at: readonly (readonly [number, number, (string | null)[]?])[]]

/** Durable when it resolves. Returns the size of the file. */
export const writeDescriptions = async ({ directory, fileSystem }: Options, known: Known): Promise<number> => {
  const text = Buffer.from(JSON.stringify(written(known)))
  const body = await deflate(text)
  const bytes = Buffer.alloc(HEADER_BYTES + body.length)
  bytes.writeUInt32LE(MAGIC, 0)
  bytes.writeUInt16LE(VERSION, 8)
  bytes.writeUInt32LE(text.length, 12)
  body.copy(bytes, HEADER_BYTES)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  const path = join(directory, DESCRIPTIONS_NAME)
  const fresh = `${path}.new`
  const handle = await fileSystem.open(fresh, 'replace')
  try {
    try {
      await writeFully(handle, bytes, 0, bytes.length, 0)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await fileSystem.rename(fresh, path)
    await fileSystem.syncDirectory(directory)
  } catch (error) {
    await fileSystem.unlink(fresh).catch(() => undefined)
    throw error
  }
  return bytes.length
}

/** Undefined where there is none; a text says why one that is there cannot be used. Never rejects. */
export const readDescriptions = async ({ directory, fileSystem }: Options): Promise<Known | string | undefined> => {
  try {
    const handle = await fileSystem.open(join(directory, DESCRIPTIONS_NAME), 'read')
    try {
      const size = await handle.size()
      if (size > MAX_FILE_BYTES) return `it has ${size} bytes`
      const bytes = Buffer.alloc(size)
      const length = await readFully(handle, bytes, 0, size, 0)
      return await parse(bytes.subarray(0, length))
    } finally {
      await handle.close()
    }
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? undefined : describe(error)
  }
}

/** Takes the name away from a file that cannot be used; only the last one is kept. */
export const setDescriptionsAside = async ({ directory, fileSystem }: Options): Promise<void> => {
  const path = join(directory, DESCRIPTIONS_NAME)
  await fileSystem.rename(path, `${path}.damaged`)
}

const written = ({ upTo, topics }: Known): Written => ({
  upTo,
  topics: topics.map(({ source, topic, told }) => [
    source,
    topic,
    told.map(({ payload, at }) => [
      payload.toString('base64'),
      at.map(({ seq, receivedAt, tags }) =>
        tags === undefined ? [seq, receivedAt] : [seq, receivedAt, tags.map((tag) => tag ?? null)],
      ),
    ]),
  ]),
})

const parse = async (bytes: Buffer): Promise<Known | string> => {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== MAGIC) return 'it is no such file'
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return 'its check sum is wrong'
  const version = bytes.readUInt16LE(8)
  if (version !== VERSION) return `it has format ${version}`
  const text = await inflate(bytes.subarray(HEADER_BYTES), { maxOutputLength: MAX_TEXT_BYTES })
  if (text.length !== bytes.readUInt32LE(12)) return 'its length is wrong'
  return known(JSON.parse(text.toString()) as Written)
}

/** A right check sum over wrong contents is somebody's work: what no gateway can have written is refused as a whole. */
const known = ({ upTo, topics }: Written): Known => {
  if (!isSeq(upTo)) throw new Error('a seq is wrong')
  return { upTo, topics: topics.map(knownTopic) }
}

const knownTopic = ([source, topic, told]: Written['topics'][number]): KnownTopic => {
  if (typeof source !== 'string' || typeof topic !== 'string' || topicNameFault(topic) !== undefined)
    throw new Error('a topic is wrong')
  return {
    source,
    topic,
    told: told.map(([payload, at]) => ({
      payload: Buffer.from(payload, 'base64'),
      at: at.map(([seq, receivedAt, tags]) => {
        if (!isSeq(seq) || !Number.isFinite(receivedAt)) throw new Error('a seq is wrong')
        return {
          seq,
          receivedAt,
          ...(tags === undefined ? {} : { tags: tags.map((tag) => (typeof tag === 'string' ? tag : undefined)) }),
        }
      }),
    })),
  }
}

const isSeq = (value: unknown): boolean =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= MAX_PLAUSIBLE_SEQ
