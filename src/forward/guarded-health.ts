// A sink's health(), asked from timers and loops of the thread that all sinks share: a plug-in whose health() throws or answers
// nonsense must cost no other sink its thread.

import type { Health, Logger, Sink } from '../core/contract.ts'
import { describe } from '../core/errors.ts'

export class GuardedHealth {
  /** What was wrong with the last answer that was none. */
  failure = ''
  readonly #sink: Sink
  readonly #logger: Logger
  readonly #name: string

  constructor(sink: Sink, logger: Logger, name: string) {
    this.#sink = sink
    this.#logger = logger
    this.#name = name
  }

  /** Undefined when there is no sensible answer; said once for each reason. */
  ask(): Health | undefined {
    try {
      const health = this.#sink.health()
      if (typeof health.state === 'string') return health
      throw new Error('it has no state')
    } catch (error) {
      const reason = describe(error)
      if (reason !== this.failure) this.#logger.error({ sink: this.#name, reason }, 'health() of a sink fails')
      this.failure = reason
      return undefined
    }
  }
}
