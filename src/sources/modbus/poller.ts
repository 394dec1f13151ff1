// The only one who speaks on a bus: keeps the channel open, gives each unit its turn (the one that waits longest first), runs
// commands between two requests, and hands what came of each cycle to the source. A unit that does not answer costs one
// time-out now and then; the others do not wait for it otherwise.

import type { Clock, Logger } from '../../core/contract.ts'
import { describe } from '../../core/errors.ts'
import { retryDelayMs } from '../../core/time.ts'
import type { OpenChannel } from './channel.ts'
import { ModbusClient, ModbusError, type WriteRequest } from './client.ts'
import type { Framing } from './frame-port.ts'
import type { Cycle, CycleError } from './message.ts'
import { Pause } from './pause.ts'
import type { PlannedRead } from './read-plan.ts'
import type { Unit } from './unit.ts'

/** A device that is plugged in again is found within two seconds. */
const REOPEN = { baseMs: 250, capMs: 1_000 }
/** A port that is gone for longer than a re-plug takes its units with it. */
const GONE_AFTER_MS = 5_000
/** When nobody has answered for so long the channel itself is doubted. */
const DOUBT_AFTER_MS = 1_500
/** And after this time it is opened anew in any case. */
const REOPEN_AFTER_MS = 60_000
/** What always times out while its unit answers everything else is not there for that unit. */
const MAX_TIMEOUTS = 3
/** Gateway path unavailable, gateway target does not respond: the unit behind a gateway is silent. */
const SILENT_CODES: readonly number[] = [10, 11]
/** Illegal address, and what some devices say instead. */
const REFUSAL_CODES: readonly number[] = [2, 3]
const ILLEGAL_FUNCTION = 1
const NOBODY = 'nobody answers any more'
const STILL_OWED = 'it owes the answer to the command before, which may still come: send it again in a moment'

export interface PollerOptions {
  readonly open: OpenChannel
  readonly framing: Framing
  readonly interFrameDelayMs: number
  readonly units: readonly Unit[]
  readonly clock: Clock
  readonly logger: Logger
  /** Whether there is room for another message. While there is none, turns are left out. */
  readonly mayPoll: () => boolean
  readonly cycle: (unit: Unit, cycle: Cycle) => void
  readonly requested: () => void
  readonly failed: (reason: string) => void
  readonly skipped: () => void
}

interface Job {
  readonly run: (client: ModbusClient) => Promise<void>
  readonly fail: (error: ModbusError) => void
}

export class Poller {
  readonly #options: PollerOptions
  readonly #pause = new Pause()
  readonly #jobs: Job[] = []
  #client: ModbusClient | undefined
  #downSinceMs: number
  #downReason: string | undefined = 'not opened yet'
  #heardMs = 0
  #quietUntilMs = 0
  /** How often it was opened, or tried to, since somebody answered. */
  #fruitless = 0
  /** What was said last about the port: it is said once, however often it is tried. */
  #complaint: string | undefined

  constructor(options: PollerOptions) {
    this.#options = options
    this.#downSinceMs = options.clock.monotonicMs()
  }

  /** Why there is no channel; undefined while there is one. */
  get downReason(): string | undefined {
    return this.#downReason
  }

