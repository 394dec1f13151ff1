import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { verb } from '../../src/cli/decode.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { temporaryDirectory } from '../support/directory.ts'

const run = async (args: readonly string[], input: string | Buffer = '') => {
  const io = capturedIo(input)
  const code = await runVerb(verb, args, io)
  return { code, out: io.out(), err: io.err() }
}

test('it shows readings, profile and reason', async (t) => {
  const { code, out } = await run(
    ['--topic', 'tele/plug/SENSOR'],
    '{"Time":"2020-03-03T00:00:00+00:00","DHT11":{"Temperature":20.5},"TempUnit":"C"}\n',
  )
  t.equal(code, 0)
  t.match(out, /^profile +tasmota \(.*tasmota\.yaml\)$/m)
  t.match(out, /^why +the topic matches 'tele\/\{device\.\.\.\}\/SENSOR' of profile tasmota$/m)
  t.match(out, /^device +plug$/m)
  t.match(out, /^NAME +VALUE +UNIT +TIME$/m)
  t.match(out, /^DHT11\.Temperature +20\.5 +Cel +2020-03-03T00:00:00\.000Z$/m)
})

test('it prints JSON', async (t) => {
  const { code, out } = await run(['-t', 'temperature', '--json'], '25°C')
  t.equal(code, 0)
  t.strictSame(JSON.parse(out), {
    profile: 'generic',
    why: 'no profile claims the topic, so the generic decoder takes it',
    device: 'broker',
    readings: [{ device: 'broker', name: 'temperature', value: 25, unit: 'Cel' }],
  })
  const senml = await run(['-t', 'x', '--json'], '[{"n":"a/b","bt":1795168800,"v":1}]')
  t.match(JSON.parse(senml.out), { device: 'a', readings: [{ name: 'b', time: '2026-11-20T10:00:00.000Z' }] })
})

test('the payload comes from a file, and the device of one level from the source', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'payload')
  await writeFile(file, '21,5')
  const { code, out } = await run(['-t', 'temperature', '--file', file, '--source', 'house', '--json'])
  t.equal(code, 0)
  t.match(JSON.parse(out), { device: 'house', readings: [{ value: 21.5 }] })
  const missing = await run(['-t', 'x', '--file', join(directory, 'none')])
  t.equal(missing.code, 1)
  t.match(missing.err, /the payload cannot be read: ENOENT/)
  t.equal(missing.err.split('ENOENT').length, 2, 'the cause is named once')
})

test('a faulty payload is exit code 1, and cannot drive the terminal', async (t) => {
  const { code, out } = await run(['-t', 'a/b'], '{"x":')
  t.equal(code, 1)
  t.match(out, /^fault +the payload is not valid JSON/m)
  t.match(out, /^readings +0$/m)
  const coloured = await run(['-t', 'a/b'], '{"\\u001b[2J":1}')
  t.equal(coloured.code, 0)
  t.notOk(coloured.out.includes('\u001b'))
})

test('a profile can be forced', async (t) => {
  const { code, out } = await run(['-t', 'tele/plug/LWT', '--profile', 'generic', '--json'], 'Online')
  t.equal(code, 0)
  t.match(JSON.parse(out), {
    profile: 'generic',
    why: '--profile generic was given',
    readings: [{ name: 'LWT', value: 'Online' }],
  })
  const none = await run(['-t', 'a', '--profile', 'nothing'], '1')
  t.equal(none.code, 1)
  t.match(none.err, /there is no device profile 'nothing'/)
})

test('profiles of the configuration count', async (t) => {
  const directory = await temporaryDirectory(t)
  await mkdir(join(directory, 'own'))
  const profile = `name: own
title: Own
source: https://example.com/
about: Own.
rules: [{ topics: ['own/{device}'], decoder: scalar, name: level }]
examples: [{ topic: own/x, payload: '1', readings: [{ name: level, value: 1 }] }]
`
  await writeFile(join(directory, 'own', 'own.yaml'), profile)
  await writeFile(join(directory, 'tidegate.yaml'), `gateway: { data: ${directory}, devices: [own] }\n`)
  const args = ['-t', 'own/x', '--json', '--config', join(directory, 'tidegate.yaml')]
  const { code, out, err } = await run(args, '7')
  t.equal(err, '')
  t.equal(code, 0)
  t.match(JSON.parse(out), { profile: 'own', device: 'x', readings: [{ name: 'level', value: 7 }] })
  await writeFile(join(directory, 'own', 'own.yaml'), profile.replace('decoder: scalar', 'decoder: skalar'))
  const broken = await run(args, '7')
  t.equal(broken.code, 2)
  t.match(broken.err, /own\.yaml:5:\d+: rules\[0\]\.decoder must be one of .*; did you mean scalar\?/)
})

test('wrong usage is exit code 2', async (t) => {
  for (const [args, message] of [
    [[], /--topic is missing/],
    [['--topic', 'a/+'], /--topic contains a wildcard/],
    [['--topc', 'a'], /did you mean --topic\?/],
    [['--topic', 'a', 'b'], /unexpected argument 'b'/],
  ] as const) {
    const { code, err } = await run(args)
    t.equal(code, 2)
    t.match(err, message)
  }
})
