// Entries from blocks that are still in memory: what a commit made durable, and what is shown while the disk takes nothing.

import type { Entry, Seq } from '../core/contract.ts'
import { lastSeq } from './block.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { PendingBlock } from './pending-block.ts'

export interface EntriesOptions {
  readonly bootId: string
  /** Of the boot (clock-mark.ts), where it is known. */
  readonly correctionMs: number | undefined
  /** Only what is behind this seq, … */
  readonly after?: Seq
  /** … and so many at most. */
  readonly limit?: number
}

/** In seq order, as the blocks are. */
export const entriesOf = (
  blocks: readonly PendingBlock[],
  { bootId, correctionMs, after = 0, limit = Number.POSITIVE_INFINITY }: EntriesOptions,
): Entry[] => {
  const entries: Entry[] = []
  for (const { start, count, end, channels, bytes } of blocks) {
    if (start.first + count - 1 <= after) continue
    if (entries.length >= limit) break
    const header = { ...start, kind: 'messages', length: end, count, definitionsAt: end, definitions: 0 } as const
    const names = new Map(channels.map((channel) => [channel.id, channel]))
    const decoder = new EntryDecoder(bytes, 0, header, names, bootId, correctionMs)
    decoder.skipTo(after + 1)
    while (decoder.seq <= lastSeq(header) && entries.length < limit) {
      const entry = decoder.next()
      if (entry !== undefined) entries.push(entry)
    }
  }
  return entries
}
