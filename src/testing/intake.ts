// The log as a source sees it, in memory: what is delivered is durable at once, or refused.

import type { Intake, Message, Seq, Settled } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'

export class TestIntake implements Intake {
  readonly messages: Message[] = []
  refusing = false
  #waiting: (readonly [count: number, reached: () => void])[] = []

  get refusal(): string | undefined {
    return this.refusing ? 'the test refuses it' : undefined
  }

  async deliver(message: Message): Promise<Seq> {
    if (this.refusing) throw refused()
    return this.#take(message)
  }

  append(message: Message, settled?: Settled): boolean {
    // As the log does: never before append() has returned.
    if (this.refusing) queueMicrotask(() => settled?.(refused(), 0))
    else {
      const seq = this.#take(message)
      queueMicrotask(() => settled?.(undefined, seq))
    }
    return true
  }

  ready(): Promise<void> {
    return Promise.resolve()
  }

  /** Resolves once so many messages have come. */
  reached(count: number): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push([count, resolve])
      this.#tell()
    })
  }

  #take(message: Message): Seq {
    this.messages.push(message)
    this.#tell()
    return this.messages.length
  }

  #tell(): void {
    const due = this.#waiting.filter(([count]) => count <= this.messages.length)
    this.#waiting = this.#waiting.filter(([count]) => count > this.messages.length)
    for (const [, reached] of due) reached()
  }
}

const refused = () => new TidegateError('TG_LOG_WRITE', 'the test refuses it')
