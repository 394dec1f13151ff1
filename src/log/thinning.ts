// Puts one new file in the place of neighbouring sealed segments of one boot: without what a `keep` policy lets go, or just
// as one instead of many. In the background of ingest, in small pieces. The order of the steps survives a stop anywhere: the
// new file is durable before it takes the name of the first, and what the others hold counts until they are gone.

import type { Seq } from '../core/contract.ts'
import { lastSeq } from './block.ts'
import { MARK_CHANNEL } from './channel.ts'
import { EntryDecoder } from './entry-decoder.ts'
import type { FileHandle, FileSystem } from './file-system.ts'
import type { Keep, ThinnedChannel, ThinningLoss } from './keep.ts'
import { Thinning } from './keep.ts'
import { Pace } from './pace.ts'
import type { FoundBlock } from './segment-file.ts'
import { SegmentFile } from './segment-file.ts'
import type { SegmentHeader } from './segment-header.ts'
import { FORMAT_VERSION, newIdentity } from './segment-header.ts'
import { scanSegment } from './segment-scan.ts'
import type { SparseChannel, SparseEntry } from './sparse-writer.ts'
import { SparseWriter } from './sparse-writer.ts'
import type { Summary } from './summary.ts'

/** What is written is made durable in pieces of this size: no flush of a commit has to wait behind a large one. */
const SYNC_STEP_BYTES = 256 * 1024

export interface ThinningSources {
  readonly fileSystem: FileSystem
  /** Where segments are. */
  readonly directory: string
  /** First seqs, ascending, neighbours. */
  readonly group: readonly Seq[]
  /** First seq of the segment behind the last one. */
  readonly until: Seq
  readonly signal: AbortSignal
}

/** Something in a segment is not as it should be: it is left to those who look after damage. */
export class UnfitError extends Error {
  override readonly name = 'UnfitError'
}

export interface Survey {
  /** Which entries go, all segments of the group counted through. */
  readonly thinning: Thinning
  readonly loss: ThinningLoss | undefined
  readonly entries: number
}

/** What a policy would let go; reads everything and changes nothing. Undefined when no channel of the group is matched. */
export const surveyThinning = async (
  sources: ThinningSources,
  options: { readonly keep: Keep; readonly settled: Seq; readonly unsettledToo: boolean },
): Promise<Survey | undefined> =>
  withFiles(sources, async (files) => {
    const thinning = new Thinning(options)
    const matched = files.some((file) =>
      [...(file.summary?.channels.values() ?? [])].some((name) => thinning.channel(name) !== undefined),
    )
    if (!matched) return undefined
    let entries = 0
    await eachBlock(sources, files, (file) => {
      const channels = new Map<number, ThinnedChannel | undefined>()
      return (decoder, until) => {
        while (!decoder.done && decoder.seq < until) {
          const { channel, entrySeq, monotonicUs } = decoder.glance()
          if (!channels.has(channel)) channels.set(channel, policyOf(thinning, file, channel))
          thinning.add(channels.get(channel), entrySeq, monotonicUs)
          entries++
        }
      }
    })
    return { thinning, loss: thinning.loss, entries }
  })

/** Writes the group into a file; returns what it holds. `thinning` is from a survey of the same group. */
export const writeGroup = async (
  sources: ThinningSources,
  to: {
    readonly handle: FileHandle
    readonly blockBytes: number
    readonly onWritten: (bytes: number) => void
    readonly thinning?: Thinning | undefined
    readonly thinnedBy: number
  },
): Promise<{ readonly header: SegmentHeader; readonly summary: Summary; readonly bytes: number }> =>
  withFiles(sources, async (files) => {
    const first = files[0]
    if (first === undefined) throw new UnfitError('there is nothing to write')
    const header = { ...first.header, version: FORMAT_VERSION, identity: newIdentity() }
    const writer = new SparseWriter({ ...to, header })
    await writer.start()
    let ordinal = 0
    let syncedBytes = 0
    for (const [index, file] of files.entries()) {
      const until = files[index + 1]?.first ?? sources.until
      const channels = new Map<number, SparseChannel | undefined>()
      await walk(sources, file, until, async (decoder) => {
        const last = Math.min(lastSeq(decoder.header), until - 1)
        await writer.begin(decoder.header, last)
        while (!decoder.done && decoder.seq < until) {
          writer.cover(decoder.glance().entrySeq - 1)
          if (to.thinning?.goes(ordinal++) === true) continue
          const { channel } = decoder
          if (!channels.has(channel)) channels.set(channel, channelOf(writer, file, channel))
          const entry = entryOf(decoder)
          if (!writer.add(channels.get(channel), entry)) await addApart(writer, channels.get(channel), decoder, last)
        }
        writer.cover(last)
        if (writer.sizeBytes - syncedBytes < SYNC_STEP_BYTES) return
        syncedBytes = writer.sizeBytes
        await to.handle.datasync()
      })
    }
    complete(writer.summary, files, to.thinnedBy)
    await writer.seal()
    return { header, summary: writer.summary, bytes: writer.sizeBytes }
  })

