// A block while it fills: messages are encoded once, on arrival, into the buffer that is later written as it is. Nothing of
// the caller's buffers is kept. It can be sealed again for another segment when the first one fails.

import type { EntryKind, Message, Origin, Seq, Settled } from '../core/contract.ts'
import { BLOCK_HEADER_BYTES } from './block.ts'
import { writeVarint } from './bytes.ts'
import type { Channel } from './channel.ts'
import { MARK_CHANNEL, MESSAGE_OVERHEAD_BYTES, mayBeList } from './channel.ts'
import { MAX_BLOCK_BYTES, MAX_BLOCK_ENTRIES } from './limits.ts'

export const KINDS: readonly EntryKind[] = ['message', 'loss', 'clock']
// The flags of a message: kind, qos, retain, origin.
export const QOS_SHIFT = 2
export const FLAG_RETAIN = 1 << 4
export const FLAG_ORIGIN = 1 << 5
/** CRC-32 of the Client Identifier, Packet Identifier. */
export const ORIGIN_BYTES = 6

export interface BlockStart {
  readonly first: Seq
  readonly wallUs: number
  readonly monotonicUs: number
  readonly synced: boolean
}

let lastNumber = 0

export class PendingBlock {
  readonly start: BlockStart
  bytes: Buffer
  /** Where the next message goes. */
  end = BLOCK_HEADER_BYTES
  count = 0
  /** Entries that are no marks. */
  messages = 0
  payloadBytes = 0
  lastUs: number
  readonly channels: Channel[] = []
  /** How many entries each of the channels has here. */
  readonly entriesByChannel: number[] = []
  /** Whether some payload of each of the channels may be a JSON array. */
  readonly listsByChannel: boolean[] = []
  readonly settled: (Settled | undefined)[] = []
  readonly #number = ++lastNumber
  #definitionBytes = 0

  constructor(start: BlockStart, bytes: Buffer) {
    this.start = start
    this.bytes = bytes
    this.lastUs = start.monotonicUs
  }

  /** Whether a message fits, with every definition that its segment may still need. */
  fits(channel: Channel | undefined, payloadBytes: number): boolean {
    const definition = channel === undefined || channel.block === this.#number ? 0 : channel.definition.length
    const needed = MESSAGE_OVERHEAD_BYTES + payloadBytes + definition
    return this.count < MAX_BLOCK_ENTRIES && this.end + this.#definitionBytes + needed <= this.bytes.length
  }

  /** Call only when it fits. `channel` is undefined for a mark. */
  add(
    channel: Channel | undefined,
    kind: EntryKind,
    message: Pick<Message, 'payload' | 'qos' | 'retain' | 'origin'>,
    monotonicUs: number,
    settled: Settled | undefined,
  ): void {
    const { bytes } = this
    const { payload, origin } = message
    if (channel !== undefined) {
      this.#use(channel)
      if (mayBeList(payload, 0, payload.length)) this.listsByChannel[channel.slot] = true
    }
    this.lastUs = Math.max(this.lastUs, monotonicUs)
    let at = writeVarint(bytes, this.end, channel === undefined ? MARK_CHANNEL : channel.id)
    bytes[at++] =
      (kind === 'message' ? 0 : kind === 'loss' ? 1 : 2) |
      (message.qos << QOS_SHIFT) |
      (message.retain ? FLAG_RETAIN : 0) |
      (origin === undefined ? 0 : FLAG_ORIGIN)
    at = writeVarint(bytes, at, this.lastUs - this.start.monotonicUs)
    if (origin !== undefined) at = writeOrigin(bytes, at, origin)
    at = writeVarint(bytes, at, payload.length)
    bytes.set(payload, at)
    this.end = at + payload.length
    this.settled.push(settled)
    this.count++
    this.payloadBytes += payload.length
    if (kind === 'message') this.messages++
  }

  #use(channel: Channel): void {
    if (channel.block === this.#number) {
      this.entriesByChannel[channel.slot] = (this.entriesByChannel[channel.slot] as number) + 1
      return
    }
    channel.block = this.#number
    channel.slot = this.channels.length
    this.channels.push(channel)
    this.entriesByChannel.push(1)
    this.listsByChannel.push(false)
    this.#definitionBytes += channel.definition.length
  }
}

/** Bytes of a block that holds nothing but this message; undefined when no block may be that large. */
export const loneBlockBytes = (channel: Channel | undefined, payloadBytes: number): number | undefined => {
  const length = BLOCK_HEADER_BYTES + MESSAGE_OVERHEAD_BYTES + payloadBytes + (channel?.definition.length ?? 0)
  return length <= MAX_BLOCK_BYTES ? length : undefined
}

const writeOrigin = (bytes: Buffer, at: number, origin: Origin): number => {
  bytes.writeUInt32LE(origin.clientHash >>> 0, at)
  return bytes.writeUInt16LE(origin.packetId, at + 4)
}
