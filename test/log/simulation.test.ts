import fc from 'fast-check'
import t, { test } from 'tap'
import { play } from '../support/log-model-run.ts'
import { crashHistories, faultHistories, unreadableHistories } from '../support/log-model-steps.ts'

// Random histories of the whole log over a simulated disk, against a plain model: what was acknowledged is there, whatever
// was killed, cut or torn in between. A failure prints the shortest history that was found, its seed and its path:
//   TIDEGATE_SEED=… TIDEGATE_PATH=… npx tap test/log/simulation.test.ts --grep='/part of the title/'
// plays exactly that one again. TIDEGATE_RUNS sets the number of histories of each test.

t.setTimeout(process.env['TIDEGATE_LONG'] === '1' ? 7_200_000 : 240_000)

const LONG = process.env['TIDEGATE_LONG'] === '1'
/** The same histories for everybody, so that a change is blamed for what it broke; the long variant looks for new ones. */
const seed = Number(process.env['TIDEGATE_SEED'] ?? (LONG ? Math.trunc(Math.random() * 2 ** 31) : 20_261_120))
const path = process.env['TIDEGATE_PATH']
const runs = process.env['TIDEGATE_RUNS']

for (const [title, histories, share] of [
  [
    'whatever is killed, cut off or torn, what was acknowledged is there, and no seq names two messages',
    crashHistories,
    40,
  ],
  [
    'on a disk that fills up, fails, and lies about it, what was acknowledged is there all the same',
    faultHistories,
    35,
  ],
  ['a disk that cannot be read at times costs nothing that is not told', unreadableHistories, 25],
] as const)
  test(title, async (t) => {
    const sums = { histories: 0, calls: 0, crashes: 0, promised: 0, refusals: 0, refusedStarts: 0 }
    const property = fc.asyncProperty(histories, async (history) => {
      const outcome = await play(history)
      sums.histories++
      sums.calls += outcome.calls
      sums.crashes += outcome.crashes
      sums.promised += outcome.promised
      sums.refusals += outcome.refusals
      sums.refusedStarts += outcome.refusedStarts
    })
    t.comment(`seed ${seed}`)
    const numRuns = Number(runs ?? share * (LONG ? 1_000 : 14))
    await fc.assert(property, { numRuns, seed, ...(path === undefined ? {} : { path, endOnFailure: true }) })
    t.comment(JSON.stringify(sums))
    t.ok(sums.crashes > sums.histories / 4, 'there were crashes')
    t.ok(sums.promised > sums.histories, 'there was something to lose')
  })

test('a spare whose old name may come back is not written over', async (t) => {
  const { promised } = await play({
    setting: {
      seed: 0,
      segmentBytes: 2_048,
      maxSegments: 6,
      whenFull: 'dropOldest',
      commitDelayMs: 0,
      order: 'ordered',
      shrinks: false,
      newestKept: 0,
      short: 0,
    },
    steps: [
      { do: 'append', count: 18, bytes: 0, topics: 1, wait: true },
      { do: 'crash', how: 'kill' },
      { do: 'fail', call: 'syncDirectory', code: 'EIO', after: 3, times: Number.POSITIVE_INFINITY },
      { do: 'append', count: 20, bytes: 700, topics: 1, wait: false },
      { do: 'append', count: 6, bytes: 0, topics: 1, wait: false },
      { do: 'read', after: 0, entries: 1, bytes: 1, follow: false },
      { do: 'reopen' },
      { do: 'crashAfter', how: 'kill', calls: 1 },
      { do: 'append', count: 1, bytes: 0, topics: 1, wait: false },
      { do: 'crash', how: 'power-cut' },
    ],
  })
  t.ok(promised > 0)
})
