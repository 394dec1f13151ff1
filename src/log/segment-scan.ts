// Walks through a segment block by block and says what lies in between that is no block: where it begins and ends, and which
// seqs are missing there. One walk for recovery, for damage that readers meet, and for `log verify`.

import type { Seq } from '../core/contract.ts'
import { lastSeq } from './block.ts'
import type { FoundBlock, SegmentFile } from './segment-file.ts'

/** Bytes that hold no block although blocks follow, or a footer says that some should be there. */
export interface BrokenBytes {
  readonly from: number
  /** Excluded. */
  readonly to: number
  /** Seqs that are missing with them; none when `last` is below `first`. */
  readonly first: Seq
  readonly last: Seq
  readonly why: string
}

export interface SegmentVisitor {
  /** The block's bytes stay valid until it resolves. */
  block(block: FoundBlock): Promise<void> | void
  /** Before the block behind them. */
  broken?(bytes: BrokenBytes): Promise<void> | void
}

export interface Scanned {
  /** Newest seq that is there; one before the first when nothing is. */
  readonly last: Seq
  /** Where the last whole block ends. */
  readonly end: number
}

/** Only what lies below `until` counts. What follows the last whole block of a segment without a footer is no damage. */
export const scanSegment = async (file: SegmentFile, until: Seq, visitor: SegmentVisitor): Promise<Scanned> => {
  let last = file.first - 1
  let end = file.start
  let offset = file.start
  let why = ''
  const broken = async (to: number, next: Seq) => {
    if (to > end) await visitor.broken?.({ from: end, to, first: last + 1, last: Math.min(next, until) - 1, why })
  }
  for (;;) {
    const block = await file.block(offset)
    if (block?.whole && block.header.first >= until) {
      // What lies beyond was written again to the segment behind; only bytes before it can be damage.
      await broken(offset, until)
      return { last, end }
    }
    if (block?.whole && block.header.first > last) {
      await broken(offset, block.header.first)
      // Whoever looked into the damage may have read elsewhere in the file.
      await visitor.block(offset === end ? block : ((await file.block(offset)) ?? block))
      last = Math.min(lastSeq(block.header), until - 1)
      offset += block.header.length
      end = offset
      why = ''
      continue
    }
    if (why === '') why = faultOf(block, last)
    const next = block?.whole ? offset + block.header.length : await file.find(offset + (block?.header.length ?? 0))
    if (next === undefined) break
    offset = next
  }
  if (file.summary !== undefined) await broken(await file.end(), Math.min(file.summary.last + 1, until))
  return { last, end }
}

const faultOf = (block: FoundBlock | undefined, last: Seq): string => {
  if (block === undefined) return 'the header of a block is destroyed'
  return block.whole ? `a block goes back to seq ${block.header.first} behind ${last}` : 'the CRC of a block is wrong'
}
