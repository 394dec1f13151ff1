// What the ingest thread and the forward thread say to each other. Nearly all of it is hints and figures: they share only the
// data directory, so a message that is lost costs latency and nothing else. What was rejected for good is the exception: the
// cursor waits for the answer that its loss mark is durable. Everything here can be structured-cloned.

import type { Gap, LossMark, Seq } from '../core/contract.ts'
import type { SinkStatus } from '../core/status.ts'

export interface ForwardWorkerData {
  readonly dataDirectory: string
  readonly gateway: string
  readonly sinks: readonly SinkSettings[]
  /** Paths of third-party plug-ins, for loadSink. */
  readonly plugins: readonly string[]
  /** Device profiles as data, for createRouter. */
  readonly profiles: unknown
  /** The profiles that sources choose, for createRouter. */
  readonly bindings: unknown
  /** Newest durable seq when the thread is started. */
  readonly durable: Seq
  /** What had piled up before: newest durable seq when the log was opened, or when the thread is started again. */
  readonly piled: Seq
  /** Until then, on the monotonic clock, messages from before the clock was set wait for it. */
  readonly clockWaitUntilMs: number
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
  /** The loss with this id is durable in the log, or could not be recorded. */
  | { readonly type: 'recorded'; readonly id: number; readonly error?: string }
  | Commanded
  /** End within so many milliseconds; the answer is 'stopped'. */
  | { readonly type: 'stop'; readonly deadlineMs: number }

/** What became of the command with this number. */
export interface Commanded {
  readonly type: 'commanded'
  readonly number: number
  readonly id?: string
  readonly error?: { readonly code: string; readonly message: string }
}

export type FromForwardThread =
  | { readonly type: 'ready' }
  | { readonly type: 'status'; readonly sinks: readonly SinkStatus[] }
  | { readonly type: 'meter'; readonly deltas: readonly MeterDelta[] }
  | { readonly type: 'loss'; readonly id: number; readonly loss: Omit<LossMark, 'time'> }
  /** A command that an upstream has for a device; the answer is 'commanded'. */
  | {
      readonly type: 'command'
      readonly number: number
      readonly device: string
      readonly body: unknown
      readonly by: string
    }
  /** A reader met damage that nobody may have noticed yet. */
  | { readonly type: 'damage'; readonly gap: Gap }
  | { readonly type: 'stopped' }

export interface MeterDelta {
  readonly kind: 'add' | 'set' | 'observe'
  readonly name: string
  readonly value: number
  readonly labels?: Readonly<Record<string, string>>
}
