// Plays a history on the real log over a simulated disk, beside the model, and checks after each turn of fate that the log
// keeps what it promised.

import type { Entry, Seq } from '../../src/core/contract.ts'
import { TidegateError } from '../../src/core/errors.ts'
import type { Log, LogReader, ReadLimit } from '../../src/core/log-contract.ts'
import { openCursor } from '../../src/log/cursor.ts'
import type { FileSystem } from '../../src/log/file-system.ts'
import { openLog } from '../../src/log/log.ts'
import { openReader } from '../../src/log/reader.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'
import { LogModel, Violation } from './log-model.ts'
import { ModelCursor } from './log-model-cursor.ts'
import { messageOf } from './log-model-message.ts'
import type { Outcome, Parts } from './log-model-parts.ts'
import type { History, Setting, Step } from './log-model-steps.ts'
import { Crashed, SimulatedMachine } from './simulated-disk-machine.ts'

const DIRECTORY = '/data'
/** What a keep policy is about, and filters ask for. */
const KEPT = 'topic/0'
/** Calls without which there is nothing to open. */
const READING = ['open', 'read', 'list', 'size', 'makeDirectory'] as const

/** Resolves when the log kept every promise; rejects with a Violation, or with whatever the log threw. */
export const play = async ({ setting, steps }: History, parts: Parts = {}): Promise<Outcome> => {
  const machine = new SimulatedMachine(setting)
  const restore = machine.time.install()
  const player = new Player(setting, machine, parts)
  try {
    await player.open()
    for (const step of steps) await player.step(step)
    await player.finish()
    return player.outcome
  } finally {
    restore()
  }
}

/** Seqs that may have been seen beyond the durable one. Before the first commit of a run, only those that it showed. */
const givenBeyond = (log: Log): number => (log.info().commits > 0 ? log.info().pendingMessages : 0)

class Player {
  readonly #setting: Setting
  readonly #machine: SimulatedMachine
  readonly #parts: Parts
  readonly #model = new LogModel()
  readonly #cursor: ModelCursor
  #fileSystem: FileSystem
  #log: Log | undefined
  #follower: { readonly reader: LogReader; after: Seq } | undefined
  #number = 0
  /** Not settled, neither way. */
  #unsettled = 0
  #crashes = 0
  #refusals = 0
  #refusedStarts = 0

  constructor(setting: Setting, machine: SimulatedMachine, parts: Parts) {
    this.#setting = setting
    this.#machine = machine
    this.#parts = parts
    this.#cursor = new ModelCursor(machine, parts.openCursor ?? openCursor)
    this.#fileSystem = this.#start()
  }

  get outcome(): Outcome {
    return {
      calls: this.#machine.disk.done,
      crashes: this.#crashes,
      promised: this.#model.promised.size,
      refusals: this.#refusals,
      refusedStarts: this.#refusedStarts,
    }
  }

