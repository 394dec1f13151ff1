// What the ingest thread and the forward thread say to each other. All of it is hints and figures: they share only the data
// directory, so a message that is lost costs latency and nothing else. Everything here can be structured-cloned.

import type { Seq } from '../core/contract.ts'
import type { SinkStatus } from '../core/status.ts'

export interface ForwardWorkerData {
  readonly dataDirectory: string
  readonly gateway: string
  readonly sinks: readonly SinkSettings[]
  /** Paths of third-party plug-ins, for loadSink. */
  readonly plugins: readonly string[]
  /** Device profiles as data, for createRouter. */
  readonly profiles: unknown
  /** Newest durable seq when the thread is started. */
  readonly durable: Seq
  /** What had piled up before: newest durable seq when the log was opened, or when the thread is started again. */
  readonly piled: Seq
  readonly logLevel: string
  readonly logFormat: string
}

export interface SinkSettings {
  readonly name: string
  readonly type: string
  /** As the schema of the plug-in accepted it: defaults applied, units resolved. */
  readonly config: unknown
}

export type ToForwardThread =
  | { readonly type: 'durable'; readonly seq: Seq }
  /** End within so many milliseconds; the answer is 'stopped'. */
  | { readonly type: 'stop'; readonly deadlineMs: number }

export type FromForwardThread =
  | { readonly type: 'ready' }
  | { readonly type: 'status'; readonly sinks: readonly SinkStatus[] }
  | { readonly type: 'meter'; readonly deltas: readonly MeterDelta[] }
  | { readonly type: 'stopped' }

export interface MeterDelta {
  readonly kind: 'add' | 'set' | 'observe'
  readonly name: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}
