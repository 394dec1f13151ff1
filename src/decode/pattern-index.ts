// Topic patterns by the first level of a topic: most profiles begin with a level of their own, so that a topic that was never
// seen need not be held against the patterns of every profile.

import type { TopicPattern } from '../core/topic-pattern.ts'

interface WithPattern {
  readonly pattern: TopicPattern
}

export class PatternIndex<T extends WithPattern> {
  /** In the order in which they are asked. */
  readonly #byFirst = new Map<string, readonly T[]>()
  readonly #open: readonly T[]

  /** `all`: in the order in which they are to be asked. */
  constructor(all: readonly T[]) {
    this.#open = all.filter((one) => ownLevel(one) === undefined)
    for (const first of new Set(all.map(ownLevel)))
      if (first !== undefined)
        this.#byFirst.set(
          first,
          all.filter((one) => (ownLevel(one) ?? first) === first),
        )
  }

  /** Those that may match, in their order. */
  of(topic: string): readonly T[] {
    const slash = topic.indexOf('/')
    return this.#byFirst.get(slash < 0 ? topic : topic.slice(0, slash)) ?? this.#open
  }
}

/** The first level of a pattern, where it is one text; undefined where it may be several. */
const ownLevel = ({ pattern }: WithPattern): string | undefined => {
  const [first = ''] = pattern.text.split('/')
  return /[+#{]/.test(first) ? undefined : first
}
