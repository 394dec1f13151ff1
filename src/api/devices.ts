// GET /api/v1/devices and /devices/{device}; POST /devices/{device}/commands. A device's name may hold slashes, so the path
// behind /devices/ is the name, percent-encoded or not.

import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Command } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { topicNameFault } from '../core/topic.ts'
import { jsonArray } from '../live/batch.ts'
import type { ApiContext } from './context.ts'
import { badRequest } from './problem.ts'
import { parseBody } from './request-body.ts'

const COMMANDS = '/commands'

export const registerDevices = (app: FastifyInstance, { options }: ApiContext): void => {
  const { clock, live } = options
  app.get('/api/v1/devices', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { seq: live.seq, devices: live.state.devices(clock) }
  })
  app.get('/api/v1/devices/*', async (request, reply) => {
    const device = pathRest(request)
    const report = live.state.device(device, clock)
    if (report === undefined) throw unknownDevice(device)
    const members = JSON.stringify({ seq: live.seq, ...report }).slice(0, -1)
    return reply
      .header('cache-control', 'no-store')
      .header('content-type', 'application/json; charset=utf-8')
      .send(`${members},"readings":${jsonArray(live.state.readingsOf(device))}}`)
  })
  app.post('/api/v1/devices/*', async (request, reply) => {
    const rest = pathRest(request)
    if (!rest.endsWith(COMMANDS))
      throw new TidegateError('TG_METHOD_NOT_ALLOWED', 'POST is for /api/v1/devices/{device}/commands')
    const { value } = parseBody(request.body)
    const command = commandFrom(rest.slice(0, -COMMANDS.length), value)
    await sendCommand(options.send, command)
    return reply.code(202).send({ id: command.id })
  })
}

/** Resolves once the device's source took the command. */
export const sendCommand = async (
  send: ((command: Command) => Promise<void>) | undefined,
  command: Command,
): Promise<void> => {
  if (send === undefined)
    throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `no source takes commands for '${command.device}'`)
  await send(command)
}

/** Checks `{"topic"?, "payload", "qos"?}`. A text is sent as it is, anything else as JSON. */
export const commandFrom = (device: unknown, value: unknown): Command => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw badRequest('a command is an object')
  if (typeof device !== 'string' || device === '') throw badRequest(`'device' is not a text`)
  const members = new Map<string, unknown>(Object.entries(value))
  const topic = members.get('topic')
  const payload = members.get('payload')
  const qos = members.get('qos') ?? 0
  if (payload === undefined) throw badRequest(`'payload' is missing`)
  if (qos !== 0 && qos !== 1 && qos !== 2) throw badRequest(`'qos' is not 0, 1 or 2`)
  if (topic !== undefined) {
    const fault = typeof topic === 'string' ? topicNameFault(topic) : 'is not a text'
    if (fault !== undefined) throw badRequest(`'topic' ${fault}`)
  }
  return {
    id: randomUUID(),
    device,
    payload: Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)),
    qos,
    ...(typeof topic === 'string' && { topic }),
  }
}

const unknownDevice = (device: string): TidegateError =>
  new TidegateError('TG_NOT_FOUND', `device '${device.slice(0, 200)}' has not been heard`)

const pathRest = (request: FastifyRequest): string => {
  const { params } = request
  const rest = typeof params === 'object' && params !== null && '*' in params ? params['*'] : ''
  return typeof rest === 'string' ? rest : ''
}
