// The durable log: every message that tidegate acknowledges is here first. This comment is the specification of the format.
//
// TIDEGATE LOG FORMAT, VERSION 1
//
// A program reads every version up to its own, and refuses a newer one (TG_LOG_NEWER). Integers are little endian; u64 holds
// at most 2^53 - 1; varint is LEB128, unsigned, at most 8 bytes; texts are UTF-8. CRC is CRC-32 (ISO-HDLC, as zlib's).
//
// FILES in {data}/log/
//   NNNNNNNNNNNNNNNN.seg   a segment; the name is its first seq, 16 decimal digits
//   *.new                  a file on its way to its name; removed at open
//   spare                  a segment that retention took out, to be written over
//   given                  how far seqs may have been given to messages that are not in the log (given-file.ts)
//   lock                   held by the gateway (flock); process id of the last one
//   clocks                 by what times of each boot are to be corrected (clock-index.ts); made anew from the clock marks
// Damaged files and bytes are kept in {data}/quarantine/ (quarantine.ts), cursors in {data}/cursors/ (cursor-file.ts). A seq
// above 2^52, in the name of a segment or in a cursor, is garbage.
// A segment's content counts only up to the first seq of the segment behind it: a segment that was given up after a failed
// write may hold messages that were written again to the next one.
//
// SEGMENT   = header, blocks, then, in a sealed one, a footer; a trailer in the last 48 bytes of the file. A file that is
//             not sealed may go on behind its last block with anything: zeros, half a block, blocks of an earlier use.
//
// HEADER    1024 bytes: the same 512 bytes twice
//     0 'tidegate'  8 u16 format version  10 u16 size (512)  12 u32 CRC of 0–11 and 16–511
//    16 log id, 16 bytes: kept for the life of the data directory
//    32 segment identity, 8 random bytes, new at each use of the file
//    40 u64 first seq  48 u64 wall clock, µs  56 u64 monotonic clock, µs since boot  64 u16 flags: 1 = wall clock set
//    66 boot id: u8 length, text  130 gateway id: u8 length, text  rest zero
//   In every version, 0–15 mean the same, so that an older program can tell a newer format from damage.
//
// BLOCK     56 bytes of header, entries, definitions, and zeros that mean nothing. The seed of its CRCs is the CRC of the segment identity, so that blocks
//           of an earlier use of the file never look valid.
//     0 'TGbk'  4 u32 CRC of 8–55  8 u32 CRC of 56–end  12 u32 length of the block
//    16 u8 kind: 1 entries, 2 footer, 3 sparse entries  17 u8 flags: 1 = wall clock set
//    18 u16 kind 3: number of entries, else zero
//    20 u32 number of entries  24 u32 offset of the definitions  28 u32 number of definitions
//    32 u64 seq of the first entry; the others follow without a hole
//    40 u64 wall clock, µs  48 u64 monotonic clock, µs since boot, both of the first entry
//   At most 2 MiB; 256 KiB unless a single entry is larger.
//   In a sparse block (written where old entries were thinned by a `keep` policy, and where segments were merged), 20 is the
//   number of seqs that the block accounts for; those without an entry were thinned. There may be no entry at all.
//
// ENTRY     varint channel  u8 flags  varint µs since the block's clocks
//           with flag 32: u32 CRC-32 of the Client Identifier, u16 Packet Identifier
//           varint payload length, payload
//           in a sparse block, before all that: varint number of seqs passed over since the entry before (or 32), varint µs
//           (zigzag) to add to the wall clock: blocks whose wall clocks moved against the monotonic one share its clocks
//   flags: 0–3 kind (0 message, 1 loss mark, 2 clock mark), 4 and 8 QoS, 16 retain, 32 origin
//   Marks have channel 0 and a JSON payload (core/contract.ts). Where the block's flag says that the wall clock was not set, the
//   monotonic clock counts: the first clock mark 'set' of the same boot, wherever it stands, says what to add to it.
//
// DEFINITION of a channel: varint channel (never 0), varint length and text of the source, the same of the topic
//   Stands in the first block of a segment that uses the channel, and again in later ones (4 KiB behind the first, then every
//   MiB). Within one file a channel never means two things.
//
// FOOTER    a block of kind 2, number of entries 0, seq = the last one + 1:
//    56 u64 last seq  64 u64 earliest and 72 u64 latest wall clock, µs  80 u64 monotonic clock of the last entry, µs
//    88 u32 entries  92 u32 messages (entries that are no marks)
//    96 u32 sealed by: 0 roll-over, 1 close, 2 recovery  100 u32 number of index points
//   104 u32 CRC of the `keep` policies that it was thinned by; 0: never
//   index points, ascending, the first block and then about one every 64 KiB, 48 bytes each, about the blocks from there up
//   to the next point: u64 seq of the first entry, u64 offset of the block, u64 earliest and u64 latest wall clock, µs,
//   u64 monotonic clock of the first entry, µs, u32 seqs that the blocks account for, u32 flags: 1 = some blocks have the
//   wall clock set, 2 = some do not, 4 = some of the seqs have no entry
//   then the steps of the marks; then, at the offset of the definitions, all definitions of the segment, each with varint
//   number of entries, u8 flags and its steps behind it; flag 1: some payload may be a JSON array, because it begins with
//   '[', with a byte up to 32 or with one from 128 on
//   STEPS say at which index points (0, 1, …) a channel has entries: varint 2 × bytes that follow, and 1 more when they are
//   bits (point 0 is the lowest bit of the first byte); else they are varints, the first step and the distances from one to
//   the next. A zero: not known, it may be at any of them.
//   At most 8 MiB. Only a footer of kind "close" in the last segment says that no seq was given beyond it; after anything
//   else the next seq is 65,536 further on, counted from there or from what the file `given` says, whichever is higher, and a
//   loss mark (reason unclean-stop) says so.
//
// TRAILER   48 bytes: 0 'TGend' and 3 zeros  8 u32 CRC of 12–47, seeded like a block's  12 segment identity
//           20 u64 first seq  28 u64 offset and 36 u32 length of the footer  40 zero

