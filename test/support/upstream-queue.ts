// A durable queue in RabbitMQ bound to the gateway's exchange, and a reader of it that takes SenML Packs apart by RFC 8428 itself,
// not with the gateway's code.

import { connect } from 'amqplib'
import { until } from './until.ts'

export interface QueuedReading {
  readonly seq: number
  readonly device: string
  readonly name: string
  readonly value: number | string | boolean
  readonly lane: string
}

export interface LossMark {
  readonly first: number
  readonly last: number
  readonly count: number
  readonly reason: string
}

export interface QueueContent {
  /** In the order of the queue. */
  readonly readings: QueuedReading[]
  /** What messages with routing key loss.{gateway} told. */
  readonly lossMarks: LossMark[]
  /** First and last seq by the headers, per message. */
  readonly ranges: (readonly [first: number, last: number])[]
  messages: number
}

const EXCHANGE = 'telemetry'
/** A queue that delivers nothing for so long is empty. */
const QUIET_MS = 300

export class UpstreamQueue {
  readonly #url: string
  readonly #name: string
  readonly #content: QueueContent = { readings: [], lossMarks: [], ranges: [], messages: 0 }

  /** Declares the exchange and a durable queue that takes everything published to it. */
  static async declare(url: string, name = 'upstream'): Promise<UpstreamQueue> {
    const connection = await connect(url)
    const channel = await connection.createChannel()
    await channel.assertExchange(EXCHANGE, 'topic', { durable: true })
    await channel.assertQueue(name, { durable: true })
    await channel.bindQueue(name, EXCHANGE, '#')
    await connection.close()
    return new UpstreamQueue(url, name)
  }

  private constructor(url: string, name: string) {
    this.#url = url
    this.#name = name
  }

  /** Consumes until nothing comes any more and `enough` is content; what came earlier stays in the content. */
  async drain(what: string, enough: (content: QueueContent) => boolean, deadlineMs: number): Promise<QueueContent> {
    const connection = await connect(this.#url)
    try {
      const channel = await connection.createChannel()
      await channel.prefetch(1_000)
      let fault: unknown
      let counted = -1
      let countedAt = 0
      await channel.consume(this.#name, (message) => {
        if (message === null) return
        try {
          this.#take(message.fields.routingKey, message.properties.headers ?? {}, message.content)
        } catch (error) {
          fault = error
        }
        channel.ack(message)
      })
      await until(
        what,
        () => {
          if (fault !== undefined) throw fault
          if (performance.now() - countedAt < QUIET_MS) return false
          const quiet = counted === this.#content.messages
          counted = this.#content.messages
          countedAt = performance.now()
          return quiet && enough(this.#content)
        },
        deadlineMs,
      )
      await channel.close()
      return this.#content
    } finally {
      await connection.close()
    }
  }

  get content(): QueueContent {
    return this.#content
  }

  #take(routingKey: string, headers: Readonly<Record<string, unknown>>, body: Buffer): void {
    const content = this.#content
    content.messages++
    const parsed: unknown = JSON.parse(body.toString())
    if (routingKey.startsWith('loss.')) {
      content.lossMarks.push(...(parsed as { marks: LossMark[] }).marks)
      return
    }
    content.ranges.push([Number(headers['tidegate-first-seq']), Number(headers['tidegate-last-seq'])])
    const lane = String(headers['tidegate-lane'])
    for (const reading of resolvePack(parsed)) content.readings.push({ ...reading, lane })
  }
}

interface PackRecord {
  readonly bn?: string
  readonly bv?: number
  readonly n?: string
  readonly v?: number
  readonly vs?: string
  readonly vb?: boolean
  readonly seq?: number
}

const resolvePack = (pack: unknown): Omit<QueuedReading, 'lane'>[] => {
  if (!Array.isArray(pack)) throw new Error('the message is not a SenML Pack')
  let baseName = ''
  let baseValue = 0
  return (pack as PackRecord[]).map((record) => {
    baseName = record.bn ?? baseName
    baseValue = record.bv ?? baseValue
    const value = record.vs ?? record.vb ?? (record.v ?? 0) + baseValue
    const full = baseName + (record.n ?? '')
    const device = baseName.replace(/[/:]$/, '')
    if (record.seq === undefined) throw new Error(`a record of ${full} has no seq`)
    return { seq: record.seq, device, name: full.slice(baseName.length), value }
  })
}
