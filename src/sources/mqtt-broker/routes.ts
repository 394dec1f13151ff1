// Which subscriptions want a topic: a trie over the levels of Topic Filters. MQTT 3.1.1, 4.7.
// A match visits each node at most once, so its cost is bounded by the filters that exist, not by what a client invents.

import { MAX_FILTER_LEVELS } from './limits.ts'

interface Level<Target> {
  children?: Map<string, Level<Target>>
  /** Filters that end here. */
  targets?: Set<Target>
  /** Filters that end with # after here. */
  open?: Set<Target>
}

export class Routes<Target> {
  readonly #root: Level<Target> = {}
  readonly #maxLevels: number
  #levels = 0
  #size = 0

  constructor(maxLevels = MAX_FILTER_LEVELS) {
    this.#maxLevels = maxLevels
  }

  get size(): number {
    return this.#size
  }

  /** False when there is no room for another filter. A target has a filter at most once. */
  add(filter: string, target: Target): boolean {
    if (this.#levels >= this.#maxLevels) return false
    const { names, isOpen } = split(filter)
    let level = this.#root
    for (const name of names) {
      level.children ??= new Map()
      let child = level.children.get(name)
      if (child === undefined) {
        child = {}
        level.children.set(name, child)
        this.#levels++
      }
      level = child
    }
    const ending = isOpen ? 'open' : 'targets'
    level[ending] ??= new Set()
    level[ending].add(target)
    this.#size++
    return true
  }

  remove(filter: string, target: Target): void {
    const { names, isOpen } = split(filter)
    const path = [this.#root]
    for (const name of names) {
      const child = path.at(-1)?.children?.get(name)
      if (child === undefined) return
      path.push(child)
    }
    const last = path.at(-1)
    if ((isOpen ? last?.open : last?.targets)?.delete(target) !== true) return
    this.#size--
    for (let depth = names.length; depth > 0; depth--) {
      const level = path[depth]
      if (level === undefined || !isEmpty(level)) return
      path[depth - 1]?.children?.delete(names[depth - 1] ?? '')
      this.#levels--
    }
  }

  /** Calls `visit` for every subscription that wants the Topic Name. */
  match(topic: string, visit: (target: Target) => void): void {
    if (this.#size > 0) walk(this.#root, topic, 0, visit)
  }
}

const split = (filter: string) => {
  const names = filter.split('/')
  const isOpen = names.at(-1) === '#'
  if (isOpen) names.pop()
  return { names, isOpen }
}

const isEmpty = <Target>({ children, targets, open }: Level<Target>): boolean =>
  (children?.size ?? 0) + (targets?.size ?? 0) + (open?.size ?? 0) === 0

const walk = <Target>(level: Level<Target>, topic: string, start: number, visit: (target: Target) => void): void => {
  // Wildcards in front do not stand for a level with $ ([MQTT-4.7.2-1]).
  const wild = start > 0 || topic.charCodeAt(0) !== 0x24
  if (wild && level.open !== undefined) for (const target of level.open) visit(target) // "a/#" also wants "a" itself.
  if (start > topic.length) {
    if (level.targets !== undefined) for (const target of level.targets) visit(target)
    return
  }
  if (level.children === undefined) return
  const slash = topic.indexOf('/', start)
  const end = slash === -1 ? topic.length : slash
  const next = level.children.get(topic.slice(start, end))
  if (next !== undefined) walk(next, topic, end + 1, visit)
  const any = wild ? level.children.get('+') : undefined
  if (any !== undefined) walk(any, topic, end + 1, visit)
}
