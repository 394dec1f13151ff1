// The layers of src/: the rules are in layers-rules.ts. The rules themselves are shown to bite on a tree that breaks them.

import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { test } from 'tap'
import { cruiseLayers, sourceFiles } from './layers-rules.ts'
import { temporaryDirectory } from './support/directory.ts'

const root = resolve(import.meta.dirname, '..')

test('every import in src/ is one that the layers allow', async (t) => {
  const { modules, violations } = await cruiseLayers(root)
  t.same(violations, [])
  t.equal(modules, (await sourceFiles(join(root, 'src'))).length, 'the cruise missed no file')
})

/** A tree in which each file breaks one rule, and what is to be said about it. */
const BROKEN: readonly (readonly [file: string, text: string, complaint: RegExp | undefined])[] = [
  ['core/contract.ts', 'export interface Entry {}', undefined],
  ['core/type-only.ts', "import type { Log } from '../log/log.ts'\nexport type X = Log", /core may not import log/],
  ['core/input.ts', "export * from 'node:fs'", /core does no I\/O/],
  [
    'core/input-promises.ts',
    "import type { Stats } from 'node:fs/promises'\nexport type X = Stats",
    /core does no I\/O/,
  ],
  ['core/pure.ts', "import { isDeepStrictEqual } from 'node:util'\nexport const same = isDeepStrictEqual", undefined],
  ['log/log.ts', "import type { Entry } from '../core/contract.ts'\nexport type Log = Entry", undefined],
  ['log/reader.ts', 'export const reader = 1', undefined],
  ['log/file-system.ts', "export { open } from 'node:fs/promises'", undefined],
  ['log/back-door.ts', "export { open } from 'node:fs'", /the only door to node:fs/],
  ['api/history.ts', "export { reader } from '../log/reader.ts'", undefined],
  ['api/short-cut.ts', "import type { Log } from '../log/log.ts'\nexport type X = Log", /api may not import log/],
  ['api/lazy.ts', "export const lazy = () => import('../forward/lanes.ts')", /api may not import forward/],
  ['api/broker.ts', "import 'aedes'", /package aedes belongs to sources\/mqtt-broker/],
  ['api/stranger.ts', "import 'acorn'", /package acorn has no owner/],
  ['api/missing.ts', "import './nowhere.ts'", /cannot be resolved/],
  ['forward/lanes.ts', 'export const lanes = 1', undefined],
  ['live/cycle-a.ts', "import type { B } from './cycle-b.ts'\nexport type A = B", /cycle-b.ts → .*cycle-a.ts.*: cycle/],
  ['live/cycle-b.ts', "import type { A } from './cycle-a.ts'\nexport type B = A", undefined],
  ['sources/mqtt-broker/source.ts', "import 'aedes'\nexport const broker = 1", undefined],
  [
    'sources/serial/source.ts',
    "export { broker } from '../mqtt-broker/source.ts'",
    /plug-in serial may not know plug-in mqtt-broker/,
  ],
  ['sinks/amqp.ts', "import 'amqplib'\nexport const amqp = 1", undefined],
  ['sinks/amqp1.ts', "import 'rhea'", undefined],
  ['sinks/amqp2.ts', "import 'amqplib'", /package amqplib belongs to sinks\/amqp/],
  ['gateway.ts', "import './sinks/amqp.ts'", /gateway.ts may not import sinks/],
  ['cli/run.ts', "import '../gateway.ts'", undefined],
  ['ops/run.ts', "import '../cli/run.ts'", /ops may not import cli/],
  ['utils/helpers.ts', 'export const x = 1', /no such room/],
]

test('the rules bite: each file of a broken tree is complained about, and no sound one', async (t) => {
  const directory = await temporaryDirectory(t)
  await symlink(join(root, 'node_modules'), join(directory, 'node_modules'))
  for (const [file, text] of BROKEN) {
    const path = join(directory, 'src', file)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, text)
  }
  const { modules, violations } = await cruiseLayers(directory)
  t.equal(modules, BROKEN.length)
  for (const [file, , complaint] of BROKEN) {
    const about = violations.filter((line) => line.startsWith(`src/${file}`))
    if (complaint === undefined) t.same(about, [], file)
    else t.match(about.join('\n'), complaint, file)
  }
})
