import { readFile } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import zlib from 'node:zlib'
import type { Plugin } from 'esbuild'
import { build } from 'esbuild'
import fc from 'fast-check'
import t, { test } from 'tap'
import { openCursor } from '../../src/log/cursor.ts'
import type { FileHandle, FileSystem } from '../../src/log/file-system.ts'
import type * as LogModule from '../../src/log/log.ts'
import { temporaryDirectory } from '../support/directory.ts'
import { Violation } from '../support/log-model.ts'
import type { Parts } from '../support/log-model-parts.ts'
import { play } from '../support/log-model-run.ts'
import type { History } from '../support/log-model-steps.ts'
import {
  crashHistories,
  cursorHistories,
  cutHistories,
  failedSyncHistories,
  retentionHistories,
} from '../support/log-model-steps.ts'

// The test of the test: each part of the log that keeps a promise is broken once, and the simulation has to notice. What it
// must say is part of the test: a mutant that is found by accident proves nothing.

/** As many histories as a run of the simulation plays by default, at most. */
t.setTimeout(240_000)

const RUNS = 1_000
const LOG = fileURLToPath(new URL('../../src/log/', import.meta.url))
const LOST = /was durable/
const WRONG = /and was .* before|which nobody appended/

const found = async (
  parts: Parts,
  expected: RegExp,
  histories: fc.Arbitrary<History> = crashHistories,
): Promise<string> => {
  const property = fc.asyncProperty(histories, async (history) => {
    try {
      await play(history, parts)
    } catch (error) {
      // What else goes wrong with a broken part is not what this is about.
      if (error instanceof Violation && expected.test(error.message)) throw error
    }
  })
  const { failed, numRuns, errorInstance, seed } = await fc.check(property, { numRuns: RUNS, endOnFailure: true })
  if (!failed) return `not found in ${numRuns} histories, seed ${seed}`
  return `found: ${errorInstance instanceof Violation ? `history ${numRuns}: ${errorInstance.message}` : ''}`
}

/** The file system with other file handles. */
const withHandles = (disk: FileSystem, change: (handle: FileHandle) => Partial<FileHandle>): FileSystem => ({
  ...disk,
  open: async (path, mode) => {
    const handle = await disk.open(path, mode)
    return { ...handle, ...change(handle) }
  },
})

/** The log with one line of its source replaced. */
const mutated = async (
  t: Parameters<typeof temporaryDirectory>[0],
  file: string,
  from: RegExp,
  to: string,
): Promise<typeof LogModule.openLog> => {
  const source = await readFile(join(LOG, file), 'utf8')
  if (!from.test(source)) throw new Error(`${file} has no ${from}: the mutant has to follow the log`)
  const outfile = join(await temporaryDirectory(t), 'log.mjs')
  const mutation: Plugin = {
    name: 'mutation',
    setup(build) {
      build.onLoad({ filter: /\.ts$/ }, ({ path }) =>
        path === join(LOG, file) ? { contents: source.replace(from, to), loader: 'ts' } : undefined,
      )
    },
  }
  await build({
    ...{ entryPoints: [join(LOG, 'log.ts')], outfile, bundle: true, format: 'esm', platform: 'node' },
    ...{ plugins: [mutation], logLevel: 'error' },
  })
  const { openLog }: typeof LogModule = await import(pathToFileURL(outfile).href)
  return openLog
}

const nothing = async (): Promise<void> => undefined

test('the simulation notices a log that does not call fdatasync', async (t) => {
  t.match(await found({ between: (disk) => withHandles(disk, () => ({ datasync: nothing })) }, LOST), /^found/)
})

test('the simulation notices a log that acknowledges before fdatasync is done', async (t) => {
  const between = (disk: FileSystem) =>
    withHandles(disk, (handle) => ({
      datasync: async () => {
        handle.datasync().catch(() => undefined)
      },
    }))
  t.match(await found({ between }, LOST, cutHistories), /^found/)
})

test('the simulation notices a log that does not sync its directories', async (t) => {
  t.match(await found({ between: (disk) => ({ ...disk, syncDirectory: nothing }) }, LOST), /^found/)
})

test('the simulation notices a log that does not sync a new segment before it gets its name', async (t) => {
  t.match(await found({ between: (disk) => withHandles(disk, () => ({ sync: nothing })) }, LOST), /^found/)
})

test('the simulation notices a log whose CRCs always match', async (t) => {
  const { crc32 } = zlib
  Object.assign(zlib, { crc32: () => 0 })
  syncBuiltinESMExports()
  t.teardown(() => {
    Object.assign(zlib, { crc32 })
    syncBuiltinESMExports()
  })
  t.match(await found({}, WRONG, cutHistories), /^found/)
})

test('the simulation notices a log that skips no seqs after an unclean stop', async (t) => {
  const openLog = await mutated(t, 'limits.ts', /UNCLEAN_SKIP = .*/, 'UNCLEAN_SKIP = 0')
  t.match(await found({ openLog }, /is given again|and was .* before/), /^found/)
})

test('the simulation notices a log that tries a failed fdatasync again on the same file', async (t) => {
  const between = (disk: FileSystem) =>
    withHandles(disk, (handle) => ({ datasync: () => handle.datasync().catch(() => handle.datasync()) }))
  t.match(await found({ between }, LOST, failedSyncHistories), /^found/)
})

test('the simulation notices a log that takes a short write for a whole one', async (t) => {
  const between = (disk: FileSystem) =>
    withHandles(disk, (handle) => ({
      write: async (buffer, offset, length, position) => {
        await handle.write(buffer, offset, length, position)
        return length
      },
    }))
  t.match(await found({ between }, LOST), /^found/)
})

test('the simulation notices a cursor that is not synced', async (t) => {
  const parts: Parts = {
    openCursor: (options) =>
      openCursor({
        ...options,
        fileSystem: withHandles(options.fileSystem, () => ({ datasync: nothing, sync: nothing })),
      }),
  }
  t.match(await found(parts, /the cursor is at \d+, and \d+ was flushed/, cursorHistories), /^found/)
})

test('the simulation notices a log that removes what is not settled before the loss mark is durable', async (t) => {
  const openLog = await mutated(t, 'upkeep.ts', /await this\.#owed\.record\(/, 'void this.#owed.record(')
  t.match(await found({ openLog }, /without a loss mark/, retentionHistories), /^found/)
})
