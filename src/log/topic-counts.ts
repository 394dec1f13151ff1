// How many messages of each topic a log holds: from the footers, and by reading what has none. Changes nothing, and works
// beside a gateway that writes.

import { join } from 'node:path'
import { systemCode } from '../core/errors.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileSystem } from './file-system.ts'
import { listSegments, SegmentFile } from './segment-file.ts'
import { scanSegment } from './segment-scan.ts'

/** Topics that are counted one by one: clients choose how many there are. */
const MAX_TOPICS = 100_000

/** `directory`: the data directory. Rejects when it cannot be read. */
export const countTopics = async (fileSystem: FileSystem, directory: string): Promise<ReadonlyMap<string, number>> => {
  const log = join(directory, 'log')
  const counts = new Map<string, number>()
  const add = (topic: string, by: number) => {
    const known = counts.get(topic)
    if (known !== undefined || counts.size < MAX_TOPICS) counts.set(topic, (known ?? 0) + by)
  }
  const { segments } = await listSegments(fileSystem, log)
  for (const [index, first] of segments.entries()) {
    const file = await openIfThere(fileSystem, log, first)
    try {
      if (file?.summary !== undefined)
        for (const { topic, entries } of file.summary.channels.values()) add(topic, entries)
      else if (file !== undefined) await countBlocks(file, segments[index + 1] ?? Number.POSITIVE_INFINITY, add)
    } finally {
      await file?.close()
    }
  }
  return counts
}

const countBlocks = async (
  file: SegmentFile,
  until: number,
  add: (topic: string, by: number) => void,
): Promise<void> => {
  await scanSegment(file, until, {
    block: (block) => {
      file.learn(block)
      const decoder = new EntryDecoder(block.bytes, block.at, block.header, file.names, file.header.bootId)
      try {
        while (!decoder.done && decoder.seq < until) {
          const { kind, channel } = decoder.glance()
          const name = file.names.get(channel)
          if (kind === 'message' && name !== undefined) add(name.topic, 1)
        }
      } catch (error) {
        // Verifying is not the business here.
        if (!(error instanceof RangeError)) throw error
      }
    },
  })
}

/** Undefined when it has gone, or is no segment. */
const openIfThere = async (
  fileSystem: FileSystem,
  directory: string,
  first: number,
): Promise<SegmentFile | undefined> => {
  try {
    return await SegmentFile.open(fileSystem, directory, first)
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  }
}
