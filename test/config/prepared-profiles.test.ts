import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { test } from 'tap'
import { contentHash, preparedProfiles, prepareProfiles } from '../../src/config/prepared-profiles.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { decoders as dialects, profiles } from '../support/profiles.ts'

const decoders = [...dialects.values()]

test('every built-in profile comes out of its preparation as it is read from its file', async (t) => {
  const file = join(await temporaryDirectory(t), 'profiles.json')
  await writeFile(file, await prepareProfiles(profiles, decoders))
  const prepared = await preparedProfiles(decoders, pathToFileURL(file))
  t.ok(profiles.length > 20)
  for (const { file: source, ...profile } of profiles)
    t.strictSame(prepared.get(contentHash(await readFile(source, 'utf8'))), profile, profile.name)
})

test('a profile whose file was changed since, or under other dialects, is not taken from there', async (t) => {
  const file = pathToFileURL(join(await temporaryDirectory(t), 'profiles.json'))
  await writeFile(file, await prepareProfiles(profiles, decoders))
  const [first] = profiles
  const content = await readFile(first?.file ?? '', 'utf8')
  t.notOk((await preparedProfiles(decoders, file)).has(contentHash(`${content}\n`)))
  t.equal((await preparedProfiles(decoders.slice(1), file)).size, 0)
  const other = decoders.map((one, index) => (index === 0 ? { ...one, schema: { ...one.schema, x: 1 } } : one))
  t.equal((await preparedProfiles(other, file)).size, 0)
})

test('without a preparation, or with a damaged one, profiles are read from their files', async (t) => {
  t.equal((await preparedProfiles(decoders, new URL('file:///nowhere/profiles.json'))).size, 0)
  const file = join(await temporaryDirectory(t), 'profiles.json')
  for (const damaged of ['', '{"dialects":', 'null', '[]']) {
    await writeFile(file, damaged)
    t.equal((await preparedProfiles(decoders, pathToFileURL(file))).size, 0)
  }
})

test('what JSON cannot hold is not prepared', async (t) => {
  const [first] = profiles
  if (first === undefined) throw new Error('there is no profile')
  const endless = { ...first, intervalMs: Number.POSITIVE_INFINITY }
  const file = pathToFileURL(join(await temporaryDirectory(t), 'profiles.json'))
  await writeFile(file, await prepareProfiles([endless], decoders))
  t.equal((await preparedProfiles(decoders, file)).size, 0)
})
