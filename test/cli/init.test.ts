import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Ajv } from 'ajv'
import { test } from 'tap'
import { parse } from 'yaml'
import { verb as check } from '../../src/cli/check.ts'
import { verb } from '../../src/cli/init.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { temporaryDirectory } from '../support/directory.ts'

const init = async (directory: string) => {
  const io = capturedIo()
  const code = await runVerb(verb, ['--dir', directory], io)
  return { code, out: io.out(), err: io.err() }
}

test('what init writes is valid, begins with its schema line and spells out the defaults', async (t) => {
  const directory = join(await temporaryDirectory(t), 'made', 'for', 'it')
  t.equal((await init(directory)).code, 0)
  t.strictSame((await readdir(directory)).sort(), ['tidegate.schema.json', 'tidegate.yaml'])
  const file = join(directory, 'tidegate.yaml')
  const text = await readFile(file, 'utf8')
  t.match(text, /^# yaml-language-server: \$schema=\.\/tidegate\.schema\.json\n/)
  const io = capturedIo()
  t.equal(await runVerb(check, ['--config', file], io), 0, io.err())

  const schema = JSON.parse(await readFile(join(directory, 'tidegate.schema.json'), 'utf8'))
  const validate = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allErrors: true }).compile(schema)
  t.ok(validate(parse(text)), JSON.stringify(validate.errors))
  t.notOk(validate({ ...parse(text), log: { commitDelay: 10 } }))
  t.notOk(validate({ ...parse(text), logs: {} }))
})

test('what is commented out in it is valid too', async (t) => {
  const directory = await temporaryDirectory(t)
  await init(directory)
  const file = join(directory, 'tidegate.yaml')
  const text = await readFile(file, 'utf8')
  // The tls line needs files, and prose is no YAML.
  const sinks = text
    .slice(text.indexOf('sinks: []'))
    .replace('sinks: []', 'sinks:')
    .replace(/^ {2}# (?=(- | {2}[a-zA-Z]+:))/gm, '  ')
  await writeFile(file, text.slice(0, text.indexOf('sinks: []')) + sinks)
  const io = { ...capturedIo(), env: { HOME: directory, AMQP_PASSWORD: 'x' } }
  t.equal(await runVerb(check, ['--config', file], io), 0, io.err())
  t.match(io.out(), /sinks: cloud, hub;/)
})

test('a configuration that is there is never overwritten', async (t) => {
  const directory = await temporaryDirectory(t)
  await writeFile(join(directory, 'tidegate.yaml'), 'mine')
  const { code, err } = await init(directory)
  t.equal(code, 1)
  t.match(err, /exists already and is left as it is/)
  t.equal(await readFile(join(directory, 'tidegate.yaml'), 'utf8'), 'mine')
})

test('a place that cannot be written to is exit code 1', async (t) => {
  const file = join(await temporaryDirectory(t), 'file')
  await writeFile(file, '')
  const { code, err } = await init(join(file, 'below'))
  t.equal(code, 1)
  t.match(err, /cannot be written/)
})