  /** Runs until the signal, which it obeys at once; nothing is open afterwards. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const stop = () => this.#client?.lose('the source is closing')
    signal.addEventListener('abort', stop)
    while (!signal.aborted) {
      if (this.#client !== undefined) await this.#step(this.#client, signal)
      else {
        if (this.#fruitless > 0) await this.#pause.wait(retryDelayMs(this.#fruitless - 1, REOPEN), signal)
        if (!signal.aborted) await this.#open(signal)
      }
    }
    signal.removeEventListener('abort', stop)
    this.#failJobs('the source is closing')
    await this.#client?.close()
    this.#client = undefined
  }

  /** Writes one value, between two requests of the polling. Rejects with ModbusError. */
  write(unit: Unit, request: WriteRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#client === undefined) {
        reject(new ModbusError('port', this.#downReason ?? 'the port is not open'))
        return
      }
      const run = async (client: ModbusClient) => {
        if (!unit.mayWrite(this.#now())) {
          reject(new ModbusError('silent', STILL_OWED))
          return
        }
        try {
          await this.#ask(() => client.write(unit.settings.unit, request, unit.settings.timeoutMs))
          unit.readSoon(this.#now())
          resolve()
        } catch (error) {
          const failure = asModbusError(error)
          this.#options.failed(failure.kind)
          if (failure.kind === 'silent' || failure.kind === 'damaged') unit.writeTimedOut(this.#now())
          reject(failure)
        }
      }
      this.#jobs.push({ run, fail: reject })
      this.#pause.wake()
    })
  }

  async #step(client: ModbusClient, signal: AbortSignal): Promise<void> {
    await this.#runJobs(client)
    if (client.closed || (await this.#isDoubtful(client))) {
      await this.#drop(client, client.lossReason ?? NOBODY)
      return
    }
    const { units } = this.#options
    const unit = units.reduce<Unit | undefined>(
      (next, one) => (next === undefined || one.dueMs < next.dueMs ? one : next),
      undefined,
    )
    const now = this.#now()
    const waitMs = (unit?.dueMs ?? Number.POSITIVE_INFINITY) - now
    if (unit === undefined || waitMs > 0) {
      await this.#pause.wait(Math.min(waitMs, DOUBT_AFTER_MS), signal)
      return
    }
    if (!this.#options.mayPoll()) {
      unit.takeTurn(now)
      this.#options.skipped()
      return
    }
    await this.#cycle(client, unit)
  }

  async #cycle(client: ModbusClient, unit: Unit): Promise<void> {
    const queue = [...unit.takeTurn(this.#now())]
    const reads: (PlannedRead & { readonly data: Buffer })[] = []
    const errors: CycleError[] = []
    let answers = 0
    for (let read = queue.shift(); read !== undefined; read = queue.shift()) {
      await this.#runJobs(client)
      try {
        const wanted = read
        const data = await this.#ask(() => client.read(unit.settings.unit, wanted, unit.settings.timeoutMs))
        answers++
        unit.inTime(wanted)
        reads.push({ ...wanted, data })
      } catch (thrown) {
        const error = asModbusError(thrown)
        if (error.kind === 'port') {
          client.lose(error.message) // the next step opens it anew; what was read of this turn is read again
          return
        }
        this.#options.failed(error.kind)
        const silent = error.kind !== 'exception' || SILENT_CODES.includes(error.code ?? 0)
        if (!silent) answers++
        if (error.kind === 'exception' && REFUSAL_CODES.includes(error.code ?? 0)) {
          const parts = unit.part(read)
          if (parts.length > 0) {
            queue.unshift(...parts)
            continue
          }
        }
        errors.push({ table: read.table, address: read.address, count: read.count, error })
        if (silent) {
          const times = unit.timedOut(read, this.#now())
          if (answers > 0 && times >= MAX_TIMEOUTS && unit.part(read).length === 0) unit.refuse(read, this.#now())
          break
        }
        if ([...REFUSAL_CODES, ILLEGAL_FUNCTION].includes(error.code ?? 0)) unit.refuse(read, this.#now())
      }
    }
    this.#finish(unit, { reads, errors, answers })
  }

  #finish(
    unit: Unit,
    { reads, errors, answers }: Pick<Cycle, 'reads' | 'errors'> & { readonly answers: number },
  ): void {
    const { cycle } = this.#options
    const number = unit.settings.unit
    const now = this.#now()
    if (answers > 0) {
      this.#heard(now)
      const news = unit.answered()
      if (news || reads.length > 0 || errors.length > 0)
        cycle(unit, { unit: number, ...(news ? { online: true } : {}), reads, errors })
      return
    }
    const [error] = errors
    if (error === undefined) return // nothing was left to read
    const known = unit.state !== 'silent'
    const gone = unit.unanswered(error.error.message, now)
    // Once it counts as gone nothing new is to be said until it is back.
    if (known) cycle(unit, { unit: number, ...(gone ? { online: false } : {}), reads, errors })
  }

  async #ask<T>(request: () => Promise<T>): Promise<T> {
    const quietMs = this.#quietUntilMs - this.#now()
    if (quietMs > 0) await this.#pause.silence(quietMs)
    this.#options.requested()
    try {
      return await request()
    } finally {
      this.#quietUntilMs = this.#now() + this.#options.interFrameDelayMs
    }
  }

  async #runJobs(client: ModbusClient): Promise<void> {
    for (let job = this.#jobs.shift(); job !== undefined; job = this.#jobs.shift()) await job.run(client)
  }

  async #open(signal: AbortSignal): Promise<void> {
    this.#fruitless++
    const { open, framing, units } = this.#options
    try {
      this.#client = await ModbusClient.open(open, framing, { stray: (bytes) => this.#stray(bytes) }, signal)
    } catch (error) {
      if (signal.aborted) return
      const reason = describe(error)
      this.#complain(reason)
      this.#downReason = reason
      this.#failJobs(reason)
      this.#loseUnits(reason)
      return
    }
    const now = this.#now()
    this.#downReason = undefined
    this.#heardMs = now
    this.#quietUntilMs = now + this.#options.interFrameDelayMs
    for (const unit of units) unit.connected(now)
  }

  async #drop(client: ModbusClient, reason: string): Promise<void> {
    this.#complain(reason)
    this.#options.failed('port')
    this.#client = undefined
    this.#downSinceMs = this.#now()
    this.#downReason = reason
    this.#failJobs(reason)
    await client.close()
  }

  // Nobody answers although some are asked: the port may be gone without a word, or the connection half open.
  async #isDoubtful(client: ModbusClient): Promise<boolean> {
    const { units } = this.#options
    const silentMs = this.#now() - this.#heardMs
    const longestMs = Math.max(...units.map(({ dueMs }) => dueMs)) - this.#now()
    if (silentMs < DOUBT_AFTER_MS || units.every(({ failing }) => !failing)) return false
    if (silentMs > Math.max(REOPEN_AFTER_MS, longestMs)) return true
    return !(await client.stillThere())
  }

  #loseUnits(reason: string): void {
    if (this.#now() - this.#downSinceMs < GONE_AFTER_MS) return
    for (const unit of this.#options.units)
      if (unit.gone(reason)) {
        const error = { message: reason, code: undefined }
        this.#options.cycle(unit, { unit: unit.settings.unit, online: false, reads: [], errors: [{ error }] })
      }
  }

  #heard(now: number): void {
    this.#heardMs = now
    if (this.#complaint !== undefined) this.#options.logger.info({}, 'modbus answers again')
    this.#complaint = undefined
    this.#fruitless = 0
  }

  #complain(reason: string): void {
    if (this.#complaint !== reason) this.#options.logger.warn({ reason }, 'modbus port does not serve')
    this.#complaint = reason
  }

  #stray(bytes: Buffer): void {
    this.#options.failed('stray')
    for (const unit of this.#options.units)
      if (unit.failing && bytes[0] === unit.settings.unit) unit.cameLate(this.#now())
  }

  #failJobs(reason: string): void {
    for (const { fail } of this.#jobs.splice(0)) fail(new ModbusError('port', reason))
  }

  #now(): number {
    return this.#options.clock.monotonicMs()
  }
}

const asModbusError = (error: unknown): ModbusError =>
  error instanceof ModbusError ? error : new ModbusError('port', describe(error))
