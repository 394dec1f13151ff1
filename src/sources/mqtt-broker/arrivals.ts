// First in, first out, without moving what is behind: what waits for the log may be long.

export class Arrivals<Item> {
  #items: Item[] = []
  #head = 0

  get length(): number {
    return this.#items.length - this.#head
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  shift(): Item | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head++
    if (this.#head === this.#items.length) this.clear()
    return item
  }

  clear(): void {
    this.#items = []
    this.#head = 0
  }
}
