// tidegate tail: follows the readings of the running gateway, one line each, by long poll. It resumes at the seq where it
// stopped, so a restart of the gateway or a broken network costs time and no reading that the gateway still offers.

import type { Seq } from '../core/contract.ts'
import { TidegateError } from '../core/errors.ts'
import { delay, retryDelayMs } from '../core/time.ts'
import { topicFilterFault } from '../core/topic.ts'
import { parseArguments, parseWholeNumber } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import { printable } from './format.ts'
import { type Answer, type GatewayClient, gatewayClient, isRecord } from './gateway-client.ts'
import type { Io } from './io.ts'
import { UsageError, type Verb } from './verb.ts'

/** How long the gateway may hold a request; proxies give up at 60 s. */
const WAIT_SECONDS = 30
const POLL_TIMEOUT_MS = (WAIT_SECONDS + 15) * 1_000
const STATUS_TIMEOUT_MS = 10_000
const BACKOFF = { baseMs: 250, capMs: 5_000 }

const usage = `Usage: tidegate tail [options]

Follows the readings of the running gateway, one line each: time, seq, device, name, value
and unit. Waits for the gateway when it goes away, and goes on where it stopped. Ends on
Ctrl-C. A gateway that wants a token gets it from TIDEGATE_TOKEN.

      --device FILTER only devices that match this MQTT Topic Filter
      --name NAME     only readings of this name
      --after SEQ     begin after this seq (0: everything that the gateway still offers;
                      default: only what is new)
      --json          JSON lines
${configUsage}
      --url URL       ask here instead of at the configured api.listen
  -h, --help          this text`

export const verb: Verb = {
  name: 'tail',
  summary: 'follow the readings of the running gateway',
  usage,
  async run(args, io) {
    const { values } = parseArguments(args, {
      ...configOption,
      url: { type: 'string' },
      device: { type: 'string' },
      name: { type: 'string' },
      after: { type: 'string' },
      json: { type: 'boolean' },
    } as const)
    const fault = values.device === undefined ? undefined : topicFilterFault(values.device)
    if (fault !== undefined) throw new UsageError(`--device ${fault}`)
    const after =
      values.after === undefined ? undefined : parseWholeNumber('--after', values.after, 0, Number.MAX_SAFE_INTEGER)
    const client = await gatewayClient({ url: values.url, config: () => configuration(values.config, io), env: io.env })
    const position = await currentSeq(client, io.signal)
    const follower: Following = {
      client,
      io,
      query: query({ device: values.device, name: values.name }),
      line: values.json === true ? (reading) => JSON.stringify(reading) : readingText,
    }
    await follow(follower, after ?? position)
    return 0
  },
}

interface Following {
  readonly client: GatewayClient
  readonly io: Io
  readonly query: string
  readonly line: (reading: Readonly<Record<string, unknown>>) => string
}

// Ends only by the signal, or by what no waiting would change.
const follow = async ({ client, io, query, line }: Following, start: Seq): Promise<void> => {
  let after = start
  let failures = 0
  while (!io.signal.aborted) {
    try {
      if (failures > 0) {
        const seq = await currentSeq(client, io.signal)
        io.stderr.write(`tidegate: the gateway is back${seq < after ? ' with another log; starting over' : ''}\n`)
        if (seq < after) after = 0
        failures = 0
      }
      const path = `/api/v1/readings?after=${after}&wait=${WAIT_SECONDS}s${query}`
      const page = readPage(await client.get(path, { signal: io.signal, timeoutMs: POLL_TIMEOUT_MS }), after)
      for (const note of page.notes) io.stderr.write(`tidegate: ${note}\n`)
      if (page.readings.length > 0) io.stdout.write(`${page.readings.map(line).join('\n')}\n`)
      after = page.seq
    } catch (error) {
      if (io.signal.aborted) return
      if (!isPassing(error)) throw error
      if (failures === 0) io.stderr.write(`tidegate: ${error.message}; waiting for the gateway\n`)
      await delay(retryDelayMs(failures, BACKOFF), io.signal).catch(() => undefined) // aborted: the loop ends
      failures++
    }
  }
}

const isPassing = (error: unknown): error is TidegateError =>
  error instanceof TidegateError && (error.code === 'TG_GATEWAY_UNREACHABLE' || error.code === 'TG_UNAVAILABLE')

const currentSeq = async (client: GatewayClient, signal: AbortSignal): Promise<Seq> => {
  const { body } = await client.get('/api/v1/status', { signal, timeoutMs: STATUS_TIMEOUT_MS })
  if (isRecord(body) && typeof body['seq'] === 'number') return body['seq']
  throw new TidegateError('TG_GATEWAY_UNREACHABLE', `what answers at ${client.url} is not tidegate`)
}

interface Page {
  readonly seq: Seq
  readonly readings: readonly Readonly<Record<string, unknown>>[]
  readonly notes: readonly string[]
}

// 204: nothing came. Holes and conflation are told by the gateway; a reader of the lines has to know.
const readPage = ({ body }: Answer, after: Seq): Page => {
  if (!isRecord(body)) return { seq: after, readings: [], notes: [] }
  const readings = Array.isArray(body['readings']) ? body['readings'].filter(isRecord) : []
  const seqs = [body['seq'], ...readings.map((reading) => reading['seq'])].filter((seq) => typeof seq === 'number')
  const gaps = Array.isArray(body['gaps']) ? body['gaps'].filter(isRecord) : []
  return {
    seq: Math.max(after, ...seqs),
    readings,
    notes: [
      ...gaps.map(
        ({ from, to, reason, partial }) =>
          `${partial === true ? 'some of ' : ''}seq ${String(from)} to ${String(to)} are gone (${String(reason)})`,
      ),
      ...(body['conflated'] === true ? ['too much for one answer: only the newest value of each name is shown'] : []),
    ],
  }
}

const query = (parameters: Readonly<Record<string, string | undefined>>): string =>
  Object.entries(parameters)
    .map(([key, value]) => (value === undefined ? '' : `&${key}=${encodeURIComponent(value)}`))
    .join('')

/** One reading for people. */
export const readingText = (reading: Readonly<Record<string, unknown>>): string => {
  const { time, seq, device, name, value, unit, timeQuality } = reading
  const words = [time, seq, device, name, unit === undefined ? value : `${String(value)} ${String(unit)}`]
  return [...words, ...(timeQuality === undefined ? [] : [`(clock ${String(timeQuality)})`])]
    .map((word) => printable(String(word)))
    .join('  ')
}
