// Counters, gauges and histograms in Prometheus' text format. Counting is a map look-up and an addition, so that it may
// happen per message; prom-client sees the numbers only when they are asked for.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Logger, Meter } from '../core/contract.ts'
import { droppedLogLines } from './logger.ts'
import { type MetricDefinition, metricTable } from './metric-table.ts'

const PREFIX = 'tidegate_'
/** Series per metric; what comes later is counted under 'other'. A configuration has tens of sources, sinks and profiles. */
const MAX_SERIES = 256
const OTHER = 'other'
/** Between the parts of a series' key; no label value holds it. */
const SEPARATOR = '\u0000'

type Labels = Readonly<Record<string, string>>

export interface Metrics extends Meter {
  /** The whole exposition, for GET /metrics. */
  text(): Promise<string>
  readonly contentType: string
  /** Called before each text(), to set what is cheaper to ask for than to follow. Returns its own removal. */
  beforeText(work: () => void): () => void
}

export const createMetrics = (logger: Logger): Metrics => {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const series = new Map<string, Series>()
  for (const [name, definition] of Object.entries(metricTable)) series.set(name, new Series(name, definition, registry))
  const listeners = new Set<() => void>()
  const unknown = new Set<string>()
  const find = (name: string): Series | undefined => {
    const found = series.get(name)
    if (found === undefined && !unknown.has(name)) {
      unknown.add(name)
      logger.warn({ metric: name }, 'metric is not in the table')
    }
    return found
  }
  return {
    contentType: registry.contentType,
    add: (name, labels, by = 1) => find(name)?.add(labels, by),
    set: (name, value, labels) => find(name)?.set(labels, value),
    observe: (name, value, labels) => find(name)?.observe(labels, value),
    async text() {
      for (const listener of listeners) listener()
      series.get('logger_dropped_lines_total')?.set(undefined, droppedLogLines())
      return await registry.metrics()
    },
    beforeText(work) {
      listeners.add(work)
      return () => void listeners.delete(work)
    },
  }
}

interface Cell {
  readonly labels: Record<string, string>
  value: number
}

/** One metric and its series. */
class Series {
  readonly #definition: MetricDefinition
  readonly #labels: readonly string[]
  readonly #cells = new Map<string, Cell>()
  readonly #histogram: Histogram | undefined

  constructor(name: string, definition: MetricDefinition, registry: Registry) {
    this.#definition = definition
    this.#labels = definition.labels ?? []
    const common = { name: PREFIX + name, help: definition.help, labelNames: [...this.#labels], registers: [registry] }
    const publish = (metric: Counter | Gauge) => {
      metric.reset()
      for (const { labels, value } of this.#cells.values()) metric.inc(labels, value)
    }
    if (definition.kind === 'histogram') {
      this.#histogram = new Histogram({ ...common, buckets: [...(definition.buckets ?? [])] })
      return
    }
    // prom-client calls collect with the metric as `this`.
    if (definition.kind === 'counter') {
      new Counter({
        ...common,
        collect() {
          publish(this)
        },
      })
    } else {
      new Gauge({
        ...common,
        collect() {
          publish(this)
        },
      })
    }
    for (const known of definition.known ?? []) this.#cell({ [String(this.#labels[0])]: known })
    if (this.#labels.length === 0) this.#cell(undefined)
  }

  add(labels: Labels | undefined, by: number): void {
    if (!(by >= 0) && this.#definition.kind === 'counter') return
    if (Number.isFinite(by)) this.#cell(labels).value += by
  }

  // A counter that is set follows somebody else's count, which may start again but is never counted back.
  set(labels: Labels | undefined, value: number): void {
    if (!Number.isFinite(value)) return
    const cell = this.#cell(labels)
    cell.value = this.#definition.kind === 'counter' ? Math.max(cell.value, value) : value
  }

  observe(labels: Labels | undefined, value: number): void {
    if (Number.isFinite(value)) this.#histogram?.observe(this.#cell(labels).labels, value)
  }

  #cell(labels: Labels | undefined): Cell {
    const key = this.#key(labels)
    const found = this.#cells.get(key)
    if (found !== undefined) return found
    if (this.#cells.size >= MAX_SERIES) return this.#other()
    const cell = { labels: this.#pick(labels), value: 0 }
    this.#cells.set(key, cell)
    return cell
  }

  #key(labels: Labels | undefined): string {
    const [first, second] = this.#labels
    if (first === undefined) return ''
    const value = labels?.[first] ?? ''
    return second === undefined ? value : value + SEPARATOR + (labels?.[second] ?? '')
  }

  #pick(labels: Labels | undefined): Record<string, string> {
    return Object.fromEntries(this.#labels.map((label) => [label, labels?.[label] ?? '']))
  }

  #other(): Cell {
    const found = this.#cells.get(OTHER)
    if (found !== undefined) return found
    const cell = { labels: Object.fromEntries(this.#labels.map((label) => [label, OTHER])), value: 0 }
    this.#cells.set(OTHER, cell)
    return cell
  }
}
