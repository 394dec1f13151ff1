// Who may use the API: bearer tokens, compared as digests in constant time; browser origins; and, on a loopback address, the
// Host header, because a page of the Web may point a name of its own at 127.0.0.1 (DNS rebinding).

import { createHash, timingSafeEqual } from 'node:crypto'
import { isIP } from 'node:net'
import type { ApiToken } from './options.ts'

const HASH_PREFIX = 'sha256:'
const HASH_LENGTH = 32
/** Longer than any token; nobody gets a megabyte hashed. */
const MAX_TOKEN_LENGTH = 512

export interface AccessOptions {
  readonly tokens: readonly ApiToken[]
  readonly origins: readonly string[]
  readonly listenHost: string
}

export class Access {
  /** Whether a token is needed at all. */
  readonly tokenRequired: boolean
  readonly #digests: readonly { readonly name: string; readonly digest: Buffer }[]
  readonly #origins: ReadonlySet<string>
  readonly #hosts: ReadonlySet<string> | undefined

  constructor({ tokens, origins, listenHost }: AccessOptions) {
    this.tokenRequired = tokens.length > 0
    this.#digests = tokens
      .map(({ name, hash }) => ({ name, digest: digestOf(hash) }))
      .filter(({ digest }) => digest.length === HASH_LENGTH)
    const urls = origins.map(parseUrl).filter((url) => url !== undefined)
    this.#origins = new Set(urls.map(({ origin }) => origin))
    this.#hosts = isLoopback(listenHost)
      ? new Set([listenHost.toLowerCase(), 'localhost', ...urls.map(({ hostname }) => hostname)])
      : undefined
  }

  tokenValid(token: string): boolean {
    return this.tokenName(token) !== undefined
  }

  /** Name of a valid token. */
  tokenName(token: string): string | undefined {
    if (token.length > MAX_TOKEN_LENGTH) return undefined
    const digest = createHash('sha256').update(token).digest()
    let found: string | undefined
    for (const known of this.#digests) if (timingSafeEqual(known.digest, digest)) found = known.name
    return found
  }

  /** Who asks by this way, for the records: `rest`, or `rest:NAME` with a token. */
  caller(way: string, header: string | undefined): string {
    const token = bearer(header)
    const name = token === undefined ? undefined : this.tokenName(token)
    return name === undefined ? way : `${way}:${name}`
  }

  /** Whether the Authorization header carries a valid token, or none is needed. */
  authorized(header: string | undefined): boolean {
    if (!this.tokenRequired) return true
    const token = bearer(header)
    return token !== undefined && this.tokenValid(token)
  }

  /** Names that DNS could point anywhere are refused on loopback; addresses are not names. */
  hostAllowed(host: string | undefined): boolean {
    if (this.#hosts === undefined || host === undefined) return true
    const name = /^(?:\[([0-9a-f:.]+)\]|([^:]+))(?::\d{1,5})?$/i.exec(host)
    const hostname = (name?.[1] ?? name?.[2] ?? '').toLowerCase()
    return isIP(hostname) !== 0 || hostname.endsWith('.localhost') || this.#hosts.has(hostname)
  }

  /** No Origin (not a browser), the gateway's own, or a configured one. */
  originAllowed(origin: string | undefined, host: string | undefined): boolean {
    return origin === undefined || this.#origins.has(origin) || this.#isOwn(origin, host)
  }

  /** Whether the origin is one that was configured, so that the browser has to be told (CORS). */
  isForeign(origin: string): boolean {
    return this.#origins.has(origin)
  }

  #isOwn(origin: string, host: string | undefined): boolean {
    return host !== undefined && parseUrl(origin)?.host === host.toLowerCase()
  }
}

/** `Token` is what clients of InfluxDB say instead. */
const bearer = (header: string | undefined): string | undefined =>
  /^(?:bearer|token) +(\S+) *$/i.exec((header ?? '').slice(0, 2 * MAX_TOKEN_LENGTH))?.[1]

const digestOf = (hash: string): Buffer =>
  Buffer.from(hash.startsWith(HASH_PREFIX) ? hash.slice(HASH_PREFIX.length) : '', 'hex')

const isLoopback = (host: string): boolean =>
  host.toLowerCase() === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

const parseUrl = (text: string): URL | undefined => (URL.canParse(text) ? new URL(text) : undefined)
