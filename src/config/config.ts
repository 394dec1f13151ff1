// The configuration as the program uses it: complete, in milliseconds and bytes, frozen. Slices of it go to constructors.

import { TidegateError } from '../core/errors.ts'
import type { Problem } from './document.ts'
import type { ListenAddress } from './listen.ts'

export interface Config {
  /** Absolute path of the file; undefined with the built-in defaults. */
  readonly file: string | undefined
  readonly gateway: {
    /** 1 to 64 letters, digits, - and _. */
    readonly id: string
    /** Data directory, absolute. */
    readonly data: string
    /** How long after the start messages whose time is not known wait for the clock to be set. */
    readonly clockWaitMs: number
    /** Files of third-party plug-ins, absolute. */
    readonly plugins: readonly string[]
    /** Further directories of device profiles, absolute. */
    readonly devices: readonly string[]
  }
  readonly log: {
    readonly commitDelayMs: number
    readonly maxBytes: number
    readonly maxAgeMs: number
    readonly minFreeBytes: number
    readonly whenFull: 'dropOldest' | 'refuse'
    readonly keep: readonly KeepConfig[]
  }
  readonly api: {
    readonly listen: ListenAddress
    /** PEM files, absolute. */
    readonly tls: { readonly cert: string; readonly key: string } | undefined
    readonly tokens: readonly TokenConfig[]
    readonly origins: readonly string[]
  }
  readonly sources: readonly PartConfig[]
  readonly sinks: readonly PartConfig[]
}

/** What of old messages stays when there is no room for all. */
export interface KeepConfig {
  /** A Topic Filter for the topic, or else one for the device. */
  readonly topic?: string
  readonly device?: string
  readonly newest: number
  readonly perMs: number
}

export interface TokenConfig {
  readonly name: string
  /** `sha256:` and the hexadecimal digest of the token. */
  readonly hash: string
}

/** One source or sink. */
export interface PartConfig {
  readonly name: string
  readonly type: string
  /** What the plug-in's schema accepted: its own keys, defaults filled in, durations in milliseconds, sizes in bytes. */
  readonly settings: Readonly<Record<string, unknown>>
}

/** Everything that is wrong with a configuration, in the order of the file. */
export class ConfigError extends TidegateError {
  override readonly name = 'ConfigError'
  /** `FILE:LINE:COL: message`, one problem each. */
  readonly lines: readonly string[]

  constructor(file: string, problems: readonly Problem[]) {
    const sorted = [...problems].sort((one, other) => one.line - other.line || one.column - other.column)
    const lines = sorted.map(({ line, column, message }) => `${file}:${line}:${column}: ${message}`)
    super('TG_CONFIG_INVALID', lines.join('\n'))
    this.lines = lines
  }
}
