// Commands on their way to devices, whoever sends them: checked against the device's profile, written into the log before they
// are sent (what cannot be written down is not sent), handed to the source that heard the device, and written down again with
// what became of them. In time and number bounded; an id is not sent twice while it is remembered.

import { createHash, randomUUID } from 'node:crypto'
import type { CommandAudit, CommandDesk, CommandOrder } from '../core/command.ts'
import type { Clock, Command, Intake, Logger, Meter, Source } from '../core/contract.ts'
import { describe, TidegateError } from '../core/errors.ts'
import type { DeviceProfile, ProfileCommand } from '../core/profile.ts'
import { withDeadline } from '../core/time.ts'
import { auditMessage, shownPayload } from './audit.ts'
import { checkedPayload, checkTopic, commandRequest, type NamedRequest, wrong } from './request.ts'
import { deviceCaptures, type WrittenCommand, writeCommand } from './writing.ts'

/** Who waits longer for a valve than this had better ask again. */
const DEADLINE_MS = 10_000
/** Commands under way at a time: each holds its payload. */
const MAX_PENDING = 256
/** Ids that are remembered, for who sends a command again because the answer was lost. */
const MAX_IDS = 1_000
/** Of an error, in the log. */
const MAX_ERROR_CHARACTERS = 500

export interface CommanderOptions {
  readonly sources: () => readonly { readonly name: string; readonly source: Source }[]
  /** Through what the device was heard last, and which profile decoded it. */
  readonly heard: (device: string) => { readonly source: string; readonly profile: string } | undefined
  readonly profiles: readonly DeviceProfile[]
  readonly intake: Intake
  readonly clock: Clock
  readonly logger: Logger
  readonly meter: Meter
  readonly deadlineMs?: number
}

interface Remembered {
  readonly digest: string
  readonly done: Promise<string>
}

export class Commander implements CommandDesk {
  readonly #options: CommanderOptions
  readonly #profiles: ReadonlyMap<string, DeviceProfile>
  readonly #deadlineMs: number
  /** By device and id, the oldest first. */
  readonly #remembered = new Map<string, Remembered>()
  readonly #outcomes = new Set<Promise<void>>()
  #pending = 0
  #closed = false

  constructor(options: CommanderOptions) {
    this.#options = options
    this.#profiles = new Map(options.profiles.map((profile) => [profile.name, profile]))
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS
  }

  async request(device: string, body: unknown, by: string): Promise<string> {
    const request = commandRequest(body)
    const { id } = request
    const written = request.kind === 'named' ? this.#written(device, request) : this.#raw(device, request)
    const order = {
      device,
      by,
      payload: written.payload,
      qos: written.qos,
      ...(written.topic === undefined ? {} : { topic: written.topic }),
      ...(request.kind === 'named' ? { command: request.command } : {}),
    }
    return id === undefined ? this.#order(order, randomUUID()) : this.#once(order, id)
  }

  async send(order: CommandOrder): Promise<string> {
    if (order.topic !== undefined) checkTopic(order.topic)
    return this.#order({ ...order, payload: checkedPayload(order.payload) }, randomUUID())
  }

  offered(device: string): readonly ProfileCommand[] {
    const commands = this.#profile(device)?.commands ?? []
    return commands.filter((command) => deviceCaptures(command, device) !== undefined)
  }

