// The log as a real process on a real disk, interfered with by strace at exactly the n-th system call of a kind, for every n of
// a short life: killed there, or told EIO or ENOSPC there. Whatever was acknowledged before is there afterwards.

import { cp } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { temporaryDirectory } from '../support/directory.ts'
import { openTestLog, readAll } from '../support/durable-log.ts'
import { bundled, countCalls, type Ran, runTraced, straceMissing } from '../support/strace.ts'

const LONG = process.env['TIDEGATE_LONG'] === '1'
/** Segments hold four. The life before nearly filled the log, so that some go, and one is written over. */
const MESSAGES = LONG ? 40 : 8
const EARLIER = ['e', '30'] as const
/** Where the life before was killed. */
const EARLIER_KILL = 'fdatasync:signal=KILL:when=40'
const CALLS = ['fdatasync', 'fsync', 'pwrite64', 'rename', 'unlink', 'ftruncate'] as const
/** A sync that says so is unusual, yet network file systems do. */
const FULL_AT = ['pwrite64', 'rename', 'ftruncate', 'fsync'] as const

const skip = straceMissing()

t.setTimeout(LONG ? 1_800_000 : 240_000)

/** What the process had said before its end. */
interface Told {
  readonly acknowledged: Map<number, string>
  readonly latenciesMs: readonly number[]
  readonly settled: number
  readonly closed: boolean
}

const toldBy = ({ lines }: Ran): Told => {
  const acknowledged = new Map<number, string>()
  const latenciesMs: number[] = []
  let settled = 0
  for (const line of lines) {
    const [word, seq = '', text = '', took] = line.split(' ')
    if (word === 'acked') acknowledged.set(Number(seq), text)
    if (word === 'acked') latenciesMs.push(Number(took))
    if (word === 'settled') settled = Number(seq)
  }
  return { acknowledged, latenciesMs, settled, closed: lines.at(-1) === 'closed' }
}

/** Opens what the process left behind, like the next start. Returns what is wrong with it. */
const faultsIn = async (t: Test, directory: string, told: Told): Promise<string[]> => {
  const faults: string[] = []
  const newest = Math.max(0, ...told.acknowledged.keys())
  const log = await openTestLog(t, directory, { segmentBytes: 4_096, maxBytes: 2 ** 20 })
  const { entries } = await readAll(log.reader())
  const found = new Map<number, string>()
  for (const { seq, kind, payload } of entries) {
    if (found.has(seq)) faults.push(`seq ${seq} is there twice`)
    found.set(seq, kind === 'message' ? payload.toString().trimEnd() : kind)
  }
  for (const [seq, text] of told.acknowledged) {
    const there = found.get(seq)
    if (there !== text && (there !== undefined || seq > told.settled))
      faults.push(`${text} was acknowledged as seq ${seq}, where now is ${there ?? 'nothing'}`)
  }
  const again = new Set(found.values())
  for (const text of told.acknowledged.values())
    if (again.has(text) && [...found.values()].filter((there) => there === text).length > 1)
      faults.push(`${text} is there twice`)
  const { lost } = log.info()
  if (Object.values(lost).some((count) => count > 0)) faults.push(`losses were written down: ${JSON.stringify(lost)}`)
  const message = { topic: 'after', payload: Buffer.from('x'), source: 'test', qos: 1, retain: false } as const
  const next = await log.deliver(message)
  if (next <= newest) faults.push(`seq ${next} is given again`)
  const { last } = log.info()
  await log.close()
  const reopened = await openTestLog(t, directory, { segmentBytes: 4_096, maxBytes: 2 ** 20 })
  if (reopened.info().last !== last) faults.push('the second start repairs something again')
  await reopened.close()
  return faults
}

