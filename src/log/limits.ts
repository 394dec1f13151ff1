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
export const MAX_PENDING_MESSAGES = 45_056
/** Marks are taken beyond that: they are few, and say what would not be known otherwise. */
export const MAX_PENDING_MARKS = 4_096
/**
 * How far the seq skips after an unclean stop: everything that may have been given a seq without becoming durable, and
 * one durable block on top, should the last one have been destroyed.
 */
export const UNCLEAN_SKIP = MAX_PENDING_MESSAGES + MAX_PENDING_MARKS + MAX_BLOCK_ENTRIES

/** How far it skips when the record of seqs given beyond the log is destroyed: hours of a flood, and seqs are plenty. */
export const UNKNOWN_SKIP = 2 ** 32

/**
 * How far a start goes away that can write nothing, at random: two such starts that show a hundred thousand messages each
 * meet once in five million times, and seqs last for thousands of them.
 */
export const MIN_LEAP = 2 ** 32
export const MAX_LEAP = 2 ** 40

/** Seqs that are reserved at a time for messages that are shown but not kept: some seconds of a flood. */
export const RESERVE_STEP = 1_048_576
/** What is not durable is shown this often while the disk takes nothing, … */
export const SHOW_MS = 100
/** … so many entries at a time, and the rest the next time: a pause that nobody feels. */
export const MAX_SHOWN_ENTRIES = 4_096
/** How many messages were not kept is written down at least this often: one block of the disk each time. */
export const RECORD_UNKEPT_MS = 10_000
/** Topics that are counted one by one while messages are not kept; the others are in the sum. */
export const MAX_UNKEPT_TOPICS = 1_000
/** Stretches of unkept messages that are told apart; neighbours are joined beyond that. */
export const MAX_UNKEPT_STRETCHES = 64
/** A commit that takes longer counts as a disk that takes nothing, until it is over. */
export const STALLED_COMMIT_MS = 5_000

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

/** What a disk writes for a single byte; Linux hands it over in pages of this size. */
export const PAGE_BYTES = 4 * KIB
/** A block is padded up to the end of its page by less than this: a write saved is worth a quarter of the page, no more. */
export const MAX_PADDING_BYTES = 1 * KIB
/** Filling with zeros costs a byte per byte and saves about 12 kB of file system journal per commit. */
export const FILL_BELOW_COMMIT_BYTES = 12 * KIB
/** Step of the zero filling: 25 ms on a card that writes 10 MB/s. */
export const FILL_STEP_BYTES = 256 * KIB

/** Payloads share a slab of at most this size, so that one payload kept for long pins no more. */
export const SLAB_BYTES = 8 * KIB
/** Block buffers kept for reuse. */
export const MAX_SPARE_BUFFERS = 4

/**
 * A card that dies must not fill itself with what is damaged on it: as much as four of the largest segments, and never more
 * than one segment's share of the log.
 */
export const MAX_QUARANTINE_BYTES = 4 * MAX_SEGMENT_BYTES
/** A note takes a block of the file system, 4 KiB: as much again as MAX_QUARANTINE_BYTES holds of bytes, at most a quarter. */
export const MAX_QUARANTINE_NOTES = 4_096
/** Damage that waits to be looked into; more is found again when it is read again. */
export const MAX_WAITING_DAMAGE = 64
/** How much the search for loss marks of earlier runs reads at most, newest segments first. */
export const MAX_LOSS_SCAN_BYTES = 256 * MIB
/** Footers that are read at once at a start: as many as there are threads for it, and no more memory than as many footers. */
export const PEEKS_AT_ONCE = 4
/**
 * A million messages a second for a hundred years do not come this far. A seq beyond it, in the name of a file or in a cursor, is
 * garbage: to follow it would leave no seqs to give.
 */
export const MAX_PLAUSIBLE_SEQ = 2 ** 52
