import { chmod, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { verb } from '../../src/cli/log.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { settableClock } from '../support/clock.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, message, openTestLog, texts } from '../support/durable-log.ts'
import { until } from '../support/until.ts'

const log = async (...args: readonly string[]) => {
  const io = capturedIo()
  const code = await runVerb(verb, args, io)
  return { code, out: io.out(), err: io.err() }
}

/** Every file with its size and time: what must not change. */
const stateOf = async (directory: string) => {
  const names = (await readdir(directory, { recursive: true })).sort()
  return Promise.all(
    names.map(async (name) => {
      const { size, mtimeMs, mode } = await stat(join(directory, name))
      return { name, size, mtimeMs, mode }
    }),
  )
}

test('info shows what the log holds, while it is being written', async (t) => {
  const directory = await temporaryDirectory(t)
  const open = await openTestLog(t, directory)
  await appendAll(open, ['1', '2', '3'])
  await open.deliver(message('4', 'a/rare one'))
  await open.recordLoss({ first: 1, last: 2, count: 2, reason: 'rejected' })
  const before = await stateOf(directory)
  const { code, out } = await log('info', '--data', directory)
  t.equal(code, 0)
  t.match(out, /^gateway +greenhouse$/m)
  t.match(out, /^seq +1 to 5$/m)
  t.match(out, /^messages +4 of 2 topics$/m)
  t.match(out, /^time +2026-11-20T10:00:00.000Z to 2026-11-20T10:00:00.000Z/m)
  t.match(out, /^lost +2 rejected$/m)
  t.match(out, /^sensors\/greenhouse +3$/m)
  t.match(out, /^a\/rare one +1$/m)
  t.match(out, /^0+1\.seg +1 to 5 +5 .* open /m)
  const json = JSON.parse((await log('--json', 'info', '--data', directory)).out)
  t.match(json, {
    first: 1,
    last: 5,
    gateway: 'greenhouse',
    topics: { 'sensors/greenhouse': 3, 'a/rare one': 1 },
    lost: { rejected: 2 },
    losses: [{ first: 1, last: 2, count: 2, reason: 'rejected' }],
    oldest: { seq: 1, time: '2026-11-20T10:00:00.000Z' },
  })
  t.strictSame(await stateOf(directory), before, 'nothing was changed')
})

test('info says which times are from before the clock was set, and gives the right ones once they are known', async (t) => {
  const directory = await temporaryDirectory(t)
  const right = Date.UTC(2026, 10, 20, 10)
  const clock = settableClock({ synced: false, wallMs: 5_000, monotonicMs: 5_000 })
  const open = await openTestLog(t, directory, { clock })
  await appendAll(open, ['1', '2'])
  await open.recordLoss({ first: 1, last: 2, count: 2, reason: 'rejected' })
  t.match(await log('info', '--data', directory), {
    out: /1 to 2 +2 +rejected +1970-01-01T00:00:05.000Z \(unsynced\)[\s\S]*seg +1 to 3 .*Z +1970-.*Z \(unsynced\)$/m,
  })
  clock.advance(1_000)
  clock.set(right)
  clock.syncs()
  const offsetMs = right - 6_000
  await open.recordClock({ reason: 'set', bootId: clock.bootId, monotonicMs: 6_000, offsetMs, time: right })
  const corrected =
    /rejected +2026-11-20T09:59:59.000Z \(corrected\)[\s\S]*2026-11-20T09:59:59.000Z +2026-11-20T10:00:00.000Z \(corrected\)$/m
  for (const state of ['open', 'sealed']) {
    // The index that others find it by is written behind the mark.
    await until(`it is corrected while ${state}`, async () =>
      corrected.test((await log('info', '--data', directory)).out),
    )
    t.equal((await log('verify', '--data', directory)).code, 0, state)
    await open.close()
  }
})

test('topics and segments are counted from sealed and open segments alike', async (t) => {
  const directory = await temporaryDirectory(t)
  const open = await openTestLog(t, directory, { segmentBytes: 4_096 })
  for (let from = 0; from < 300; from += 30) await appendAll(open, texts(30, 50, from))
  const { out } = await log('info', '--data', directory, '--rows', '2')
  t.match(out, /^messages +300 of 1 topics$/m)
  t.match(out, /^\([0-9]+ more\)$/m)
})

test('verify finds nothing in a sound log, while it is being written', async (t) => {
  const directory = await temporaryDirectory(t)
  const open = await openTestLog(t, directory)
  await appendAll(open, ['1', '2', '3'])
  const before = await stateOf(directory)
  t.match(await log('verify', '--data', directory), { code: 0, out: /^no damage: 3 entries, seq 1 to 3, / })
  t.strictSame(await stateOf(directory), before)
})

test('verify names file, bytes and seqs of what is damaged, and fails', async (t) => {
  const directory = await temporaryDirectory(t)
  const open = await openTestLog(t, directory)
  for (let round = 0; round < 5; round++) await appendAll(open, texts(10, 20, round * 10))
  await open.close()
  const path = join(directory, 'log', '0000000000000001.seg')
  const bytes = await readFile(path)
  const third = [...Array(3)].reduce((at: number) => bytes.indexOf('TGbk', at + 1), 1_000)
  bytes[third + 100] = (bytes[third + 100] ?? 0) ^ 1
  await writeFile(path, bytes)
  const { code, out } = await log('verify', '--data', directory)
  t.equal(code, 1)
  t.match(out, new RegExp(`^log/0000000000000001.seg, bytes ${third} to [0-9]+, seq 21 to 30: `))
  t.match(out, /^1 damage: /m)
  const json = await log('verify', '--data', directory, '--json')
  t.equal(json.code, 1)
  t.match(JSON.parse(json.out).damages, [{ file: 'log/0000000000000001.seg', first: 21, last: 30 }])
})

test('a directory without a log is exit code 1', async (t) => {
  for (const subcommand of ['info', 'verify', 'export']) {
    const directory = await temporaryDirectory(t)
    const { code, err } = await log(subcommand, '--data', directory)
    t.equal(code, 1)
    t.match(err, /TG_DATA_UNUSABLE/)
    t.strictSame(await readdir(directory), [], 'nothing was made')
  }
})

test('a user who may only read can look', {
  skip: process.getuid?.() === 0 && 'root may write anywhere',
}, async (t) => {
  const directory = await temporaryDirectory(t)
  const open = await openTestLog(t, directory)
  await appendAll(open, ['1'])
  await open.close()
  await mkdir(join(directory, 'cursors'), { recursive: true })
  for (const name of ['log', 'cursors', '.']) await chmod(join(directory, name), 0o550)
  t.teardown(async () => {
    for (const name of ['.', 'log', 'cursors']) await chmod(join(directory, name), 0o750)
  })
  for (const subcommand of ['info', 'verify', 'export'])
    t.equal((await log(subcommand, '--data', directory)).code, 0, subcommand)
})

test('other subcommands are wrong usage, and the message says why', async (t) => {
  t.match(await log(), { code: 2, err: /say what to do: info, verify, export/ })
  t.match(await log('inof'), { code: 2, err: /did you mean 'info'/ })
  t.match(await log('export', '--format', 'xml'), { code: 2, err: /jsonl, senml, influx, csv/ })
  t.match(await log('export', '--from', 'yesterday'), { code: 2, err: /--from must be a time/ })
  t.match(await log('export', '--device', 'a/#/b'), { code: 2, err: /--device 'a\/#\/b'/ })
})
