// tidegate decode: what one payload becomes, by which profile, and why. Works without a gateway.

import { readFile } from 'node:fs/promises'
import { nearest } from '../config/nearest.ts'
import type { Decoding, Reading } from '../core/contract.ts'
import { systemCode, TidegateError } from '../core/errors.ts'
import { type DeviceProfile, GENERIC_PROFILE } from '../core/profile.ts'
import { topicNameFault } from '../core/topic.ts'
import { createRouter, type Router } from '../decode/router.ts'
import { parseArguments } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import { printable, table } from './format.ts'
import type { Io } from './io.ts'
import { learnFrom } from './known-descriptions.ts'
import { configuredDecoding } from './known-profiles.ts'
import { UsageError, type Verb } from './verb.ts'

/** What standard input may hold; the decoders refuse far less, and say so. */
const MAX_INPUT_BYTES = 16_777_216
/** The name of the source that receives on a default gateway. */
const DEFAULT_SOURCE = 'broker'

const usage = `Usage: tidegate decode --topic TOPIC [options]

Shows what a payload decodes to, which device profile was used and why. The payload is
standard input unless --file names one. The exit code is 1 if the payload is faulty.

  -t, --topic TOPIC   the topic the payload was published to
  -p, --profile NAME  use this profile, whatever claims the topic ('generic': none)
  -f, --file FILE     take the payload from a file
  --source NAME       the source it came in through (default: ${DEFAULT_SOURCE})
  --json              print JSON
${configUsage}
  -h, --help          this text`

const options = {
  ...configOption,
  topic: { type: 'string', short: 't' },
  profile: { type: 'string', short: 'p' },
  file: { type: 'string', short: 'f' },
  source: { type: 'string', default: DEFAULT_SOURCE },
  json: { type: 'boolean', default: false },
} as const

export const verb: Verb = {
  name: 'decode',
  summary: 'show what a payload decodes to, and why',
  usage,
  async run(args, io) {
    const { values } = parseArguments(args, options)
    const { topic } = values
    if (topic === undefined) throw new UsageError('--topic is missing')
    const fault = topicNameFault(topic)
    if (fault !== undefined) throw new UsageError(`--topic ${fault}`)
    const { profiles, ...known } = await configuredDecoding(values.config, io)
    const router = createRouter(profiles, known)
    await learnFromGateway(values.config, router, io)
    const payload = values.file === undefined ? await readInput(io) : await readPayload(values.file)
    const message = { topic, payload, source: values.source, receivedAt: Date.now() }
    const { profile } = values
    if (profile !== undefined && profile !== GENERIC_PROFILE && !profiles.some(({ name }) => name === profile))
      throw new TidegateError('TG_NOT_FOUND', unknownProfile(profile, profiles))
    const decoding = profile === undefined ? router.decode(message) : router.decodeAs(profile, message)
    const why =
      profile === undefined ? router.explain(topic, payload, values.source).reason : `--profile ${profile} was given`
    io.stdout.write(values.json ? `${JSON.stringify(asJson(decoding, why))}\n` : asText(decoding, why, router))
    return decoding.fault === undefined ? 0 : 1
  },
}

/** What the gateway's log tells about the topic (its birth, its discovery) counts here, too; there need be no gateway. */
const learnFromGateway = async (config: string | undefined, router: Router, io: Io): Promise<void> => {
  const { data } = (await configuration(config, io)).gateway
  try {
    await learnFrom(data, router, io.signal)
  } catch (error) {
    if (!(error instanceof TidegateError)) throw error
    if (systemCode(error.cause) !== 'ENOENT') io.stderr.write(`tidegate decode: ${error.message}\n`)
  }
}

const unknownProfile = (name: string, profiles: readonly DeviceProfile[]): string => {
  const meant = nearest(
    name,
    profiles.map((profile) => profile.name),
  )
  return `there is no device profile '${name}'${meant === undefined ? '' : `; did you mean ${meant}?`}`
}

const asJson = ({ profile, device, readings, fault }: Decoding, why: string) => ({
  profile,
  why,
  device,
  readings: readings.map(({ timeMs, ...reading }) => ({ ...reading, time: timeText(timeMs) })),
  fault,
})

const asText = ({ profile, device, readings, fault }: Decoding, why: string, router: Router): string => {
  const used = router.profiles.find(({ name }) => name === profile)
  const head = [
    ['profile', used === undefined ? profile : `${profile} (${used.file})`],
    ['why', why],
    ['device', device],
    ...(fault === undefined ? [] : [['fault', fault]]),
    ['readings', String(readings.length)],
  ]
  const lines = table(head.map((row) => row.map(printable)))
  return readings.length === 0 ? `${lines}\n` : `${lines}\n\n${readingsTable(readings, device)}\n`
}

const readingsTable = (readings: readonly Reading[], device: string): string => {
  const severalDevices = readings.some((reading) => reading.device !== device)
  const timed = readings.some(({ timeMs }) => timeMs !== undefined)
  const columns = [...(severalDevices ? ['DEVICE'] : []), 'NAME', 'VALUE', 'UNIT', ...(timed ? ['TIME'] : [])]
  const rows = readings.map((reading) => [
    ...(severalDevices ? [reading.device] : []),
    reading.name,
    JSON.stringify(reading.value),
    reading.unit ?? '',
    ...(timed ? [timeText(reading.timeMs) ?? ''] : []),
  ])
  return table([columns, ...rows.map((row) => row.map(printable))])
}

const timeText = (timeMs: number | undefined): string | undefined =>
  timeMs === undefined ? undefined : new Date(timeMs).toISOString()

const readPayload = async (file: string): Promise<Buffer> => {
  try {
    return await readFile(file)
  } catch (error) {
    throw new TidegateError('TG_NOT_FOUND', 'the payload cannot be read', { cause: error })
  }
}

const readInput = async (io: Io): Promise<Buffer> => {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of io.stdin) {
    io.signal.throwIfAborted()
    const part = Buffer.from(chunk)
    bytes += part.length
    if (bytes > MAX_INPUT_BYTES)
      throw new TidegateError('TG_MESSAGE_TOO_LARGE', `standard input holds more than ${MAX_INPUT_BYTES} bytes`)
    chunks.push(part)
  }
  return Buffer.concat(chunks)
}
