// The inside of the forward thread: one forwarder for each sink, hints in, figures out. worker.ts hands it the parts; what
// kind of log, plug-ins or logger they are is not known here.

import { join } from 'node:path'
import type { MessagePort } from 'node:worker_threads'
import type { Clock, Decode, Decoding, Entry, Logger, Seq } from '../core/contract.ts'
import { describe } from '../core/errors.ts'
import type { Cursor, LogReader } from '../core/log-contract.ts'
import type { SinkPlugin } from '../core/plugin-contract.ts'
import type { DeviceProfile } from '../core/profile.ts'
import type { ShapeRule } from '../core/shape.ts'
import type { SinkStatus } from '../core/status.ts'
import type { Knowledge } from '../decode/knowledge.ts'
import { createShaping } from '../decode/shaping.ts'
import { filtered } from './batch.ts'
import { ClockHold } from './clock-hold.ts'
import { CommandRelay } from './command-relay.ts'
import { DeadLetters } from './dead-letters.ts'
import { DeviceNames } from './device-names.ts'
import { DurableSignal } from './durable-signal.ts'
import { Forwarder } from './forwarder.ts'
import { LaneShaping } from './lane-shaping.ts'
import { LossRecorder } from './loss-recorder.ts'
import { MeterRelay } from './meter-relay.ts'
import type { ForwardWorkerData, FromForwardThread, SinkSettings, ToForwardThread } from './protocol.ts'
import { readingFilter } from './reading-filter.ts'

export interface ForwardParts {
  readonly logger: Logger
  readonly clock: Clock
  loadSink(type: string): Promise<SinkPlugin>
  /** A reader of its own for each sink; `durable` is the newest durable seq as far as is known here. */
  openReader(durable: () => Seq): LogReader | Promise<LogReader>
  openCursor(name: string): Promise<Cursor>
  /** What decodes, and what has to be known for it. `openReader` reads what is durable. */
  createDecoding(
    profiles: unknown,
    bindings: unknown,
    openReader: () => LogReader | Promise<LogReader>,
  ): ForwardDecoding | Promise<ForwardDecoding>
}

export interface ForwardDecoding {
  readonly decode: Decode
  /** Absent where messages are decoded one by one. */
  readonly knowledge?: Knowledge
}

/** The keys of a sink that the forwarder acts on, as sinks/delivery-schema.ts has them. All may be missing. */
interface DeliveryConfig {
  readonly batch?: { readonly maxReadings?: number; readonly maxDelay?: number }
  readonly filter?: { readonly devices?: readonly string[]; readonly names?: readonly string[] }
  readonly shape?: readonly ShapeRule[]
  readonly stallAfter?: number
}

const DEFAULT_MAX_READINGS = 500
const DEFAULT_MAX_DELAY_MS = 250
/** How often the ingest thread hears of a change. */
const REPORT_MS = 250
/** Of a stop deadline, what is left for cursors and connections after the writes. */
const CLOSING_SHARE = 0.5

