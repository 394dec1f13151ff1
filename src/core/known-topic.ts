// What is kept beside the log of messages that tell about others (births, discovery topics): the messages themselves, so that
// a corrected profile applies to them, too. Types only.

import type { Seq, UnixMs } from './contract.ts'

export interface KnownTopic {
  readonly source: string
  readonly topic: string
  readonly told: readonly {
    /** Of the first of them; the others told the same. */
    readonly payload: Buffer
    readonly at: readonly {
      readonly seq: Seq
      readonly receivedAt: UnixMs
      readonly tags?: readonly (string | undefined)[]
    }[]
  }[]
}

export interface Known {
  /** Every message up to here that tells anything has been taken in. */
  readonly upTo: Seq
  readonly topics: readonly KnownTopic[]
}
