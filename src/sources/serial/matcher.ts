// Finds a byte sequence in a stream, one byte at a time and in constant time each (Knuth, Morris and Pratt), so that no input
// makes a framing look at its bytes again and again.

export class Matcher {
  readonly pattern: Buffer
  /** For each length of a matched beginning: the longest shorter one that is also its end. */
  readonly #fallback: readonly number[]
  #matched = 0

  constructor(pattern: Buffer) {
    this.pattern = pattern
    this.#fallback = fallbacks(pattern)
  }

  /** Whether this byte completes the sequence. Occurrences may overlap. */
  step(byte: number): boolean {
    if (this.#matched === this.pattern.length) this.#matched = this.#fallback[this.#matched] ?? 0
    while (this.#matched > 0 && this.pattern[this.#matched] !== byte) this.#matched = this.#fallback[this.#matched] ?? 0
    if (this.pattern[this.#matched] === byte) this.#matched++
    return this.#matched === this.pattern.length
  }

  /** How much of the sequence the last bytes are. */
  get matched(): number {
    return this.#matched
  }

  reset(): void {
    this.#matched = 0
  }
}

const fallbacks = (pattern: Buffer): readonly number[] => {
  const table = [0, 0]
  let length = 0
  for (let index = 1; index < pattern.length; index++) {
    while (length > 0 && pattern[index] !== pattern[length]) length = table[length] ?? 0
    if (pattern[index] === pattern[length]) length++
    table.push(length)
  }
  return table
}
