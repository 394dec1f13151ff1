// POST /api/v1/devices/{device}/commands, and what became of earlier ones: the audit entries of the log, so that a restart
// forgets none of them.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { COMMAND_SOURCE, type CommandAudit, type CommandDesk, type CommandRecord } from '../core/command.ts'
import type { Entry } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { Live } from '../live/live.ts'
import type { ApiContext } from './context.ts'
import { parseBody } from './request-body.ts'

export const COMMANDS_PATH = '/commands'
/** The newest commands of a device that are shown. */
const MAX_SHOWN = 100
/** A look at the log ends after so long with what it has found; it passes over what other topics hold. */
const MAX_LOOK_MS = 5_000

export const registerCommands = (app: FastifyInstance, { access, options }: ApiContext): void => {
  app.post('/api/v1/devices/*', async (request, reply) => {
    const rest = pathRest(request.params)
    if (!rest.endsWith(COMMANDS_PATH))
      throw new TidegateError('TG_METHOD_NOT_ALLOWED', 'POST is for /api/v1/devices/{device}/commands')
    const { value } = parseBody(request.body)
    const device = rest.slice(0, -COMMANDS_PATH.length)
    const id = await sendCommand(options.commands, device, value, access.caller('rest', request.headers.authorization))
    return reply.code(202).send({ id })
  })
}

/** Resolves with its id once the device's source took the command. */
export const sendCommand = async (
  commands: CommandDesk | undefined,
  device: unknown,
  body: unknown,
  by: string,
): Promise<string> => {
  if (typeof device !== 'string' || device === '') throw new TidegateError('TG_BAD_REQUEST', `'device' is not a text`)
  if (commands === undefined)
    throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `no source takes commands for '${device.slice(0, 200)}'`)
  return commands.request(device, body, by)
}

/** `{"device","commands":[…]}`, the newest first; undefined where there are none. */
export const commandsPage = async (live: Live, device: string, signal: AbortSignal): Promise<string | undefined> => {
  const end = live.durable()
  const found = new Map<string, CommandRecord>()
  const filter = { channel: (_topic: string, source: string) => source === COMMAND_SOURCE }
  const startedMs = performance.now()
  let complete = true
  for (let position = 0; position < end; ) {
    const page = await live.scan.read(position, signal, undefined, filter)
    for (const entry of page.entries) collect(found, entry, device)
    if (page.next <= position) break
    position = page.next
    complete = performance.now() - startedMs < MAX_LOOK_MS
    if (!complete) break
    await nextTurn()
  }
  if (found.size === 0 && complete) return undefined
  const commands = [...found.values()].reverse().map((record) => ({ ...record, at: new Date(record.at).toISOString() }))
  return JSON.stringify({ device, commands, ...(complete ? {} : { partial: true }) })
}

const collect = (found: Map<string, CommandRecord>, entry: Entry, device: string): void => {
  if (entry.source !== COMMAND_SOURCE) return
  const audit = auditOf(entry)
  if (audit?.device !== device) return
  const { outcome, error } = audit
  const known = found.get(audit.id)
  const { payload, payloadBytes } = known ?? audit
  found.set(audit.id, {
    ...audit,
    seq: known?.seq ?? entry.seq,
    // The log corrects its times once the clock is set.
    at: known?.at ?? entry.receivedAt,
    ...(payload === undefined ? {} : { payload }),
    ...(payloadBytes === undefined ? {} : { payloadBytes }),
    outcome: outcome ?? 'pending',
    ...(error === undefined ? {} : { error }),
  })
  for (const oldest of found.keys()) {
    if (found.size <= MAX_SHOWN) break
    found.delete(oldest)
  }
}

// The gateway wrote it, this version or another.
const auditOf = ({ payload }: Entry): CommandAudit | undefined => {
  let value: unknown
  try {
    value = JSON.parse(payload.toString())
  } catch {
    return undefined // a plug-in's invention: it is nobody's record
  }
  if (typeof value !== 'object' || value === null) return undefined
  return 'id' in value && typeof value.id === 'string' && 'device' in value ? (value as CommandAudit) : undefined
}

/** What stands behind /devices/. */
export const pathRest = (params: unknown): string => {
  const rest = typeof params === 'object' && params !== null && '*' in params ? params['*'] : ''
  return typeof rest === 'string' ? rest : ''
}
