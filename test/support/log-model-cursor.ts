// A sink's cursor beside what is known of it: it never stands further than it was moved, nor, once flushed, less far.

import type { Seq } from '../../src/core/contract.ts'
import type { Cursor } from '../../src/core/log-contract.ts'
import type { CursorOptions, openCursor } from '../../src/log/cursor.ts'
import { Violation } from './log-model.ts'
import type { SimulatedMachine } from './simulated-disk-machine.ts'

export class ModelCursor {
  readonly #machine: SimulatedMachine
  readonly #open: typeof openCursor
  #cursor: Cursor | undefined
  /** It was on the disk here, and was moved up to there. */
  #flushed: Seq = 0
  #moved: Seq = 0

  constructor(machine: SimulatedMachine, open: typeof openCursor) {
    this.#machine = machine
    this.#open = open
  }

  /** A disk that fails keeps the forwarder waiting, never the log: then there is no cursor for now. */
  async open(options: CursorOptions, unreadable: boolean): Promise<void> {
    const opening = this.#open(options).catch(() => undefined)
    const cursor = await this.#machine.wait('open the cursor', opening)
    this.#cursor = cursor
    if (cursor === undefined) return
    const { position } = cursor
    if (position > this.#moved)
      throw new Violation(`the cursor is at ${position}, and was only moved to ${this.#moved}`)
    if (position < this.#flushed && !unreadable)
      throw new Violation(`the cursor is at ${position}, and ${this.#flushed} was flushed`)
  }

  /** Its process died. */
  forget(): void {
    this.#cursor = undefined
  }

  async close(): Promise<void> {
    await this.#cursor?.close()
  }

  async settle(seq: Seq, flush: boolean, faulty: boolean): Promise<void> {
    const cursor = this.#cursor
    if (cursor === undefined || seq <= cursor.position) return
    this.#moved = Math.max(this.#moved, seq)
    cursor.settle(1, seq)
    if (!flush) return
    const flushing = cursor.flush().then(
      () => true,
      () => false,
    )
    if (await this.#machine.wait('flush', flushing)) this.#flushed = seq
    else if (!faulty) throw new Violation('a healthy disk does not take the cursor')
  }
}
