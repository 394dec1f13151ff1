import { test } from 'tap'
import type { LogReader } from '../../src/core/log-contract.ts'
import { createRouter } from '../../src/decode/router.ts'
import { Scan } from '../../src/live/scan.ts'
import { until } from '../support/until.ts'

const { decode } = createRouter([])

/** Readers whose reads end when the test says so. */
const heldReaders = () => {
  const pending: (() => void)[] = []
  let open = 0
  const reader = (): LogReader => {
    open++
    return {
      read: (after) =>
        new Promise((resolve) => pending.push(() => resolve({ entries: [], gaps: [], next: after + 1 }))),
      close: async () => {
        open--
      },
    }
  }
  return { pending, reader, open: () => open }
}

test('few reads run at a time, and the others get their turn', async (t) => {
  const { open, pending, reader } = heldReaders()
  const scan = new Scan(reader, decode)
  const reads = Array.from({ length: 20 }, (_, index) => scan.read(index, new AbortController().signal))
  await until('the first reads run', () => pending.length > 0)
  t.equal(pending.length, 4)
  const all = Promise.all(reads)
  let done = false
  void all.then(() => {
    done = true
  })
  await until('all are done', () => {
    pending.shift()?.()
    return done
  })
  t.same(
    (await all).map(({ next }) => next),
    reads.map((_, index) => index + 1),
  )
  t.equal(open(), 4)
  await scan.close()
  t.equal(open(), 0)
})

test('whoever stops waiting for a turn takes it from nobody', async (t) => {
  const { pending, reader } = heldReaders()
  const scan = new Scan(reader, decode)
  const { signal } = new AbortController()
  const aborts = Array.from({ length: 10 }, () => new AbortController())
  const running = Array.from({ length: 4 }, (_, index) => scan.read(index, signal))
  const gone = aborts.map((abort) => scan.read(9, abort.signal).catch(() => 'gone'))
  const last = scan.read(50, signal)
  await until('four run', () => pending.length === 4)
  // The turn passes and the waiting one leaves at the same moment.
  pending.shift()?.()
  await Promise.resolve()
  for (const abort of aborts) abort.abort()
  t.same(new Set(await Promise.all(gone)), new Set(['gone']))
  let done = false
  void last.then(() => {
    done = true
  })
  await until('the last one had its turn', () => {
    pending.shift()?.()
    return done
  })
  t.equal((await last).next, 51)
  for (const finish of pending.splice(0)) finish()
  await Promise.all(running)
  await scan.close()
})

test('a reader that failed is closed and replaced', async (t) => {
  let opened = 0
  let closed = 0
  const reader = (): LogReader => {
    opened++
    const fails = opened === 1
    return {
      read: async (after) => {
        if (fails) throw new Error('EIO')
        return { entries: [], gaps: [], next: after }
      },
      close: async () => {
        closed++
      },
    }
  }
  const scan = new Scan(reader, decode)
  const { signal } = new AbortController()
  await t.rejects(scan.read(0, signal), { message: 'EIO' })
  t.equal((await scan.read(0, signal)).next, 0)
  await scan.close()
  t.equal(opened, closed)
})
