// The last retained message of each topic, in memory, bounded. MQTT 3.1.1, 3.3.1.3.

import { topicMatcher } from '../../core/topic.ts'
import { MAX_RETAINED_BYTES, MAX_RETAINED_MESSAGES, RETAINED_STEP_MESSAGES } from './limits.ts'
import type { Publication, Qos } from './packet.ts'

export interface RetainedMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Qos
}

export interface RetainedLimits {
  readonly messages: number
  readonly bytes: number
}

export class RetainedMessages {
  readonly #byTopic = new Map<string, RetainedMessage>()
  readonly #limits: RetainedLimits
  #bytes = 0
  #changes = 0

  constructor(limits: RetainedLimits = { messages: MAX_RETAINED_MESSAGES, bytes: MAX_RETAINED_BYTES }) {
    this.#limits = limits
  }

  get size(): number {
    return this.#byTopic.size
  }

  /** Grows with every change. */
  get changes(): number {
    return this.#changes
  }

  /** Copies the payload. False when the limits refuse it: then nothing is retained for the topic, rather than an old value. */
  set({ topic, payload, qos }: Omit<Publication, 'retain'>): boolean {
    this.#changes++
    const old = this.#byTopic.get(topic)
    if (old !== undefined) this.#bytes -= sizeBytes(old)
    if (payload.length === 0) {
      this.#byTopic.delete(topic) // [MQTT-3.3.1-10]
      return true
    }
    const bytes = topic.length + payload.length
    const isNew = old === undefined
    if (this.#bytes + bytes > this.#limits.bytes || (isNew && this.#byTopic.size >= this.#limits.messages)) {
      this.#byTopic.delete(topic)
      return false
    }
    this.#byTopic.set(topic, { topic, payload: Buffer.from(payload), qos })
    this.#bytes += bytes
    return true
  }

  all(): RetainedMessage[] {
    return [...this.#byTopic.values()]
  }

  /**
   * Lazily, so that a subscriber takes them at its own pace; messages that change meanwhile are seen as they are then.
   * Yields undefined after a while without a match, so that a search can be interrupted.
   */
  *matching(filter: string): Generator<RetainedMessage | undefined, undefined> {
    if (!/[+#]/.test(filter)) {
      const exact = this.#byTopic.get(filter)
      if (exact !== undefined) yield exact
      return
    }
    const matches = topicMatcher(filter)
    let misses = 0
    for (const message of this.#byTopic.values()) {
      if (matches(message.topic)) yield message
      else if (++misses % RETAINED_STEP_MESSAGES === 0) yield undefined
    }
  }
}

const sizeBytes = ({ topic, payload }: RetainedMessage): number => topic.length + payload.length
