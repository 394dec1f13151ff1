import { test } from 'tap'
import type { Health, LogInfo } from '../../src/core/contract.ts'
import type { SinkStatus, SourceStatus } from '../../src/core/status.ts'
import { unreadiness } from '../../src/ops/readiness.ts'
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
  t.strictSame(unreadiness({ sources: [source({})], log, sinks: [sink({})] }, NOW), [])
})

test('a log that refuses and a source that failed are told at once, with their reasons', async (t) => {
  const refusing: LogInfo = { ...log, state: 'refusing', reason: 'the disk is full' }
  const failed = source({ state: 'failed', reason: 'the port is gone' })
  t.strictSame(unreadiness({ sources: [failed], log: refusing, sinks: [] }, NOW), [
    'log: the disk is full',
    'source broker: failed since 2026-11-20T10:00:00.000Z: the port is gone',
  ])
})

test('a sink may be away for a moment, and is told with since when and why after that', async (t) => {
  const away = sink({ state: 'failed', since: NOW, reason: 'ECONNREFUSED' })
  t.strictSame(unreadiness({ sources: [], log, sinks: [away] }, NOW + 29_000), [])
  t.strictSame(unreadiness({ sources: [], log, sinks: [away] }, NOW + 31_000), [
    'sink cloud: failed since 2026-11-20T10:00:00.000Z: ECONNREFUSED',
  ])
})
