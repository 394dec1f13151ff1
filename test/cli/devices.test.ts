import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { verb } from '../../src/cli/devices.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { message, openTestLog } from '../support/durable-log.ts'

const run = async (...args: readonly string[]) => {
  const io = capturedIo()
  const code = await runVerb(verb, args, io)
  return { code, out: io.out(), err: io.err() }
}

const profile = (value: number) => `name: own
title: Own
source: https://example.com/
about: Own.
rules: [{ topics: ['own/{device}'], decoder: scalar, name: level }]
examples: [{ topic: own/x, payload: '1', readings: [{ name: level, value: ${value} }] }]
`

test('list shows every profile', async (t) => {
  const { code, out } = await run('list')
  t.equal(code, 0)
  t.match(out, /^NAME +TITLE +TOPICS +EXAMPLES +FILE$/m)
  t.match(out, /^tasmota +Tasmota +\d+ +\d+ +.*tasmota\.yaml$/m)
  const json = JSON.parse((await run('list', '--json')).out)
  t.ok(json.length >= 4)
  t.match(json[0], {
    name: String,
    title: String,
    source: /^https/,
    file: /\.yaml$/,
    topics: [String],
    examples: Number,
  })
})

test('test runs the examples of all profiles', async (t) => {
  const { code, out } = await run('test')
  t.equal(code, 0)
  t.match(out, /^zigbee2mqtt +\d+ examples +ok$/m)
  t.match(out, /^\d+ examples, 0 failed$/m)
  t.ok(JSON.parse((await run('test', '--json')).out).every(({ failed }: { failed: unknown[] }) => failed.length === 0))
})

test('test runs the examples of the named files only, and a failing one is exit code 1', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'own.yaml')
  await writeFile(file, profile(1))
  t.match(await run('test', file), { code: 0, out: 'own  1 examples  ok\n1 examples, 0 failed\n' })
  await writeFile(file, profile(2))
  const { code, out } = await run('test', file)
  t.equal(code, 1)
  t.match(out, /^own, example 1, topic own\/x$/m)
  t.match(out, /^ {2}lacks the reading level = 2$/m)
  t.match(JSON.parse((await run('test', file, '--json')).out), [
    { name: 'own', examples: 1, failed: [{ number: 1, topic: 'own/x', faults: [String, String] }] },
  ])
})

test('a file that is no profile is exit code 1, with every problem', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'own.yaml')
  await writeFile(file, 'nam: own\n')
  const { code, err } = await run('test', file)
  t.equal(code, 1)
  t.match(err, /own\.yaml:1:1: unknown key nam; did you mean name\?/)
  t.match(err, /lacks the key rules/)
  t.match(await run('test', join(directory, 'none.yaml')), { code: 1, err: /does not exist/ })
})

test('wrong usage is exit code 2', async (t) => {
  t.match(await run(), { code: 2, err: /say list, test or suggest/ })
  t.match(await run('lst'), { code: 2, err: /'lst' is no list, test or suggest/ })
  t.match(await run('list', 'x'), { code: 2, err: /unexpected argument 'x'/ })
})

test('suggest writes a profile from what the log holds, which passes its own test', async (t) => {
  const data = await temporaryDirectory(t)
  const log = await openTestLog(t, data)
  await Promise.all(
    ['hall', 'attic'].map((room) => log.deliver(message('{"temperature":21.5,"battery":90}', `own/${room}/report`))),
  )
  await log.close()
  const { code, out } = await run('suggest', '--topic', 'own/#', '--data', data)
  t.equal(code, 0)
  t.match(out, /own\/\{device\}\/report/)
  const file = join(data, 'own.yaml')
  const args = ['suggest', '--topic', 'own/+/report', '--name', 'my-own', '--out', file, '--data', data]
  t.match(await run(...args), { code: 0, out: /devices test/ })
  t.match(await run('test', file), { code: 0, out: /my-own/ })
  t.match(await run(...args), { code: 1, err: /exists already and is left as it is/ })
  t.match(await run('suggest', '--topic', 'nothing/#', '--data', data), { code: 1, err: /nothing\/#/ })
  t.match(await run('suggest', '--topic', 'a/#/b', '--data', data), { code: 2 })
  t.match(await run('suggest', '--data', data), { code: 2, err: /--topic/ })
  t.match(await run('suggest', '--topic', 'x', '--name', 'No Name', '--data', data), { code: 2, err: /--name/ })
})
