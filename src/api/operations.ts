// What operators ask: status, liveness, readiness, metrics, and what this API is.

import type { FastifyInstance } from 'fastify'
import { TidegateError } from '../core/errors.ts'
import type { ApiContext } from './context.ts'
import { openApi } from './openapi.ts'
import { sendProblem } from './problem.ts'

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

export const registerOperations = (app: FastifyInstance, { access, options }: ApiContext): void => {
  app.get('/livez', async (_request, reply) => reply.header('cache-control', 'no-store').send({ alive: true }))
  app.get('/readyz', async (_request, reply) => {
    const { ready, reasons } = options.readiness()
    if (ready) return reply.header('cache-control', 'no-store').send({ ready, reasons })
    const error = new TidegateError('TG_UNAVAILABLE', reasons.join('; ') || 'the gateway is not ready')
    return sendProblem(reply, error, { ready, reasons })
  })
  app.get('/metrics', async (_request, reply) =>
    reply
      .header('content-type', METRICS_TYPE)
      .header('cache-control', 'no-store')
      .send(await options.metrics()),
  )
  app.get('/api/v1/status', async (_request, reply) => reply.header('cache-control', 'no-store').send(options.status()))
  const description = JSON.stringify(openApi({ version: options.version, tokenRequired: access.tokenRequired }))
  app.get('/api/v1/openapi.json', async (_request, reply) =>
    reply.header('content-type', 'application/json; charset=utf-8').send(description),
  )
  const { configSchema } = options
  if (configSchema === undefined) return
  app.get('/api/v1/config-schema.json', async (_request, reply) =>
    reply.header('content-type', 'application/schema+json; charset=utf-8').send(JSON.stringify(configSchema)),
  )
}
