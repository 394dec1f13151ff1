import { test } from 'tap'
import type { Health } from '../../src/core/contract.ts'
import type { LogInfo } from '../../src/core/log-contract.ts'
import type { SinkStatus, SourceStatus } from '../../src/core/status.ts'
import { Readiness } from '../../src/ops/readiness.ts'
import { turnableClock } from '../support/context.ts'
import { memoryLog } from '../support/memory-log.ts'

const NOW = Date.UTC(2026, 10, 20, 10)
const log = memoryLog().info()
const source = (health: Partial<Health>): SourceStatus => ({
  name: 'broker',
  type: 'mqtt-broker',
  state: 'ok',
  since: NOW,
  ...health,
})
const sink = (health: Partial<Health>): SinkStatus => ({
  ...source(health),
  name: 'cloud',
  type: 'amqp',
  position: 0,
  unsettled: [],
  backlogMessages: 0,
  confirmedMessages: 0,
  confirmedReadings: 0,
  rejectedMessages: 0,
  retries: 0,
})

test('a gateway whose parts are ok is ready', async (t) => {
  t.strictSame(new Readiness(turnableClock()).faults({ sources: [source({})], log, sinks: [sink({})] }), [])
})

test('a log that refuses and a source that failed are told at once, with their reasons', async (t) => {
  const refusing: LogInfo = { ...log, state: 'refusing', reason: 'the disk is full' }
  const failed = source({ state: 'failed', reason: 'the port is gone' })
  t.strictSame(new Readiness(turnableClock()).faults({ sources: [failed], log: refusing, sinks: [] }), [
    'log: the disk is full; check the disk and its free space',
    'source broker: failed since 2026-11-20T10:00:00.000Z: the port is gone',
  ])
})

test('a sink may be away for a moment, and is told with since when and why after that', async (t) => {
  const clock = turnableClock()
  const readiness = new Readiness(clock)
  const away = { sources: [], log, sinks: [sink({ state: 'failed', since: NOW, reason: 'ECONNREFUSED' })] }
  readiness.observe(away.sinks)
  clock.advance(29_000)
  t.strictSame(readiness.faults(away), [])
  clock.advance(2_000)
  t.strictSame(readiness.faults(away), ['sink cloud: failed since 2026-11-20T10:00:00.000Z: ECONNREFUSED'])
  readiness.observe([sink({})])
  t.strictSame(readiness.faults(away), [], 'it had been back meanwhile')
})

test('a wall clock that jumps makes no sink overdue', async (t) => {
  const readiness = new Readiness(turnableClock())
  const away = { sources: [], log, sinks: [sink({ state: 'starting', since: 10_000, reason: 'connecting' })] }
  t.strictSame(readiness.faults(away), [])
})

test('a sink that waits for the clock to be set is no reason to worry', async (t) => {
  const clock = turnableClock()
  const readiness = new Readiness(clock)
  const waiting = sink({ state: 'degraded', reason: 'waits for the clock', detail: { waitsForClock: true } })
  readiness.observe([waiting])
  clock.advance(50_000)
  t.strictSame(readiness.faults({ sources: [], log, sinks: [waiting] }), [])
})
