// Commands that come from an upstream: sinks hand them over, the ingest thread has them checked, recorded and sent, and its
// answer comes back. Nothing is kept here: what has no answer when the thread ends was not confirmed to the upstream either.

import { isErrorCode, TidegateError } from '../core/errors.ts'
import type { Commanded, FromForwardThread } from './protocol.ts'

interface Asked {
  readonly resolve: (id: string) => void
  readonly reject: (error: TidegateError) => void
}

export class CommandRelay {
  readonly #post: (message: FromForwardThread) => void
  readonly #asked = new Map<number, Asked>()
  #lastNumber = 0

  constructor(post: (message: FromForwardThread) => void) {
    this.#post = post
  }

  /** As CommandDesk.request() (core/command.ts). Sinks bound how many are under way. */
  request(device: string, body: unknown, by: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const number = ++this.#lastNumber
      this.#asked.set(number, { resolve, reject })
      this.#post({ type: 'command', number, device, body, by })
    })
  }

  /** The ingest thread's answer. */
  answered({ number, id, error }: Commanded): void {
    const asked = this.#asked.get(number)
    this.#asked.delete(number)
    if (error === undefined) asked?.resolve(id ?? '')
    else asked?.reject(new TidegateError(isErrorCode(error.code) ? error.code : 'TG_INTERNAL', error.message))
  }
}
