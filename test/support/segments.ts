// Segment files as bytes, to be damaged by tests.

import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BLOCK_HEADER_BYTES } from '../../src/log/block.ts'
import { SEGMENT_HEADER_BYTES, segmentName } from '../../src/log/segment-header.ts'
import { message, openTestLog } from './durable-log.ts'

export const segmentPath = (directory: string, first: number): string => join(directory, 'log', segmentName(first))

/** Where the blocks of a segment begin, by their magic; the last number is the end of the last block. */
export const blockOffsets = (bytes: Buffer): number[] => {
  const offsets: number[] = []
  let at = SEGMENT_HEADER_BYTES
  while (
    at + BLOCK_HEADER_BYTES <= bytes.length &&
    bytes.toString('latin1', at, at + 4) === 'TGbk' &&
    bytes[at + 16] !== 2
  ) {
    offsets.push(at)
    at += bytes.readUInt32LE(at + 12)
  }
  return [...offsets, at]
}

/** Changes the bytes of a file. */
export const spoil = async (path: string, change: (bytes: Buffer) => Buffer | undefined): Promise<void> => {
  const bytes = await readFile(path)
  const changed = change(bytes) ?? bytes
  await rm(path)
  await writeFile(path, changed)
}

/** Flips a bit in the body of a block, by its number in the segment. */
export const spoilBlock = (path: string, number: number): Promise<void> =>
  spoil(path, (bytes) => {
    const at = (blockOffsets(bytes)[number] ?? 0) + BLOCK_HEADER_BYTES + 3
    bytes[at] = (bytes[at] ?? 0) ^ 1
    return undefined
  })

/** Closed segments of two blocks each with two messages, every segment from a start of its own: 1–4, 5–8, … */
export const closedSegments = async (
  t: Parameters<typeof openTestLog>[0],
  directory: string,
  count: number,
  topics: readonly string[] = ['sensors/greenhouse'],
): Promise<void> => {
  for (let segment = 0; segment < count; segment++) {
    const log = await openTestLog(t, directory)
    for (let block = 0; block < 2; block++) {
      const numbers = [1, 2].map((step) => 4 * segment + 2 * block + step)
      await Promise.all(numbers.map((number) => log.deliver(message(`${number}`, topics[number % topics.length]))))
    }
    await log.close()
  }
}
