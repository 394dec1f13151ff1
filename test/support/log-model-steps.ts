// What may happen to a log, for fast-check: histories of what clients, sinks, readers, disks and machines do.

import fc from 'fast-check'
import type { DiskCall } from './simulated-disk.ts'

const WRITE_CALLS = [
  'write',
  'datasync',
  'sync',
  'rename',
  'syncDirectory',
  'unlink',
  'truncate',
] as const satisfies DiskCall[]
const READ_CALLS = ['open', 'read', 'list', 'size', 'makeDirectory'] as const satisfies DiskCall[]

const how = fc.constantFrom('kill' as const, 'power-cut' as const)
const share = fc.double({ min: 0, max: 1, noNaN: true })

const append = fc.record({
  do: fc.constant('append' as const),
  count: fc.integer({ min: 1, max: 40 }),
  bytes: fc.oneof(
    { weight: 6, arbitrary: fc.constantFrom(0, 1, 12, 100, 700) },
    { weight: 1, arbitrary: fc.constantFrom(3_000, 20_000) },
  ),
  topics: fc.constantFrom(1, 3, 200),
  wait: fc.boolean(),
})

const settling = fc.record({ do: fc.constant('settle' as const), upTo: share, flush: fc.boolean() })

const failing = (call: (typeof WRITE_CALLS)[number]) =>
  fc.record({
    do: fc.constant('fail' as const),
    call: fc.constant(call),
    code: fc.constant('EIO' as const),
    after: fc.nat({ max: 6 }),
    times: fc.constantFrom(1, 2),
  })

/** Everything that a healthy disk sees. */
const ordinary = [
  { weight: 12, arbitrary: append },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('commit' as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('crash' as const), how }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('crashAfter' as const), how, calls: fc.integer({ min: 1, max: 60 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      after: share,
      entries: fc.integer({ min: 1, max: 60 }),
      bytes: fc.constantFrom(1, 200, 5_000, 1_000_000),
      follow: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: settling },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('recordLoss' as const), count: fc.integer({ min: 0, max: 9 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('time' as const), ms: fc.constantFrom(10, 6_000, 90_000) }) },
] as const

const unreadable = {
  weight: 3,
  arbitrary: fc.record({
    do: fc.constant('fail' as const),
    call: fc.constantFrom(...READ_CALLS),
    code: fc.constant('EIO'),
    after: fc.nat({ max: 30 }),
    times: fc.constantFrom(1, 1, 2, 5),
  }),
} as const

const faults = [
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      call: fc.constantFrom(...WRITE_CALLS),
      code: fc.constantFrom('EIO', 'ENOSPC'),
      after: fc.nat({ max: 6 }),
      times: fc.constantFrom(1, 1, 2, 5),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('fail' as const),
      call: fc.constantFrom(...WRITE_CALLS),
      code: fc.constantFrom('EIO', 'ENOSPC', 'EROFS'),
      after: fc.nat({ max: 6 }),
      times: fc.constant(Number.POSITIVE_INFINITY),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('fill' as const), freeBytes: fc.nat({ max: 6_000 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('heal' as const) }) },
] as const

/** How the log and the disk are made. */
const setting = fc.record({
  seed: fc.integer({ min: 0, max: 0x7fff_ffff }),
  segmentBytes: fc.constantFrom(2_048, 4_096, 16_384),
  maxSegments: fc.constantFrom(6, 20, 4_000),
  whenFull: fc.constantFrom('dropOldest' as const, 'dropOldest' as const, 'refuse' as const),
  commitDelayMs: fc.constantFrom(0, 0, 10),
  order: fc.constantFrom('ordered' as const, 'any' as const),
  shrinks: fc.boolean(),
  /** Of a topic a minute, where there is no room for all; 0: no policy. */
  newestKept: fc.constantFrom(0, 0, 1, 3),
  short: fc.constantFrom(0, 0, 0.2),
})

const history = <T>(step: fc.Arbitrary<T>, maxLength: number) =>
  fc.record({ setting, steps: fc.array(step, { minLength: 3, maxLength, size: 'max' }) })

/** Histories on a disk that does what it promises. */
export const crashHistories = history(fc.oneof(...ordinary), 24)

/** Histories on a disk that also fills up, and fails to write and to sync. */
export const faultHistories = history(fc.oneof(...ordinary, ...faults), 24)

/** Histories on a disk that cannot be read at times either. */
export const unreadableHistories = history(fc.oneof(...ordinary, ...faults, unreadable), 24)

const burst = fc.record({
  do: fc.constant('append' as const),
  count: fc.integer({ min: 1, max: 20 }),
  bytes: fc.constantFrom(700, 3_000),
  topics: fc.constant(3),
  wait: fc.boolean(),
})

const crashSoon = (calls: number) =>
  fc.record({ do: fc.constant('crashAfter' as const), how, calls: fc.integer({ min: 1, max: calls }) })

// Histories that lead to one kind of trouble soon, for tests of the test.

/** Crashes in the middle of commits. */
export const cutHistories: fc.Arbitrary<History> = history(fc.oneof(burst, crashSoon(6)), 40)

/** A small log that is written over and over. */
export const retentionHistories: fc.Arbitrary<History> = history(fc.oneof(burst, crashSoon(100)), 20)

/** Syncs that fail, and crashes behind them. */
export const failedSyncHistories: fc.Arbitrary<History> = history(
  fc.oneof(burst, crashSoon(6), failing('datasync')),
  30,
)

/** A cursor that moves, and crashes. */
export const cursorHistories: fc.Arbitrary<History> = history(fc.oneof(burst, settling, crashSoon(30)), 30)

type Of<T> = T extends fc.Arbitrary<infer Value> ? Value : never
export type History = Of<typeof unreadableHistories>
export type Setting = History['setting']
export type Step = History['steps'][number]
