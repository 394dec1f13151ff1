// What is lost when segments go although not every sink has had them: how many messages, and of which topics. A sealed
// segment knows that from its footer; only one that is settled in part has to be read.

import type { Seq } from '../core/contract.ts'
import type { Range } from '../core/log-contract.ts'
import { mostAffected } from '../core/loss.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileSystem } from './file-system.ts'
import type { Loss } from './owed-file.ts'
import { Pace } from './pace.ts'
import type { SegmentFacts } from './retention.ts'
import { unsettledIn } from './retention.ts'
import { SegmentFile } from './segment-file.ts'
import { scanSegment } from './segment-scan.ts'

/** Longer topics are not named: a mark is small whatever clients send. */
const MAX_NAMED_TOPIC = 256

export interface LossCountOptions {
  readonly fileSystem: FileSystem
  /** Where segments are. */
  readonly directory: string
  readonly signal: AbortSignal
  /** Seqs that marks tell of already, because they are destroyed. */
  readonly destroyed: readonly Range[]
}

/** `segments` are to go; undefined when every sink has had all of them, or they hold no message. */
export const countLoss = async (
  options: LossCountOptions,
  segments: readonly SegmentFacts[],
  settled: Seq,
): Promise<Omit<Loss, 'reason'> | undefined> => {
  const estimate = unsettledIn(segments, settled)
  if (estimate === undefined) return undefined
  const topics = new Map<string, number>()
  let count = 0
  for (const segment of segments) {
    if (segment.last <= settled || segment.last < segment.first) continue
    // Readable or not, it goes; then its own facts say how much it held, at most.
    count += (await countIn(options, segment, settled, topics)) ?? unsettledIn([segment], settled)?.count ?? 0
  }
  const named = topicsLoss(topics)
  return count === 0 ? undefined : { ...estimate, count, ...named }
}

export const topicsLoss = (counts: ReadonlyMap<string, number>): Pick<Loss, 'topics'> => {
  const topics = mostAffected(new Map([...counts].filter(([topic]) => topic.length <= MAX_NAMED_TOPIC)))
  return topics === undefined ? {} : { topics }
}

const countIn = async (
  { fileSystem, directory, signal, destroyed }: LossCountOptions,
  segment: SegmentFacts,
  settled: Seq,
  topics: Map<string, number>,
): Promise<number | undefined> => {
  const file = await SegmentFile.open(fileSystem, directory, segment.first).catch(() => undefined)
  if (file?.summary === undefined) {
    await file?.close()
    return undefined
  }
  const counts = new Map<string, number>()
  let count = 0
  const add = (topic: string, by: number) => {
    counts.set(topic, (counts.get(topic) ?? 0) + by)
    count += by
  }
  try {
    // The footer counts what is destroyed too.
    const whole = !destroyed.some(({ first, last }) => first <= segment.last && last >= segment.first)
    if (whole && segment.first > settled && file.summary.last === segment.last)
      for (const { topic, entries } of file.summary.channels.values()) add(topic, entries)
    else await eachUnsettled(file, segment.last + 1, settled, new Pace(signal), add)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof Error)) throw error
    return undefined
  } finally {
    await file.close()
  }
  for (const [topic, by] of counts) topics.set(topic, (topics.get(topic) ?? 0) + by)
  return count
}

const eachUnsettled = async (
  file: SegmentFile,
  until: Seq,
  settled: Seq,
  pace: Pace,
  add: (topic: string, by: number) => void,
): Promise<void> => {
  await scanSegment(file, until, {
    block: async ({ bytes, at, header }) => {
      const decoder = new EntryDecoder(bytes, at, header, file.dictionary, file.header.bootId)
      decoder.skipTo(settled + 1)
      while (!decoder.done && decoder.seq < until) {
        const { kind, channel } = decoder.glance()
        const name = file.dictionary.get(channel)
        if (kind === 'message' && name !== undefined) add(name.topic, 1)
      }
      await pace.rest()
    },
  })
}
