// Modbus as a source: polls what the profiles of its units list, and puts each unit's raw answers of a cycle into the log as
// one message under the unit's device. Writes registers and coils as commands.

import type { Command, Health, Intake, Source } from '../../core/contract.ts'
import { describe, TidegateError } from '../../core/errors.ts'
import type { SourceContext } from '../../core/plugin-contract.ts'
import type { OpenChannel } from './channel.ts'
import type { ModbusError } from './client.ts'
import type { Framing } from './frame-port.ts'
import { type Cycle, cyclePayload } from './message.ts'
import { Poller } from './poller.ts'
import { Unit, type UnitSettings } from './unit.ts'
import { parseWrites } from './write-command.ts'

/** Cycles that may wait for the disk; while there are more, turns are left out and counted. */
const MAX_UNDURABLE = 64
/** Commands that may wait for their turn; each takes a round trip. */
const MAX_COMMANDS = 100
/** Health is one line on a dashboard. */
const MAX_UNITS_SHOWN = 16
const MAX_NAMES_SHOWN = 10
/** Requests a second are an average over about this time. */
const RATE_MS = 10_000

export interface ModbusSettings {
  readonly open: OpenChannel
  readonly framing: Framing
  /** For people: the path or host and port. */
  readonly where: string
  readonly interFrameDelayMs: number
  readonly units: readonly UnitSettings[]
}

export class ModbusSource implements Source {
  readonly #settings: ModbusSettings
  readonly #context: SourceContext
  readonly #units: readonly Unit[]
  readonly #stop = new AbortController()
  #poller: Poller | undefined
  #running: Promise<void> | undefined
  #undurable = 0
  #full = false
  #commands = 0
  #requests = 0
  #errors = 0
  #skipped = 0
  #rate = { sinceMs: 0, requests: 0, perSecond: 0 }
  #state: Health['state'] = 'starting'
  #health: Health

