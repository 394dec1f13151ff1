// Prepared answers of GET /api/v1/readings, so that polling is cheap: as long as nothing that matches has changed, the same
// bytes and the same entity tag go out and nothing is serialized. Bounded; what was asked for least recently goes first.

import { createHash } from 'node:crypto'
import type { Seq } from '../core/contract.ts'
import { jsonArray } from '../live/batch.ts'
import type { Live } from '../live/live.ts'
import type { Selection } from '../live/selection.ts'

/** Different questions that are polled at a time. */
const MAX_BODIES = 256
const MAX_BYTES = 32 * 2 ** 20

export interface PreparedBody {
  readonly body: Buffer
  /** Strong: made from the bytes. */
  readonly etag: string
  /** Nothing that matches is newer, as far as anybody looked. */
  checkedSeq: Seq
  readonly epoch: number
}

export class BodyCache {
  readonly #live: Live
  readonly #bodies = new Map<string, PreparedBody>()
  #bytes = 0

  constructor(live: Live) {
    this.#live = live
  }

  get(selection: Selection): PreparedBody {
    const { seq, state } = this.#live
    const known = this.#bodies.get(selection.key)
    if (known !== undefined) {
      this.#remove(selection.key, known)
      if (known.epoch === state.epoch && !state.changedSince(selection, known.checkedSeq)) {
        known.checkedSeq = seq
        return this.#keep(selection.key, known)
      }
    }
    const body = Buffer.from(`{"seq":${seq},"readings":${jsonArray(state.since(selection, 0))}}`)
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
    return this.#keep(selection.key, { body, etag, checkedSeq: seq, epoch: state.epoch })
  }

  #keep(key: string, prepared: PreparedBody): PreparedBody {
    this.#bodies.set(key, prepared)
    this.#bytes += prepared.body.length
    for (const [oldest, old] of this.#bodies) {
      if (this.#bodies.size <= MAX_BODIES && this.#bytes <= MAX_BYTES) break
      this.#remove(oldest, old)
    }
    return prepared
  }

  #remove(key: string, prepared: PreparedBody): void {
    this.#bodies.delete(key)
    this.#bytes -= prepared.body.length
  }
}
