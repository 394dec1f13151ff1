// What messages told about others (births, discovery topics), by dialect and key, with the seq that each came with: decoding a
// message uses what was known when it arrived, however late it is decoded. Everything here follows from the log.

import type { Decodable, Description, Seq } from '../core/contract.ts'

/** Versions of one key that are remembered; older messages are then read with the oldest of them. */
const MAX_VERSIONS = 8

/** What is learnt from; an Entry is one. */
export type Learnable = Decodable & { readonly seq: Seq }

export class Descriptions {
  /** Versions ascending by seq. */
  readonly #known = new Map<string, Description[]>()

  /** Idempotent: what is known of this seq is left as it is. */
  learn(decoder: string, key: string, description: Description): void {
    const name = `${decoder}\n${key}`
    const versions = this.#known.get(name) ?? []
    let index = versions.length
    while (index > 0 && (versions[index - 1]?.seq ?? 0) > description.seq) index--
    if (versions[index - 1]?.seq === description.seq) return
    versions.splice(index, 0, description)
    if (versions.length > MAX_VERSIONS) versions.shift()
    this.#known.set(name, versions)
  }

  /** The newest that came before `seq` (without one: the newest of all), else the oldest. */
  find(decoder: string, key: string, seq: Seq | undefined): Description | undefined {
    const versions = this.#known.get(`${decoder}\n${key}`)
    if (versions === undefined) return undefined
    return versions.findLast((version) => seq === undefined || version.seq < seq) ?? versions[0]
  }
}