import { randomUUID } from 'node:crypto'
import { describe, TidegateError } from '../core/errors.ts'
import type { Log } from '../core/log-contract.ts'
import { lockData } from './data-lock.ts'
import { DurableLog } from './durable-log.ts'
import type { LogOptions } from './log-options.ts'
import { quarantineBytesFor } from './log-options.ts'
import { meteredFileSystem } from './metered-file-system.ts'
import { Quarantine } from './quarantine.ts'
import { recoverLog } from './recovery.ts'
import { WearRecord } from './wear.ts'

export type { LogOptions } from './log-options.ts'

/**
 * Opens the log of a data directory, which is created when missing, and repairs it after an unclean stop. Rejects with
 * TG_DATA_LOCKED, TG_LOG_NEWER or TG_DATA_UNUSABLE. A full disk does not keep it from opening: its state is then 'refusing'.
 */
export const openLog = async (given: LogOptions): Promise<Log> => {
  const { directory, logger, clock } = given
  const wear = new WearRecord(given)
  const fileSystem = meteredFileSystem(
    given.fileSystem,
    () => clock.monotonicMs(),
    (bytes) => wear.addPhysical(bytes),
  )
  const options = { ...given, fileSystem }
  const wallMs = () => clock.wallMs()
  const lock = await lockData(fileSystem, directory, options.tryLock)
  try {
    const quarantine = new Quarantine({ ...options, maxBytes: quarantineBytesFor(options), wallMs })
    const recovered = await recoverLog({ directory, fileSystem, logger, quarantine, wallMs })
    const log = new DurableLog(options, recovered, recovered.logId ?? randomUUID(), lock, wear)
    await log.start()
    return log
  } catch (error) {
    await lock.close().catch(() => undefined)
    if (error instanceof TidegateError) throw error
    throw new TidegateError('TG_DATA_UNUSABLE', `the log in ${directory}: ${describe(error)}`, { cause: error })
  }
}
