import { test } from 'tap'
import type { Gap } from '../../src/core/contract.ts'
import { createRouter } from '../../src/decode/router.ts'
import type { Batch } from '../../src/live/batch.ts'
import { Follower } from '../../src/live/follower.ts'
import { Live } from '../../src/live/live.ts'
import { selectionOf } from '../../src/live/selection.ts'
import { rememberingLogger, rememberingMeter, turnableClock } from '../support/context.ts'
import { memoryLog } from '../support/memory-log.ts'
import { until } from '../support/until.ts'

class SlowOutlet {
  readonly updates: { readonly values: unknown[]; readonly conflated: boolean }[] = []
  takes = true
  ready = () => this.takes
  pageBytes = () => 65_536
  snapshotBytes = () => 65_536
  snapshot = (_batch: Batch) => undefined
  gap = (_gap: Gap) => undefined
  readings(batch: Batch, conflated: boolean): void {
    this.updates.push({ values: batch.readings.map(({ value }) => value), conflated })
  }
}

test('a client is told of values it missed also when the newer ones are only just being handed out', async (t) => {
  const log = memoryLog()
  const live = new Live({
    decode: createRouter([]).decode,
    reader: () => log.reader(),
    durable: () => log.durable,
    clock: turnableClock(),
    meter: rememberingMeter(),
    logger: rememberingLogger(),
  })
  log.onDurable((entries) => live.feed(entries))
  await live.start(new AbortController().signal)
  const outlet = new SlowOutlet()
  const follower = new Follower({ live, selection: selectionOf([], []), outlet, everyMs: 0 })
  await follower.start(undefined)
  t.teardown(async () => {
    follower.close()
    await live.close()
  })

  const publish = (value: number) =>
    log.deliver({ topic: 'device/1', payload: Buffer.from(`${value}`), source: 'broker', qos: 1, retain: false })
  outlet.takes = false
  await publish(1)
  await until('the first is handed out', () => live.hub.flushedSeq === 1)
  await publish(2) // the hub holds it back for its interval
  t.equal(live.hub.flushedSeq, 1)
  outlet.takes = true
  follower.drained()
  await until('the second is handed out', () => outlet.updates.length > 0)
  await publish(3)
  await until('the third is handed out', () => outlet.updates.length > 1)
  t.same(outlet.updates, [
    { values: [2], conflated: true },
    { values: [3], conflated: false },
  ])
})
