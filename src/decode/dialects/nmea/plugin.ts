// The dialect 'nmea': NMEA 0183 (IEC 61162-1), one or several sentences in a message. Sentences that it does not know and
// proprietary ones give nothing, and are no fault: every receiver sends some.

import type { Decoded } from '../../../core/contract.ts'
import type { DecoderInput } from '../../../core/decoder-contract.ts'
import { DecodeError } from '../../../core/errors.ts'
import type { DecoderPlugin } from '../../../core/plugin-contract.ts'
import { datedTime, nearestTime, timeOfDayMs } from './clock.ts'
import { instrumentSentences } from './instruments.ts'
import { positionSentences } from './positions.ts'
import { type Gathered, Report } from './report.ts'
import { parseSentences } from './sentence.ts'
import type { NmeaOptions, SentenceType } from './sentence-type.ts'

/** A receiver says everything it has to say in two kilobytes. */
const MAX_BYTES = 65_536

const types: ReadonlyMap<string, SentenceType> = new Map(
  Object.entries({ ...positionSentences, ...instrumentSentences }),
)

const decode = ({ payload, device, receivedAt }: DecoderInput, options: NmeaOptions): Decoded => {
  if (payload.length > MAX_BYTES) throw new DecodeError(`the payload has ${payload.length} bytes, too many for NMEA`)
  const { sentences, faults } = parseSentences(payload.toString('latin1'), options.checksum === 'required')
  if (sentences.length === 0 && faults.length === 0 && payload.length === 0)
    throw new DecodeError('the payload is empty')
  const gathered: Gathered = { readings: [], doubtful: [], faults: [...faults] }
  let nearMs = receivedAt
  for (const sentence of sentences) nearMs = datedTime(sentence) ?? nearMs
  for (const sentence of sentences) {
    const type = types.get(sentence.type)
    if (type === undefined) continue
    const report = new Report(sentence, device, gathered)
    if (sentence.fields.length < type.fields) {
      report.fault(`it has ${sentence.fields.length} fields instead of ${type.fields}`)
      continue
    }
    report.timeMs = timeOf(report, type, nearMs)
    type.read(report, options)
  }
  const { readings, doubtful } = gathered
  const [first, ...others] = gathered.faults
  const fault = others.length === 0 ? first : `${first} (and ${others.length} more)`
  return {
    readings,
    ...(doubtful.length === 0 ? {} : { doubtful }),
    ...(fault === undefined ? {} : { fault }),
  }
}

const timeOf = (report: Report, type: SentenceType, nearMs: number): number | undefined => {
  if (type.time === undefined || type.invalid?.(report) === true) return undefined
  const text = report.text(type.time)
  const todMs = timeOfDayMs(text)
  if (todMs === undefined) {
    if (text !== '') report.fault(`field ${type.time} is no time of day: ${text.slice(0, 20)}`)
    return undefined
  }
  // One whose date cannot be right has no better time of day.
  const hasDate = report.sentence.type === 'RMC' || report.sentence.type === 'ZDA'
  return hasDate ? datedTime(report.sentence) : nearestTime(todMs, nearMs)
}

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'nmea',
  schema: {
    description: 'NMEA 0183 sentences',
    properties: {
      checksum: {
        enum: ['verified', 'required'],
        default: 'verified',
        description: 'verified: a sentence may have none; required: one without is a fault',
      },
      satellites: {
        type: 'boolean',
        default: false,
        description: 'Elevation, azimuth and signal of each satellite in view, too',
      },
    },
  },
  create: (options) => ({ decode: (message) => decode(message, options as NmeaOptions) }),
}
