// A machine in memory: a simulated disk, a clock that moves only when nothing else is left to do, and waiting for what the
// program on it does, until that is done, hangs, or dies with its process.

import type { SimulatedDiskOptions } from './simulated-disk.ts'
import { SimulatedDisk } from './simulated-disk.ts'
import { idle, SimulatedTime } from './simulated-disk-time.ts'

/** Nothing that is waited for takes longer, in the time of this machine. */
const PATIENCE_MS = 60_000

/** The process was killed, or the power went. */
export class Crashed extends Error {}

export class SimulatedMachine {
  readonly time = new SimulatedTime()
  readonly disk: SimulatedDisk
  /** What was noticed where it could not be thrown; whatever waits rejects with it. */
  failure: unknown

  constructor(options: SimulatedDiskOptions) {
    this.disk = new SimulatedDisk(options)
  }

  /** After a crash: the timers of the process are gone, and after a power cut it is another boot. */
  restart(): void {
    if (this.disk.crashed === 'power-cut') this.time.boot()
    else this.time.forget()
  }

  /** Until there is nothing left to do now. */
  async quiet(): Promise<void> {
    await idle(this.disk)
    if (this.failure !== undefined) throw this.failure
    if (this.disk.crashed !== undefined) throw new Crashed()
  }

  async until(what: string, condition: () => boolean): Promise<void> {
    const end = this.time.nowMs + PATIENCE_MS
    await this.quiet()
    while (!condition()) {
      const { done } = this.disk
      await this.quiet()
      // The question may have been a push.
      if (this.disk.done !== done) continue
      if (!this.time.advance(end)) throw new Error(`it hangs: ${what}`)
      await this.quiet()
    }
  }

  /** The promise's own outcome. */
  async wait<T>(what: string, promise: Promise<T>): Promise<T> {
    let settled = false
    const note = () => {
      settled = true
    }
    promise.then(note, note)
    await this.until(what, () => settled)
    return promise
  }

  /** So much time goes by. */
  async pass(ms: number): Promise<void> {
    const end = this.time.nowMs + ms
    await this.quiet()
    while (this.time.advance(end)) await this.quiet()
    this.time.nowMs = Math.max(this.time.nowMs, end)
  }
}
