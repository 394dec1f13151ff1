import { fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { tryLock } from '../../src/ops/libc.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { openTestLog, readAll } from '../support/durable-log.ts'

const PROCESS = fileURLToPath(new URL('../support/log-process.ts', import.meta.url))
const ROUNDS = 3

/** Runs the appending process until it has acknowledged so many messages, kills it, and returns all it had acknowledged. */
const killAfter = async (directory: string, prefix: string, count: number): Promise<Map<number, string>> => {
  const child = fork(PROCESS, [directory, prefix], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })
  const exited = once(child, 'exit')
  const acknowledged = new Map<number, string>()
  if (child.stdout === null) throw new Error('the process has no output')
  for await (const line of createInterface(child.stdout)) {
    const space = line.indexOf(' ')
    acknowledged.set(Number(line.slice(0, space)), line.slice(space + 1))
    if (acknowledged.size === count) child.kill('SIGKILL')
  }
  await exited
  return acknowledged
}

test('kill -9 at any moment loses no acknowledged message, repeats no seq, and lets the next one start', async (t) => {
  const directory = await temporaryDirectory(t)
  const acknowledged = new Map<number, string>()
  for (let round = 0; round < ROUNDS; round++) {
    const count = 200 + Math.floor(Math.random() * 2_000)
    for (const [seq, text] of await killAfter(directory, `round${round}`, count)) {
      if (acknowledged.has(seq)) t.fail(`seq ${seq} was given twice`)
      acknowledged.set(seq, text)
    }
  }
  const log = await openTestLog(t, directory, { tryLock, segmentBytes: 65_536 })
  const { entries, gaps } = await readAll(log.reader(), 0, 1_000)
  const found = new Map(entries.map(({ seq, payload }) => [seq, payload.toString().trimEnd()]))
  t.equal(found.size, entries.length)
  let missing = 0
  for (const [seq, text] of acknowledged) if (found.get(seq) !== text) missing++
  t.equal(missing, 0)
  t.equal(gaps.length, ROUNDS)
  t.ok(gaps.every(({ reason }) => reason === 'unclean-stop'))
})
