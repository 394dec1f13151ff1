// JSON lines: one line for each message with everything that the log holds of it, and for each mark and gap. Nothing is lost
// on the way: what is not valid UTF-8 goes as base64.

import { isUtf8 } from 'node:buffer'
import type { Entry, Gap } from '../core/contract.ts'
import { parseClockMark } from '../log/clock-mark.ts'
import { lossOf } from '../log/loss-mark.ts'
import type { Exported, ExportFormat } from './export-format.ts'

export const jsonl = (): ExportFormat => ({ head: '', tail: '', message: messageLine, mark: markLine, gap: gapLine })

const messageLine = ({ entry, decoding, readings }: Exported): string => {
  const { topic, source, qos, retain, origin } = entry
  const line = {
    ...headOf(entry),
    topic,
    source,
    qos,
    retain,
    ...(origin === undefined ? {} : { origin }),
    ...payloadOf(entry.payload),
    profile: decoding.profile,
    device: decoding.device,
    ...(decoding.fault === undefined ? {} : { fault: decoding.fault }),
  }
  return `${JSON.stringify(line).slice(0, -1)},"readings":[${readings.map(({ json }) => json).join()}]}\n`
}

const markLine = (entry: Entry): string => {
  const mark = entry.kind === 'loss' ? lossOf(entry) : parseClockMark(entry.payload)
  const content = mark === undefined ? payloadOf(entry.payload) : { [entry.kind]: mark }
  return `${JSON.stringify({ ...headOf(entry), ...content })}\n`
}

const gapLine = ({ first, last, reason, partial }: Gap): string =>
  `${JSON.stringify({ kind: 'gap', from: first, to: last, reason, ...(partial && { partial }) })}\n`

const headOf = ({ seq, kind, receivedAt, timeQuality, monotonicMs, bootId }: Entry) => ({
  seq,
  kind,
  receivedAt: microTime(receivedAt),
  ...(timeQuality === undefined ? {} : { timeQuality }),
  monotonicMs,
  bootId,
})

const payloadOf = (payload: Buffer) =>
  isUtf8(payload) ? { payload: payload.toString() } : { payloadBase64: payload.toString('base64') }

/** RFC 3339 with microseconds, which is what the log holds. */
const microTime = (ms: number): string => {
  const micros = Math.round(ms * 1_000)
  const rest = ((micros % 1_000) + 1_000) % 1_000
  return new Date((micros - rest) / 1_000).toISOString().replace('Z', `${String(rest).padStart(3, '0')}Z`)
}
