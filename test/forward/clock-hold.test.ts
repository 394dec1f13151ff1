import { test } from 'tap'
import type { Entry, Gap } from '../../src/core/contract.ts'
import type { LogReader } from '../../src/core/log-contract.ts'
import type { SinkStatus } from '../../src/core/status.ts'
import { ClockHold } from '../../src/forward/clock-hold.ts'
import { settableClock } from '../support/clock.ts'
import { rememberingLogger } from '../support/context.ts'

const BOOT = '00000000-0000-4000-8000-000000000001'
const LIMIT = { entries: 100, bytes: 1_000 }

const entry = (seq: number, timeQuality?: Entry['timeQuality'], bootId = BOOT): Entry => ({
  seq,
  kind: 'message',
  topic: 't',
  payload: Buffer.from('1'),
  source: 's',
  qos: 1,
  retain: false,
  receivedAt: 1,
  monotonicMs: 1,
  bootId,
  ...(timeQuality === undefined ? {} : { timeQuality }),
})

const status: SinkStatus = {
  name: 'cloud',
  type: 'amqp',
  state: 'ok',
  since: 1,
  position: 0,
  unsettled: [],
  backlogMessages: 0,
  confirmedMessages: 0,
  confirmedReadings: 0,
  rejectedMessages: 0,
  retries: 0,
}

const held = (entries: Entry[], gaps: readonly Gap[] = [], waitMs = 60_000) => {
  const clock = settableClock({ synced: false, wallMs: 10_000, monotonicMs: 1_000, bootId: BOOT })
  const logger = rememberingLogger()
  const hold = new ClockHold({ clock, logger, untilMs: 1_000 + waitMs })
  const limits: number[] = []
  const log: LogReader = {
    read: async (after, limit) => {
      limits.push(limit.entries)
      const found = entries.filter(({ seq }) => seq > after).slice(0, limit.entries)
      return { entries: found, gaps, next: found.at(-1)?.seq ?? after }
    },
    close: async () => undefined,
  }
  return {
    clock,
    logger,
    hold,
    limits,
    reader: hold.reader('cloud', log),
    seqs: (after: number) => seqsOf(hold.reader('cloud', log), after),
  }
}

const seqsOf = async (reader: LogReader, after: number) => {
  const { entries, next } = await reader.read(after, LIMIT)
  return [...entries.map(({ seq }) => seq), 'next', next]
}

test('messages from before the clock was set wait for it, those before them and of earlier boots do not', async (t) => {
  const entries = [
    entry(1),
    entry(2, 'unsynced', 'another boot'),
    entry(3, 'corrected'),
    entry(4, 'unsynced'),
    entry(5),
  ]
  const gaps: Gap[] = [
    { first: 3, last: 3, reason: 'corrupt' },
    { first: 5, last: 5, reason: 'corrupt' },
  ]
  const { hold, reader, seqs, limits, logger } = held(entries, gaps)
  t.strictSame(await seqs(0), [1, 2, 3, 'next', 3])
  t.strictSame((await reader.read(0, LIMIT)).gaps, [gaps[0]])
  t.strictSame(await seqs(3), ['next', 3], 'nothing for now')
  t.equal(limits.at(-1), 1, 'and nothing is read behind it')
  t.match(hold.told(status), {
    state: 'degraded',
    reason: /^waits up to 60 s for the clock/,
    detail: { waitsForClock: true },
  })
  t.strictSame(hold.told({ ...status, name: 'other' }).state, 'ok')
  t.strictSame(hold.told({ ...status, state: 'failed' }).state, 'failed', 'what is worse is told')
  t.strictSame(
    logger.lines.map(({ message }) => message),
    ['messages wait for the clock to be set'],
  )
})

test('they go on at once when their times are corrected', async (t) => {
  const entries = [entry(1, 'unsynced'), entry(2, 'unsynced')]
  const { hold, seqs, logger } = held(entries)
  t.strictSame(await seqs(0), ['next', 0])
  entries.splice(0, 2, entry(1, 'corrected'), entry(2, 'corrected'))
  t.strictSame(await seqs(0), [1, 'next', 1])
  t.strictSame(await seqs(1), [2, 'next', 2])
  t.equal(hold.told(status).state, 'ok')
  t.match(logger.lines.at(-1), { level: 'info', message: /go on with corrected times/ })
})

test('when the wait is over they go on as they are, and that is said once', async (t) => {
  const { clock, hold, seqs, logger } = held([entry(1, 'unsynced'), entry(2, 'unsynced')])
  t.strictSame(await seqs(0), ['next', 0])
  clock.advance(60_000)
  t.strictSame(await seqs(0), [1, 'next', 1])
  t.strictSame(await seqs(1), [2, 'next', 2])
  t.equal(hold.told(status).state, 'ok')
  t.equal(logger.lines.filter(({ level }) => level === 'warn').length, 1)
  const never = held([entry(1, 'unsynced')], [], 0)
  t.strictSame(await never.seqs(0), [1, 'next', 1], 'without a wait')
})

test('with a clock that is set nothing waits', async (t) => {
  const { hold, seqs, logger } = held([entry(1), entry(2)])
  t.strictSame(await seqs(0), [1, 2, 'next', 2])
  t.equal(hold.told(status).state, 'ok')
  t.strictSame(logger.lines, [])
})

test('a gap that reaches over what waits is told up to there, and from there on later', async (t) => {
  const thinned = { first: 1, last: 9, reason: 'thinned', partial: true } as const
  const { reader } = held([entry(5, 'unsynced'), entry(9, 'unsynced')], [thinned])
  t.match(await reader.read(0, LIMIT), { entries: [], gaps: [{ ...thinned, last: 4 }], next: 4 })
})