/** Interferes with the n-th of these calls, for every n, in as many processes at a time as there are processors. */
const forEvery = async (
  t: Test,
  calls: readonly string[],
  fault: string,
  check: (told: Told, ran: Ran) => string[],
): Promise<void> => {
  const program = await bundled(t, new URL('../support/log-run.ts', import.meta.url))
  const directory = await temporaryDirectory(t)
  // What every run finds: the log of a life that was killed, so that the start has something to repair.
  const earlier = join(directory, 'earlier')
  const before = toldBy(await runTraced(program, [earlier, ...EARLIER], EARLIER_KILL))
  t.ok(before.acknowledged.size > 0 && !before.closed, 'the life before was killed')
  const parameters = async (name: string) => {
    await cp(earlier, join(directory, name), { recursive: true })
    return [join(directory, name), 'm', String(MESSAGES)]
  }
  const counts = await countCalls(t, program, await parameters('counted'), calls)
  const work = [...counts].flatMap(([call, count]) =>
    Array.from({ length: count }, (_, index) => ({ call, when: index + 1 })),
  )
  let runs = 0
  let killed = 0
  let acknowledged = 0
  const faults: string[] = []
  const next = async (): Promise<void> => {
    for (let step = work.pop(); step !== undefined; step = work.pop()) {
      const { call, when } = step
      const name = `${call}-${when}`
      const ran = await runTraced(program, await parameters(name), `${call}:${fault}:when=${when}`)
      const told = toldBy(ran)
      const early = check(told, ran)
      for (const [seq, text] of before.acknowledged) if (seq > before.settled) told.acknowledged.set(seq, text)
      const wrong = [...early, ...(await faultsIn(t, join(directory, name), told))]
      faults.push(...wrong.map((text) => `${call} number ${when}: ${text}`))
      runs++
      if (ran.signal === 'SIGKILL') killed++
      acknowledged += told.acknowledged.size
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, next))
  t.same(faults, [], 'nothing acknowledged is missing, nothing is there twice, every start succeeds')
  const points = [...counts].map(([call, count]) => `${call} ${count}`).join(', ')
  // How often something is called varies a little with what shares a commit.
  if (fault === 'signal=KILL') t.ok(killed > 0.9 * runs, `${killed} of ${runs} were killed`)
  t.comment(`${runs} runs (${points}); ${acknowledged} messages acknowledged, 0 lost`)
}

t.test(`killed at every sync, write, rename, removal and truncation of a short life`, { skip }, (t) =>
  forEvery(t, CALLS, 'signal=KILL', (told, ran) =>
    told.closed || ran.signal === 'SIGKILL' ? [] : [`it ended by itself: ${ran.errors}`],
  ),
)

const goesOn = (told: Told, ran: Ran): string[] => [
  ...(told.acknowledged.size === MESSAGES ? [] : [`only ${told.acknowledged.size} messages were acknowledged`]),
  ...(told.closed && ran.code === 0 ? [] : [`it did not close: ${ran.code ?? ran.signal} ${ran.errors}`]),
]

t.test(
  'a disk that fails once, at every call: ingest goes on, nothing is acknowledged that is not there',
  { skip },
  (t) => forEvery(t, CALLS, 'error=EIO', goesOn),
)

t.test('a disk that is full once, at every call: ingest goes on, nothing is lost', { skip }, (t) =>
  forEvery(t, FULL_AT, 'error=ENOSPC', goesOn),
)

t.test('a slow card: an acknowledgement comes after its sync, and all come in order', { skip }, async (t) => {
  const delayMs = 200
  const program = await bundled(t, new URL('../support/log-run.ts', import.meta.url))
  const directory = await temporaryDirectory(t)
  const ran = await runTraced(program, [directory, 'm', '6'], `fdatasync:delay_enter=${delayMs * 1_000}`)
  const told = toldBy(ran)
  t.ok(told.closed, ran.errors)
  t.same(await faultsIn(t, directory, told), [])
  t.same([...told.acknowledged.values()], ['m-0', 'm-1', 'm-2', 'm-3', 'm-4', 'm-5'])
  t.ok(Math.min(...told.latenciesMs) >= delayMs - 5, `PUBACK after ${told.latenciesMs.join(', ')} ms`)
  t.ok(Math.max(...told.latenciesMs) < 20 * delayMs)
})
