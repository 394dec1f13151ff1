import fc from 'fast-check'
import t, { test } from 'tap'
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment-header.ts'
import type { Expected, Files, SampleLog } from '../support/log-model-damage.ts'
import { checkDamaged, sampleLog, untouched } from '../support/log-model-damage.ts'

// What happens to files besides flipped bits: they end too soon, come back with bytes too many, in the wrong place, or as
// another file. Nothing of that keeps the log from starting, or makes it serve what nobody sent.

t.setTimeout(process.env['TIDEGATE_LONG'] === '1' ? 7_200_000 : 240_000)

const LONG = process.env['TIDEGATE_LONG'] === '1'
const seed = Number(process.env['TIDEGATE_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))
/** Where nothing but zeros would be cut off, and in a header, every cut is like the others. */
const ZEROS_STEP = 256
const HEADER_STEP = 16
/** What another process reads, and the next start, are looked at for one of so many lengths. */
const THOROUGH_STEP = 4
const MAX_FAILURES = 5
const SECTOR_BYTES = 512

const failure = async (log: SampleLog, what: string, files: Files, expected: Expected): Promise<string | undefined> => {
  try {
    await checkDamaged(log, files, expected)
    return undefined
  } catch (error) {
    return `${what}: ${error instanceof Error ? error.stack : error}`
  }
}

test('wherever a file ends too soon, the log opens, serves what is there, tells what is missing, and goes on', async (t) => {
  const log = await sampleLog()
  for (const [path, bytes] of log.files) {
    const failures: string[] = []
    for (let size = 0; size < bytes.length && failures.length < MAX_FAILURES; size++) {
      const zeros = size > 0 && bytes[size] === 0 && bytes[size - 1] === 0
      const step = zeros ? ZEROS_STEP : path.endsWith('.seg') && size < SEGMENT_HEADER_BYTES ? HEADER_STEP : 1
      if (!LONG && size % step !== 0) continue
      const whole = untouched(log, (touched, _, to) => touched === path && to > size)
      // Without a header and a trailer nothing in a segment can be told from garbage.
      const headless = size < SECTOR_BYTES ? untouched(log, (touched) => touched === path) : whole
      const files = new Map(log.files).set(path, bytes.subarray(0, size))
      const failed = await failure(log, `${path} cut at ${size}`, files, {
        whole: headless,
        thorough: LONG || size % THOROUGH_STEP === 0,
      })
      if (failed !== undefined) failures.push(failed)
    }
    t.strictSame(failures, [], path)
  }
})

test('a file that is missing costs what was in it and nothing else', async (t) => {
  const log = await sampleLog()
  const newest = [...log.files.keys()].filter((path) => path.endsWith('.seg')).at(-1)
  for (const path of log.files.keys()) {
    // Without it, nothing tells which seqs it held.
    if (path === newest) continue
    const files = new Map(log.files)
    files.delete(path)
    const whole = untouched(log, (touched) => touched === path)
    t.equal(await failure(log, path, files, { whole, misplaced: true }), undefined, path)
  }
})

const place = fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true })
const damage = fc.oneof(
  fc.record({ do: fc.constant('insert' as const), at: place, bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }) }),
  fc.record({ do: fc.constant('remove' as const), at: place, count: fc.integer({ min: 1, max: 200 }) }),
  fc.record({ do: fc.constant('zero' as const), at: place }),
  fc.record({ do: fc.constant('garble' as const), at: place, bytes: fc.uint8Array({ minLength: 1, maxLength: 600 }) }),
  fc.record({ do: fc.constant('repeat' as const), block: place, at: place }),
  fc.record({ do: fc.constant('swapBlocks' as const), block: place, other: place }),
  fc.record({ do: fc.constant('swapFiles' as const), other: place }),
  fc.record({ do: fc.constant('copyFile' as const), other: place }),
  fc.record({ do: fc.constant('rename' as const), seq: fc.integer({ min: 1, max: 70_000 }) }),
  fc.record({ do: fc.constant('otherHeader' as const), other: place }),
)
type Damage = typeof damage extends fc.Arbitrary<infer Value> ? Value : never

const pick = <T>(list: readonly T[], share: number): T => {
  const found = list[Math.floor(share * list.length)]
  if (found === undefined) throw new Error('nothing to pick from')
  return found
}

const damaged = (log: SampleLog, path: string, how: Damage): { readonly files: Files; readonly touched: string[] } => {
  const files = new Map(log.files)
  const segments = [...files.keys()].filter((one) => one.endsWith('.seg'))
  const bytes = files.get(path) ?? Buffer.alloc(0)
  const touched = [path]
  const splice = (at: number, remove: number, insert: Uint8Array) =>
    files.set(path, Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]))
  const blocks = log.blocks.filter((block) => block.path === path)
  switch (how.do) {
    case 'insert':
      splice(Math.floor(how.at * bytes.length), 0, how.bytes)
      break
    case 'remove':
      splice(Math.floor(how.at * bytes.length), how.count, Buffer.alloc(0))
      break
    case 'zero': {
      const at = Math.floor((how.at * bytes.length) / SECTOR_BYTES) * SECTOR_BYTES
      const count = Math.min(SECTOR_BYTES, bytes.length - at)
      splice(at, count, Buffer.alloc(count))
      break
    }
    case 'garble':
      splice(Math.floor(how.at * bytes.length), how.bytes.length, how.bytes)
      break
    case 'repeat': {
      const block = pick(blocks, how.block)
      splice(pick(blocks, how.at).to, 0, bytes.subarray(block.from, block.to))
      break
    }
    case 'swapBlocks': {
      const [one, two] = [pick(blocks, how.block), pick(blocks, how.other)].sort((a, b) => a.from - b.from)
      if (one === undefined || two === undefined || one === two) break
      const between = bytes.subarray(one.to, two.from)
      const swapped = [bytes.subarray(two.from, two.to), between, bytes.subarray(one.from, one.to)]
      splice(one.from, two.to - one.from, Buffer.concat(swapped))
      break
    }
    case 'swapFiles':
    case 'copyFile':
    case 'otherHeader': {
      const other = pick(segments, how.other)
      const theirs = files.get(other) ?? bytes
      if (how.do === 'otherHeader') splice(0, SEGMENT_HEADER_BYTES, theirs.subarray(0, SEGMENT_HEADER_BYTES))
      else files.set(path, theirs)
      if (how.do !== 'swapFiles') break
      files.set(other, bytes)
      touched.push(other)
      break
    }
    case 'rename':
      files.delete(path)
      files.set(path.replace(/\d{16}/, `${how.seq}`.padStart(16, '0')), bytes)
      for (const one of segments) touched.push(one)
  }
  return { files, touched }
}

test('garbage, bytes too many or too few, blocks and files in the wrong place: nothing wrong is served', async (t) => {
  const log = await sampleLog()
  const segments = [...log.files.keys()].filter((path) => path.endsWith('.seg'))
  t.comment(`seed ${seed}`)
  const property = fc.asyncProperty(place, damage, async (share, how) => {
    const path = pick(segments, share)
    // Without the newest one, nothing tells which seqs it held.
    fc.pre(how.do !== 'rename' || path !== segments.at(-1))
    const { files, touched } = damaged(log, path, how)
    const whole = untouched(log, (one) => touched.includes(one))
    await checkDamaged(log, files, { whole, misplaced: how.do === 'rename' })
  })
  await fc.assert(property, { numRuns: LONG ? 20_000 : 300, seed })
})
