// Idempotency keys (draft-ietf-httpapi-idempotency-key-header): what was taken under a key is not taken again, and answered as
// it was the first time; also after a restart, because each message carries 48 bits of its key's hash in the log.
//
// Bounds: the newest MAX_KEYS keys of the last KEY_AGE_MS. After a restart the log is read for them, once, when the first key
// comes: what arrived within that time, among the last REPLAYED_SEQS messages.

import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { Clock, Entry, Message, Origin, Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { ReadFilter } from '../core/log-contract.ts'
import type { Live } from '../live/live.ts'
import { SOURCE } from './posted-message.ts'
import { badRequest } from './problem.ts'

/** Some 200 bytes each. */
const MAX_KEYS = 10_000
/** Longer than any client tries again. */
const KEY_AGE_MS = 24 * 3_600_000
/** What a busy gateway takes in an hour; reading it takes seconds. */
const REPLAYED_SEQS = 1_000_000
const PAGE = { entries: 2_048, bytes: 1024 * 1024 }
const MAX_KEY_LENGTH = 255
const MAX_PACKET_ID = 65_535
/** Everything of this source; keyed or not is seen when it is read. */
const isPosted = (_topic: string, source: string): boolean => source === SOURCE

export interface Keyed {
  readonly origin: Origin
  /** Of the body and what is known about it. */
  readonly body: number
  /** Of the message that carries the key; undefined where the same body need not give the same message again. */
  readonly message: number | undefined
}

interface Known {
  seq: Seq | undefined
  readonly atMs: number
  readonly body: number | undefined
  readonly message: number | undefined
}

export class IngestKeys {
  readonly #live: Live
  readonly #clock: Clock
  readonly #known = new Map<number, Known>()
  readonly #closing = new AbortController()
  #loading: Promise<void> | undefined

  constructor(live: Live, clock: Clock) {
    this.#live = live
    this.#clock = clock
  }

  /** Resolves when what the log knows is known here. */
  loaded(): Promise<void> {
    this.#loading ??= this.#load().catch((error: unknown) => {
      this.#loading = undefined
      throw this.#closing.signal.aborted ? new TidegateError('TG_UNAVAILABLE', 'the gateway is stopping') : error
    })
    return this.#loading
  }

  /**
   * The seq of what was taken under this key, or undefined: then it is this request's, until it is kept or given up. Throws
   * TG_KEY_PENDING while another request has it, TG_KEY_REUSED where the body was another.
   */
  claim(key: Keyed): Seq | undefined {
    const id = idOf(key.origin)
    const known = this.#known.get(id)
    if (known === undefined || this.#clock.monotonicMs() - known.atMs > KEY_AGE_MS) {
      this.#put(id, { seq: undefined, atMs: this.#clock.monotonicMs(), body: key.body, message: key.message })
      return undefined
    }
    const [one, other] = known.body === undefined ? [known.message, key.message] : [known.body, key.body]
    if (one !== undefined && other !== undefined && one !== other)
      throw new TidegateError('TG_KEY_REUSED', 'another body was posted with this Idempotency-Key')
    if (known.seq === undefined)
      throw new TidegateError('TG_KEY_PENDING', 'the first request with this Idempotency-Key is not answered yet')
    return known.seq
  }

  keep({ origin }: Keyed, seq: Seq): void {
    const known = this.#known.get(idOf(origin))
    if (known !== undefined) known.seq = seq
  }

  giveUp({ origin }: Keyed): void {
    this.#known.delete(idOf(origin))
  }

  close(): void {
    this.#closing.abort()
  }

  async #load(): Promise<void> {
    const { scan, seq } = this.#live
    // Times from before the clock was set say nothing.
    const fromMs = this.#clock.synced() ? { fromMs: this.#clock.wallMs() - KEY_AGE_MS } : {}
    const filter: ReadFilter = { channel: isPosted, ...fromMs }
    let after = Math.max(0, seq - REPLAYED_SEQS)
    for (;;) {
      const { entries, next } = await scan.read(after, this.#closing.signal, PAGE, filter)
      for (const entry of entries) this.#restore(entry)
      if (next === after) return
      after = next
    }
  }

  #restore({ origin, kind, seq, receivedAt, ...message }: Entry): void {
    if (origin === undefined || kind !== 'message') return
    const ageMs = Math.max(0, this.#clock.wallMs() - receivedAt)
    const atMs = this.#clock.monotonicMs() - Math.min(ageMs, KEY_AGE_MS)
    this.#put(idOf(origin), { seq, atMs, body: undefined, message: messageCrc(message) })
  }

  #put(id: number, known: Known): void {
    this.#known.delete(id) // so that it is the newest
    if (this.#known.size >= MAX_KEYS)
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest)
        break
      }
    this.#known.set(id, known)
  }
}

/** The key of a header, undefined where there is none. It is a text in quotes (RFC 9651, 3.3.3); many send it without. */
export const keyFrom = (header: string | string[] | undefined): string | undefined => {
  if (header === undefined) return undefined
  const text = String(header)
  const [, quoted, bare] = /^(?:"((?:[ !#-[\]-~]|\\["\\])+)"|([!#-[\]-~]+))$/.exec(text) ?? []
  const key = quoted?.replace(/\\(.)/g, '$1') ?? bare
  if (key !== undefined && key.length <= MAX_KEY_LENGTH) return key
  throw badRequest(`Idempotency-Key is not a text of 1 to ${MAX_KEY_LENGTH} printable ASCII characters`)
}

export const originOf = (key: string): Origin => {
  const hash = createHash('sha256').update(key).digest()
  return { clientHash: hash.readUInt32LE(0), packetId: 1 + (hash.readUInt16LE(4) % MAX_PACKET_ID) }
}

export const messageCrc = ({ topic, payload }: Pick<Message, 'topic' | 'payload'>): number =>
  crc32(payload, crc32(topic))

const idOf = ({ clientHash, packetId }: Origin): number => clientHash * 65_536 + packetId
