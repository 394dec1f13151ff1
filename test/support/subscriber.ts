// A WebSocket subscriber of the gateway's live interface (CONTRACT, section 6) that keeps everything it was sent.

import { once } from 'node:events'
import { WebSocket } from 'ws'
import type { Reading } from './gateway.ts'

export interface LiveMessage {
  readonly type: string
  readonly id?: number
  readonly seq?: number
  readonly readings?: readonly Reading[]
  readonly conflated?: boolean
  readonly from?: number
  readonly to?: number
  readonly code?: string
  readonly reason?: string
}

export interface Subscription {
  readonly devices?: readonly string[]
  readonly names?: readonly string[]
  readonly after?: number
  readonly every?: string
}

export class Subscriber {
  readonly socket: WebSocket
  readonly messages: LiveMessage[] = []
  closeCode: number | undefined

  static async open(url: string): Promise<Subscriber> {
    const subscriber = new Subscriber(new WebSocket(`${url.replace(/^http/, 'ws')}/api/v1/live`))
    await once(subscriber.socket, 'open')
    return subscriber
  }

  private constructor(socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data) => this.messages.push(JSON.parse(String(data)) as LiveMessage))
    socket.on('close', (code) => {
      this.closeCode = code
    })
    // The gateway may be killed under a subscriber; the close code says what happened.
    socket.on('error', () => socket.terminate())
  }

  subscribe(subscription: Subscription = {}): void {
    this.socket.send(JSON.stringify({ type: 'subscribe', id: 1, ...subscription }))
  }

  /** All readings of 'readings' messages (and of the snapshot, if asked for) in the order in which they came. */
  readings(snapshotToo = false): readonly Reading[] {
    return this.messages.flatMap((message) =>
      message.type === 'readings' || (snapshotToo && message.type === 'snapshot') ? (message.readings ?? []) : [],
    )
  }

  async close(): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return
    const closed = once(this.socket, 'close')
    this.socket.terminate()
    await closed
  }
}
