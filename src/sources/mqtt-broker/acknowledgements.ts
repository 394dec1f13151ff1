// The acknowledgements that one connection owes, released in the order in which its packets came ([MQTT-4.6.0-2]), however
// their messages become durable.

export interface Owed {
  /** Lets aedes write the acknowledgement. */
  readonly done: () => void
  /** The message is durable, or will never be. */
  settled: boolean
  error: Error | undefined
}

export class Acknowledgements<Item extends Owed> {
  #owed: Item[] = []
  #head = 0

  add(item: Item): void {
    this.#owed.push(item)
  }

  /** The next one that may leave, and out of the queue with it. */
  next(): Item | undefined {
    const item = this.#owed[this.#head]
    if (item === undefined || !item.settled) return undefined
    this.#head++
    if (this.#head === this.#owed.length) {
      this.#owed = []
      this.#head = 0
    }
    return item
  }
}
