// A broker on a port of its own over a log in memory, and a client that speaks bytes, for what no library would send.

import { createConnection, type Socket } from 'node:net'
import mqttPacket, { type Packet } from 'mqtt-packet'
import type { Health, Source } from '../../src/core/contract.ts'
import type { Log } from '../../src/core/log-contract.ts'
import type { SourceContext } from '../../src/core/plugin-contract.ts'
import { plugin } from '../../src/sources/mqtt-broker/plugin.ts'
import { type LoggedLine, rememberingLogger, rememberingMeter, turnableClock } from './context.ts'
import { temporaryDirectory } from './directory.ts'
import { type MemoryLog, memoryLog } from './memory-log.ts'
import { until } from './until.ts'

export interface TestRun {
  teardown: (work: () => Promise<void>) => void
}

export interface RunningBroker<Of extends Log = MemoryLog> {
  readonly source: Source
  readonly log: Of
  readonly directory: string
  readonly port: number
  readonly url: string
  readonly lines: readonly LoggedLine[]
  /** By `name{label=value,…}`, without the label of the source. */
  count(name: string): number
  refused(reason: string): number
  health(): Health
}

export interface BrokerOptions<Of extends Log = Log> {
  readonly config?: object
  readonly log?: Of
  readonly directory?: string
}

export const startBroker = (t: TestRun, options: BrokerOptions<MemoryLog> = {}): Promise<RunningBroker> =>
  startBrokerOver(t, options.log ?? memoryLog(), options)

export const startBrokerOver = async <Of extends Log>(
  t: TestRun,
  log: Of,
  options: Omit<BrokerOptions, 'log'> = {},
): Promise<RunningBroker<Of>> => {
  const directory = options.directory ?? (await temporaryDirectory(t))
  const logger = rememberingLogger()
  const meter = rememberingMeter()
  const context: SourceContext = {
    name: 'broker',
    gateway: 'test',
    logger,
    meter,
    clock: turnableClock(),
    directory,
    replay: (after) => replay(log, after),
    profile: () => undefined,
  }
  const source = plugin.create({ listen: '127.0.0.1:0', ...options.config }, context)
  t.teardown(() => source.close())
  await source.start(log, new AbortController().signal)
  const port = Number(String(source.health().detail?.['address']).split(':').at(-1))
  const count = (name: string) =>
    meter.values.get(name.replace('{', '{source=broker,')) ?? meter.values.get(`${name}{source=broker}`) ?? 0
  return {
    source,
    log,
    directory,
    port,
    url: `mqtt://127.0.0.1:${port}`,
    lines: logger.lines,
    count,
    refused: (reason) => count(`mqtt_refused_total{reason=${reason}}`),
    health: () => source.health(),
  }
}

/** What the gateway gives a source: the durable entries of the log in batches. */
async function* replay(log: Log, after: number) {
  const reader = log.reader()
  for (let next = after; ; ) {
    const result = await reader.read(next, { entries: 100, bytes: 2 ** 20 })
    if (result.entries.length === 0) return
    yield result.entries
    next = result.next
  }
}

/** Packets as a client builds them; mqtt-packet wants every field. */
export const packets = {
  connect: (fields: object = {}) =>
    mqttPacket.generate({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: 4,
      clean: true,
      clientId: 'raw',
      keepalive: 0,
      ...fields,
    }),
  publish: (topic: string, qos: 0 | 1 | 2, messageId = 0, fields: object = {}) =>
    mqttPacket.generate({
      cmd: 'publish',
      topic,
      qos,
      retain: false,
      dup: false,
      payload: `payload of ${messageId}`,
      ...(qos > 0 ? { messageId } : {}),
      ...fields,
    }),
  pubrel: (messageId: number) => mqttPacket.generate({ cmd: 'pubrel', messageId }),
  puback: (messageId: number) => mqttPacket.generate({ cmd: 'puback', messageId }),
  subscribe: (topic: string, qos: 0 | 1 | 2 = 0, messageId = 1) =>
    mqttPacket.generate({ cmd: 'subscribe', messageId, subscriptions: [{ topic, qos }] }),
  pingreq: Buffer.from([0xc0, 0]),
  disconnect: Buffer.from([0xe0, 0]),
}

/** A socket that shows what came over it as packets. */
export class RawClient {
  readonly socket: Socket
  readonly received: Packet[] = []
  readonly bytes: Buffer[] = []
  ended = false

  constructor(port: number) {
    this.socket = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true })
    const parser = mqttPacket.parser({ protocolVersion: 4 })
    parser.on('packet', (packet) => this.received.push(packet))
    parser.on('error', () => this.socket.destroy())
    this.socket.on('data', (chunk) => {
      this.bytes.push(chunk)
      parser.parse(chunk)
    })
    this.socket.on('error', () => this.socket.destroy())
    this.socket.on('end', () => {
      this.ended = true
    })
    this.socket.on('close', () => {
      this.ended = true
    })
  }

  send(...parts: readonly Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  commands(): string[] {
    return this.received.map(({ cmd }) => cmd)
  }

  ids(cmd: string): number[] {
    return this.received.filter((packet) => packet.cmd === cmd).map(({ messageId }) => messageId ?? 0)
  }

  has(cmd: string, count = 1): Promise<boolean> {
    return until(`${count} ${cmd}`, () => this.received.filter((packet) => packet.cmd === cmd).length >= count)
  }

  isEnded(): Promise<boolean> {
    return until('the broker ends the connection', () => this.ended)
  }
}

/** Connected, CONNACK seen. */
export const connectRaw = async (t: TestRun, broker: RunningBroker<Log>, fields: object = {}): Promise<RawClient> => {
  const client = openRaw(t, broker)
  client.send(packets.connect(fields))
  await client.has('connack')
  return client
}

export const openRaw = (t: TestRun, { port }: RunningBroker<Log>): RawClient => {
  const client = new RawClient(port)
  t.teardown(async () => {
    client.socket.destroy()
  })
  return client
}

/** Time for what must not happen: a round trip through broker and event loop after which it would have. */
export const roundTrip = async (t: TestRun, broker: RunningBroker): Promise<void> => {
  const client = await connectRaw(t, broker, { clientId: `round-trip-${performance.now()}` })
  client.send(packets.pingreq)
  await client.has('pingresp')
  client.socket.destroy()
}
