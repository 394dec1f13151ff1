import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { verb as check } from '../src/cli/check.ts'
import { runVerb } from '../src/cli/verb.ts'
import { loadPlugin, sinkPlugin, sourcePlugin } from '../src/plugins.ts'
import { capturedIo } from './support/captured-io.ts'
import { temporaryDirectory } from './support/directory.ts'

const SINK = `export const plugin = {
  kind: 'sink',
  type: 'notebook',
  schema: { type: 'object', required: ['path'], properties: { path: { type: 'string' } } },
  create: (config) => ({ config }),
}
`
const SOURCE = `export const plugin = { kind: 'source', type: 'ticker', schema: { type: 'object' }, create: () => ({}) }\n`

test('a third-party plug-in is loaded from the path of its module', async (t) => {
  const directory = await temporaryDirectory(t)
  const [sink, source] = [join(directory, 'sink.mjs'), join(directory, 'source.mjs')]
  await writeFile(sink, SINK)
  await writeFile(source, SOURCE)
  t.equal((await loadPlugin(sink)).type, 'notebook')
  t.equal((await sinkPlugin('notebook', [source, sink])).kind, 'sink')
  t.equal((await sourcePlugin('ticker', [sink, source])).kind, 'source')
  await t.rejects(sourcePlugin('notebook', [sink, source]), { code: 'TG_PLUGIN' })
})

test('a plug-in may be a CommonJS module', async (t) => {
  const file = join(await temporaryDirectory(t), 'sink.cjs')
  await writeFile(file, SINK.replace('export const plugin', 'exports.plugin'))
  t.equal((await loadPlugin(file)).type, 'notebook')
})

test('a configuration may use a plug-in of a third party by a path relative to its file', async (t) => {
  const directory = await temporaryDirectory(t)
  await mkdir(join(directory, 'plug-ins'))
  await writeFile(join(directory, 'plug-ins', 'sink.mjs'), SINK)
  const file = join(directory, 'tidegate.yaml')
  const text = [
    `gateway: { data: ${join(directory, 'data')}, plugins: [ plug-ins/sink.mjs ] }`,
    'sinks:',
    '  - { name: notes, type: notebook, path: notes.txt }',
  ]
  await writeFile(file, `${text.join('\n')}\n`)
  const valid = capturedIo()
  t.equal(await runVerb(check, ['--config', file], valid), 0, valid.err())
  t.match(valid.out(), /sinks: notes;/)

  await writeFile(file, (await readFile(file, 'utf8')).replace('path:', 'pth:'))
  const invalid = capturedIo()
  t.equal(await runVerb(check, ['--config', file], invalid), 2)
  t.match(invalid.err() + invalid.out(), /:3:\d+: unknown key pth in sinks\[0\]; did you mean path\?/)
})

test('what is no plug-in is refused, and says once why', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'other.mjs')
  await writeFile(file, 'export const plugin = { kind: "sink" }\n')
  await t.rejects(loadPlugin(file), { code: 'TG_PLUGIN', message: /does not export a plugin/ })

  const config = join(directory, 'tidegate.yaml')
  await writeFile(config, 'gateway: { plugins: [ missing.mjs ] }\n')
  const io = capturedIo()
  t.equal(await runVerb(check, ['--config', config], io), 2)
  t.match(io.err() + io.out(), /:1:23: .*missing\.mjs cannot be loaded: it does not exist\n/)
  t.equal((io.err() + io.out()).split('cannot be loaded').length, 2)
})
