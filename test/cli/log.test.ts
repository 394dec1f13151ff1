import { test } from 'tap'
import { verb } from '../../src/cli/log.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { appendAll, openTestLog } from '../support/durable-log.ts'

const log = async (...args: readonly string[]) => {
  const io = capturedIo()
  const code = await runVerb(verb, args, io)
  return { code, out: io.out(), err: io.err() }
}

test('info shows what the log holds, while it is being written', async (t) => {
  const directory = await temporaryDirectory(t)
  const open = await openTestLog(t, directory)
  await appendAll(open, ['1', '2', '3'])
  const { code, out } = await log('info', '--data', directory)
  t.equal(code, 0)
  t.match(out, /^gateway +greenhouse$/m)
  t.match(out, /^seq +1 to 3$/m)
  t.match(out, /^0+1\.seg +1 to 3 +3 .* open /m)
  t.match(JSON.parse((await log('info', '--data', directory, '--json')).out), {
    first: 1,
    last: 3,
    gateway: 'greenhouse',
  })
})

test('a directory without a log is exit code 1', async (t) => {
  const { code, err } = await log('info', '--data', await temporaryDirectory(t))
  t.equal(code, 1)
  t.match(err, /TG_DATA_UNUSABLE/)
})

test('other subcommands are wrong usage, and the message says why', async (t) => {
  t.match(await log(), { code: 2, err: /say what to look at: info/ })
  t.match(await log('verify'), { code: 2, err: /log verify is not available in this version yet/ })
  t.match(await log('inof'), { code: 2, err: /did you mean 'info'/ })
})