  constructor(settings: ModbusSettings, context: SourceContext) {
    this.#settings = settings
    this.#context = context
    this.#units = settings.units.map((unit) => {
      const section = context.profile(unit.profile)?.modbus
      if (section === undefined)
        throw new TidegateError(
          'TG_CONFIG_INVALID',
          `sources[${context.name}]: the profile ${unit.profile} has no section modbus`,
        )
      return new Unit(unit, section, settings.framing === 'tcp')
    })
    this.#health = { state: 'starting', since: context.clock.wallMs(), reason: 'not started' }
  }

  /** A port that is not there yet is waited for: plugging it in is what the gateway is for. */
  async start(intake: Intake, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { name: source, meter, logger, clock } = this.#context
    const { open, framing, interFrameDelayMs } = this.#settings
    this.#rate.sinceMs = clock.monotonicMs()
    const poller = new Poller({
      open,
      framing,
      interFrameDelayMs,
      units: this.#units,
      clock,
      logger,
      mayPoll: () => !this.#full && this.#undurable < MAX_UNDURABLE,
      cycle: (unit, cycle) => this.#deliver(intake, unit, cycle),
      requested: () => {
        this.#requests++
        meter.add('modbus_requests_total', { source })
      },
      failed: (reason) => {
        this.#errors++
        meter.add('modbus_errors_total', { source, reason })
      },
      skipped: () => {
        this.#skipped++
        meter.add('modbus_skipped_polls_total', { source })
      },
    })
    this.#poller = poller
    this.#state = 'ok'
    this.#running = poller.run(this.#stop.signal)
  }

  health(): Health {
    const next = this.#now()
    // A state that lasts keeps the time of its beginning.
    if (next.state !== this.#health.state) this.#health = { ...next, since: this.#context.clock.wallMs() }
    else this.#health = { ...next, since: this.#health.since }
    return this.#health
  }

  async send(command: Command): Promise<void> {
    const unit = this.#units.find(({ settings }) => settings.device === command.device)
    if (unit === undefined)
      throw new TidegateError(
        'TG_COMMAND_UNDELIVERABLE',
        `no unit of source ${this.#context.name} is the device '${command.device}'`,
      )
    const writes = parseWrites(command.payload, unit.section.write)
    if (this.#poller === undefined || this.#state !== 'ok')
      throw new TidegateError('TG_UNAVAILABLE', `source ${this.#context.name} is not running`)
    if (this.#commands >= MAX_COMMANDS)
      throw new TidegateError('TG_TOO_MANY', `${MAX_COMMANDS} commands wait for source ${this.#context.name} already`)
    this.#commands++
    const done: string[] = []
    try {
      for (const { name, request } of writes) {
        await this.#poller.write(unit, request)
        done.push(name)
      }
    } catch (error) {
      const failed = writes[done.length]?.name ?? ''
      const before = done.length === 0 ? '' : `; ${done.join(', ')} was written before`
      const { kind } = error as ModbusError
      throw new TidegateError(
        kind === 'port' ? 'TG_UNAVAILABLE' : 'TG_COMMAND_UNDELIVERABLE',
        `unit ${unit.settings.unit} (${unit.settings.device}), ${failed}: ${describe(error)}${before}`,
      )
    } finally {
      this.#commands--
    }
  }

  async close(): Promise<void> {
    this.#state = 'closed'
    this.#stop.abort()
    await this.#running
  }

  #deliver(intake: Intake, unit: Unit, cycle: Cycle): void {
    const { name: source, meter, logger } = this.#context
    if (cycle.online !== undefined) {
      const about = { unit: cycle.unit, device: unit.settings.device }
      if (cycle.online) logger.info(about, 'modbus unit answers')
      else logger.warn({ ...about, reason: unit.reason }, 'modbus unit does not answer')
    }
    this.#undurable++
    const room = intake.append(
      { topic: unit.settings.device, payload: cyclePayload(cycle), source, qos: 1, retain: false },
      (error) => {
        this.#undurable--
        // The log says so itself and tells why; here it only counts.
        if (error !== undefined) meter.add('modbus_skipped_polls_total', { source })
      },
    )
    if (!room) void this.#waitForRoom(intake)
  }

  async #waitForRoom(intake: Intake): Promise<void> {
    if (this.#full) return
    this.#full = true
    try {
      await intake.ready(1)
      this.#full = false
    } catch (error) {
      this.#context.logger.warn({ reason: describe(error) }, 'modbus stops polling: the log takes nothing any more')
    }
  }

  #now(): Omit<Health, 'since'> {
    if (this.#state !== 'ok') return { state: this.#state, reason: this.#state === 'closed' ? 'closed' : 'not started' }
    const detail = this.#detail()
    const down = this.#poller?.downReason
    if (down !== undefined)
      return { state: 'degraded', reason: `${this.#settings.where}: ${down}; it is tried again and again`, detail }
    if (this.#full || this.#undurable >= MAX_UNDURABLE)
      return { state: 'degraded', reason: 'the log takes no more for now; polling waits', detail }
    const silent = this.#units.filter(({ state }) => state === 'silent')
    const [first] = silent
    if (first === undefined) return { state: 'ok', detail }
    const hint = first.late ? '; it answers later than that, so raise its timeout' : ''
    const who = silent.map(({ settings }) => settings.unit).slice(0, MAX_UNITS_SHOWN)
    const reason = `${silent.length} of ${this.#units.length} units without answer (${who.join(', ')}): ${first.reason}${hint}`
    // One that sleeps at night is no fault of the gateway; a bus on which nobody answers is.
    return { state: silent.length < this.#units.length ? 'ok' : 'degraded', reason, detail }
  }

  #detail(): Record<string, string | number | boolean> {
    const refused = this.#units.flatMap(({ refused: names, settings }) =>
      names.map((name) => `${settings.device} ${name}`),
    )
    const states = this.#units
      .slice(0, MAX_UNITS_SHOWN)
      .map((unit) => [`unit ${unit.settings.unit}`, `${unit.settings.device}: ${unit.reason ?? unit.state}`] as const)
    return {
      port: this.#settings.where,
      open: this.#poller?.downReason === undefined,
      units: this.#units.length,
      requests: this.#requests,
      requestsPerSecond: this.#requestsPerSecond(),
      errors: this.#errors,
      skippedPolls: this.#skipped,
      ...(refused.length === 0 ? {} : { refusedRegisters: refused.slice(0, MAX_NAMES_SHOWN).join(', ') }),
      ...Object.fromEntries(states),
    }
  }

  #requestsPerSecond(): number {
    const now = this.#context.clock.monotonicMs()
    const elapsedMs = now - this.#rate.sinceMs
    const perSecond = elapsedMs <= 0 ? 0 : ((this.#requests - this.#rate.requests) * 1_000) / elapsedMs
    if (elapsedMs >= RATE_MS) this.#rate = { sinceMs: now, requests: this.#requests, perSecond }
    const shown = elapsedMs < RATE_MS / 2 && this.#rate.perSecond > 0 ? this.#rate.perSecond : perSecond
    return Math.round(shown * 10) / 10
  }
}