/** Resolves when the thread was told to stop and everything is closed. Rejects when it cannot even start. */
export const runForwardThread = async (
  port: MessagePort,
  data: ForwardWorkerData,
  parts: ForwardParts,
): Promise<void> => {
  const meter = new MeterRelay()
  const durable = new DurableSignal(data.durable)
  const post = (message: FromForwardThread) => port.postMessage(message)
  const losses = new LossRecorder(post)
  const commands = new CommandRelay(post)
  const stop = new Promise<number>((resolve) => {
    port.on('message', (message: ToForwardThread) => {
      if (message.type === 'durable') durable.advance(message.seq)
      else if (message.type === 'recorded') losses.answered(message.id, message.error)
      else if (message.type === 'commanded') commands.answered(message)
      else resolve(message.deadlineMs)
    })
    // Without the other side there is nobody to report to and nothing to wait for.
    port.on('close', () => resolve(0))
  })
  const { decode, knowledge } = await parts.createDecoding(data.profiles, data.bindings, () =>
    parts.openReader(() => durable.seq),
  )
  const deadLetters = new DeadLetters({ directory: join(data.dataDirectory, 'dead-letters'), ...parts, meter })
  const clockHold = new ClockHold({ ...parts, untilMs: data.clockWaitUntilMs })
  const shared = {
    meter,
    durable,
    decode,
    deadLetters,
    losses,
    commands,
    clockHold,
    devices: new DeviceNames(decode),
    ...(knowledge && { knowledge }),
  }
  const forwarders: Forwarder[] = []
  const failed: SinkStatus[] = []
  const startSink = async (settings: SinkSettings) => {
    try {
      const forwarder = await createForwarder(settings, data, parts, shared)
      forwarder.start()
      forwarders.push(forwarder)
    } catch (error) {
      // One sink that cannot be made must not keep the others from their work.
      parts.logger.error({ sink: settings.name, type: settings.type, error: describe(error) }, 'sink cannot be started')
      failed.push(failedStatus(settings, describe(error), parts.clock))
    }
  }
  for (const settings of data.sinks) await startSink(settings)

  let reported = ''
  const report = () => {
    const sinks = [...forwarders.map((forwarder) => clockHold.told(forwarder.status())), ...failed]
    const text = JSON.stringify(sinks)
    if (text !== reported) post({ type: 'status', sinks })
    reported = text
    const deltas = meter.take()
    if (deltas.length > 0) post({ type: 'meter', deltas })
  }
  const reporting = setInterval(report, REPORT_MS)
  post({ type: 'ready' })
  report()
  const deadlineMs = await stop
  await Promise.all(forwarders.map((forwarder) => forwarder.close(deadlineMs * CLOSING_SHARE)))
  await knowledge?.close()
  clearInterval(reporting)
  report()
  post({ type: 'stopped' })
  port.close()
}

const createForwarder = async (
  settings: SinkSettings,
  data: ForwardWorkerData,
  parts: ForwardParts,
  shared: {
    readonly meter: MeterRelay
    readonly durable: DurableSignal
    readonly decode: Decode
    readonly deadLetters: DeadLetters
    readonly losses: LossRecorder
    readonly commands: CommandRelay
    readonly devices: DeviceNames
    readonly clockHold: ClockHold
    readonly knowledge?: Knowledge
  },
): Promise<Forwarder> => {
  const { name, type } = settings
  const { logger, clock } = parts
  const { meter, durable, clockHold } = shared
  const config = (settings.config ?? {}) as DeliveryConfig
  const plugin = await parts.loadSink(type)
  const sink = plugin.create(settings.config, {
    name,
    gateway: data.gateway,
    logger,
    clock,
    meter,
    commands: shared.commands,
  })
  const filter = readingFilter(config.filter)
  const reader = clockHold.reader(name, await parts.openReader(() => durable.seq))
  const shaping = laneShaping(data.profiles, config.shape, reader, (entry) =>
    filter === undefined ? shared.decode(entry) : filtered(shared.decode(entry), filter),
  )
  return new Forwarder({
    ...shared,
    name,
    type,
    sink,
    cursor: await parts.openCursor(name),
    reader,
    durable: () => durable.seq,
    piled: data.piled,
    wake: (signal) => durable.wake(signal),
    clock,
    logger,
    batch: {
      maxReadings: config.batch?.maxReadings ?? DEFAULT_MAX_READINGS,
      maxDelayMs: config.batch?.maxDelay ?? DEFAULT_MAX_DELAY_MS,
    },
    ...(filter === undefined ? {} : { filter }),
    ...(shaping === undefined ? {} : { shaping }),
    ...(config.stallAfter === undefined ? {} : { stallMs: config.stallAfter }),
  })
}

/** Undefined where neither a profile nor the sink says anything about the shape of readings. */
const laneShaping = (
  profiles: unknown,
  rules: readonly ShapeRule[] | undefined,
  reader: LogReader,
  decode: (entry: Entry) => Decoding,
): LaneShaping | undefined => {
  const known = profiles as readonly DeviceProfile[]
  const create = () => createShaping(known, rules)
  const first = create()
  return first === undefined ? undefined : new LaneShaping({ create: () => create() ?? first, reader, decode })
}

const failedStatus = ({ name, type }: SinkSettings, reason: string, clock: Clock): SinkStatus => ({
  name,
  type,
  state: 'failed',
  since: clock.wallMs(),
  reason,
  position: 0,
  unsettled: [],
  backlogMessages: 0,
  confirmedMessages: 0,
  confirmedReadings: 0,
  rejectedMessages: 0,
  retries: 0,
})