  /** Waits for the audit entries of what is under way; takes nothing more. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.all(this.#outcomes)
  }

  #profile(device: string): DeviceProfile | undefined {
    return this.#profiles.get(this.#options.heard(device)?.profile ?? '')
  }

  #written(device: string, request: NamedRequest): WrittenCommand {
    const name = request.command
    const offered = this.offered(device)
    const command = offered.find((one) => one.name === name)
    const captures = command === undefined ? undefined : deviceCaptures(command, device)
    if (command !== undefined && captures !== undefined) return writeCommand(command, captures, request)
    if (this.#options.heard(device) === undefined)
      throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `the device '${device.slice(0, 200)}' has not been heard`)
    const known = offered.map((one) => `'${one.name}'`).join(', ')
    throw wrong(
      `the profile of '${device.slice(0, 200)}' has no command '${name.slice(0, 60)}'; it has ${known || 'none'}`,
    )
  }

  #raw(device: string, raw: WrittenCommand): WrittenCommand {
    const profile = this.#profile(device)
    if (profile?.rawCommands !== false) return raw
    const known = this.offered(device).map(({ name }) => `'${name}'`)
    throw wrong(
      `profile ${profile.name} lets its devices be told by 'command' only, which is ${known.join(', ') || 'nothing'}`,
    )
  }

  // The same id means the same command: what became of it the first time is the answer.
  #once(order: Ordered, id: string): Promise<string> {
    const key = `${id}\n${order.device}`
    const { device, topic, payload, qos } = order
    const digest = createHash('sha256')
      .update(JSON.stringify([device, topic, qos]))
      .update(payload)
      .digest('base64url')
    const known = this.#remembered.get(key)
    if (known?.digest === digest) return known.done
    if (known !== undefined) throw wrong(`the id '${id}' was used for another command`)
    const done = this.#order(order, id)
    this.#remembered.set(key, { digest, done })
    // What never reached the device may be tried again.
    done.catch((error: unknown) => {
      if (!(error instanceof LateSource)) this.#remembered.delete(key)
    })
    for (const oldest of this.#remembered.keys()) {
      if (this.#remembered.size <= MAX_IDS) break
      this.#remembered.delete(oldest)
    }
    return done
  }

  async #order(order: Ordered, id: string): Promise<string> {
    const { meter } = this.#options
    if (this.#closed) throw new TidegateError('TG_UNAVAILABLE', 'the gateway is stopping')
    if (this.#pending >= MAX_PENDING)
      throw new TidegateError('TG_TOO_MANY', `${MAX_PENDING} commands are under way already`)
    // Without a topic, MQTT sources publish to the device's name.
    if (order.topic === undefined && order.device.startsWith('$'))
      throw wrong(`the name '${order.device.slice(0, 200)}' begins with $, which is for servers: say a 'topic'`)
    this.#pending++
    try {
      const { name, send } = this.#route(order)
      const command: Command = {
        id,
        device: order.device,
        payload: order.payload,
        qos: order.qos ?? 1,
        ...(order.topic === undefined ? {} : { topic: order.topic }),
      }
      const audit = this.#audit(order, id, name)
      await this.#writeDown({ ...audit, ...shownPayload(order.payload) })
      // A plug-in may throw at once.
      await this.#sendAudited(
        Promise.resolve().then(() => send(command)),
        audit,
      )
      meter.add('commands_total', { reason: 'sent' })
      return id
    } catch (error) {
      meter.add('commands_total', { reason: error instanceof TidegateError ? error.code : 'failed' })
      throw error
    } finally {
      this.#pending--
    }
  }

  #audit(order: Ordered, id: string, source: string): CommandAudit {
    const { device, by, command, topic, reason } = order
    return {
      id,
      device,
      by,
      source,
      ...(command === undefined ? {} : { command }),
      ...(topic === undefined ? {} : { topic }),
      ...(reason === undefined ? {} : { reason }),
      at: this.#options.clock.wallMs(),
    }
  }

  // The source that heard the device last; a device that was never heard is reached by topic, through the first that publishes:
  // a serial line has no topics, and would take the payload for its own device.
  #route({ device, topic, source: wanted }: Ordered): { name: string; send: NonNullable<Source['send']> } {
    const name = wanted ?? this.#options.heard(device)?.source
    const candidates = this.#options.sources().filter(({ source }) => source.send !== undefined)
    const found =
      candidates.find((one) => one.name === name) ??
      (topic === undefined || wanted !== undefined ? undefined : candidates.find(({ source }) => source.publishes))
    const source = found?.source
    if (found === undefined || source?.send === undefined)
      throw new TidegateError('TG_COMMAND_UNDELIVERABLE', `no source reaches the device '${device.slice(0, 200)}'`)
    return { name: found.name, send: source.send.bind(source) }
  }

  async #writeDown(audit: CommandAudit): Promise<void> {
    const { intake } = this.#options
    const refused = (reason: string, cause?: unknown) =>
      new TidegateError('TG_UNAVAILABLE', `the command was not sent: ${reason}`, { cause })
    if (intake.refusal !== undefined) throw refused(`it cannot be written into the log (${intake.refusal})`)
    try {
      const late = () => refused('it was not written into the log in time')
      await withDeadline(intake.deliver(auditMessage(audit)), this.#deadlineMs, late)
    } catch (error) {
      const refusal =
        error instanceof TidegateError && error.code === 'TG_UNAVAILABLE'
          ? error
          : refused('it cannot be written into the log', error)
      // Should it become durable after all, what follows says that it went no further.
      const { payload: _, payloadBytes: __, ...rest } = audit
      this.#tell({ ...rest, outcome: 'failed', error: refusal.message })
      throw refusal
    }
  }

  async #sendAudited(sending: Promise<void>, audit: CommandAudit): Promise<void> {
    const { source } = audit
    const late = () =>
      new LateSource(`source '${source}' did not take the command within ${this.#deadlineMs} ms; it may still`)
    try {
      await withDeadline(sending, this.#deadlineMs, late)
      this.#tell({ ...audit, outcome: 'sent' })
    } catch (error) {
      const outcome = error instanceof LateSource ? 'unknown' : 'failed'
      this.#tell({ ...audit, outcome, error: describe(error).slice(0, MAX_ERROR_CHARACTERS) })
      if (error instanceof TidegateError) throw error
      const message = `source '${source}' failed: ${describe(error).slice(0, MAX_ERROR_CHARACTERS)}`
      throw new TidegateError('TG_COMMAND_UNDELIVERABLE', message, { cause: error })
    }
  }

  // Nobody waits for it: the device has the command, or has not, whatever the log says now.
  #tell(audit: CommandAudit): void {
    const { clock, intake, logger } = this.#options
    const told = withDeadline(intake.deliver(auditMessage({ ...audit, at: clock.wallMs() })), this.#deadlineMs, () => {
      return new TidegateError('TG_LOG_WRITE', 'the log did not take it in time')
    }).then(
      () => undefined,
      (error: unknown) => {
        logger.warn(
          { command: audit.id, outcome: audit.outcome, reason: describe(error) },
          'the outcome of a command is not in the log',
        )
      },
    )
    this.#outcomes.add(told)
    void told.finally(() => this.#outcomes.delete(told))
  }
}

/** Nobody knows whether the device has it. */
class LateSource extends TidegateError {
  constructor(message: string) {
    super('TG_UNAVAILABLE', message)
  }
}

/** An order, and the name of the command that it was made from. */
interface Ordered extends CommandOrder {
  readonly command?: string
}