  #start(): FileSystem {
    const disk = this.#machine.disk.start()
    return this.#parts.between?.(disk) ?? disk
  }

  async step(step: Step): Promise<void> {
    await this.#survive(async () => {
      switch (step.do) {
        case 'append':
          this.#append(step)
          if (step.wait) await this.#commit()
          return
        case 'commit':
          return this.#commit()
        case 'reopen':
          return this.#reopen()
        case 'crash':
          this.#machine.disk.crash(step.how)
          throw new Crashed()
        case 'crashAfter':
          this.#machine.disk.crashAfter(step.calls, step.how)
          return
        case 'read':
          return this.#read(step)
        case 'settle':
          return this.#settle(step.upTo, step.flush)
        case 'recordLoss':
          return this.#recordLoss(step.count)
        case 'time':
          return this.#machine.pass(step.ms)
        case 'fail':
          this.#model.faulty = true
          this.#model.unreadable ||= READING.some((call) => call === step.call)
          this.#machine.disk.fail(step.call, step.code, step)
          return
        case 'fill':
          this.#model.faulty = true
          this.#machine.disk.capacityBytes = this.#machine.disk.usedBytes + step.freeBytes
          return
        case 'heal':
          return this.#heal()
      }
    })
  }

  /** In the end everything works again, is closed, and opened once more. */
  async finish(): Promise<void> {
    await this.#survive(() => this.#heal())
    await this.#survive(() => this.#commit())
    await this.#survive(() => this.#settleDown())
    await this.#survive(() => this.#checkAll())
    await this.#survive(() => this.#reopen())
    await this.#survive(() => this.#checkAll())
  }

  async open(): Promise<void> {
    await this.#survive(() => this.#open())
  }

  /** Does it; when the process or the machine dies over it, starts again, as often as that takes. */
  async #survive(work: () => Promise<void>): Promise<void> {
    try {
      await work()
      if (this.#machine.disk.crashed === undefined) return
    } catch (error) {
      if (!(error instanceof Crashed)) throw error
    }
    for (;;) {
      this.#crashes++
      this.#died()
      try {
        await this.#open()
        await this.#checkAll()
        return
      } catch (error) {
        if (!(error instanceof Crashed)) throw error
      }
    }
  }

  #died(): void {
    const log = this.#log
    if (log !== undefined) this.#model.ends(log.durable, givenBeyond(log))
    this.#log = undefined
    this.#cursor.forget()
    this.#follower = undefined
    this.#unsettled = 0
    this.#machine.restart()
    this.#fileSystem = this.#start()
  }

  /** A disk that cannot be read may keep the log from opening; one that cannot be written must not. */
  async #open(): Promise<void> {
    for (;;) {
      this.#machine.disk.failed.clear()
      try {
        return await this.#openOnce()
      } catch (error) {
        const excused = READING.some((call) => this.#machine.disk.failed.has(call))
        if (!(error instanceof TidegateError) || !excused) throw error
        this.#refusedStarts++
        this.#machine.disk.heal()
      }
    }
  }

  async #openOnce(): Promise<void> {
    const { segmentBytes, maxSegments, whenFull, commitDelayMs, newestKept } = this.#setting
    const logger = rememberingLogger()
    const log = await this.#machine.wait(
      'open',
      (this.#parts.openLog ?? openLog)({
        directory: DIRECTORY,
        gateway: 'greenhouse',
        clock: this.#machine.time.clock(),
        logger,
        meter: rememberingMeter(),
        fileSystem: this.#fileSystem,
        tryLock: () => true,
        commitDelayMs,
        segmentBytes,
        maxBytes: maxSegments * segmentBytes,
        maxAgeMs: 30 * 86_400_000,
        minFreeBytes: 0,
        whenFull,
        ...(newestKept > 0 ? { keep: [{ topic: KEPT, newest: newestKept, perMs: 60_000 }] } : {}),
      }),
    )
    this.#log = log
    log.onDurable((entries) => {
      this.#heard(() => {
        for (const entry of entries) this.#model.durable(entry)
      })
    })
    log.onUndurable((entries) => {
      this.#heard(() => {
        for (const entry of entries) this.#model.shown(entry)
      })
    })
    // What became durable before anybody could listen.
    const reader = log.reader()
    await this.#check(reader, this.#model.newest, { entries: 100, bytes: 1_000_000 })
    await this.#machine.wait('close the reader', reader.close())
    const fileSystem = this.#fileSystem
    await this.#cursor.open({ directory: `${DIRECTORY}/cursors`, name: 'cloud', fileSystem }, this.#model.unreadable)
  }

  /** The log must not notice what the model thinks of it. */
  #heard(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      this.#machine.failure ??= error
    }
  }

  get #open_(): Log {
    if (this.#log === undefined) throw new Error('no log is open')
    return this.#log
  }

  #append(step: Extract<Step, { do: 'append' }>): void {
    const log = this.#open_
    const { model, disk } = { model: this.#model, disk: this.#machine.disk }
    for (let index = 0; index < step.count; index++) {
      const message = messageOf(++this.#number, step.bytes, step.topics)
      model.appended(message)
      this.#unsettled++
      log.append(message, (error, seq) => {
        if (disk.crashed !== undefined || this.#log !== log) return
        this.#unsettled--
        if (error !== undefined) {
          this.#refusals++
          return
        }
        this.#heard(() => {
          model.acknowledged(message, seq)
          model.isNew(seq)
        })
      })
    }
  }

  /** Until everything is settled, or the disk takes nothing. */
  async #commit(): Promise<void> {
    const log = this.#open_
    await this.#machine.until('commit', () => this.#unsettled === 0 || log.info().state === 'refusing')
    if (log.info().state === 'refusing') {
      if (!this.#model.faulty && this.#setting.whenFull !== 'refuse')
        throw new Violation(`a healthy disk is refused: ${log.info().reason ?? ''}`)
      return
    }
    // Retention writes a mark of its own at any time.
    await this.#machine.until('commit what the log adds', () => log.info().pendingMessages === 0 || this.#model.faulty)
    if (!this.#model.faulty) this.#checkInfo()
  }

  #checkInfo(): void {
    const { info } = { info: this.#open_.info() }
    if (info.pendingMessages !== 0 || info.pendingBytes !== 0)
      throw new Violation(`${info.pendingMessages} messages with ${info.pendingBytes} bytes are pending`)
    if (info.first > info.last + 1 && info.messagesAppended > 0)
      throw new Violation(`the log goes from ${info.first} to ${info.last}`)
  }

  async #reopen(): Promise<void> {
    const log = this.#open_
    const wasFull = log.info().state === 'refusing'
    await this.#machine.wait('close', Promise.all([log.close(), this.#cursor.close()]))
    if (this.#unsettled > 0) throw new Violation(`${this.#unsettled} messages are not settled when the log is closed`)
    this.#model.ends(log.durable, 0)
    this.#log = undefined
    this.#follower = undefined
    this.#machine.time.forget()
    this.#fileSystem = this.#start()
    const before = log.durable
    await this.#open()
    // A full log that refuses has no room for the word that it was closed.
    const mayBeFull = wasFull || this.#setting.whenFull === 'refuse'
    if (!this.#model.faulty && !mayBeFull && this.#open_.durable !== before)
      throw new Violation(`durable was ${before} at a clean close, and is ${this.#open_.durable}`)
  }

  async #read({ after, entries, bytes, follow }: Extract<Step, { do: 'read' }>): Promise<void> {
    const log = this.#open_
    if (follow) this.#follower ??= { reader: log.reader(), after: Math.floor(after * log.durable) }
    const from = follow && this.#follower !== undefined ? this.#follower.after : Math.floor(after * log.durable)
    const reader = follow && this.#follower !== undefined ? this.#follower.reader : log.reader()
    await this.#check(reader, from, { entries, bytes })
    if (follow && this.#follower !== undefined) this.#follower.after = Math.max(from, log.durable)
    else await this.#machine.wait('close the reader', reader.close())
  }

  /** What this process reads, and what another one would. */
  async #checkAll(): Promise<void> {
    const log = this.#open_
    const limit = { entries: 100, bytes: 1_000_000 }
    const reader = log.reader()
    const found = await this.#check(reader, 0, limit)
    await this.#machine.wait('close the reader', reader.close())
    const asking = log.reader()
    const filtering = this.#model.checkFiltered(asking, { topic: KEPT, limit, found })
    await this.#excused(this.#machine.wait('read with a filter', filtering))
    await this.#machine.wait('close the reader', asking.close())
    const other = openReader({
      directory: DIRECTORY,
      fileSystem: this.#fileSystem,
      durable: () => Number.POSITIVE_INFINITY,
    })
    await this.#check(other, 0, limit, () => Number.POSITIVE_INFINITY)
    await this.#machine.wait('close the reader', other.close())
  }

  async #check(
    reader: LogReader,
    from: Seq,
    limit: ReadLimit,
    durable: () => Seq = () => this.#open_.durable,
  ): Promise<readonly Entry[]> {
    const reading = this.#model.check(reader, durable, from, limit)
    return (await this.#excused(this.#machine.wait('read', reading))) ?? []
  }

  /** A disk that cannot be read is told to the reader, who comes again. */
  async #excused<T>(reading: Promise<T>): Promise<T | undefined> {
    try {
      return await reading
    } catch (error) {
      if (!this.#model.faulty || error instanceof Violation || error instanceof Crashed) throw error
      return undefined
    }
  }

  async #settle(share: number, flush: boolean): Promise<void> {
    const log = this.#open_
    const seq = Math.floor(share * log.durable)
    if (seq > this.#model.settled) this.#model.settled = seq
    log.settledUpTo(this.#model.settled)
    await this.#cursor.settle(seq, flush, this.#model.faulty)
  }

  async #recordLoss(count: number): Promise<void> {
    const log = this.#open_
    const last = Math.max(1, log.durable)
    const first = Math.max(1, last - count)
    this.#unsettled++
    log
      .recordLoss({ first, last, count, reason: 'rejected', detail: `${++this.#number}` })
      .catch(() => undefined)
      .then(() => {
        if (this.#log === log) this.#unsettled--
      })
    await this.#machine.quiet()
  }

  async #heal(): Promise<void> {
    this.#machine.disk.heal()
    const log = this.#open_
    // The next attempt comes by itself, within seconds; a full log waits for its sinks.
    await this.#machine.until('go on after the disk is well', () => {
      if (this.#setting.whenFull === 'refuse') this.#settleAll(log)
      return log.info().state === 'ok'
    })
  }

  /** What the log adds by itself, marks that it owed, is written too. */
  async #settleDown(): Promise<void> {
    const log = this.#open_
    await this.#machine.until('write everything', () => {
      if (this.#setting.whenFull === 'refuse') this.#settleAll(log)
      return log.info().pendingMessages === 0
    })
    this.#model.settledDown = true
  }

  #settleAll(log: Log): void {
    this.#model.settled = Math.max(this.#model.settled, log.durable)
    log.settledUpTo(this.#model.settled)
  }
}
