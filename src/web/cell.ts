// One value that parts of the page look at: set() tells every listener. useCell() renders a component again when it changes.

import { useEffect, useState } from 'preact/hooks'

export class Cell<T> {
  #value: T
  readonly #listeners = new Set<() => void>()

  constructor(value: T) {
    this.#value = value
  }

  get value(): T {
    return this.#value
  }

  set(value: T): void {
    if (value === this.#value) return
    this.#value = value
    for (const listener of this.#listeners) listener()
  }

  /** Returns its own removal. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }
}

export const useCell = <T>(cell: Cell<T>): T => {
  const [value, setValue] = useState(cell.value)
  useEffect(() => {
    // It may have changed between the rendering and this effect.
    setValue(() => cell.value)
    return cell.subscribe(() => setValue(() => cell.value))
  }, [cell])
  return value
}
