// A channel is a source and a topic. Its text is written once per segment (and again after REDEFINE_BYTES); messages name it
// by a number that one run of the program gives once. Channel 0 is the log itself: loss marks and clock marks.

import type { ByteReader } from './bytes.ts'
import { MAX_VARINT_BYTES, varintBytes, writeVarint } from './bytes.ts'
import { MAX_CHANNEL_BYTES, MAX_CHANNELS } from './limits.ts'

/** Channel of the log's own marks; never defined. */
export const MARK_CHANNEL = 0
/** Ids of a run end here; a gateway that meets four billion topics is restarted first. */
const MAX_CHANNEL_ID = 2 ** 32 - 1

export interface ChannelName {
  readonly source: string
  readonly topic: string
}

/** A channel as the writer keeps it, with its place in the block and the segment that are being written. */
export interface Channel extends ChannelName {
  readonly id: number
  /** The definition as it is written into blocks. */
  readonly definition: Buffer
  /** Which block used it last, and its place in that block's list. */
  block: number
  slot: number
  /** Which segment holds its definition, how often, at which offset the last one stands. */
  segment: number
  definitions: number
  definedAt: number
}

/** id · source · topic; texts with their length before them. */
export const encodeDefinition = (id: number, name: ChannelName): Buffer => {
  const source = Buffer.from(name.source)
  const topic = Buffer.from(name.topic)
  const bytes = Buffer.allocUnsafeSlow(
    varintBytes(id) + varintBytes(source.length) + source.length + varintBytes(topic.length) + topic.length,
  )
  let at = writeVarint(bytes, 0, id)
  at = writeVarint(bytes, at, source.length)
  at += source.copy(bytes, at)
  at = writeVarint(bytes, at, topic.length)
  topic.copy(bytes, at)
  return bytes
}

export const decodeDefinition = (reader: ByteReader, into: Map<number, ChannelName>): number => {
  const id = reader.varint()
  into.set(id, { source: reader.text(), topic: reader.text() })
  return id
}

/** Bytes a message of this channel takes at most, besides its payload and the definition. */
export const MESSAGE_OVERHEAD_BYTES = 3 * MAX_VARINT_BYTES + 1 + 6

/**
 * Whether a payload may be a JSON array, which may name devices of its own, whatever the topic says. False is certain: white
 * space and byte order marks may stand before the bracket.
 */
export const mayBeList = (bytes: Buffer, start: number, end: number): boolean => {
  if (start >= end) return false
  const first = bytes[start] as number
  return first === 0x5b || first <= 0x20 || first >= 0x80
}

/** The writer's table of channels: bounded by forgetting, because an id never means anything else in this run. */
export class ChannelTable {
  #sources = new Map<string, Map<string, Channel>>()
  #size = 0
  #bytes = 0
  #nextId = 1

  of(source: string, topic: string): Channel {
    let topics = this.#sources.get(source)
    if (topics === undefined) {
      topics = new Map()
      this.#sources.set(source, topics)
    }
    return topics.get(topic) ?? this.#add(topics, source, topic)
  }

  #add(topics: Map<string, Channel>, source: string, topic: string): Channel {
    if (this.#nextId >= MAX_CHANNEL_ID) throw new RangeError('channel ids are used up')
    const id = this.#nextId++
    const definition = encodeDefinition(id, { source, topic })
    const channel: Channel = {
      id,
      source,
      topic,
      definition,
      block: -1,
      slot: 0,
      segment: -1,
      definitions: 0,
      definedAt: 0,
    }
    this.#size++
    this.#bytes += definition.length
    topics.set(topic, channel)
    if (this.#size > MAX_CHANNELS || this.#bytes > MAX_CHANNEL_BYTES) {
      // Blocks and segments hold on to the channels they need.
      this.#sources = new Map()
      this.#size = 0
      this.#bytes = 0
    }
    return channel
  }
}
