// What is destroyed in one segment, and what was in it: where the footer knows how many messages each channel had, the
// difference to what is still there is what was lost.

import type { Seq } from '../core/contract.ts'
import { mostAffected } from '../core/loss.ts'
import { MARK_CHANNEL } from './channel.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { Damage } from './quarantine-note.ts'
import type { FoundBlock, SegmentFile } from './segment-file.ts'
import type { BrokenBytes } from './segment-scan.ts'
import { scanSegment } from './segment-scan.ts'
import type { Summary } from './summary.ts'

/** Reads all of the segment. Damage that costs no seqs is left out. */
export const examineSegment = async (file: SegmentFile, until: Seq): Promise<Damage[]> => {
  const broken: BrokenBytes[] = []
  const left = new Map<number, number>()
  await scanSegment(file, until, {
    block: (block) => countEntries(file, block, left),
    broken: (bytes) => void broken.push(bytes),
  })
  const losing = broken.filter(({ first, last }) => last >= first)
  const [only] = losing
  const { summary } = file
  const damages = losing.map((bytes) => ({ ...bytes, segment: file.first, count: bytes.last - bytes.first + 1 }))
  if (summary === undefined || only === undefined || losing.length > 1) return damages
  return damages.map((damage) => ({ ...damage, ...lostOf(summary, left, damage.count) }))
}

const countEntries = (file: SegmentFile, block: FoundBlock, into: Map<number, number>): void => {
  file.learn(block)
  const decoder = new EntryDecoder(block.bytes, block.at, block.header, file.dictionary, file.header.bootId)
  try {
    while (!decoder.done) {
      decoder.glance()
      into.set(decoder.channel, (into.get(decoder.channel) ?? 0) + 1)
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
}

/** What the footer counts beyond what is there. Nothing when that makes no sense: then the seqs are all that is known. */
const lostOf = (summary: Summary, left: ReadonlyMap<number, number>, most: number): Partial<Damage> => {
  const topics = new Map<string, number>()
  let messages = 0
  for (const [id, { topic, entries }] of summary.channels) {
    const lost = entries - (left.get(id) ?? 0)
    if (id === MARK_CHANNEL || lost <= 0) continue
    topics.set(topic, (topics.get(topic) ?? 0) + lost)
    messages += lost
  }
  if (messages === 0 || messages > most) return {}
  const named = mostAffected(topics)
  return { count: messages, ...(named === undefined ? {} : { topics: named }) }
}
