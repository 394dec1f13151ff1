// The audit entries of commands: ordinary messages of the log, from a source that nobody can name and on topics that no client
// can publish to. They decode to nothing (decode/router.ts), so they are kept, exported and accounted for, and no device.

import { COMMAND_SOURCE, COMMAND_TOPIC, type CommandAudit } from '../core/command.ts'
import type { Message } from '../core/contract.ts'

/** How much of a payload is kept: enough to see what was said. */
const MAX_SHOWN_CHARACTERS = 1_024

export const auditMessage = (audit: CommandAudit): Message => ({
  topic: auditTopic(audit.device),
  payload: Buffer.from(JSON.stringify(audit)),
  source: COMMAND_SOURCE,
  qos: 1,
  retain: false,
})

/** Names of devices may hold what topics may not. */
const auditTopic = (device: string): string => `${COMMAND_TOPIC}${device.replace(/[%+#]/g, encodeURIComponent)}`

export const shownPayload = (payload: Buffer): Pick<CommandAudit, 'payload' | 'payloadBytes'> => ({
  payload: payload.toString('utf8', 0, 4 * MAX_SHOWN_CHARACTERS).slice(0, MAX_SHOWN_CHARACTERS),
  payloadBytes: payload.length,
})
