import { rm } from 'node:fs/promises'
import fc from 'fast-check'
import { test } from 'tap'
import type { Log } from '../../src/core/log-contract.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { killedNow, message, openTestLog, readAll } from '../support/durable-log.ts'
import { faultyDisk } from '../support/faulty-disk.ts'

// Random histories against a plain list: whatever happens in between, every acknowledged message is there exactly once,
// under the seq that was acknowledged, seqs only ever grow, and every hole is reported.

/** Slow disks see fewer histories; TIDEGATE_MODEL_SECONDS and TIDEGATE_MODEL_RUNS make more of them. */
const TIME_LIMIT_MS = Number(process.env['TIDEGATE_MODEL_SECONDS'] ?? 8) * 1_000
const RUNS = Number(process.env['TIDEGATE_MODEL_RUNS'] ?? 60)

const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      count: fc.integer({ min: 1, max: 30 }),
      size: fc.constantFrom(0, 10, 300, 3_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('reopen' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('kill' as const), unsettled: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('fail' as const), call: fc.constantFrom('write', 'datasync') }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('read' as const), after: fc.double({ min: 0, max: 1, noNaN: true }) }),
  },
)

test('random histories of append, failure, restart and kill lose no acknowledged message and repeat no seq', async (t) => {
  const base = await temporaryDirectory(t)
  const places: string[] = []
  t.teardown(() =>
    Promise.all(places.map((place) => rm(place, { recursive: true, force: true }))).then(() => undefined),
  )
  const startedMs = performance.now()
  let run = 0
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      if (performance.now() - startedMs > TIME_LIMIT_MS) return true
      let directory = `${base}/${++run}`
      const disk = faultyDisk()
      const opened: Log[] = []
      const open = async () => {
        const log = await openTestLog({ teardown: () => undefined }, directory, {
          fileSystem: disk,
          segmentBytes: 8_192,
        })
        opened.push(log)
        return log
      }
      let log = await open()
      const acknowledged = new Map<number, string>()
      let newest = 0
      let number = 0
      const append = (count: number, size: number) =>
        Array.from({ length: count }, async () => {
          const text = `${number++}`.padStart(size, '.')
          const seq = await log.deliver(message(text, `topic/${number % 5}`))
          acknowledged.set(seq, text)
          if (seq <= newest) throw new Error(`seq ${seq} was given again`)
          newest = seq
        })
      const check = async (after: number) => {
        const reader = log.reader()
        const { entries, gaps, next } = await readAll(reader, after, 40)
        await reader.close()
        if (next !== Math.max(after, log.durable)) throw new Error(`read up to ${next}, durable is ${log.durable}`)
        const found = new Map(
          entries.map(({ seq, kind, payload }) => [seq, kind === 'message' ? payload.toString() : '']),
        )
        for (const [seq, text] of acknowledged)
          if (seq > after && found.get(seq) !== text) throw new Error(`seq ${seq} is not what was acknowledged`)
        let expected = after + 1
        const parts = [...entries.map(({ seq }) => ({ first: seq, last: seq, reason: '' })), ...gaps]
        for (const { first, last, reason } of parts.sort((a, b) => a.first - b.first)) {
          if (first !== expected) throw new Error(`${expected} is neither there nor reported`)
          if (reason !== '' && reason !== 'unclean-stop') throw new Error(`gap ${first} to ${last} is ${reason}`)
          expected = last + 1
        }
      }
      try {
        for (const one of steps) {
          if (one.do === 'append') await Promise.all(append(one.count, one.size))
          else if (one.do === 'fail') disk.fail(one.call as 'write', 'EIO', { part: '.seg' })
          else if (one.do === 'read') await check(Math.floor(one.after * log.durable))
          else if (one.do === 'reopen') {
            await log.close()
            log = await open()
          } else {
            // What is under way when the process dies may be there or not; its seqs are not given again.
            const lost = one.unsettled ? append(5, 10) : []
            const before = new Map(acknowledged)
            const newestBefore = newest
            const thaw = await disk.freeze()
            directory = await killedNow(directory)
            thaw()
            places.push(directory)
            await Promise.all(lost)
            for (const seq of acknowledged.keys()) if (!before.has(seq)) acknowledged.delete(seq)
            newest = Math.max(newestBefore, newest)
            await log.close()
            log = await open()
          }
          disk.done.length = 0
        }
        disk.heal()
        await check(0)
        await log.close()
        log = await open()
        await check(0)
      } finally {
        for (const one of opened) await one.close()
      }
      return true
    }),
    { numRuns: RUNS },
  )
})
