// Asks the running gateway over its HTTP API, at the address that the configuration gives it. What keeps it from answering
// becomes an operating error that says what to do.

import { readFile } from 'node:fs/promises'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { rootCertificates } from 'node:tls'
import type { Config } from '../config/config.ts'
import { isLoopback } from '../config/listen.ts'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { UsageError } from './verb.ts'

/** An answer that is larger is not from tidegate: a full list of readings has tens of megabytes at most. */
const MAX_BODY_BYTES = 268_435_456

export interface Answer {
  readonly status: number
  /** undefined when there is none, as with 204. */
  readonly body: unknown
}

export interface GatewayClient {
  readonly url: string
  /** Resolves with 2xx and 304; throws TG_GATEWAY_UNREACHABLE, or what the gateway refused with. */
  get(path: string, options: { readonly signal: AbortSignal; readonly timeoutMs: number }): Promise<Answer>
}

export interface ClientOptions {
  /** Instead of the configured address. */
  readonly url: string | undefined
  readonly config: () => Promise<Config>
  readonly env: Readonly<Record<string, string | undefined>>
}

/** The token, where the gateway wants one, comes from the environment: an argument would show in the list of processes. */
const TOKEN_VARIABLE = 'TIDEGATE_TOKEN'

export const gatewayClient = async ({ url, config, env }: ClientOptions): Promise<GatewayClient> => {
  const token = env[TOKEN_VARIABLE]
  const headers = { accept: 'application/json', ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  const { base, ca } = url === undefined ? await fromConfig(await config()) : { base: parseBase(url), ca: undefined }
  return {
    url: base.origin,
    get: (path, { signal, timeoutMs }) =>
      new Promise((resolve, reject) => {
        const unreachable = (error: unknown) => {
          if (signal.aborted) return reject(signal.reason)
          const reason = systemCode(error) ?? describe(error)
          reject(new TidegateError('TG_GATEWAY_UNREACHABLE', `no gateway answers at ${base.origin} (${reason})`))
        }
        const send = base.protocol === 'https:' ? httpsRequest : httpRequest
        const request = send(new URL(path, base), {
          headers,
          ...(ca === undefined ? {} : { ca: [...rootCertificates, ca], checkServerIdentity: () => undefined }),
        })
        const late = () => request.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`))
        const onAbort = () => request.destroy()
        const timer = setTimeout(late, timeoutMs)
        if (signal.aborted) onAbort()
        signal.addEventListener('abort', onAbort)
        request.on('close', () => {
          clearTimeout(timer)
          signal.removeEventListener('abort', onAbort)
        })
        request.on('error', unreachable)
        request.on('response', (response) => {
          readBody(response)
            .then((text) => resolve(interpret(response.statusCode ?? 0, text)), unreachable)
            .catch(reject)
        })
        request.end()
      }),
  }
}

// Our own certificate, read from our own disk, is trusted for whatever name it carries: we ask on a loopback address.
const fromConfig = async ({ api }: Config) => {
  const { host, port } = api.listen
  if (port === 0) throw new UsageError('api.listen leaves the port to the system; say where the gateway is with --url')
  const local = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  const shown = local.includes(':') ? `[${local}]` : local
  const ca = api.tls === undefined || !isLoopback(local) ? undefined : await readFile(api.tls.cert, 'utf8')
  return { base: new URL(`${api.tls === undefined ? 'http' : 'https'}://${shown}:${port}`), ca }
}

const parseBase = (url: string): URL => {
  const base = URL.canParse(url) ? new URL(url) : undefined
  if (base !== undefined && ['http:', 'https:'].includes(base.protocol) && base.username === '') return base
  throw new UsageError(`--url must be http://HOST:PORT or https://HOST:PORT, not '${url}'`)
}

const readBody = async (response: IncomingMessage): Promise<string> => {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of response) {
    const bytes = Buffer.from(chunk)
    sizeBytes += bytes.length
    if (sizeBytes > MAX_BODY_BYTES) throw new Error(`the answer is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks).toString()
}

const interpret = (status: number, text: string): Answer => {
  const body = parse(text)
  // Not healthy (503) still is an answer: the report itself says why.
  if (status < 400 || (status === 503 && isRecord(body) && 'healthy' in body)) return { status, body }
  const detail = isRecord(body) ? String(body['detail'] ?? body['title'] ?? '') : ''
  const suffix = detail === '' ? '' : `: ${detail}`
  if (status === 401)
    throw new TidegateError('TG_UNAUTHORIZED', `the gateway wants a token in ${TOKEN_VARIABLE}${suffix}`)
  if (status < 500) throw new TidegateError('TG_BAD_REQUEST', `the gateway refused with ${status}${suffix}`)
  throw new TidegateError('TG_UNAVAILABLE', `the gateway answered ${status}${suffix}`)
}

const parse = (text: string): unknown => {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch (error) {
    throw new TidegateError('TG_GATEWAY_UNREACHABLE', 'what answers there is not tidegate', { cause: error })
  }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