const entryOf = (decoder: EntryDecoder): SparseEntry => {
  const { entrySeq, kind, lists, wallUs, monotonicUs } = decoder
  return { seq: entrySeq, isMessage: kind === 'message', lists, wallUs, monotonicUs, ...decoder.raw() }
}

/** In a block of its own, or one that begins with it. */
const addApart = async (
  writer: SparseWriter,
  channel: SparseChannel | undefined,
  decoder: EntryDecoder,
  last: Seq,
): Promise<void> => {
  const entry = entryOf(decoder)
  const { seq, wallUs, monotonicUs } = entry
  await writer.flush()
  await writer.begin({ first: seq, synced: decoder.header.synced, wallUs, monotonicUs }, last)
  if (!writer.add(channel, entry)) throw new UnfitError(`seq ${seq} is too large for a sparse block`)
}

const policyOf = (thinning: Thinning, file: SegmentFile, id: number): ThinnedChannel | undefined => {
  if (id === MARK_CHANNEL) return undefined
  const name = file.dictionary.get(id)
  if (name === undefined) throw new UnfitError(`channel ${id} is not defined`)
  return thinning.channel(name)
}

const channelOf = (writer: SparseWriter, file: SegmentFile, id: number): SparseChannel | undefined => {
  if (id === MARK_CHANNEL) return undefined
  const name = file.dictionary.get(id)
  if (name === undefined) throw new UnfitError(`channel ${id} is not defined`)
  return writer.channel(name)
}

/** What the new footer knows from the old ones: when they began and ended, and how the last one was sealed. */
const complete = (summary: Summary, files: readonly SegmentFile[], thinnedBy: number): void => {
  for (const { summary: old } of files) {
    if (old === undefined || old.entries === 0) continue
    summary.minWallUs = summary.minWallUs === 0 ? old.minWallUs : Math.min(summary.minWallUs, old.minWallUs)
    summary.maxWallUs = Math.max(summary.maxWallUs, old.maxWallUs)
    summary.lastMonotonicUs = Math.max(summary.lastMonotonicUs, old.lastMonotonicUs)
  }
  summary.sealedBy = files.at(-1)?.summary?.sealedBy ?? 'recovered'
  summary.thinnedBy = thinnedBy
}

type Visit = (decoder: EntryDecoder) => Promise<void> | void

const eachBlock = async (
  sources: ThinningSources,
  files: readonly SegmentFile[],
  visitor: (file: SegmentFile) => (decoder: EntryDecoder, until: Seq) => void,
): Promise<void> => {
  for (const [index, file] of files.entries()) {
    const until = files[index + 1]?.first ?? sources.until
    const visit = visitor(file)
    await walk(sources, file, until, (decoder) => visit(decoder, until))
  }
}

const walk = async (sources: ThinningSources, file: SegmentFile, until: Seq, visit: Visit): Promise<void> => {
  const pace = new Pace(sources.signal)
  const { bootId } = file.header
  await scanSegment(file, until, {
    block: async ({ bytes, at, header }: FoundBlock) => {
      try {
        await visit(new EntryDecoder(bytes, at, header, file.dictionary, bootId))
      } catch (error) {
        if (error instanceof RangeError) throw new UnfitError(`a block at seq ${header.first} cannot be read`)
        throw error
      }
      await pace.rest()
    },
    broken: ({ from, why }) => {
      throw new UnfitError(`segment ${file.first}, byte ${from}: ${why}`)
    },
  })
}

/** Opens the segments of a group, for as long as the work takes. */
const withFiles = async <T>(
  { fileSystem, directory, group }: ThinningSources,
  work: (files: readonly SegmentFile[]) => Promise<T>,
): Promise<T> => {
  const files: SegmentFile[] = []
  try {
    for (const first of group) {
      const file = await SegmentFile.open(fileSystem, directory, first)
      if (file === undefined) throw new UnfitError(`segment ${first} cannot be read`)
      files.push(file)
      if (file.summary === undefined) throw new UnfitError(`segment ${first} is not sealed`)
      if (file.header.bootId !== files[0]?.header.bootId || file.header.logId === '')
        throw new UnfitError(`segment ${first} is of another boot`)
    }
    return await work(files)
  } finally {
    for (const file of files) await file.close()
  }
}
