// One subscription's way to its WebSocket: each message in the words of /api/v1/live, with the subscription's id.

import type { Gap, Meter } from '../core/contract.ts'
import type { Batch } from '../live/batch.ts'
import type { Outlet } from '../live/follower.ts'
import { gapMembers } from './gaps.ts'
import type { RequestId } from './live-protocol.ts'
import { HIGH_WATER_BYTES, type Streams } from './streams.ts'

interface Client {
  readonly ready: boolean
  send(data: string | Buffer): void
}

export class SubscriptionOutlet implements Outlet {
  readonly #client: Client
  readonly #id: string
  readonly #streams: Streams
  readonly #meter: Meter

  constructor(client: Client, id: RequestId, streams: Streams, meter: Meter) {
    this.#client = client
    this.#id = JSON.stringify(id)
    this.#streams = streams
    this.#meter = meter
  }

  ready(): boolean {
    return this.#client.ready
  }

  pageBytes(): number {
    return HIGH_WATER_BYTES
  }

  snapshotBytes(): number {
    return this.#streams.roomBytes
  }

  snapshot(batch: Batch): void {
    this.#client.send(batch.frame(`{"type":"snapshot","id":${this.#id},"seq":${batch.seq},"readings":`, '}'))
  }

  readings(batch: Batch, conflated: boolean): void {
    if (conflated) this.#meter.add('api_conflated_messages_total')
    const end = conflated ? ',"conflated":true}' : '}'
    this.#client.send(batch.frame(`{"type":"readings","id":${this.#id},"seq":${batch.seq},"readings":`, end))
  }

  gap(gap: Gap): void {
    this.#client.send(`{"type":"gap","id":${this.#id},${gapMembers(gap)}}`)
  }
}
