// Every limit of the broker, with its reason. What a configuration may change (packet size, connections, connect timeout)
// is in plugin.ts.

const KIB = 1024
const MIB = 1024 * KIB

// ---------------------------------------------------------------------------------------------------------------------
// Packets

/** A will payload has at most 65,535 bytes; the rest of a CONNECT is names and a password. */
export const MAX_CONNECT_BYTES = 96 * KIB
/** SUBSCRIBE and UNSUBSCRIBE: a thousand filters of ordinary length. */
export const MAX_SUBSCRIBE_BYTES = 64 * KIB
/** Longer than any generated identifier; it is kept in memory and on disk for every persistent session. */
export const MAX_CLIENT_ID_BYTES = 256
/** aedes refuses deeper topics by closing the connection; refused here first, so that the reason is counted. */
export const MAX_LEVELS = 100

// ---------------------------------------------------------------------------------------------------------------------
// One connection

/** Packets handed to aedes at once: each costs it about a kilobyte of closures until it is acknowledged. */
export const MAX_SLICE_PACKETS = 1024
/** The next packets follow while fewer than this wait for the log, so that a client that trickles shares commits too. */
export const EAGER_IN_FLIGHT = 64
/** Whole packets that may wait in memory before the socket is paused; TCP holds the rest. */
export const MAX_HELD_BYTES = 64 * KIB
/** Unread acknowledgements after which nothing more is read from that client. */
export const MAX_UNREAD_BYTES = 64 * KIB
/** Unread bytes after which a subscriber gets no more QoS 0, and QoS 1 and 2 wait in its bounded queue. */
export const MAX_UNSENT_BYTES = 512 * KIB
/** A peer that takes nothing at all for so long is closed. */
export const STALL_TIMEOUT_MS = 60_000
/** How long a refused peer gets to read why. */
export const LINGER_MS = 1_000
/** Finds peers that vanished without a word and asked for no keep-alive. */
export const TCP_KEEP_ALIVE_MS = 60_000
/** Bytes of unfinished CONNECT packets over all connections. */
export const MAX_HANDSHAKE_BYTES = 8 * MIB

// ---------------------------------------------------------------------------------------------------------------------
// Sessions

/** More subscriptions than any dashboard makes. */
export const MAX_SUBSCRIPTIONS = 1_000
/** Levels of all Topic Filters of all clients, some 300 bytes each besides their text. */
export const MAX_FILTER_LEVELS = 200_000
/** Texts of all Topic Filters of all clients, and what a subscription takes besides: some 100,000 ordinary ones. */
export const MAX_FILTER_BYTES = 32 * MIB
/** Disconnected persistent sessions; the one that left first goes. */
export const MAX_OFFLINE_SESSIONS = 1_000
/** QoS 1 and 2 messages that wait for one client; the oldest goes. */
export const MAX_QUEUED_MESSAGES = 1_000
export const MAX_QUEUED_BYTES = 4 * MIB
/** The same over all clients. */
export const MAX_QUEUED_BYTES_TOTAL = 32 * MIB
/** Unacknowledged QoS 1 and 2 messages to one client: enough to fill a round trip. */
export const MAX_OUTGOING_IN_FLIGHT = 100
/** QoS 2 messages of one client that wait for its PUBREL; aedes closes a client that opens more. */
export const MAX_OPEN_PER_CLIENT = 10_000
/** The same over all clients; the oldest is forgotten, so its retransmission would be stored again. */
export const MAX_OPEN_TOTAL = 100_000
/** Wills that wait while the log is full, with what is kept of their clients: whoever comes and goes leaves one each time. */
export const MAX_WAITING_WILL_BYTES = 16 * MIB

// ---------------------------------------------------------------------------------------------------------------------
// Retained messages: all of them are in memory and in the checkpoint.

export const MAX_RETAINED_MESSAGES = 10_000
export const MAX_RETAINED_BYTES = 16 * MIB
/** Messages looked at in a row without one that matches, before others get a turn. */
export const RETAINED_STEP_MESSAGES = 200
/** Such steps, or messages sent, in one turn of the event loop: about five milliseconds. */
export const MAX_RETAINED_STEPS = 500

// ---------------------------------------------------------------------------------------------------------------------
// Checkpoint

/** Changed subscriptions wait this long for company; the SUBACK waits with them. */
export const CHECKPOINT_DELAY_MS = 50
/** Everything else may be replayed from the log, so the flash is spared: so often at most, … */
export const CHECKPOINT_INTERVAL_MS = 600_000
/** … or after so many messages, which bounds the replay at start. */
export const CHECKPOINT_MESSAGES = 50_000
/** A larger file is not ours: twice what all limits above allow. */
export const MAX_CHECKPOINT_BYTES = 128 * MIB

// ---------------------------------------------------------------------------------------------------------------------
// Stopping

/** How long acknowledgements that wait for the log may take at close. */
export const CLOSE_TIMEOUT_MS = 2_000
/** One commit of the log, for the wills of those who are still connected. */
export const WILL_TIMEOUT_MS = 500
