// What `tidegate status --json` and GET /api/v1/status print. Types only.

import type { Health, Seq, UnixMs } from './contract.ts'
import type { LogInfo, Range } from './log-contract.ts'

export interface StatusReport {
  readonly gateway: string
  readonly version: string
  readonly healthy: boolean
  /** Why not, one line each; empty when healthy. */
  readonly reasons: readonly string[]
  readonly startedAt: UnixMs
  readonly uptimeSeconds: number
  readonly seq: Seq
  readonly sources: readonly SourceStatus[]
  readonly log: LogInfo
  readonly sinks: readonly SinkStatus[]
  readonly live: LiveStatus
  readonly clock: { readonly time: UnixMs; readonly synced: boolean; readonly bootId: string }
  readonly memory: { readonly rssBytes: number; readonly heapUsedBytes: number; readonly externalBytes: number }
}

export interface SourceStatus extends Health {
  readonly name: string
  readonly type: string
}

export interface SinkStatus extends Health {
  readonly name: string
  readonly type: string
  /** Everything up to here is settled. */
  readonly position: Seq
  readonly unsettled: readonly Range[]
  readonly backlogMessages: number
  readonly confirmedMessages: number
  readonly confirmedReadings: number
  readonly rejectedMessages: number
  readonly retries: number
  /** When it last settled something. */
  readonly lastProgressAt?: UnixMs
}

export interface LiveStatus {
  readonly devices: number
  /** Offline or overdue. */
  readonly stale: number
  readonly values: number
  readonly faults: number
  readonly subscribers: number
}
