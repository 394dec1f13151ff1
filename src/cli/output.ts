// Standard output for a lot of text: gathered into chunks, and never further ahead than its reader takes it.

import type { Io } from './io.ts'

/** One write each: large enough for few calls, small enough to stay ahead of nobody. */
const CHUNK_CHARACTERS = 65_536

export class Output {
  readonly #io: Pick<Io, 'stdout' | 'signal'>
  #text = ''

  constructor(io: Pick<Io, 'stdout' | 'signal'>) {
    this.#io = io
  }

  /** Rejects with the signal's reason, which a reader that has gone gives, too. */
  async write(text: string): Promise<void> {
    this.#text += text
    if (this.#text.length >= CHUNK_CHARACTERS) await this.flush()
  }

  async flush(): Promise<void> {
    const { stdout, signal } = this.#io
    signal.throwIfAborted()
    const text = this.#text
    this.#text = ''
    if (text === '' || stdout.write(text) !== false || stdout.once === undefined) return
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort, { once: true })
      stdout.once?.('drain', () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
    })
  }
}
