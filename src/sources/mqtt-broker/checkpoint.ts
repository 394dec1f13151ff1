// Keeps what a restart must find again and the log alone cannot give: retained messages, subscriptions of persistent
// sessions, open QoS 2 publications, and the seq from which the log is replayed over them. Written seldom, for the flash's
// sake: soon after a subscription changed, else every ten minutes or 50,000 messages, and at close.

import type { Logger, Meter, Seq } from '../../core/contract.ts'
import { describe } from '../../core/errors.ts'
import type { SourceContext } from '../../core/plugin-contract.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.ts'
import { CHECKPOINT_DELAY_MS, CHECKPOINT_INTERVAL_MS, CHECKPOINT_MESSAGES } from './limits.ts'
import { type OpenPublishes, publishCrc } from './open-publishes.ts'
import type { RetainedMessages } from './retained.ts'
import type { Sessions } from './sessions.ts'

export interface Remembered {
  readonly retained: RetainedMessages
  readonly sessions: Sessions
  readonly open: OpenPublishes
}

export class Checkpoint {
  readonly #name: string
  readonly #directory: string
  readonly #replay: SourceContext['replay']
  readonly #logger: Logger
  readonly #meter: Meter
  readonly #state: Remembered
  /** Newest durable seq that is known here. */
  #seq: Seq = 0
  #messages = 0
  #saved = { seq: 0, sessions: 0, retained: 0 }
  /** The write that is on its way, and the one that begins after it. */
  #writing: Promise<void> = Promise.resolve()
  #next: Promise<void> | undefined
  #delay: NodeJS.Timeout | undefined
  #delayed: { readonly promise: Promise<void>; readonly begin: () => void } | undefined
  #interval: NodeJS.Timeout | undefined
  #failed = false
  #closed = false

  constructor(context: SourceContext, state: Remembered) {
    this.#name = context.name
    this.#directory = context.directory
    this.#replay = (after) => context.replay(after)
    this.#logger = context.logger
    this.#meter = context.meter
    this.#state = state
  }

  /** Restores what the file holds and replays what the log has had since. Rejects only when the signal aborts or the log cannot be read. */
  async load(signal: AbortSignal): Promise<void> {
    const { retained, sessions, open } = this.#state
    try {
      const stored = await readCheckpoint(this.#directory)
      for (const message of stored?.retained ?? []) retained.set(message)
      for (const session of stored?.sessions ?? []) sessions.restore(session)
      for (const { origin, crc } of stored?.open ?? []) open.restore(origin, crc)
      this.#seq = stored?.seq ?? 0
    } catch (error) {
      this.#logger.warn(
        { directory: this.#directory, reason: describe(error) },
        'mqtt checkpoint unusable, persistent sessions start anew',
      )
    }
    this.#saved = { seq: this.#seq, sessions: sessions.changes, retained: retained.changes }
    for await (const entries of this.#replay(this.#seq)) {
      signal.throwIfAborted()
      for (const { kind, source, topic, payload, qos, retain, origin, seq } of entries) {
        this.#seq = seq
        if (kind !== 'message' || source !== this.#name) continue
        this.#messages++
        if (retain) retained.set({ topic, payload, qos })
        if (origin !== undefined) open.restore(origin, publishCrc(topic, payload))
      }
    }
    this.#interval = setInterval(() => void this.#saveIfChanged(), CHECKPOINT_INTERVAL_MS)
    if (this.#messages >= CHECKPOINT_MESSAGES) await this.save()
  }

  /** So far the log is durable; called for every message. */
  durable(seq: Seq): void {
    this.#seq = seq
    this.#messages++
    // A seq below the file's own: the log is a new one, and the file would hide its first messages from a replay.
    if (this.#messages === CHECKPOINT_MESSAGES || seq < this.#saved.seq) this.#soon()
  }

  /** Resolves when a restart would know the present subscriptions, or when that cannot be had. */
  remembered(): Promise<void> {
    return this.#state.sessions.changes === this.#saved.sessions ? Promise.resolve() : this.#soon()
  }

  /** Writes what is known now, after a write that is on its way. Never rejects: a failure is logged and counted. */
  save(): Promise<void> {
    this.#next ??= this.#writing.then(() => {
      this.#next = undefined
      this.#writing = this.#write()
      return this.#writing
    })
    return this.#next
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#interval)
    clearTimeout(this.#delay)
    this.#delayed?.begin()
    await this.#saveIfChanged()
    await this.#next
    await this.#writing
  }

  #soon(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    if (this.#delayed === undefined) {
      let begin = (): void => undefined
      const promise = new Promise<void>((resolve) => {
        begin = () => {
          this.#delayed = undefined
          resolve(this.save())
        }
      })
      this.#delayed = { promise, begin }
      this.#delay = setTimeout(begin, CHECKPOINT_DELAY_MS)
    }
    return this.#delayed.promise
  }

  async #saveIfChanged(): Promise<void> {
    const { seq, sessions, retained } = this.#saved
    const isSame =
      this.#seq === seq && this.#state.sessions.changes === sessions && this.#state.retained.changes === retained
    if (!isSame) await this.save()
  }

  async #write(): Promise<void> {
    const { retained, sessions, open } = this.#state
    const writing = { seq: this.#seq, sessions: sessions.changes, retained: retained.changes }
    const messages = this.#messages
    this.#messages = 0
    try {
      await writeCheckpoint(this.#directory, {
        seq: this.#seq,
        retained: retained.all(),
        sessions: sessions.stored(),
        open: [...open.durable()],
      })
      this.#saved = writing
      if (this.#failed) this.#logger.info({}, 'mqtt checkpoint written again')
      this.#failed = false
    } catch (error) {
      this.#messages += messages
      this.#meter.add('mqtt_checkpoint_failures_total', { source: this.#name })
      if (!this.#failed) this.#logger.warn({ reason: describe(error) }, 'mqtt checkpoint cannot be written')
      this.#failed = true
    }
  }
}
