import { readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32, deflateRawSync } from 'node:zlib'
import { test } from 'tap'
import type { Known } from '../../src/core/known-topic.ts'
import { readDescriptions, setDescriptionsAside, writeDescriptions } from '../../src/log/description-file.ts'
import { nodeFileSystem } from '../../src/log/file-system.ts'
import { temporaryDirectory } from '../support/directory.ts'

const known: Known = {
  upTo: 42,
  topics: [
    {
      source: 'broker',
      topic: 'spBv1.0/g/NBIRTH/e',
      told: [
        {
          payload: Buffer.from([0, 255, 7]),
          at: [
            { seq: 3, receivedAt: 1.5, tags: ['1', undefined] },
            { seq: 9, receivedAt: 2 },
          ],
        },
      ],
    },
  ],
}

const fileOf = (text: string): Buffer => {
  const body = deflateRawSync(text)
  const bytes = Buffer.alloc(16 + body.length)
  bytes.writeUInt32LE(0x65644754, 0)
  bytes.writeUInt16LE(1, 8)
  bytes.writeUInt32LE(Buffer.byteLength(text), 12)
  body.copy(bytes, 16)
  bytes.writeUInt32LE(crc32(bytes.subarray(8)), 4)
  return bytes
}

test('what is written is read again, and nothing else is left in the directory', async (t) => {
  const directory = await temporaryDirectory(t)
  const options = { directory, fileSystem: nodeFileSystem() }
  t.equal(await readDescriptions(options), undefined)
  const bytes = await writeDescriptions(options, { upTo: 1, topics: [] })
  t.equal(bytes, (await readFile(join(directory, 'descriptions'))).length)
  await writeDescriptions(options, known)
  t.strictSame(await readDescriptions(options), known)
  t.strictSame(await readdir(directory), ['descriptions'])
})

test('a file with any damage says what is wrong, and never throws', async (t) => {
  const directory = await temporaryDirectory(t)
  const options = { directory, fileSystem: nodeFileSystem() }
  const file = join(directory, 'descriptions')
  await writeDescriptions(options, known)
  const whole = await readFile(file)
  for (let at = 0; at < whole.length; at++) {
    const bytes = Buffer.from(whole)
    bytes[at] = (bytes[at] ?? 0) ^ 0x10
    await writeFile(file, bytes)
    t.type(await readDescriptions(options), 'string', `bit at ${at}`)
    await writeFile(file, whole)
    await truncate(file, at)
    t.type(await readDescriptions(options), 'string', `cut at ${at}`)
  }
  for (const text of ['null', '[]', '{}', '{"upTo":-1,"topics":[]}', '{"upTo":1,"topics":[["s","a/#",[]]]}', 'x'])
    t.type(await writeFile(file, fileOf(text)).then(() => readDescriptions(options)), 'string', text)
  await setDescriptionsAside(options)
  t.equal(await readDescriptions(options), undefined)
  t.strictSame(await readdir(directory), ['descriptions.damaged'])
})

test('a write that fails leaves the file as it was', async (t) => {
  const directory = await temporaryDirectory(t)
  const fileSystem = nodeFileSystem()
  await writeDescriptions({ directory, fileSystem }, known)
  const broken = { ...fileSystem, rename: () => Promise.reject(new Error('no')) }
  await t.rejects(writeDescriptions({ directory, fileSystem: broken }, { upTo: 99, topics: [] }), { message: 'no' })
  t.strictSame(await readDescriptions({ directory, fileSystem }), known)
  t.strictSame(await readdir(directory), ['descriptions'])
})
