// Every limit of the log, with its reason. Nothing in this room grows without one of these.

const KIB = 1024
const MIB = 1024 * KIB

/** A block is the unit of loss when a bit flips, so it stays small; one CRC and one write still pay off. */
export const BLOCK_TARGET_BYTES = 256 * KIB
/** Small segments get small blocks, so that roll-over and retention keep their grain. */
export const BLOCK_TARGET_MIN_BYTES = 4 * KIB
/** A length above this is damage, never data: bounds what a reader allocates because a file says so. */
export const MAX_BLOCK_BYTES = 2 * MIB
/** Bounds the settle callbacks of one block, and with it what one destroyed block may hide. */
export const MAX_BLOCK_ENTRIES = 16_384

/** Up to here append() asks for more. */
export const HIGH_WATER_BYTES = 8 * MIB
export const HIGH_WATER_MESSAGES = 32_768
/** ready() resolves below this share of the high-water mark, so that senders do not stop and go at every message. */
export const LOW_WATER_SHARE = 0.5
/** Senders that ignore the high-water mark are refused beyond these. */
export const MAX_PENDING_BYTES = 16 * MIB
export const MAX_PENDING_MESSAGES = 49_152
/**
 * How far the seq skips after an unclean stop: everything that may have been given a seq without becoming durable, and
 * one durable block on top, should the last one have been destroyed.
 */
export const UNCLEAN_SKIP = MAX_PENDING_MESSAGES + MAX_BLOCK_ENTRIES

/** As much waiting goes to the disk at once, without waiting for company. */
export const COMMIT_TRIGGER_BYTES = 64 * KIB
export const COMMIT_TRIGGER_MESSAGES = 1_024
/** One fdatasync covers at most this much: bounds latency and the size of one onDurable call. */
export const MAX_COMMIT_BYTES = 2 * MIB

/** Retention works in whole segments: a sixteenth of the log is its grain. */
export const SEGMENTS_PER_LOG = 16
export const MIN_SEGMENT_BYTES = 64 * KIB
/** Recovery scans one segment: 16 MiB read in a fraction of a second also from a card. */
export const MAX_SEGMENT_BYTES = 16 * MIB
/** A crash loop makes one small segment per start; opening and listing them stays fast up to here. */
export const MAX_SEGMENTS = 10_000
/** A segment with more text in its dictionary than this is rolled, so that a flood of topics cannot blow up its footer. */
export const MAX_DICTIONARY_BYTES = 1 * MIB
/** Beyond these, the writer forgets its table of topics and gives new channel ids: clients choose topics, and how many. */
export const MAX_CHANNELS = 16_384
export const MAX_CHANNEL_BYTES = 4 * MIB
/** A footer holds a dictionary (bounded above, plus one block's topics) and one index point per INDEX_STEP_BYTES. */
export const MAX_FOOTER_BYTES = 8 * MIB
/**
 * A channel is defined a second time this far behind the first (another sector of the disk), and then at this distance, so
 * that a destroyed block costs little more than itself also where no footer repeats the definitions.
 */
export const FIRST_REDEFINE_BYTES = 4 * KIB
export const REDEFINE_BYTES = 1 * MIB
/** Distance of the index points in a footer: one read of a reader. */
export const INDEX_STEP_BYTES = 64 * KIB
/** What readers and scans take from the file at once. */
export const CHUNK_BYTES = 128 * KIB

/** Filling with zeros costs a byte per byte and saves about 12 kB of file system journal per commit. */
export const FILL_BELOW_COMMIT_BYTES = 12 * KIB
/** Step of the zero filling: 25 ms on a card that writes 10 MB/s. */
export const FILL_STEP_BYTES = 256 * KIB

/** Payloads share a slab of at most this size, so that one payload kept for long pins no more. */
export const SLAB_BYTES = 8 * KIB
/** Block buffers kept for reuse. */
export const MAX_SPARE_BUFFERS = 4
