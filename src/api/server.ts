// The HTTP side of the gateway: REST, event streams, the WebSocket, the dashboard. This file puts the parts together, decides
// who may come in, and turns whatever goes wrong into a problem that says so.

import { createServer as createHttpServer, type RequestListener, type Server, STATUS_CODES } from 'node:http'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify'
import { describe, systemCode, TidegateError } from '../core/errors.ts'
import { delay } from '../core/time.ts'
import { Access } from './access.ts'
import { BodyCache } from './body-cache.ts'
import { registerCommands } from './commands.ts'
import type { ApiContext } from './context.ts'
import { registerDashboard } from './dashboard.ts'
import { registerDevices } from './devices.ts'
import { registerEvents } from './events.ts'
import { registerHistory } from './history.ts'
import { registerIngest } from './ingest.ts'
import { LongPolls } from './long-polls.ts'
import { registerOperations } from './operations.ts'
import { API_LIMITS, type ApiOptions } from './options.ts'
import { parseQuery } from './parameters.ts'
import { badRequest, PROBLEM_TYPE, problemText, sendProblem, toTidegateError } from './problem.ts'
import { registerProfileDraft } from './profile-draft.ts'
import { registerReadings } from './readings.ts'
import { BODY_TYPES, MAX_BODY_BYTES } from './request-body.ts'
import { Streams } from './streams.ts'
import { LiveSockets } from './websocket.ts'

/** Slow senders: all headers within, the whole request within, and how often somebody looks. */
const HEADERS_TIMEOUT_MS = 10_000
const REQUEST_TIMEOUT_MS = 30_000
const CHECK_INTERVAL_MS = 5_000
/** Longer than pollers and proxies pause, so that they keep their connection. */
const KEEP_ALIVE_MS = 75_000
const MAX_HEADER_BYTES = 16 * 1024
/** How long clients have to take their last answer when the gateway stops. */
const CLOSE_GRACE_MS = 1_000
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']

export interface ApiServer {
  /** Resolves when requests are answered. Rejects with TG_PORT_IN_USE or TG_LISTEN_FAILED. */
  start(): Promise<{ readonly address: string }>
  /** Idempotent, in any state, never throws. */
  close(): Promise<void>
}

export const createServer = (options: ApiOptions): ApiServer => {
  const context = contextOf(options)
  const sockets = new LiveSockets(context)
  let closing: Promise<void> | undefined
  const app = createApp(context, () => closing !== undefined)

  const start = async () => {
    const { host, port } = options.listen
    await register(app, context)
    sockets.attach(app.server)
    try {
      // fastify does not know what kind of server it was given.
      const address = await app.listen({ host, port })
      return { address: options.tls === undefined ? address : address.replace(/^http:/, 'https:') }
    } catch (error) {
      throw listenError(error, host, port)
    }
  }
  const close = async () => {
    context.longPolls.close()
    context.streams.close()
    const closed = app.close().catch((error: unknown) => {
      options.logger.warn({ error: describe(error) }, 'the api did not close cleanly')
    })
    const grace = new AbortController()
    const graceOver = delay(CLOSE_GRACE_MS, grace.signal).catch(() => undefined)
    await Promise.race([closed, graceOver])
    grace.abort()
    context.streams.destroy()
    sockets.destroy()
    app.server.closeAllConnections()
    await closed
  }
  return {
    start,
    close: () => {
      closing ??= close()
      return closing
    },
  }
}

const contextOf = (options: ApiOptions): ApiContext => {
  const { listen, live, meter, origins, tokens } = options
  const limits = { ...API_LIMITS, ...options.limits }
  return {
    options,
    limits,
    access: new Access({ tokens, origins, listenHost: listen.host }),
    bodies: new BodyCache(live),
    longPolls: new LongPolls(live, limits.longPolls),
    streams: new Streams(limits, meter),
  }
}

