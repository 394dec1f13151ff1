// A forwarder on a log in memory, with real timers and quick back-off; topics are devices, payloads numbers.

import { join } from 'node:path'
import type { Clock, Decode, Entry, Message, Sink } from '../../src/core/contract.ts'
import type { Context } from '../../src/core/plugin-contract.ts'
import { DeadLetters } from '../../src/forward/dead-letters.ts'
import { DeviceNames } from '../../src/forward/device-names.ts'
import { DurableSignal } from '../../src/forward/durable-signal.ts'
import { Forwarder, type ForwarderOptions } from '../../src/forward/forwarder.ts'
import { rememberingLogger, rememberingMeter } from './context.ts'
import { temporaryDirectory } from './directory.ts'
import { type MemoryCursor, memoryCursor } from './memory-cursor.ts'
import { type MemoryLog, memoryLog } from './memory-log.ts'
import { until } from './until.ts'

export const realClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  bootId: '00000000-0000-4000-8000-000000000001',
  synced: () => true,
}

export const testContext = (
  name = 'cloud',
  gateway = 'greenhouse',
): Context & {
  readonly logger: ReturnType<typeof rememberingLogger>
  readonly meter: ReturnType<typeof rememberingMeter>
} => ({ name, gateway, logger: rememberingLogger(), clock: realClock, meter: rememberingMeter() })

/** A number is a reading named `value`; `a=1,b=2` are several; `other!` makes a reading of that device; anything else is a fault. */
export const decodeNumber: Decode = (message) => {
  const text = message.payload.toString()
  const device = message.topic
  if (text === '') return { profile: 'test', device, readings: [] }
  const value = Number(text)
  if (Number.isFinite(value)) return { profile: 'test', device, readings: [{ device, name: 'value', value }] }
  if (text.startsWith('text:')) return { profile: 'test', device, readings: [{ device, name: 'text', value: text }] }
  if (text.includes('='))
    return {
      profile: 'test',
      device,
      readings: text.split(',').map((pair) => {
        const [name = '', number = ''] = pair.split('=')
        const [own, rest] = name.includes('!') ? name.split('!') : [device, name]
        return { device: own ?? device, name: rest ?? name, value: Number(number) }
      }),
    }
  return { profile: 'test', device, readings: [], fault: 'not a number' }
}

export const message = (topic: string, payload: string): Message => ({
  topic,
  payload: Buffer.from(payload),
  source: 'broker',
  qos: 1,
  retain: false,
})

export interface Forwarding {
  readonly log: MemoryLog
  readonly cursor: MemoryCursor
  readonly forwarder: Forwarder
  readonly directory: string
  readonly logger: ReturnType<typeof rememberingLogger>
  readonly meter: ReturnType<typeof rememberingMeter>
  /** Resolves once everything in the log is settled. */
  settled(deadlineMs?: number): Promise<void>
}

export const forwarding = async (
  t: { teardown: (work: () => Promise<void>) => void },
  sink: Sink,
  options: Partial<ForwarderOptions> & { readonly log?: MemoryLog; readonly cursor?: MemoryCursor } = {},
): Promise<Forwarding> => {
  const directory = await temporaryDirectory(t)
  const { log = memoryLog(), cursor = memoryCursor(), ...rest } = options
  const { logger, meter } = testContext()
  const durable = new DurableSignal(log.durable)
  const remove = log.onDurable((entries: readonly Entry[]) => durable.advance(entries.at(-1)?.seq ?? 0))
  const forwarder = new Forwarder({
    name: 'cloud',
    type: 'test',
    sink,
    cursor,
    reader: log.reader(),
    decode: decodeNumber,
    durable: () => log.durable,
    piled: log.durable,
    wake: (signal) => durable.wake(signal),
    deadLetters: new DeadLetters({ directory: join(directory, 'dead-letters'), clock: realClock, logger, meter }),
    losses: { record: async (loss) => void (await log.recordLoss(loss)), damage: () => undefined },
    devices: new DeviceNames(decodeNumber),
    clock: realClock,
    logger,
    meter,
    batch: { maxReadings: 500, maxDelayMs: 20 },
    backoff: { baseMs: 5, capMs: 50 },
    ...rest,
  })
  t.teardown(async () => {
    remove()
    await forwarder.close(1_000)
  })
  return {
    log,
    cursor,
    forwarder,
    directory,
    logger,
    meter,
    settled: async (deadlineMs) => {
      await until(
        `everything up to seq ${log.entries.at(-1)?.seq} is settled`,
        () => cursor.position >= (log.entries.at(-1)?.seq ?? 0),
        deadlineMs,
      )
    },
  }
}
