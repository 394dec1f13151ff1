// Builds the configuration out of a value that the schemas have accepted and completed.

import { resolve } from 'node:path'
import { TidegateError } from '../core/errors.ts'
import type { Config, KeepConfig, PartConfig, TokenConfig } from './config.ts'
import { defaultDataDirectory } from './data-directory.ts'
import { parseListen } from './listen.ts'
import { isName, list, MAX_NAME_LENGTH, record } from './schema.ts'

export interface Origin {
  readonly file: string | undefined
  /** The directory that relative paths start from. */
  readonly base: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly hostname: string
}

/** The only place that trusts the shape of the value. */
export const assemble = (value: unknown, { file, base, env, hostname }: Origin): Config => {
  const { gateway, log, api, sources, sinks } = value as Accepted
  const absolute = (path: string) => resolve(base, path)
  const listen = parseListen(api.listen)
  const data = gateway.data === undefined ? defaultDataDirectory(env) : absolute(gateway.data)
  if (listen === undefined) throw new TidegateError('TG_INTERNAL', 'api.listen was accepted and cannot be parsed')
  if (data === undefined) {
    throw new TidegateError('TG_CONFIG_INVALID', 'there is no home directory for the data: set gateway.data or $HOME')
  }
  return freeze({
    file,
    gateway: {
      id: gateway.id ?? defaultGatewayId(hostname),
      data,
      clockWaitMs: gateway.clockWait,
      plugins: gateway.plugins.map(absolute),
      devices: gateway.devices.map(absolute),
    },
    log: {
      commitDelayMs: log.commitDelay,
      maxBytes: log.maxBytes,
      maxAgeMs: log.maxAge,
      minFreeBytes: log.minFree,
      whenFull: log.whenFull,
      keep: log.keep.map(({ per, ...policy }) => ({ ...policy, perMs: per })),
    },
    api: {
      listen,
      tls: api.tls === undefined ? undefined : { cert: absolute(api.tls.cert), key: absolute(api.tls.key) },
      tokens: api.tokens,
      origins: api.origins.map((origin) => origin.replace(/\/$/, '')),
    },
    sources: list(sources).map(part),
    sinks: list(sinks).map(part),
  })
}

/** The gateway's id when the configuration does not give one: the host name without its domain. */
export const defaultGatewayId = (hostname: string): string => {
  const label = hostname.split('.')[0] ?? ''
  const id = label
    .replace(/[^A-Za-z0-9_-]+/g, '-')
    .replace(/^[-_]+/, '')
    .slice(0, MAX_NAME_LENGTH)
  return isName(id) ? id : 'tidegate'
}

// What coreSchema accepts, its defaults filled in and its units resolved.
interface Accepted {
  readonly gateway: {
    readonly id?: string
    readonly data?: string
    readonly clockWait: number
    readonly plugins: readonly string[]
    readonly devices: readonly string[]
  }
  readonly log: {
    readonly commitDelay: number
    readonly maxBytes: number
    readonly maxAge: number
    readonly minFree: number
    readonly whenFull: Config['log']['whenFull']
    readonly keep: readonly (Omit<KeepConfig, 'perMs'> & { readonly per: number })[]
  }
  readonly api: {
    readonly listen: string
    readonly tls?: { readonly cert: string; readonly key: string }
    readonly tokens: readonly TokenConfig[]
    readonly origins: readonly string[]
  }
  readonly sources: unknown
  readonly sinks: unknown
}

const part = (value: unknown): PartConfig => {
  const { name, type, ...settings } = record(value)
  return { name: String(name), type: String(type), settings }
}

const freeze = <T>(value: T): T => {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) freeze(member)
  }
  return value
}