const createApp = (context: ApiContext, isClosing: () => boolean): FastifyInstance => {
  const app: FastifyInstance = fastify({
    serverFactory: (listener) => createNodeServer(context, listener),
    bodyLimit: MAX_BODY_BYTES,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: true,
    routerOptions: { querystringParser: parseQuery },
    logger: false,
    frameworkErrors: (error, _request, reply) => void sendProblem(reply, badRequest(error.message)),
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(BODY_TYPES, { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request, reply) => admit(context, request, reply))
  app.addHook('onSend', async (_request, reply) => {
    if (isClosing()) reply.header('connection', 'close')
  })
  app.setErrorHandler((error, request, reply) => {
    const known = toTidegateError(error)
    const { logger, meter } = context.options
    if (known === undefined)
      logger.error({ method: request.method, url: request.url, error: describe(error) }, 'request failed')
    else meter.add('api_refused_total', { reason: known.code })
    // The rest of the body is read and dropped, within the request timeout: closing at once would reset the connection, and
    // the client might never see why.
    if (known?.code === 'TG_BODY_TOO_LARGE') reply.removeHeader('connection')
    return sendProblem(reply, known ?? new TidegateError('TG_INTERNAL', 'the log of the gateway says more'))
  })
  app.setNotFoundHandler((request, reply) =>
    sendProblem(reply, new TidegateError('TG_NOT_FOUND', `there is nothing at ${request.url.slice(0, 200)}`)),
  )
  return app
}

const createNodeServer = ({ limits, options }: ApiContext, listener: RequestListener): Server => {
  const { meter, tls } = options
  const settings = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: CHECK_INTERVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  const server =
    tls === undefined ? createHttpServer(settings, listener) : createTlsServer({ ...settings, ...tls }, listener)
  server.maxConnections = limits.connections
  server.on('drop', () => meter.add('api_refused_total', { reason: 'TG_TOO_MANY' }))
  server.on('clientError', refuseMalformed)
  return server
}

const createTlsServer = (settings: ServerOptions, listener: RequestListener): Server => {
  try {
    return createHttpsServer({ ...settings, handshakeTimeout: HEADERS_TIMEOUT_MS }, listener)
  } catch (error) {
    throw new TidegateError('TG_CONFIG_INVALID', 'api.tls: the certificate and the key cannot be used', {
      cause: error,
    })
  }
}

const register = async (app: FastifyInstance, context: ApiContext): Promise<void> => {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', (route) => {
    const known = methods.get(route.url) ?? new Set()
    for (const one of [route.method].flat()) known.add(one)
    methods.set(route.url, known)
    if (route.method === 'HEAD') route.onSend = [...[route.onSend ?? []].flat(), dropEmptyLength]
  })
  registerReadings(app, context)
  await registerIngest(app, context)
  registerDevices(app, context)
  registerCommands(app, context)
  registerHistory(app, context)
  registerProfileDraft(app, context)
  registerEvents(app, context)
  registerOperations(app, context)
  await registerDashboard(app, context)
  app.get('/api/v1/live', async () => {
    throw badRequest('this is a WebSocket; ask for an upgrade')
  })
  for (const [url, allowed] of [...methods]) {
    const allow = [...allowed].join(', ')
    const others = METHODS.filter((method) => !allowed.has(method))
    const refuse = async (_request: FastifyRequest, reply: FastifyReply) => {
      reply.header('allow', allow)
      throw new TidegateError('TG_METHOD_NOT_ALLOWED', `${url} takes ${allow}`)
    }
    // Before the body is read: it does not matter what it is.
    app.route({ method: others, url, onRequest: refuse, handler: refuse })
  }
}

/** fastify says content-length 0 to a HEAD without a body; with 204 and 304 that would be wrong (RFC 9110, 8.6). */
const dropEmptyLength = async (_request: FastifyRequest, reply: FastifyReply): Promise<void> => {
  if (reply.statusCode === 204 || reply.statusCode === 304) reply.removeHeader('content-length')
}

/** Host, origin, token, in this order: the first two concern browsers, which must not even learn whether a token is right. */
const admit = async (
  { access }: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply | undefined> => {
  const { authorization, host, origin } = request.headers
  reply.header('x-content-type-options', 'nosniff')
  if (!access.hostAllowed(host))
    throw new TidegateError('TG_FORBIDDEN', `host '${(host ?? '').slice(0, 100)}' is not this gateway's`)
  if (origin !== undefined) {
    const reads = request.method === 'GET' || request.method === 'HEAD'
    // A page of another origin can send a GET, but the browser does not let it see the answer.
    if (!reads && !access.originAllowed(origin, host))
      throw new TidegateError('TG_FORBIDDEN', `origin '${origin.slice(0, 100)}' may not do this`)
    if (access.isForeign(origin)) {
      reply.header('access-control-allow-origin', origin).header('vary', 'origin')
      reply.header('access-control-expose-headers', 'etag, tidegate-seq')
      if (request.method === 'OPTIONS') {
        reply.header('access-control-allow-methods', 'GET, HEAD, POST')
        reply.header(
          'access-control-allow-headers',
          'authorization, content-encoding, content-type, idempotency-key, if-none-match, last-event-id',
        )
        return reply.header('access-control-max-age', 600).code(204).send()
      }
    }
  }
  if (isGuarded(request) && !access.authorized(authorization))
    throw new TidegateError('TG_UNAUTHORIZED', 'the request carries no valid token')
  return undefined
}

/** Open without a token are only what supervisors ask, and the page that asks for the token. The route counts, not how it was spelt. */
const isGuarded = ({ routeOptions, url }: FastifyRequest): boolean => {
  const path = routeOptions.url ?? url
  return path.startsWith('/api/') || path === '/metrics' || path === '/write'
}

/** What Node could not parse never becomes a request. */
const refuseMalformed = (error: Error, socket: Socket): void => {
  const code = systemCode(error)
  if (!socket.writable || code === 'ECONNRESET') {
    socket.destroy()
    return
  }
  const status = code === 'HPE_HEADER_OVERFLOW' ? 431 : code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const body = problemText(badRequest(`this is no valid HTTP request: ${STATUS_CODES[status]}`), { status })
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: ${PROBLEM_TYPE}`
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => socket.destroy())
}

const listenError = (error: unknown, host: string, port: number): TidegateError => {
  const where = `api.listen: ${host.includes(':') ? `[${host}]` : host}:${port}`
  if (systemCode(error) === 'EADDRINUSE')
    return new TidegateError('TG_PORT_IN_USE', `${where}: port ${port} is in use`, { cause: error })
  return new TidegateError('TG_LISTEN_FAILED', `${where} cannot be listened on`, { cause: error })
}
