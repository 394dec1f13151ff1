// tidegate receive: an upstream of one's own. Prints what gateways send, and proves with --verify that everything came.

import { EventEmitter, once } from 'node:events'
import { parseDuration } from '../config/units.ts'
import { type AmqpEndpoint, parseAmqpUrl } from '../core/amqp-url.ts'
import { TidegateError } from '../core/errors.ts'
import { Completeness } from '../upstream/completeness.ts'
import { type Delivered, type DeliveredMark, readDelivered } from '../upstream/delivered.ts'
import { type ReceivingFrom, receive } from '../upstream/receiving.ts'
import { reportText } from '../upstream/report-text.ts'
import { parseArguments, parseWholeNumber } from './arguments.ts'
import { printable } from './format.ts'
import type { Io } from './io.ts'
import { readingText } from './tail.ts'
import { UsageError, type Verb } from './verb.ts'

const DEFAULT_LISTEN = 'amqp://127.0.0.1:5672'

const usage = `Usage: tidegate receive [--listen URL | --url URL --queue QUEUE] [options]

An upstream to try a gateway with, or to check one: listens for AMQP 1.0 (sink type amqp1),
or consumes a queue of an AMQP 0-9-1 broker (sink type amqp), and prints what comes, one
reading a line. Consumed messages are gone from the queue.

      --listen URL        listen here (default ${DEFAULT_LISTEN})
      --url URL           consume from this broker: amqp://USER:PASSWORD@HOST:PORT/VHOST
      --queue QUEUE       the queue; neither declared nor bound unless --bind is given
      --bind EXCHANGE:KEY declare QUEUE, durable, and bind it; may be repeated. For --verify
                          bind the loss marks too: --bind 'telemetry:#'
      --verify            report at the end what is missing, doubled or explained by loss
                          marks, per gateway; exit code 1 if something is missing
      --count N           end after N readings
      --idle DURATION     end when nothing came for so long (10s)
      --quiet             print no readings
      --json              JSON lines
  -h, --help              this text`

export const verb: Verb = {
  name: 'receive',
  summary: 'be the upstream: receive and check what a gateway sends',
  usage,
  async run(args, io) {
    const { values } = parseArguments(args, {
      listen: { type: 'string' },
      url: { type: 'string' },
      queue: { type: 'string' },
      bind: { type: 'string', multiple: true },
      verify: { type: 'boolean' },
      count: { type: 'string' },
      idle: { type: 'string' },
      quiet: { type: 'boolean' },
      json: { type: 'boolean' },
    } as const)
    const from = receivingFrom(values)
    const count = values.count === undefined ? undefined : parseWholeNumber('--count', values.count, 1, 2 ** 40)
    const idleMs = values.idle === undefined ? undefined : parseDuration(values.idle)
    if (values.idle !== undefined && !idleMs)
      throw new UsageError(`--idle must be a duration like 10s, not '${values.idle}'`)
    const completeness = new Completeness()
    const print = values.quiet === true ? () => undefined : printer(io, values.json === true)
    await receiveAll(from, { count, idleMs }, io, (delivered) => {
      completeness.add(delivered)
      return print(delivered)
    })
    if (values.verify !== true) return 0
    const report = completeness.report()
    io.stdout.write(values.json === true ? `${JSON.stringify({ report })}\n` : reportText(report))
    return report.complete ? 0 : 1
  },
}

/** Ends with the signal, after enough readings, or after a silence. */
const receiveAll = async (
  from: ReceivingFrom,
  limit: { readonly count: number | undefined; readonly idleMs: number | undefined },
  io: Io,
  onDelivered: (delivered: Delivered) => Promise<void> | undefined,
): Promise<void> => {
  const end = new AbortController()
  const stop = () => end.abort()
  if (io.signal.aborted) stop()
  io.signal.addEventListener('abort', stop, { once: true })
  const silence = limit.idleMs === undefined ? undefined : setTimeout(stop, limit.idleMs)
  let readings = 0
  try {
    await receive(
      from,
      {
        onMessage: (message) => {
          silence?.refresh()
          const delivered = readDelivered(message)
          if (delivered.kind === 'foreign') io.stderr.write(`tidegate: ignored a message: it ${delivered.reason}\n`)
          if (delivered.kind === 'readings') readings += delivered.readings.length
          const printed = onDelivered(delivered)
          if (limit.count !== undefined && readings >= limit.count) stop()
          return printed
        },
        onNote: (note) => io.stderr.write(`tidegate: ${printable(note)}\n`),
      },
      end.signal,
    )
  } finally {
    clearTimeout(silence)
    io.signal.removeEventListener('abort', stop)
  }
}

const printer =
  (io: Io, json: boolean) =>
  (delivered: Delivered): Promise<void> | undefined => {
    if (delivered.kind === 'foreign') return undefined
    const { gateway } = delivered
    let text = ''
    if (delivered.kind === 'loss') {
      for (const mark of delivered.marks)
        text += json
          ? `${JSON.stringify({ gateway, loss: mark })}\n`
          : `${printable(gateway)}  loss mark: ${markText(mark)}\n`
    } else {
      const { lane } = delivered
      for (const reading of delivered.readings)
        text += json
          ? `${JSON.stringify({ gateway, lane, ...reading })}\n`
          : `${printable(gateway)}  ${readingText({ ...reading, time: reading.time ?? 'no time' })}\n`
    }
    // A slow reader of our output slows the sender down, not our memory up.
    const full = text !== '' && io.stdout.write(text) === false
    return full && io.stdout instanceof EventEmitter ? drained(io.stdout, io.signal) : undefined
  }

const markText = ({ first, last, count, reason, devices }: DeliveredMark): string => {
  const [most] = Object.entries(devices ?? {})
  const of = most === undefined ? '' : `, most of ${printable(most[0])} (${most[1]})`
  return `${last < first ? 'no seq' : `seq ${first} to ${last}`}, ${count} messages, ${printable(reason)}${of}`
}

const drained = async (output: EventEmitter, signal: AbortSignal): Promise<void> => {
  await once(output, 'drain', { signal }).catch(() => undefined) // aborted, or nobody reads any more: the end is near
}

const receivingFrom = (values: {
  readonly listen?: string | undefined
  readonly url?: string | undefined
  readonly queue?: string | undefined
  readonly bind?: readonly string[] | undefined
}): ReceivingFrom => {
  const { listen, url, queue, bind = [] } = values
  if (url === undefined && queue === undefined) {
    if (bind.length > 0) throw new UsageError('--bind belongs to --url and --queue')
    const settings = parseUrl(listen ?? DEFAULT_LISTEN, '--listen')
    if (settings.tls) throw new UsageError('--listen takes amqp://HOST:PORT')
    return { kind: 'listen', host: settings.host, port: settings.port }
  }
  if (listen !== undefined) throw new UsageError('--listen does not go together with --url and --queue')
  if (url === undefined || queue === undefined) throw new UsageError('--url and --queue belong together')
  parseUrl(url, '--url')
  const bindings = bind.map((text) => {
    const colon = text.indexOf(':')
    if (colon < 1) throw new UsageError(`--bind takes EXCHANGE:KEY, not '${text}'`)
    return { exchange: text.slice(0, colon), key: text.slice(colon + 1) }
  })
  return { kind: 'queue', url, queue, bindings }
}

// What is wrong here stands on the command line, not in a configuration.
const parseUrl = (url: string, option: string): AmqpEndpoint => {
  try {
    return parseAmqpUrl(url, option)
  } catch (error) {
    throw error instanceof TidegateError ? new UsageError(error.message) : error
  }
}
