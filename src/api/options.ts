// What the gateway gives to the API, and the limits that the API keeps.

import type { CommandDesk } from '../core/command.ts'
import type { Clock, Decode, Intake, Logger, Meter } from '../core/contract.ts'
import type { DecoderPlugin } from '../core/plugin-contract.ts'
import type { StatusReport } from '../core/status.ts'
import type { Live } from '../live/live.ts'

export interface ApiOptions {
  readonly listen: { readonly host: string; readonly port: number }
  /** PEM texts. */
  readonly tls?: { readonly cert: string; readonly key: string } | undefined
  readonly gateway: string
  readonly version: string
  readonly logger: Logger
  readonly meter: Meter
  readonly clock: Clock
  /** Empty: nobody needs a token. */
  readonly tokens: readonly ApiToken[]
  /** Browser origins that may use the API besides its own. */
  readonly origins: readonly string[]
  readonly live: Live
  readonly intake: Intake
  readonly decode: Decode
  /** The dialects that there are, for drafts of device profiles. */
  readonly decoders: ReadonlyMap<string, DecoderPlugin>
  readonly status: () => StatusReport
  readonly metrics: () => Promise<string>
  readonly readiness: () => Readiness
  /** Absent: nothing takes commands. */
  readonly commands?: CommandDesk | undefined
  readonly configSchema?: object | undefined
  /** Files of the dashboard. */
  readonly webDirectory: string
  readonly limits?: Partial<ApiLimits>
}

export interface ApiToken {
  readonly name: string
  /** `sha256:` and the hexadecimal digest of the token. */
  readonly hash: string
}

export interface Readiness {
  readonly ready: boolean
  readonly reasons: readonly string[]
}

export interface ApiLimits {
  /** Open WebSockets and event streams: each may hold a page and what its socket buffers. */
  readonly streams: number
  /** What all their sockets together may hold before large snapshots are sent in pieces. */
  readonly bufferBytes: number
  /** Requests that wait for a reading; each is a socket and a few closures. */
  readonly longPolls: number
  /** Sockets altogether. */
  readonly connections: number
  /** How often a WebSocket is pinged and an idle event stream gets a comment. */
  readonly heartbeatMs: number
  /** A stream that took nothing and said nothing for so long is cut. */
  readonly stallMs: number
  /** How long a WebSocket may take to authorize. */
  readonly authorizeMs: number
}

export const API_LIMITS: ApiLimits = {
  streams: 512,
  bufferBytes: 64 * 2 ** 20,
  longPolls: 8_192,
  connections: 10_240,
  heartbeatMs: 15_000,
  stallMs: 120_000,
  authorizeMs: 10_000,
}
