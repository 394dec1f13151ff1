// POST /api/v1/devices/{device}/commands, and what became of earlier ones: the audit entries of the log, so that a restart
// forgets none of them.

import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { COMMAND_SOURCE, type CommandAudit, type CommandDesk, type CommandRecord } from '../core/command.ts'
import type { Entry, Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import type { Live } from '../live/live.ts'
import type { ApiContext } from './context.ts'
import { parseBody } from './request-body.ts'

export const COMMANDS_PATH = '/commands'
/** The newest commands of a device that are shown. */
const MAX_SHOWN = 100
/** Each command has two entries. */
const MAX_AUDITS = 2 * MAX_SHOWN + 2
/** Where the newest are looked for first, in seqs. */
const NEAR = 16_384
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
  const untilMs = performance.now() + MAX_LOOK_MS
  let audits: Entry[] = []
  let complete = true
  // From the end, in ever longer stretches: a look that ends early has found the newest.
  for (let last = live.durable(), length = NEAR; last > 0 && complete; length *= 4) {
    const after = Math.max(0, last - length)
    const stretch = await auditsBetween(live, device, { after, last, untilMs }, signal)
    audits = [...stretch.audits, ...audits].slice(-MAX_AUDITS)
    complete = stretch.complete
    if (audits.length >= MAX_AUDITS) break
    last = after
  }
  const found = new Map<string, CommandRecord>()
  for (const entry of audits) collect(found, entry, device)
  if (found.size === 0 && complete) return undefined
  const commands = [...found.values()].reverse().map((record) => ({ ...record, at: new Date(record.at).toISOString() }))
  return JSON.stringify({ device, commands, ...(complete ? {} : { partial: true }) })
}

const auditsBetween = async (
  live: Live,
  device: string,
  { after, last, untilMs }: { readonly after: Seq; readonly last: Seq; readonly untilMs: number },
  signal: AbortSignal,
): Promise<{ readonly audits: readonly Entry[]; readonly complete: boolean }> => {
  const filter = { channel: (_topic: string, source: string) => source === COMMAND_SOURCE }
  let audits: Entry[] = []
  for (let position = after; position < last; ) {
    const page = await live.scan.read(position, signal, undefined, filter)
    const own = page.entries.filter((entry) => entry.seq <= last && auditOf(entry)?.device === device)
    audits = [...audits, ...own].slice(-MAX_AUDITS)
    if (page.next <= position) break
    position = page.next
    if (performance.now() >= untilMs && position < last) return { audits, complete: false }
    await nextTurn()
  }
  return { audits, complete: true }
}

const collect = (found: Map<string, CommandRecord>, entry: Entry, device: string): void => {
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
const auditOf = ({ payload, source }: Entry): CommandAudit | undefined => {
  if (source !== COMMAND_SOURCE) return undefined
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
