import t, { test } from 'tap'
import { SEGMENT_HEADER_BYTES } from '../../src/log/segment-header.ts'
import type { Files, SampleLog } from '../support/log-model-damage.ts'
import { checkDamaged, sampleLog, untouched } from '../support/log-model-damage.ts'
import { randomOf } from '../support/simulated-disk-random.ts'

// One bit of a small log after the other. By default one of every byte, of segment headers every third byte, of long rows of
// zeros less; TIDEGATE_LONG=1 takes all eight bits of every byte.

t.setTimeout(process.env['TIDEGATE_LONG'] === '1' ? 7_200_000 : 240_000)

const seed = Number(process.env['TIDEGATE_SEED'] ?? Math.trunc(Math.random() * 2 ** 31))
const LONG = process.env['TIDEGATE_LONG'] === '1'

/** Zeros in a row are all alike. */
const ZEROS_STEP = 64
const HEADER_STEP = 3
/** What another process reads, and the next start, are looked at for one of so many flips. */
const THOROUGH_STEP = 4
/** More of the same is of no use. */
const MAX_FAILURES = 5

const flipped = (files: Files, path: string, at: number, bit: number): Files => {
  const bytes = Buffer.from(files.get(path) ?? [])
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit)
  return new Map(files).set(path, bytes)
}

const failure = async (log: SampleLog, path: string, at: number, bit: number): Promise<string | undefined> => {
  try {
    const whole = untouched(log, (touched, from, to) => touched === path && from <= at && at < to)
    await checkDamaged(log, flipped(log.files, path, at, bit), { whole, thorough: LONG || at % THOROUGH_STEP === 0 })
    return undefined
  } catch (error) {
    return `${path} byte ${at} bit ${bit}: ${error instanceof Error ? error.stack : error}`
  }
}

test('whichever bit flips, the log opens, serves what is not touched, tells what is missing, and goes on', async (t) => {
  const log = await sampleLog()
  const random = randomOf(seed)
  t.comment(`seed ${seed}`)
  let flips = 0
  for (const [path, bytes] of log.files) {
    const failures: string[] = []
    for (let at = 0; at < bytes.length && failures.length < MAX_FAILURES; at++) {
      const step = bytes[at] === 0 ? ZEROS_STEP : path.endsWith('.seg') && at < SEGMENT_HEADER_BYTES ? HEADER_STEP : 1
      if (!LONG && at % step !== seed % step) continue
      for (const bit of LONG ? [0, 1, 2, 3, 4, 5, 6, 7] : [random.below(8)]) {
        flips++
        const failed = await failure(log, path, at, bit)
        if (failed !== undefined) failures.push(failed)
      }
    }
    t.strictSame(failures, [], path)
  }
  t.comment(`${flips} flips`)
})
