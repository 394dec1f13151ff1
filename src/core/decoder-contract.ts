// What a dialect promises, and what it is given: from a message to readings, and to what it tells about other messages.

import type { Decodable, Decoded, Reading, Seq, UnixMs } from './contract.ts'

/** What a decoder gets to see: a message, and what its rule in the profile says about it. */
export interface DecoderInput extends Decodable {
  /** The device that the rule's template gives for this topic, or the source's binding. */
  readonly device: string
  /** What the topic pattern remembered. */
  readonly captures: ReadonlyMap<string, string>
  /**
   * What an earlier message told under this key (see Decoder.describe), the newest before this message; where there is
   * none before it, the oldest after it. A dialect that must not look ahead compares `seq`.
   */
  description(key: string): Description | undefined
}

/** Knowledge from one message that others need to be understood: a birth certificate, a discovery topic. */
export interface Description {
  readonly seq: Seq
  readonly receivedAt: UnixMs
  /** As the decoder's describe() gave it. */
  readonly value: unknown
  /** The same. */
  readonly tag?: string
}

/** One thing that a message tells about others. */
export interface Described {
  readonly key: string
  /** Plain data, as JSON holds it; immutable and small. */
  readonly value: unknown
  /** What differs from message to message although they tell the same (the number of a session): values are shared then. */
  readonly tag?: string
  /** It tells what comes on other topics, whatever decodes them: the router completes their readings by it. */
  readonly topics?: readonly TopicNote[]
}

/** What another message says about what comes on a topic. */
export interface TopicNote {
  readonly topic: string
  /** value: one of its readings. availability: who is there, by the texts `on` and `off`. */
  readonly is: 'value' | 'availability'
  /** Path of the value in JSON; absent where the whole payload is the value. */
  readonly path?: string
  /** As it is spelt; it counts where the payload and the profile name none. */
  readonly unit?: string
  /** What kind of quantity it is; tells what a percentage is a percentage of. */
  readonly kind?: string
  /** Texts that stand for true and false. */
  readonly on?: string
  readonly off?: string
  /** Of an availability: the topics whose devices are meant. */
  readonly of?: readonly { readonly topic: string; readonly path?: string }[]
}

/**
 * One dialect with its options. Pure and synchronous: what comes out depends on the input alone. Throws DecodeError
 * (core/errors.ts) and nothing else, in time and memory bounded by the payload's length. The profile's `fields` (names,
 * units, ranges, noise) are applied to what it gives, afterwards, by the router.
 */
export interface Decoder {
  /** Its readings may belong to other devices than the input's. Without it they are the input's, whatever they say. */
  readonly severalDevices?: true
  decode(message: DecoderInput): readonly Reading[] | Decoded
  /**
   * What this message tells about others, by keys of this dialect; empty: nothing, and nothing any more. Called for every
   * message of a rule with this decoder that is not the same as the one before it on its topic, in any order. The messages
   * are kept beside the log, even when retention took them, and asked again by the next version of this decoder.
   */
  describe?(message: DecoderInput): readonly Described[]
}
