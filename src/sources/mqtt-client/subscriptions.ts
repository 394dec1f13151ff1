// What this client subscribes to at the broker. A broker keeps the subscriptions of a session, also those that the configuration
// does not name any more: the last ones are remembered in a file, so that they can be taken back. Losing the file loses no message.

import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../../core/errors.ts'

export class Subscriptions {
  readonly #file: string
  /** The session that they belong to: the broker and the client identifier. */
  readonly #session: string

  constructor(directory: string, session: string) {
    this.#file = join(directory, 'subscriptions.json')
    this.#session = session
  }

  /** Those of the session the last time; undefined when it was never there, or is not remembered. */
  async last(): Promise<readonly string[] | undefined> {
    let known: unknown
    try {
      known = JSON.parse(await readFile(this.#file, 'utf8'))
    } catch (error) {
      // A file that a power cut has damaged says as little as one that is not there.
      if (systemCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined
      throw error
    }
    if (typeof known !== 'object' || known === null) return undefined
    const { session, filters } = known as { readonly session?: unknown; readonly filters?: unknown }
    if (session !== this.#session || !Array.isArray(filters)) return undefined
    return filters.filter((filter): filter is string => typeof filter === 'string')
  }

  /** Written only where it changes: this is a card that wears. */
  async remember(filters: readonly string[], last: readonly string[] | undefined): Promise<void> {
    if (last !== undefined && last.length === filters.length && filters.every((filter) => last.includes(filter))) return
    await writeFile(`${this.#file}.new`, JSON.stringify({ session: this.#session, filters }))
    await rename(`${this.#file}.new`, this.#file)
  }
}
