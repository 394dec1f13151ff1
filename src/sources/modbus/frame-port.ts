// The port under modbus-serial: it writes requests to a channel and hands back their answers, in RTU frames or behind the
// header of Modbus TCP. modbus-serial's own ports keep what came late and take it for the next answer of the same length;
// this one forgets everything before a request, looks for the answer in whatever comes, and knows it by matchAnswer().

import { EventEmitter } from 'node:events'
import { modbusCrc } from '../../core/modbus.ts'
import { CRC_BYTES, matchAnswer } from './answer.ts'
import type { Channel } from './channel.ts'

/** The longest RTU frame has 256 bytes; with noise around it, twice that. */
const MAX_BUFFERED = 512
/** Transaction, protocol, length (MODBUS Messaging on TCP/IP V1.0b, 3.1.3). */
const HEADER_BYTES = 6
/** Unit and PDU. */
const MAX_BODY_BYTES = 254
const MAX_TRANSACTION = 0xffff

export type Framing = 'rtu' | 'tcp'

export class FramePort extends EventEmitter {
  // modbus-serial finds its transaction by these; there is one at a time, and we tell answers apart ourselves.
  _transactionIdRead = 1
  _transactionIdWrite = 1
  isOpen = true
  readonly #channel: Channel
  readonly #framing: Framing
  #request: Buffer | undefined
  #transaction = 0
  #buffer: Buffer = Buffer.alloc(0)
  #received = 0
  /** Called with what came while nothing was asked: an answer that is too late, or noise. */
  readonly #onStray: (bytes: Buffer) => void
  /** Called when the stream cannot be followed any more. */
  readonly #onBroken: (reason: string) => void

  constructor(
    channel: Channel,
    framing: Framing,
    onStray: (bytes: Buffer) => void,
    onBroken: (reason: string) => void,
  ) {
    super()
    this.#channel = channel
    this.#framing = framing
    this.#onStray = onStray
    this.#onBroken = onBroken
  }

  /** Bytes that came since the last request was written. */
  get received(): number {
    return this.#received
  }

  open(callback: () => void): void {
    callback()
  }

  /** modbus-serial calls it; the channel is closed by whoever opened it. */
  close(callback?: () => void): void {
    this.isOpen = false
    this.#request = undefined
    callback?.()
  }

  /** `frame` ends with its CRC. */
  write(frame: Buffer): void {
    this.#request = Buffer.from(frame)
    this.#received = 0
    if (this.#framing === 'rtu') {
      this.#buffer = Buffer.alloc(0)
      this.#channel.write(frame)
      return
    }
    this.#transaction = this.#transaction === MAX_TRANSACTION ? 1 : this.#transaction + 1
    const header = Buffer.alloc(HEADER_BYTES)
    header.writeUInt16BE(this.#transaction, 0)
    header.writeUInt16BE(frame.length - CRC_BYTES, 4)
    this.#channel.write(Buffer.concat([header, frame.subarray(0, -CRC_BYTES)]))
  }

  /** From now on nothing that comes is an answer. */
  giveUp(): void {
    this.#request = undefined
  }

  receive(bytes: Buffer): void {
    if (!this.isOpen) return
    this.#received += bytes.length
    if (this.#framing === 'tcp') this.#receiveTcp(bytes)
    else if (this.#request === undefined) this.#onStray(bytes)
    else this.#receiveRtu(this.#request, bytes)
  }

  #receiveRtu(request: Buffer, bytes: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, bytes])
    let first = this.#buffer.length
    for (let start = 0; start < this.#buffer.length; start++) {
      const match = matchAnswer(request, this.#buffer, start)
      if (match === 'no') continue
      if (match === 'more') {
        // It may be noise that only looks like a start: the answer may stand behind it.
        first = Math.min(first, start)
        continue
      }
      this.#answer(this.#buffer.subarray(start, start + match.answer))
      return
    }
    this.#buffer = Buffer.from(this.#buffer.subarray(Math.max(first, this.#buffer.length - MAX_BUFFERED)))
  }

  #receiveTcp(bytes: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes])
    while (this.#buffer.length >= HEADER_BYTES) {
      const length = this.#buffer.readUInt16BE(4)
      if (this.#buffer.readUInt16BE(2) !== 0 || length < 2 || length > MAX_BODY_BYTES) {
        this.#buffer = Buffer.alloc(0)
        this.#onBroken('what answers does not speak Modbus TCP')
        return
      }
      const end = HEADER_BYTES + length
      if (this.#buffer.length < end) return
      const transaction = this.#buffer.readUInt16BE(0)
      const body = this.#buffer.subarray(HEADER_BYTES, end)
      this.#buffer = Buffer.from(this.#buffer.subarray(end))
      const frame = withCrc(body)
      const match =
        this.#request === undefined || transaction !== this.#transaction ? 'no' : matchAnswer(this.#request, frame, 0)
      if (typeof match === 'object' && match.answer === frame.length) this.#answer(frame)
      else this.#onStray(body)
    }
  }

  #answer(frame: Buffer): void {
    this.#request = undefined
    this.emit('data', Buffer.from(frame))
  }
}

const withCrc = (body: Buffer): Buffer => {
  const frame = Buffer.alloc(body.length + CRC_BYTES)
  body.copy(frame)
  frame.writeUInt16LE(modbusCrc(body, 0, body.length), body.length)
  return frame
}
